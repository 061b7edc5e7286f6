//! Reads typed values out of the trees of the two files. A value that cannot be used is reported once and is unknown from then on,
//! so that nothing is said twice. Which values fit together is not known here.

use super::{
    problem::{File, Place, Problem},
    report::{Hidden, Shown},
    table::{self, FOREIGN, Kind, Var},
};
use crate::values::Value;
use portreeve_yaml::{Data, Entry, Node, nearest};
use std::collections::BTreeMap;

mod scalar;

pub(super) use scalar::Patterns;

/// A setting that stands in a file.
#[derive(Debug, Clone)]
pub(super) struct Given {
    /// As it is spelled there.
    pub(super) name: &'static str,
    /// Where its value stands.
    pub(super) place: Place,
    /// Its value, if it can be used.
    pub(super) value: Option<Value>,
}

/// Settings by the names that they mean.
pub(super) type Table = BTreeMap<&'static str, Given>;

/// What a table of settings was read to.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) given: Table,
    /// Settings that stand there without a value.
    pub(super) empty: BTreeMap<&'static str, Place>,
}

/// Reads one file.
pub(super) struct Reader<'a> {
    pub(super) file: File,
    pub(super) problems: &'a mut Vec<Problem>,
    pub(super) shown: &'a mut Shown,
    pub(super) patterns: &'a mut Patterns,
}

