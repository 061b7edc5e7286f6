//! What all servers are together (reference: mcp.md 5.2): the union of what they can do, as far as it is carried here, and their
//! instructions under the servers' names. A server that is down is left out, and waited for only once.

use super::{Met, Together, Visitor, own_info};
use crate::{Gateway, hub::Whose, server::Server};
use futures_util::future::join_all;
use portreeve_mcp::{
    RawJson, Version,
    service::{Description, Failure},
};
use portreeve_policy::Kind;
use std::sync::Arc;

/// How long the instructions of all servers together may be.
const MAX_INSTRUCTIONS: usize = 16 << 10;
/// Extensions that need nothing but calls and resources, which are carried.
const CARRIED: [&str; 1] = ["io.modelcontextprotocol/ui"];
/// What has lists, and changes of them.
const LISTS: [&str; 3] = ["tools", "prompts", "resources"];

impl Gateway {
    /// Capabilities and instructions of all servers together.
    pub(crate) async fn description_together(
        &self,
        together: &Together,
        visitor: &Visitor<'_>,
    ) -> Description {
        let met: Vec<Met<'_>> = self.meets(together, visitor).collect();
        let looks: Vec<_> = met.iter().map(Met::look).collect();
        let described = join_all(looks.iter().map(|look| look.describe())).await;
        let some_missing = described.iter().any(Option::is_none);
        let known: Vec<(&Met<'_>, Arc<Description>)> =
            met.iter().zip(described).filter_map(|(met, description)| Some((met, description?))).collect();
        let capabilities = union(&known.iter().map(|(_, description)| &**description), some_missing);
        let mut instructions = String::new();
        for (met, description) in &known {
            let said = description.instructions.as_ref().and_then(RawJson::string_value);
            let Some(said) = said else { continue };
            let headed = format!("## {}\n\n{}\n\n", met.server.name(), &*said);
            if instructions.len() + headed.len() <= MAX_INSTRUCTIONS {
                instructions.push_str(&headed);
            }
        }
        let instructions = (!instructions.is_empty()).then(|| RawJson::string(instructions.trim_end()));
        let server_info = Some(own_info());
        Description { era: None, version: Version::NEWEST, capabilities, server_info, instructions }
    }

    /// What stands at an address.
    pub(crate) async fn description_of(
        &self,
        server: &Server,
        visitor: &Visitor<'_>,
    ) -> Result<Arc<Description>, Failure> {
        match server.together() {
            Some(together) => Ok(Arc::new(self.description_together(together, visitor).await)),
            None => {
                let isolation = server.isolation_key(visitor.principal, visitor.session);
                server.describe(isolation, visitor.version).await
            }
        }
    }

    /// Whose watch of what stands at an address a visitor shares.
    pub(crate) fn watch_of(
        &self,
        server: &Server,
        visitor: &Visitor<'_>,
        description: &Description,
    ) -> Whose {
        let isolation = server.isolation_key(visitor.principal, visitor.session);
        match server.together() {
            None => {
                let capabilities = server.withhold(visitor.capabilities, visitor.version);
                Whose::of_watch(&isolation, &capabilities, description)
            }
            Some(together) => {
                let reached = self.meets(together, visitor).map(|met| met.at).collect();
                let circle = Some(together.circle(visitor, reached));
                Whose { isolation, capabilities: visitor.capabilities.clone(), circle }
            }
        }
    }

    /// Whether the caller may read a resource, whoever's it is.
    pub(crate) fn may_read(&self, visitor: &portreeve_model::Principal, server: &Server, uri: &str) -> bool {
        let policy = &self.served().policy;
        let sees = |server: &Server| policy.sees(visitor, server.name(), Kind::Resource, uri);
        match server.members() {
            [] => sees(server),
            members => members.iter().any(|member| sees(member)),
        }
    }
}

/// What these can do together. A server that is away may have any list, and is told of when it is back.
fn union<'a>(all: &(impl Iterator<Item = &'a Description> + Clone), some_missing: bool) -> RawJson {
    let have = |key: &str| all.clone().any(|description| description.capabilities.get(key).is_some());
    let on = RawJson::from_static("true");
    let mut capabilities = RawJson::EMPTY_OBJECT;
    for key in LISTS.into_iter().filter(|key| some_missing || have(key)) {
        let mut value = RawJson::EMPTY_OBJECT.with(&[], &[("listChanged", &on)]);
        let subscribes = |description: &Description| {
            let flag = description.capabilities.get(key).and_then(|value| value.get("subscribe"));
            flag.is_some_and(|flag| flag.as_bytes() == b"true")
        };
        if all.clone().any(subscribes) {
            value = value.with(&[], &[("subscribe", &on)]);
        }
        capabilities = capabilities.with(&[], &[(key, &value)]);
    }
    for key in ["completions", "logging"].into_iter().filter(|key| have(key)) {
        capabilities = capabilities.with(&[], &[(key, &RawJson::EMPTY_OBJECT)]);
    }
    let mut extensions = RawJson::EMPTY_OBJECT;
    for name in CARRIED {
        let of = |description: &Description| description.capabilities.get("extensions")?.get(name);
        if let Some(settings) = all.clone().find_map(of) {
            extensions = extensions.with(&[], &[(name, &settings)]);
        }
    }
    if extensions != RawJson::EMPTY_OBJECT {
        capabilities = capabilities.with(&[], &[("extensions", &extensions)]);
    }
    capabilities
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_carried_is_told_and_changes_are_told_of_every_list() {
        let description = |capabilities: &'static str| Description {
            era: None,
            version: Version::NEWEST,
            capabilities: RawJson::from_static(capabilities),
            server_info: None,
            instructions: None,
        };
        let all = [
            description(r#"{"tools":{},"tasks":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#),
            description(
                r#"{"resources":{"subscribe":true},"extensions":{"io.modelcontextprotocol/ui":{"a":1}}}"#,
            ),
        ];
        let together: serde_json::Value = union(&all.iter(), false).read().unwrap();
        let changed = serde_json::json!({"listChanged": true});
        assert_eq!(
            together,
            serde_json::json!({
                "tools": changed, "resources": {"listChanged": true, "subscribe": true},
                "extensions": {"io.modelcontextprotocol/ui": {"a": 1}},
            })
        );
        let together: serde_json::Value = union(&all.iter(), true).read().unwrap();
        assert_eq!(together["prompts"], changed, "whoever is away may have some");
    }
}
