//! Which arguments of which tools a modern HTTP server wants mirrored in headers (`x-mcp-header`).
//! Learned from every `tools/list` answer that passes through the connector, so nobody has to hand it in; a call that
//! comes before any list makes the connector list once (decision D10). Tools that break the rules are taken out.

use arc_swap::ArcSwap;
use memchr::memmem;
use portreeve_mcp::{RawJson, Text, annotation, annotation::Annotation};
use std::{collections::HashMap, sync::Arc};

#[derive(Clone, Default)]
struct Known {
    listed: bool,
    annotated: HashMap<Text, Arc<[Annotation]>>,
}

/// What is known of a server's tools.
#[derive(Default)]
pub(crate) struct Tools {
    known: ArcSwap<Known>,
    /// Held while a list is fetched, so that only one is.
    pub(crate) listing: tokio::sync::Mutex<()>,
}

impl Tools {
    /// Whether any list has been seen.
    pub(crate) fn listed(&self) -> bool {
        self.known.load().listed
    }

    /// A list could not be had; calls go without headers until one passes by.
    pub(crate) fn give_up(&self) {
        self.known.rcu(|known| Known { listed: true, annotated: known.annotated.clone() });
    }

    /// The annotations of a tool; `None` for one that has none or is not known.
    pub(crate) fn of(&self, name: &str) -> Option<Arc<[Annotation]>> {
        let known = self.known.load();
        if known.annotated.is_empty() {
            return None;
        }
        known.annotated.get(&Text::from(name)).cloned()
    }

    /// Learns from a `tools/list` result and gives it back without the tools whose annotations break a rule (check 25).
    pub(crate) fn learn(&self, server: &str, result: RawJson) -> RawJson {
        let bytes = result.as_bytes();
        let plain = memmem::find(bytes, b"x-mcp-header").is_none() && memmem::find(bytes, b"\\u").is_none();
        let known = self.known.load();
        if plain && known.annotated.is_empty() {
            if !known.listed {
                self.give_up();
            }
            return result;
        }
        let Some(tools) = result.get("tools").and_then(|tools| tools.elements()) else { return result };
        let mut fresh = Vec::with_capacity(tools.len());
        let mut kept = Vec::with_capacity(tools.len());
        for tool in &tools {
            let Some(name) = tool.get("name").and_then(|name| name.string_value()) else { continue };
            let schema = tool.get("inputSchema").unwrap_or(RawJson::EMPTY_OBJECT);
            match annotation::read(&schema) {
                Ok(annotations) => {
                    fresh.push((name, annotations));
                    kept.push(tool);
                }
                Err(error) => tracing::warn!(server, tool = %name, %error, "a tool is left out"),
            }
        }
        self.store(&fresh);
        if kept.len() == tools.len() { result } else { with_tools(&result, &kept) }
    }

    fn store(&self, fresh: &[(Text, Vec<Annotation>)]) {
        self.known.rcu(|known| {
            let mut next = Known { listed: true, annotated: known.annotated.clone() };
            for (name, annotations) in fresh {
                if annotations.is_empty() {
                    next.annotated.remove(name);
                } else {
                    next.annotated.insert(name.clone(), Arc::from(annotations.as_slice()));
                }
            }
            next
        });
    }
}

fn with_tools(result: &RawJson, tools: &[&RawJson]) -> RawJson {
    let texts: Vec<&str> = tools.iter().map(|tool| tool.as_str()).collect();
    let array = RawJson::from_text(&format!("[{}]", texts.join(",")));
    array.map_or_else(|_| result.clone(), |array| result.with(&[], &[("tools", &array)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(tools: &str) -> RawJson {
        RawJson::from_text(&format!(r#"{{"tools":[{tools}],"ttlMs":5}}"#)).unwrap()
    }

    const PLAIN: &str = r#"{"name":"plain","inputSchema":{"type":"object"}}"#;
    const GOOD: &str = r#"{"name":"good","inputSchema":{"type":"object","properties":{"r":{"type":"string","x-mcp-header":"Region"}}}}"#;
    const BAD: &str = r#"{"name":"bad","inputSchema":{"type":"object","properties":{"r":{"type":"number","x-mcp-header":"R"}}}}"#;

    #[test]
    fn check_025_tools_that_break_the_rules_are_left_out() {
        let tools = Tools::default();
        let result = tools.learn("s", list(&format!("{PLAIN},{BAD},{GOOD}")));
        assert_eq!(result, list(&format!("{PLAIN},{GOOD}")));
        assert_eq!(tools.of("good").unwrap().len(), 1);
        assert!(tools.of("plain").is_none() && tools.of("bad").is_none());
    }

    #[test]
    fn a_later_list_takes_annotations_back() {
        let tools = Tools::default();
        assert!(!tools.listed());
        let plain = list(PLAIN);
        assert_eq!(tools.learn("s", plain.clone()), plain);
        assert!(tools.listed());
        tools.learn("s", list(GOOD));
        assert!(tools.of("good").is_some());
        tools.learn("s", list(&GOOD.replace("x-mcp-header", "x-other")));
        assert!(tools.of("good").is_none());
    }
}
