//! The address of all servers together (reference: mcp.md 5; decision D9). A call is turned into one of the server that it
//! is meant for, before anything else looks at it; lists are put together from the servers' own; a server that is down is named
//! and missing, and changes nothing for the others. What everybody sees here is what they see at each server's own address.

mod names;

use crate::{
    Gateway, Session,
    aim::{Aim, aim},
    call::{Inbound, Reply},
    catalogue::{List, ListKind},
    error::{self, Refusal},
    server::Server,
    state::CursorState,
};
use futures_util::future::join_all;
use names::Names;
use portreeve_mcp::{
    ClientCapabilities, Era, Method, RawJson, Version, json, meta::SERVER_INFO, payload, service::Description,
};
use portreeve_model::Principal;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a list waits for servers that are slow; what they have then is missing, and said to be.
const BUDGET: Duration = Duration::from_secs(5);
/// Where a list names the servers that are missing.
const UNAVAILABLE: &str = "portreeve/unavailable";
/// How long the instructions of all servers together may be.
const MAX_INSTRUCTIONS: usize = 16 << 10;

/// Who is at the address of all servers, as far as lists depend on it.
pub(crate) struct Visitor<'a> {
    pub(crate) principal: &'a Principal,
    pub(crate) version: Version,
    pub(crate) capabilities: &'a ClientCapabilities,
    pub(crate) session: Option<&'a Session>,
}

/// One item of a list of all servers.
struct Entry {
    name: String,
    raw: RawJson,
}

