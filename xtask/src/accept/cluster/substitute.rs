//! Flux's substitution in built manifests (kustomize-controller, `postBuild`): `${NAME}` with or without a default, `$${` for a literal.
//! The functions of its templates are not done here: whoever uses one is told, because then nothing would be proved.

use std::collections::BTreeMap;

/// The variables of one Kustomization.
pub(super) type Variables = BTreeMap<String, String>;

/// The text with its variables filled in; the error is a form that is not understood.
pub(super) fn substitute(text: &str, variables: &Variables) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let (inner, after) = rest[at + 2..].split_once('}').ok_or_else(|| short(&rest[at..]))?;
        out.push_str(&value(inner, variables)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    format!("`{}` is no substitution", line.chars().take(40).collect::<String>())
}

/// What stands for `NAME`, `NAME:=default`, `NAME:-default`, `NAME=default` or `NAME-default`; an unknown name is nothing.
fn value(inner: &str, variables: &Variables) -> Result<String, String> {
    let end = inner.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(inner.len());
    let (name, rest) = inner.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(short(&format!("${{{inner}}}")));
    }
    let known = variables.get(name);
    if rest.is_empty() {
        return Ok(known.cloned().unwrap_or_default());
    }
    let default = [":=", ":-", "=", "-"].iter().find_map(|sign| rest.strip_prefix(sign));
    let default = default.ok_or_else(|| short(&format!("${{{inner}}}")))?;
    let set = known.filter(|value| !value.is_empty() || !rest.starts_with(':'));
    Ok(set.cloned().unwrap_or_else(|| default.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_as_flux_does() {
        let variables = Variables::from([
            ("DOMAIN".to_owned(), "example.com".to_owned()),
            ("NONE".to_owned(), String::new()),
        ]);
        let rows = [
            ("a.${DOMAIN}/b", "a.example.com/b"),
            ("$${DOMAIN} $DOMAIN ${DOMAIN}", "${DOMAIN} $DOMAIN example.com"),
            ("[${UNKNOWN}] [${UNKNOWN:=x y}] [${NONE:-x}] [${NONE-x}]", "[] [x y] [x] []"),
        ];
        for (text, wanted) in rows {
            assert_eq!(substitute(text, &variables).as_deref(), Ok(wanted), "{text}");
        }
        for text in ["${DOMAIN", "${DOMAIN^^}", "${DOMAIN/a/b}", "${1}", "${}"] {
            assert!(substitute(text, &variables).is_err(), "{text}");
        }
    }
}
