//! Single values: what a text without quotes means, and whether it is of its kind. What a finding repeats of a value is never
//! that of a secret.

use super::{Reader, form};
use crate::{
    inputs::{
        net::{Net, NotNet},
        plain::{Trap, trap},
        problem::Problem,
        table::{Form, Kind, MAC},
    },
    values::Value,
};
use portreeve_model::Secret;
use portreeve_yaml::{Data, Node, Scalar, Style, nearest};
use regex::Regex;
use std::{collections::HashMap, net::Ipv4Addr};

pub(super) const LABEL_KEY: &str =
    r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$";
pub(super) const LABEL_VALUE: &str = r"^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$";

/// The most of a value that a finding repeats.
const SHOWN: usize = 60;

/// Regular expressions that were made already; each serves many settings.
#[derive(Debug, Default)]
pub(in super::super) struct Patterns(HashMap<&'static str, Option<Regex>>);

impl Patterns {
    /// Whether a text is of a form; the tests make every expression of the table, so none is left that cannot be made.
    pub(in super::super) fn is_match(&mut self, pattern: &'static str, text: &str) -> bool {
        let made = self.0.entry(pattern).or_insert_with(|| Regex::new(pattern).ok());
        made.as_ref().is_some_and(|made| made.is_match(text))
    }
}

impl Reader<'_> {
    pub(super) fn scalar(&mut self, node: &Node, path: &str, kind: Kind) -> Option<Value> {
        let secret = matches!(kind, Kind::Secret | Kind::SecretForm(_));
        let Data::Scalar(scalar) = &node.data else {
            self.hide(node);
            self.wrong(node, path, format!("expected {}, found {}", called(kind), form(node)), String::new());
            return None;
        };
        if secret {
            self.hide(node);
        } else {
            self.shown.harmless.push(node.start..node.end);
        }
        self.quotes(node, path, kind, scalar)?;
        let text = scalar.text.as_str();
        match kind {
            Kind::Text | Kind::MayBeEmpty => Some(Value::Text(text.to_owned())),
            Kind::Form(form) => self.form(node, path, form, text).map(Value::Text),
            Kind::Secret => self.secret(node, path, None, text),
            Kind::SecretForm(form) => self.secret(node, path, Some(form), text),
            Kind::Flag => self.flag(node, path, scalar),
            Kind::Int(least, most) => self.int(node, path, scalar, (least, most), false),
            Kind::Digits(least, most) => self.int(node, path, scalar, (least, most), true),
            Kind::Fraction => self.fraction(node, path, text),
            Kind::Ip => self.ip(node, path, text),
            Kind::Cidr => self.cidr(node, path, text),
            Kind::Mac => self.mac(node, path, text),
            Kind::Choice(words) => self.choice(node, path, words, text),
            // Kinds of several values do not come here; another spelling has the kind of what it spells.
            _ => None,
        }
    }

    fn wrong(&mut self, node: &Node, path: &str, what: impl Into<String>, mend: impl Into<String>) {
        self.problems.push(Problem::error("V-04", self.place(node), path, what).mend(mend));
    }

    /// Whether a value means the same to all readers; nothing, if it does not.
    fn quotes(&mut self, node: &Node, path: &str, kind: Kind, scalar: &Scalar) -> Option<()> {
        let trap = (scalar.style == Style::Plain).then(|| trap(&scalar.text)).flatten();
        let text = matches!(
            kind,
            Kind::Text
                | Kind::MayBeEmpty
                | Kind::Form(_)
                | Kind::Secret
                | Kind::SecretForm(_)
                | Kind::Mac
                | Kind::Choice(_)
        );
        let mend = match kind {
            Kind::Flag => "write true or false".to_owned(),
            Kind::Int(..) | Kind::Digits(..) => {
                "write the number in base 10, without a zero in front".to_owned()
            }
            _ if text && !matches!(kind, Kind::Secret | Kind::SecretForm(_)) => {
                format!("write \"{}\"", scalar.text)
            }
            _ => "write it in quotes".to_owned(),
        };
        match trap {
            Some(Trap::Differs(read)) => {
                let what =
                    format!("without quotes, readers of YAML 1.1 take this for {read}; those of 1.2 do not");
                self.problems.push(Problem::error("V-20", self.place(node), path, what).mend(mend));
                None
            }
            Some(Trap::Changes(read)) if text => {
                let what = format!("without quotes, other programs take this for {read}");
                self.problems.push(Problem::warning("V-20", self.place(node), path, what).mend(mend));
                Some(())
            }
            _ => Some(()),
        }
    }

    fn form(&mut self, node: &Node, path: &str, form: &Form, text: &str) -> Option<String> {
        if self.patterns.is_match(form.pattern, text) {
            return Some(text.to_owned());
        }
        let mut mend =
            if form.example.is_empty() { String::new() } else { format!("write it like `{}`", form.example) };
        let url = text.strip_suffix(".git").unwrap_or(text).rsplitn(3, '/').collect::<Vec<_>>();
        if form.called.starts_with("owner/") && text.contains("://") && url.len() == 3 {
            mend = format!(
                "write `{}/{}`, or use `repository_url` for a server other than GitHub",
                url[1], url[0]
            );
        } else if form.called.contains("/api2/json") && text.starts_with("http") {
            mend = format!("write `{}/api2/json`", text.trim_end_matches('/'));
        } else if form.called.starts_with("a schematic") {
            mend = format!("copy it again: {} characters are here", text.chars().count());
        }
        let problem = Problem::error(
            form.code,
            self.place(node),
            path,
            format!("{} is not {}", shown(text), form.called),
        );
        self.problems.push(problem.mend(mend));
        None
    }

    fn secret(&mut self, node: &Node, path: &str, form: Option<&Form>, text: &str) -> Option<Value> {
        let length = text.chars().count();
        if let Some(form) = form
            && !self.patterns.is_match(form.pattern, text)
        {
            let hex = length == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
            let (what, mend) = match () {
                () if hex && form.called.starts_with("base64") => (
                    format!("this is hex; it must be {}", form.called),
                    "convert it: `printf %s <key> | xxd -r -p | base64`; or make another: `openssl rand -base64 32`".to_owned(),
                ),
                () => (
                    format!("this secret of {length} characters must be {}", form.called),
                    if form.example.is_empty() { "make a longer one: `openssl rand -hex 32`".to_owned() } else { format!("for example {}", form.example) },
                ),
            };
            self.problems.push(Problem::error(form.code, self.place(node), path, what).mend(mend));
            return None;
        }
        if placeholder(text) {
            let problem = Problem::warning(
                "V-18",
                self.place(node),
                path,
                "this looks like a placeholder, not like a secret",
            );
            self.problems.push(problem.mend("put the real one there"));
        } else if path == "obot_bootstrap_token"
            && !(length == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            let problem = Problem::warning(
                "V-17",
                self.place(node),
                path,
                "64 digits of hex are recommended for this token",
            );
            self.problems.push(problem.mend("make one: `openssl rand -hex 32`"));
        }
        Some(Value::Secret(Secret::new(text.to_owned())))
    }

    fn flag(&mut self, node: &Node, path: &str, scalar: &Scalar) -> Option<Value> {
        let value = match scalar.text.as_str() {
            "true" | "True" | "TRUE" => true,
            "false" | "False" | "FALSE" => false,
            text => {
                self.wrong(
                    node,
                    path,
                    format!("{} is neither true nor false", shown(text)),
                    "write true or false",
                );
                return None;
            }
        };
        if scalar.style == Style::Quoted {
            self.wrong(node, path, "this is a text, not a truth value", "remove the quotes");
            return None;
        }
        Some(Value::Bool(value))
    }

    fn int(
        &mut self,
        node: &Node,
        path: &str,
        scalar: &Scalar,
        (least, most): (i64, i64),
        quoted: bool,
    ) -> Option<Value> {
        let text = scalar.text.as_str();
        let range =
            if least == most { format!("{least}") } else { format!("a whole number from {least} to {most}") };
        let canonical = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
        let Some(number) = canonical else {
            self.wrong(node, path, format!("{} is not {range}", shown(text)), String::new());
            return None;
        };
        if scalar.style == Style::Quoted && !quoted {
            self.wrong(node, path, "this is a text, not a number", "remove the quotes");
            return None;
        }
        if !(least..=most).contains(&number) {
            self.wrong(node, path, format!("{number} is not {range}"), String::new());
            return None;
        }
        Some(Value::Int(number))
    }

    fn fraction(&mut self, node: &Node, path: &str, text: &str) -> Option<Value> {
        let good = text.parse::<f64>().is_ok_and(|number| (0.0..=1.0).contains(&number));
        if !good {
            self.wrong(node, path, format!("{} is not a number from 0 to 1", shown(text)), String::new());
        }
        good.then(|| Value::Text(text.to_owned()))
    }

    fn ip(&mut self, node: &Node, path: &str, text: &str) -> Option<Value> {
        if text.parse::<Ipv4Addr>().is_err() {
            self.wrong(
                node,
                path,
                format!("{} is not an IPv4 address", shown(text)),
                "four numbers from 0 to 255, such as `10.10.10.100`",
            );
            return None;
        }
        Some(Value::Text(text.to_owned()))
    }

    fn cidr(&mut self, node: &Node, path: &str, text: &str) -> Option<Value> {
        match Net::parse(text) {
            Ok(_) => Some(Value::Text(text.to_owned())),
            Err(NotNet::HostBits(net)) => {
                let what = format!("{} is an address with host bits set, not a network", shown(text));
                self.problems.push(
                    Problem::error("V-05", self.place(node), path, what).mend(format!("write `{net}`")),
                );
                None
            }
            Err(NotNet::Form) => {
                self.wrong(
                    node,
                    path,
                    format!("{} is not an IPv4 network", shown(text)),
                    "write it like `10.10.10.0/24`",
                );
                None
            }
        }
    }

    fn mac(&mut self, node: &Node, path: &str, text: &str) -> Option<Value> {
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_lowercase();
        let pairs: Vec<&str> =
            digits.as_bytes().chunks(2).filter_map(|pair| std::str::from_utf8(pair).ok()).collect();
        let normal = pairs.join(":");
        let (what, mend) = if !self.patterns.is_match(MAC.pattern, text) {
            let mend = if digits.len() == 12 {
                format!("write `{normal}`")
            } else {
                format!("write it like `{}`", MAC.example)
            };
            (format!("{} is not {}", shown(text), MAC.called), mend)
        } else if pairs
            .first()
            .and_then(|first| u8::from_str_radix(first, 16).ok())
            .is_some_and(|first| first & 1 == 1)
        {
            let what = format!("{} is the address of a group, which no network card has", shown(text));
            (what, "copy the address of the node's own card".to_owned())
        } else {
            return Some(Value::Text(normal));
        };
        self.problems.push(Problem::error(MAC.code, self.place(node), path, what).mend(mend));
        None
    }

    fn choice(&mut self, node: &Node, path: &str, words: &[&str], text: &str) -> Option<Value> {
        if words.contains(&text) {
            return Some(Value::Text(text.to_owned()));
        }
        let all: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        let mend = nearest(text, words.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        self.wrong(
            node,
            path,
            format!("expected {}, found {}", all.join(" or "), shown(text)),
            mend.unwrap_or_default(),
        );
        None
    }
}

/// Whether somebody left a word where a secret belongs.
fn placeholder(text: &str) -> bool {
    let text = text.trim().to_lowercase();
    let only = |c: char| text.len() >= 3 && text.chars().all(|other| other == c);
    only('x')
        || only('.')
        || text.starts_with("changeme")
        || text.starts_with("change-me")
        || text.starts_with("change_me")
        || text.starts_with("replace")
        || text.starts_with("your-")
        || text.starts_with("your_")
        || text == "todo"
        || text.starts_with("todo ")
        || text.starts_with("todo:")
        || (text.starts_with('<') && text.ends_with('>'))
}

/// A value as a finding repeats it.
fn shown(text: &str) -> String {
    let text = text.replace(char::is_control, " ");
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

/// A kind of single value as people call it.
fn called(kind: Kind) -> String {
    match kind {
        Kind::Form(form) => form.called.to_owned(),
        Kind::Secret | Kind::SecretForm(_) => "a secret".to_owned(),
        Kind::Flag => "true or false".to_owned(),
        Kind::Int(..) | Kind::Digits(..) => "a whole number".to_owned(),
        Kind::Fraction => "a number from 0 to 1".to_owned(),
        Kind::Ip => "an IPv4 address".to_owned(),
        Kind::Cidr => "an IPv4 network".to_owned(),
        Kind::Mac => MAC.called.to_owned(),
        Kind::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or "),
        _ => "a text".to_owned(),
    }
}