impl Gateway {
    /// The servers of the aggregate that this caller may know of.
    fn members<'a>(
        &'a self,
        aggregate: &'a Server,
        principal: &'a Principal,
    ) -> impl Iterator<Item = &'a Arc<Server>> {
        aggregate.members().iter().filter(|member| self.served().policy.reaches(principal, member.name()))
    }

    fn names<'a>(&self, aggregate: &'a Server) -> Names<'a> {
        let servers = aggregate.members().iter().map(|member| member.name()).collect();
        Names { servers, longest: self.served().name_length }
    }

    /// Turns a request at the address of all servers into one to the server that it is meant for, or answers it.
    pub(crate) async fn at_aggregate(
        self: &Arc<Self>,
        mut inbound: Inbound,
        visitor: &Visitor<'_>,
        began: Instant,
    ) -> Result<Inbound, Reply> {
        match self.meant_for(&inbound, visitor).await {
            Ok(Meant::Answer(result)) => Err(self.local(&inbound, visitor.version, began, Ok(result))),
            Ok(Meant::Member(server, name)) => {
                rename(&mut inbound, &name);
                inbound.server = server;
                Ok(inbound)
            }
            Err(refusal) => Err(self.local(&inbound, visitor.version, began, Err(refusal))),
        }
    }

    async fn meant_for(self: &Arc<Self>, inbound: &Inbound, visitor: &Visitor<'_>) -> Result<Meant, Refusal> {
        let aggregate = inbound.server.clone();
        if let Some(kind) = ListKind::from_method(&inbound.method) {
            let cursor = inbound.params.get("cursor").cloned();
            return self.list_together(&aggregate, kind, visitor, cursor.as_ref()).await.map(Meant::Answer);
        }
        if inbound.method == Method::Discover {
            return Ok(Meant::Answer(self.discover_together(&aggregate, visitor.principal).await));
        }
        let aim = aim(&inbound.method, &inbound.params)?;
        let absent = || aim.not_found(visitor.version);
        let (server, name) = match inbound.method {
            Method::ToolsCall => self.named(&aggregate, ListKind::Tools, &aim, visitor).await?,
            Method::PromptsGet => self.named(&aggregate, ListKind::Prompts, &aim, visitor).await?,
            Method::Complete if inbound.params.get("ref").is_some_and(|at| at.get("name").is_some()) => {
                self.named(&aggregate, ListKind::Prompts, &aim, visitor).await?
            }
            Method::ResourcesRead | Method::Complete => {
                let owner = self.owner_of(&aggregate, &aim.name, visitor).await.ok_or_else(absent)?;
                (owner, aim.name.clone())
            }
            _ => return Err(error::method_not_found(inbound.method.as_str()).into()),
        };
        Ok(Meant::Member(server, name))
    }

    /// The list of one server as this caller's calls would find it.
    async fn list_of(
        &self,
        member: &Arc<Server>,
        kind: ListKind,
        visitor: &Visitor<'_>,
    ) -> Result<Option<Arc<List>>, Refusal> {
        let isolation = member.isolation_key(visitor.principal, visitor.session.map(Session::id));
        let capabilities = member.withhold(visitor.capabilities, visitor.version);
        let listing = async { self.look(member, &isolation, &capabilities).list(kind).await };
        match tokio::time::timeout(BUDGET, listing).await {
            Ok(Ok(list)) => Ok(Some(list)),
            Ok(Err(no)) if no.is_absent() => Ok(None),
            Ok(Err(no)) => Err(match no.failure() {
                Some(failure) => self.unreachable(member, failure),
                None => no.into_rpc().into(),
            }),
            Err(_) => {
                tracing::warn!(server = %member.name(), "its list did not come within {BUDGET:?}");
                let text = "the server is slow at the moment; nothing was run, try again later";
                Err(Refusal::handler(error::UNREACHABLE, text))
            }
        }
    }

    /// The server and the name there of what is called like this here.
    async fn named(
        &self,
        aggregate: &Server,
        kind: ListKind,
        aim: &Aim,
        visitor: &Visitor<'_>,
    ) -> Result<(Arc<Server>, Arc<str>), Refusal> {
        let names = self.names(aggregate);
        let mut fault = None;
        for member in self.members(aggregate, visitor.principal) {
            if !names.may_be_of(member.name(), &aim.name) {
                continue;
            }
            match self.list_of(member, kind, visitor).await {
                Ok(Some(list)) => {
                    // What the caller may not use is not there, under the same words as what is not (decision D18).
                    let sees = |name: &str| {
                        self.served().policy.sees(visitor.principal, member.name(), kind.policy(), name)
                    };
                    let found = list.items().find(|item| {
                        names.exposed(member.name(), &item.name) == *aim.name && sees(&item.name)
                    });
                    if let Some(item) = found {
                        return Ok((member.clone(), item.name.clone()));
                    }
                }
                Ok(None) => {}
                Err(refusal) => fault = Some(refusal),
            }
        }
        Err(fault.unwrap_or_else(|| aim.not_found(visitor.version).into()))
    }

    /// The server that a resource belongs to: whoever lists it, then whoever has a template for it, then the only one that
    /// has resources at all.
    async fn owner_of(&self, aggregate: &Server, uri: &str, visitor: &Visitor<'_>) -> Option<Arc<Server>> {
        let mut with_resources = Vec::new();
        for member in self.members(aggregate, visitor.principal) {
            match self.list_of(member, ListKind::Resources, visitor).await {
                Ok(Some(list)) if list.find(uri).is_some() => return Some(member.clone()),
                Ok(Some(_)) => with_resources.push(member),
                Ok(None) | Err(_) => {}
            }
        }
        for member in &with_resources {
            let Ok(Some(list)) = self.list_of(member, ListKind::Templates, visitor).await else { continue };
            if list.items().any(|item| fits_template(uri, &item.name)) {
                return Some((*member).clone());
            }
        }
        match with_resources[..] {
            [only] => Some(only.clone()),
            _ => None,
        }
    }

    /// One page of a list of all servers, in the order of their names.
    async fn list_together(
        &self,
        aggregate: &Server,
        kind: ListKind,
        visitor: &Visitor<'_>,
        cursor: Option<&RawJson>,
    ) -> Result<RawJson, Refusal> {
        let from = match cursor {
            None => None,
            Some(raw) => Some(self.open_cursor(visitor.principal, aggregate.door(), kind, raw)?),
        };
        let members: Vec<_> = self.members(aggregate, visitor.principal).collect();
        let lists = join_all(members.iter().map(|member| self.list_of(member, kind, visitor))).await;
        let names = self.names(aggregate);
        let (mut entries, mut missing) = (Vec::new(), Vec::new());
        for (member, list) in members.iter().zip(lists) {
            match list {
                Ok(Some(list)) => self.add(&mut entries, &names, member, (kind, &list), visitor),
                Ok(None) => {}
                Err(refusal) => missing.push((member.name().as_str(), refusal)),
            }
        }
        if entries.is_empty()
            && let Some((_, refusal)) = missing.pop()
        {
            return Err(refusal);
        }
        let missing: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
        Ok(self.page_together(aggregate, kind, visitor, &entries, (from, &missing)))
    }

    /// Adds what the caller sees of one server's list.
    fn add(
        &self,
        entries: &mut Vec<Entry>,
        names: &Names<'_>,
        member: &Server,
        (kind, list): (ListKind, &List),
        visitor: &Visitor<'_>,
    ) {
        let sees =
            |name: &str| self.served().policy.sees(visitor.principal, member.name(), kind.policy(), name);
        for item in list.items().filter(|item| sees(&item.name)) {
            let era = list.era.unwrap_or(visitor.version.era());
            let (name, raw) = match kind {
                ListKind::Tools => {
                    // Tasks are not carried here.
                    let raw =
                        payload::tool_for_client(&item.raw, visitor.version, era).with(&["execution"], &[]);
                    (names.exposed(member.name(), &item.name), raw)
                }
                ListKind::Prompts => (names.exposed(member.name(), &item.name), item.raw.clone()),
                ListKind::Resources | ListKind::Templates => (item.name.to_string(), item.raw.clone()),
            };
            let named = matches!(kind, ListKind::Tools | ListKind::Prompts);
            // Two servers may have one URI: it leads to the first, as reading it does.
            if !named && entries.iter().any(|entry| entry.name == name) {
                continue;
            }
            let raw = if named { raw.with(&[], &[("name", &RawJson::string(&name))]) } else { raw };
            entries.push(Entry { name, raw });
        }
    }

    fn page_together(
        &self,
        aggregate: &Server,
        kind: ListKind,
        visitor: &Visitor<'_>,
        entries: &[Entry],
        (from, missing): (Option<CursorState>, &[&str]),
    ) -> RawJson {
        let begin = from.map_or(0, |cursor| {
            let last = entries.iter().position(|entry| entry.name == cursor.last);
            last.map_or(cursor.at, |at| at + 1)
        });
        let end = (begin + self.served().page_size).min(entries.len());
        let page = entries.get(begin..end).unwrap_or_default();
        let items: Vec<&[u8]> = page.iter().map(|entry| entry.raw.as_bytes()).collect();
        let modern = visitor.version.era() == Era::Modern;
        let mut out = Vec::from(*b"{");
        if modern {
            json::write_member(&mut out, "resultType", b"\"complete\"");
        }
        json::write_member(&mut out, kind.member(), &[b"[", &items.join(&b","[..])[..], b"]"].concat());
        if let Some(last) = page.last().filter(|_| end < entries.len()) {
            let next =
                CursorState { list: kind.method().as_str().to_owned(), last: last.name.clone(), at: end - 1 };
            let next = self.seal_cursor(visitor.principal, aggregate.door(), &next);
            json::write_member(&mut out, "nextCursor", RawJson::string(&next).as_bytes());
        }
        if modern {
            json::write_member(&mut out, "ttlMs", b"0");
            json::write_member(&mut out, "cacheScope", b"\"private\"");
        }
        if modern || !missing.is_empty() {
            let mut meta = RawJson::EMPTY_OBJECT;
            if modern {
                meta = meta.with(&[], &[(SERVER_INFO, &own_info())]);
            }
            if !missing.is_empty() {
                meta = meta.with(&[], &[(UNAVAILABLE, &RawJson::encode(&missing))]);
            }
            json::write_member(&mut out, "_meta", meta.as_bytes());
        }
        out.push(b'}');
        RawJson::built(out)
    }

    /// What each reachable server is; those that are down are left out.
    async fn described(
        &self,
        aggregate: &Server,
        principal: &Principal,
    ) -> Vec<(Arc<Server>, Arc<Description>)> {
        let ask = |member: Arc<Server>| async move {
            let isolation = member.isolation_key(principal, None);
            let described = tokio::time::timeout(BUDGET, member.describe(isolation, Version::NEWEST)).await;
            described.ok()?.ok().map(|description| (member, description))
        };
        let members = self.members(aggregate, principal).cloned();
        join_all(members.map(ask)).await.into_iter().flatten().collect()
    }

    /// Capabilities and instructions of all servers together. Changes of lists and resources are not told here.
    pub(crate) async fn description_together(
        &self,
        aggregate: &Server,
        principal: &Principal,
    ) -> Description {
        let described = self.described(aggregate, principal).await;
        let mut capabilities = RawJson::EMPTY_OBJECT;
        for key in ["tools", "prompts", "resources", "completions", "logging"] {
            if described.iter().any(|(_, description)| description.capabilities.get(key).is_some()) {
                capabilities = capabilities.with(&[], &[(key, &RawJson::EMPTY_OBJECT)]);
            }
        }
        let mut instructions = String::new();
        for (member, description) in &described {
            let said = description.instructions.as_ref().and_then(RawJson::string_value);
            if let Some(said) = said.filter(|said| instructions.len() + said.len() < MAX_INSTRUCTIONS) {
                instructions.push_str(&format!("## {}\n\n{}\n\n", member.name(), &*said));
            }
        }
        let instructions = (!instructions.is_empty()).then(|| RawJson::string(instructions.trim_end()));
        let server_info = Some(own_info());
        Description { era: None, version: Version::NEWEST, capabilities, server_info, instructions }
    }

    async fn discover_together(&self, aggregate: &Server, principal: &Principal) -> RawJson {
        let description = self.description_together(aggregate, principal).await;
        self.discovered(aggregate, &description)
    }
}