impl Reader<'_> {
    pub(super) fn place(&self, node: &Node) -> Place {
        Place { file: self.file, mark: node.mark, length: length(node) }
    }

    pub(super) fn key_place(&self, entry: &Entry) -> Place {
        Place { file: self.file, mark: entry.mark, length: entry.key.chars().count() }
    }

    /// The entries of a map, each name once.
    pub(super) fn entries<'n>(&mut self, node: &'n Node, path: &str, what: &str) -> Option<Vec<&'n Entry>> {
        let Data::Map(entries) = &node.data else {
            let found = form(node);
            let place = if path.is_empty() { Place::whole(self.file) } else { self.place(node) };
            let code = if path.is_empty() { "V-01" } else { "V-04" };
            let problem = Problem::error(code, place, path, format!("expected {what}, found {found}"));
            self.problems.push(problem.mend("write `name: value` lines"));
            return None;
        };
        let mut kept: Vec<&Entry> = Vec::with_capacity(entries.len());
        for entry in entries {
            match kept.iter().find(|earlier| earlier.key == entry.key) {
                None => kept.push(entry),
                Some(first) => {
                    self.hide(&entry.value);
                    let key = join(path, &entry.key);
                    let problem = Problem::error(
                        "V-01",
                        self.key_place(entry),
                        key,
                        format!("duplicate key `{}`", entry.key),
                    )
                    .other(self.key_place(first), "it is here first")
                    .mend("delete one of the two");
                    self.problems.push(problem);
                }
            }
        }
        Some(kept)
    }

    /// A table with these settings and no others.
    pub(super) fn table(&mut self, entries: &[&Entry], vars: &[&'static Var], path: &str) -> Read {
        let mut read = Read::default();
        let mut meant = Vec::new();
        for entry in entries {
            let Some(var) = vars.iter().find(|var| var.name == entry.key) else {
                self.hide(&entry.value);
                meant.extend(self.unknown(entry, vars, path));
                continue;
            };
            let kind = table::kind(var);
            let place = self.place(&entry.value);
            if is_empty(&entry.value) && !matches!(kind, Kind::MayBeEmpty) {
                read.empty.insert(var.name, self.key_place(entry));
                continue;
            }
            let value = self.value(&entry.value, &join(path, var.name), kind);
            read.given.insert(var.name, Given { name: var.name, place, value });
        }
        for (name, place) in meant {
            // It is there under a wrong name: that it is missing need not be said as well.
            read.given.entry(name).or_insert(Given { name, place, value: None });
        }
        read
    }

    /// Reports a name that is no setting; the setting that was probably meant.
    fn unknown(&mut self, entry: &Entry, vars: &[&'static Var], path: &str) -> Option<(&'static str, Place)> {
        let (name, place) = (entry.key.as_str(), self.key_place(entry));
        let key = join(path, name);
        if let Some((_, from)) =
            table::DERIVED.iter().find(|(derived, _)| path.is_empty() && *derived == name)
        {
            let problem = Problem::error("V-24", place, key, format!("`{name}` cannot be set"));
            self.problems.push(problem.mend(format!("remove it: it follows from {from}")));
            return None;
        }
        if path.is_empty() && FOREIGN.contains(&name) {
            let what =
                format!("`{name}` is a setting of a later version of the origin's template, not one here");
            self.problems.push(Problem::error("V-02", place, key, what).mend("remove it"));
            return None;
        }
        let near = nearest(name, vars.iter().map(|var| var.name));
        let mend = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None if path.is_empty() => "remove it; `portreeve cluster explain` lists all settings".to_owned(),
            None => format!(
                "the names here are {}",
                vars.iter().map(|var| var.name).collect::<Vec<_>>().join(", ")
            ),
        };
        self.problems
            .push(Problem::error("V-02", place, key, format!("`{name}` is not a setting")).mend(mend));
        near.map(|near| (near, place))
    }

    /// A value of a kind.
    fn value(&mut self, node: &Node, path: &str, kind: Kind) -> Option<Value> {
        match kind {
            Kind::List(inner, least) => self.list(node, path, *inner, least),
            Kind::OneOrList(inner) if matches!(node.data, Data::List(_)) => self.list(node, path, *inner, 1),
            Kind::OneOrList(inner) => Some(Value::List(vec![self.value(node, path, *inner)?])),
            Kind::Fields(vars) => self.fields(node, path, vars),
            Kind::Labels => self.labels(node, path),
            Kind::Anything => {
                self.hide(node);
                Some(free(node))
            }
            scalar => self.scalar(node, path, scalar),
        }
    }

    fn list(&mut self, node: &Node, path: &str, kind: Kind, least: usize) -> Option<Value> {
        let Data::List(items) = &node.data else {
            self.hide(node);
            let problem = Problem::error(
                "V-04",
                self.place(node),
                path,
                format!("expected a list, found {}", form(node)),
            );
            self.problems.push(problem.mend("write `[one, two]`, or lines that begin with `- `"));
            return None;
        };
        if items.len() < least {
            let problem = Problem::error("V-04", self.place(node), path, "the list is empty");
            self.problems.push(problem.mend("name at least one, or remove the setting to get its default"));
            return None;
        }
        let mut values: Vec<Value> = Vec::with_capacity(items.len());
        let mut good = true;
        for (number, item) in items.iter().enumerate() {
            let path = format!("{path}[{number}]");
            match self.value(item, &path, kind) {
                None => good = false,
                Some(value) => {
                    let twice = value
                        .text()
                        .and_then(|text| values.iter().position(|other| other.text() == Some(text)));
                    if let Some(first) = twice {
                        let problem =
                            Problem::error("V-04", self.place(item), path, "this is in the list twice");
                        self.problems.push(
                            problem.other(self.place(&items[first]), "it is here first").mend("delete one"),
                        );
                        good = false;
                    }
                    values.push(value);
                }
            }
        }
        good.then_some(Value::List(values))
    }

    fn fields(&mut self, node: &Node, path: &str, vars: &'static [Var]) -> Option<Value> {
        let entries = self.entries(node, path, "names and values")?;
        let before = self.problems.len();
        let vars: Vec<&'static Var> = vars.iter().collect();
        let read = self.table(&entries, &vars, path);
        for var in vars.iter().filter(|var| matches!(var.need, table::Need::Always)) {
            if !read.given.contains_key(var.name) {
                let what = format!("`{}` is required here", var.name);
                self.problems.push(
                    Problem::error("V-03", self.place(node), join(path, var.name), what).mend("add it"),
                );
            }
        }
        let map = read.given.into_iter().filter_map(|(name, given)| Some((name.to_owned(), given.value?)));
        (self.problems.len() == before).then(|| Value::Map(map.collect()))
    }

    fn labels(&mut self, node: &Node, path: &str) -> Option<Value> {
        let entries = self.entries(node, path, "labels")?;
        let mut labels = BTreeMap::new();
        let before = self.problems.len();
        for entry in entries {
            let path = format!("{path}.{}", entry.key);
            let value = match &entry.value.data {
                Data::Empty => Some(Value::Text(String::new())),
                _ => self.scalar(&entry.value, &path, Kind::MayBeEmpty),
            };
            let Some(Value::Text(value)) = value else { continue };
            let wrong = if entry.key.starts_with("node-role.kubernetes.io/") {
                Some("only Kubernetes itself sets labels of `node-role.kubernetes.io`")
            } else if !self.patterns.is_match(scalar::LABEL_KEY, &entry.key) {
                Some("this is no name of a label")
            } else if !self.patterns.is_match(scalar::LABEL_VALUE, &value) {
                Some("this is no value of a label")
            } else {
                None
            };
            if let Some(wrong) = wrong {
                let problem = Problem::error("V-04", self.key_place(entry), path, wrong);
                self.problems.push(
                    problem.mend(
                        "letters, digits, `-`, `_` and `.`, at most 63; before a name a domain and `/`",
                    ),
                );
            }
            labels.insert(entry.key.clone(), Value::Text(value));
        }
        (self.problems.len() == before).then_some(Value::Map(labels))
    }

    /// Notes that everything below a node is not to be shown.
    pub(super) fn hide(&mut self, node: &Node) {
        match &node.data {
            Data::Empty => {}
            Data::Scalar(scalar) => {
                let length = scalar.text.chars().count();
                // Whoever wrote it twice may have shown it before; hiding wins, as the line is looked up here first.
                self.shown.hidden.push(Hidden { span: node.start..node.end.max(node.start + 1), length });
            }
            Data::List(items) => items.iter().for_each(|item| self.hide(item)),
            Data::Map(entries) => entries.iter().for_each(|entry| self.hide(&entry.value)),
        }
    }
}

/// What a node is, without saying what it holds.
pub(super) fn form(node: &Node) -> &'static str {
    match &node.data {
        Data::Empty => "nothing",
        Data::Scalar(_) => "a text",
        Data::List(_) => "a list",
        Data::Map(_) => "a map",
    }
}

fn is_empty(node: &Node) -> bool {
    match &node.data {
        Data::Empty => true,
        Data::Scalar(scalar) => scalar.text.is_empty(),
        _ => false,
    }
}

/// How many characters to point at: a value of one line, else its first character.
fn length(node: &Node) -> usize {
    match &node.data {
        Data::Scalar(scalar) if !scalar.text.contains('\n') => node.end.saturating_sub(node.start).max(1),
        _ => 1,
    }
}

pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A tree that is passed on as it is.
fn free(node: &Node) -> Value {
    match &node.data {
        Data::Empty => Value::Unset,
        Data::Scalar(scalar) => Value::Text(scalar.text.clone()),
        Data::List(items) => Value::List(items.iter().map(free).collect()),
        Data::Map(entries) => {
            Value::Map(entries.iter().map(|entry| (entry.key.clone(), free(&entry.value))).collect())
        }
    }
}