/// What a request at the address of all servers comes to.
enum Meant {
    Answer(RawJson),
    /// One for this server, where the thing has this name.
    Member(Arc<Server>, Arc<str>),
}

/// Puts the name that the server knows into a request; tasks are not carried at this address.
fn rename(inbound: &mut Inbound, name: &str) {
    let name = RawJson::string(name);
    match inbound.method {
        Method::ToolsCall | Method::PromptsGet => {
            inbound.params.take("task");
            inbound.params.set("name", name);
        }
        Method::Complete => {
            if let Some(at) = inbound.params.get("ref").filter(|at| at.get("name").is_some()) {
                let at = at.with(&[], &[("name", &name)]);
                inbound.params.set("ref", at);
            }
        }
        _ => {}
    }
}

fn own_info() -> RawJson {
    serde_json::json!({"name": "portreeve", "version": env!("CARGO_PKG_VERSION")}).into()
}

/// Whether a URI may come from a template: it begins with what stands before the first expression (RFC 6570).
fn fits_template(uri: &str, template: &str) -> bool {
    let literal = template.split('{').next().unwrap_or_default();
    !literal.is_empty() && uri.starts_with(literal)
}

#[cfg(test)]
mod tests {
    use super::fits_template;

    #[test]
    fn a_template_owns_what_begins_like_it() {
        for (uri, template, fits) in [
            ("demo://note/1", "demo://note/{id}", true),
            ("demo://other/1", "demo://note/{id}", false),
            ("anything", "{+path}", false),
        ] {
            assert_eq!(fits_template(uri, template), fits, "{uri} {template}");
        }
    }
}
