//! The address of all servers together (reference: mcp.md 5; decision D9). A call is turned into one of the server that it
//! is meant for, before anything else looks at it; lists are put together from the servers' own; a server that is down is named
//! and missing, and changes nothing for the others. What everybody sees here is what they see at each server's own address.

mod apart;
mod board;
mod describe;
mod names;
mod watch;

use crate::{
    Gateway,
    aim::{Aim, aim},
    call::{Inbound, Reply},
    catalogue::{List, ListKind, Look, NoList},
    error::{self, Refusal},
    server::{Isolation, Server},
    state::CursorState,
};
use board::{BoardKey, Boards, Given, Merged, Recipe};
use foldhash::HashMap;
use futures_util::future::join_all;
use names::{Names, Owner};
use portreeve_mcp::{ClientCapabilities, Era, Method, RawJson, Version, json, meta::SERVER_INFO};
use portreeve_model::{IsolationKey, Principal, ServerName};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

pub(crate) use apart::ShownUri;
pub(crate) use watch::Circle;

/// Where a list names the servers that are missing.
const UNAVAILABLE: &str = "portreeve/unavailable";
/// How long a list is good at most in which somebody is missing.
const SHORT_TTL: Duration = Duration::from_secs(1);
/// How many names that were cut or changed are remembered; beyond that all are looked up anew.
const MAX_CHANGED_NAMES: usize = 4096;
/// Between two checks of a board that holds because nothing is expected to happen.
const LONGEST_BOARD: Duration = Duration::from_secs(60);

/// Who is at the address of all servers, as far as lists depend on it.
#[derive(Clone, Copy)]
pub(crate) struct Visitor<'a> {
    pub(crate) principal: &'a Principal,
    pub(crate) version: Version,
    pub(crate) capabilities: &'a ClientCapabilities,
    pub(crate) session: Option<&'a str>,
}

/// What the address of all servers is made of.
pub(crate) struct Together {
    /// In the order of their names, each as it is reached from there.
    members: Box<[Arc<Server>]>,
    names: Names,
    boards: Boards,
    /// Whose a name is that was cut or changed. What it says is looked up again, so that it may be forgotten at any time.
    changed_names: Mutex<HashMap<Box<str>, Own>>,
    /// Whether what somebody sees may depend on the session.
    by_session: bool,
}

/// A server by its place, and what something is called there.
type Own = (usize, Arc<str>);

/// A server as a visitor meets it.
struct Met<'a> {
    at: usize,
    server: &'a Arc<Server>,
    isolation: IsolationKey,
    capabilities: ClientCapabilities,
}

impl Together {
    pub(crate) fn new(members: Box<[Arc<Server>]>, longest: usize) -> Self {
        let names = Names::new(members.iter().map(|member| member.name()), longest);
        let by_session = members.iter().any(|member| member.isolation == Isolation::Session);
        Self { members, names, boards: Boards::default(), changed_names: Mutex::default(), by_session }
    }

    pub(crate) fn members(&self) -> &[Arc<Server>] {
        &self.members
    }

    /// How long a name may be here.
    pub(crate) fn name_length(&self) -> usize {
        self.names.longest()
    }

    fn met<'a>(&'a self, at: usize, visitor: &Visitor<'_>) -> Option<Met<'a>> {
        let server = self.members.get(at)?;
        Some(Met {
            at,
            server,
            isolation: server.isolation_key(visitor.principal, visitor.session),
            capabilities: server.withhold(visitor.capabilities, visitor.version),
        })
    }

    fn board_key(&self, kind: ListKind, visitor: &Visitor<'_>) -> BoardKey {
        let id = visitor.principal.id();
        let who = match visitor.session.filter(|_| self.by_session) {
            Some(session) => IsolationKey::new(&format!("{id}#{session}")),
            None => IsolationKey::from(id),
        };
        BoardKey { kind, version: visitor.version, who, capabilities: visitor.capabilities.clone() }
    }

    fn remembered(&self, exposed: &str) -> Option<Own> {
        self.changed_names.lock().unwrap_or_else(PoisonError::into_inner).get(exposed).cloned()
    }

    fn remember(&self, exposed: &str, at: usize, own: &Arc<str>) {
        let mut names = self.changed_names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= MAX_CHANGED_NAMES {
            names.clear();
        }
        names.insert(exposed.into(), (at, own.clone()));
    }
}

impl Met<'_> {
    fn look(&self) -> Look<'_> {
        Look { server: self.server, isolation: &self.isolation, capabilities: &self.capabilities }
    }

    /// The list within the time that one server has; `None` if the server has no such list, or gives none.
    async fn list(&self, kind: ListKind) -> Option<Arc<List>> {
        let look = self.look();
        look.steady(&look.partition(), kind).await.ok()
    }
}

impl Gateway {
    /// The servers of the aggregate that this caller may know of, as it meets them.
    fn meets<'a>(&self, together: &'a Together, visitor: &Visitor<'_>) -> impl Iterator<Item = Met<'a>> {
        (0..together.members.len()).filter_map(|at| self.meet(together, at, visitor))
    }

    fn meet<'a>(&self, together: &'a Together, at: usize, visitor: &Visitor<'_>) -> Option<Met<'a>> {
        let reached = self.served().policy.reaches(visitor.principal, together.members.get(at)?.name());
        reached.then(|| together.met(at, visitor)).flatten()
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
        let unknown = || error::method_not_found(inbound.method.as_str());
        let aggregate = inbound.server.clone();
        let together = aggregate.together().ok_or_else(unknown)?;
        if let Some(kind) = ListKind::from_method(&inbound.method) {
            let from = match inbound.params.get("cursor") {
                None => None,
                Some(raw) => Some(self.open_cursor(visitor.principal, aggregate.door(), kind, raw)?),
            };
            let merged = self.merged(together, kind, visitor).await?;
            return Ok(Meant::Answer(self.page_together(&aggregate, kind, visitor, (&merged, from))));
        }
        if inbound.method == Method::Discover {
            let description = self.description_together(together, visitor).await;
            return Ok(Meant::Answer(self.discovered(&aggregate, &description)));
        }
        let aim = aim(&inbound.method, &inbound.params)?;
        let absent = || aim.not_found(visitor.version);
        let (server, name) = match inbound.method {
            Method::ToolsCall => self.named(together, ListKind::Tools, &aim, visitor).await?,
            Method::PromptsGet => self.named(together, ListKind::Prompts, &aim, visitor).await?,
            Method::Complete if inbound.params.get("ref").is_some_and(|at| at.get("name").is_some()) => {
                self.named(together, ListKind::Prompts, &aim, visitor).await?
            }
            Method::ResourcesRead | Method::Complete => {
                let (at, own) = self.owner_of(together, &aim.name, visitor).await.ok_or_else(absent)?;
                (together.members[at].clone(), own)
            }
            _ => return Err(unknown().into()),
        };
        Ok(Meant::Member(server, name))
    }

    /// The server and the name there of what is called like this here. No server is asked whose it cannot be.
    async fn named(
        &self,
        together: &Together,
        kind: ListKind,
        aim: &Aim,
        visitor: &Visitor<'_>,
    ) -> Result<(Arc<Server>, Arc<str>), Refusal> {
        let absent = || Refusal::from(aim.not_found(visitor.version));
        // What the caller may not use is not there, under the same words as what is not (decision D18).
        let sees = |server: &Server, name: &str| {
            self.served().policy.sees(visitor.principal, server.name(), kind.policy(), name)
        };
        let some = match together.names.owner(&aim.name) {
            Owner::Server(at, own) => {
                let met = self.meet(together, at, visitor).filter(|met| sees(met.server, own));
                let met = met.ok_or_else(absent)?;
                let own = self.item_of(&met, kind, own).await?.ok_or_else(absent)?;
                return Ok((met.server.clone(), own));
            }
            Owner::OneOf(some) => some,
        };
        let found = match together.remembered(&aim.name) {
            Some(known) => Some(known),
            None => self.one_of(together, (kind, &aim.name), visitor, &some).await?,
        };
        let (at, own) = found.ok_or_else(absent)?;
        let met = self.meet(together, at, visitor).filter(|met| sees(met.server, &own));
        let met = met.ok_or_else(absent)?;
        let own = self.item_of(&met, kind, &own).await?.ok_or_else(absent)?;
        Ok((met.server.clone(), own))
    }

    /// The item of this name, of a server that is asked as at its own address.
    async fn item_of(&self, met: &Met<'_>, kind: ListKind, own: &str) -> Result<Option<Arc<str>>, Refusal> {
        let look = met.look();
        let find = |list: &List| list.find(own).map(|item| item.name.clone());
        if let Some(found) = look.known(kind).and_then(|list| find(&list)) {
            return Ok(Some(found));
        }
        let refused = |no: NoList| match no.failure() {
            Some(failure) => Err(self.unreachable(met.server, failure)),
            None if no.is_absent() => Ok(None),
            None => Err(no.into_rpc().into()),
        };
        let list = match look.list(kind).await {
            Ok(list) => list,
            Err(no) => return refused(no),
        };
        if let Some(found) = find(&list) {
            return Ok(Some(found));
        }
        look.relist(kind, &list).await.map_or_else(refused, |list| Ok(find(&list)))
    }

    /// Whose of these a name is that was cut or changed.
    async fn one_of(
        &self,
        together: &Together,
        (kind, exposed): (ListKind, &str),
        visitor: &Visitor<'_>,
        some: &[usize],
    ) -> Result<Option<Own>, Refusal> {
        let mut fault = None;
        for met in some.iter().filter_map(|at| self.meet(together, *at, visitor)) {
            let look = met.look();
            match look.steady(&look.partition(), kind).await {
                Ok(list) => {
                    let same = |name: &str| together.names.exposed(met.at, name) == exposed;
                    if let Some(item) = list.items().find(|item| same(&item.name)) {
                        together.remember(exposed, met.at, &item.name);
                        return Ok(Some((met.at, item.name.clone())));
                    }
                }
                Err(no) if no.is_absent() => {}
                Err(no) => fault = no.failure().map(|failure| self.unreachable(met.server, failure)),
            }
        }
        fault.map_or(Ok(None), Err)
    }

    /// The server that a resource belongs to, and its URI there: whoever lists it, then who is named in front of it, then
    /// whoever has a template for it, then the only one that has resources at all.
    async fn owner_of(&self, together: &Together, uri: &str, visitor: &Visitor<'_>) -> Option<Own> {
        find_owner(&self.meets(together, visitor).collect::<Vec<_>>(), uri).await
    }

    /// The list of all servers, as this visitor sees it. Servers are waited for only where something may have changed, and
    /// no longer than the budget of one.
    async fn merged(
        &self,
        together: &Together,
        kind: ListKind,
        visitor: &Visitor<'_>,
    ) -> Result<Arc<Merged>, Refusal> {
        let served = self.served.load_full();
        let key = together.board_key(kind, visitor);
        if let Some(merged) = together.boards.find(&key, &served) {
            return Ok(merged);
        }
        let met: Vec<Met<'_>> = self.meets(together, visitor).collect();
        let partitions: Vec<_> = met.iter().map(|met| met.look().partition()).collect();
        let changes = board::changes(&partitions);
        let looks: Vec<Look<'_>> = met.iter().map(Met::look).collect();
        let lists = join_all(looks.iter().zip(&partitions).map(|(look, at)| look.steady(at, kind))).await;
        let mut expires = Instant::now() + LONGEST_BOARD;
        let (mut given, mut missing, mut fault) = (Vec::new(), Vec::new(), None);
        for ((met, partition), list) in met.iter().zip(&partitions).zip(lists) {
            match list {
                Ok(list) => {
                    expires = expires.min(list.expires());
                    let (at, server) = (met.at, met.server.name());
                    given.push(Given {
                        at,
                        server,
                        list,
                        view: served.policy.view_key(visitor.principal, server),
                    });
                }
                Err(no) => {
                    expires = partition.asked_again(kind).map_or(expires, |at| expires.min(at));
                    if !no.is_absent() {
                        missing.push(met.server.name().clone());
                        fault = Some((met.server, no));
                    }
                }
            }
        }
        let sees = |server: &ServerName, name: &str| {
            served.policy.sees(visitor.principal, server, kind.policy(), name)
        };
        let recipe =
            Recipe { kind, version: visitor.version, names: &together.names, given, missing, sees: &sees };
        let merged = together.boards.merge(&recipe);
        if let Some((server, no)) = fault.filter(|_| merged.is_empty()) {
            return Err(match no.failure() {
                Some(failure) => self.unreachable(server, failure),
                None => no.into_rpc().into(),
            });
        }
        together.boards.keep(key, &served, (partitions, changes, expires), &merged);
        Ok(merged)
    }

    /// One page of a list of all servers, in the order of their names.
    fn page_together(
        &self,
        aggregate: &Server,
        kind: ListKind,
        visitor: &Visitor<'_>,
        (merged, from): (&Merged, Option<CursorState>),
    ) -> RawJson {
        let begin = from.map_or(0, |cursor| merged.after(&cursor.last, cursor.at));
        let begin = begin.min(merged.len());
        let end = (begin + self.served().page_size).min(merged.len());
        let modern = visitor.version.era() == Era::Modern;
        let whole = (begin, end) == (0, merged.len());
        let page = merged.page((begin, end), kind.member(), |out| {
            let mut meta = RawJson::EMPTY_OBJECT;
            if modern {
                json::write_member(out, "resultType", b"\"complete\"");
                let ttl = u64::try_from(merged.ttl.as_millis()).unwrap_or(0);
                json::write_member(out, "ttlMs", ttl.to_string().as_bytes());
                let public = merged.public && whole;
                json::write_member(out, "cacheScope", if public { b"\"public\"" } else { b"\"private\"" });
                meta = meta.with(&[], &[(SERVER_INFO, &own_info())]);
            }
            if !merged.missing.is_empty() {
                let missing: Vec<&str> = merged.missing.iter().map(ServerName::as_str).collect();
                meta = meta.with(&[], &[(UNAVAILABLE, &RawJson::encode(&missing))]);
            }
            if meta != RawJson::EMPTY_OBJECT {
                json::write_member(out, "_meta", meta.as_bytes());
            }
        });
        let last = end.checked_sub(1).filter(|_| end < merged.len());
        let Some((at, name)) = last.and_then(|at| Some((at, merged.name(at)?))) else { return page };
        let next = CursorState { list: kind.method().as_str().to_owned(), last: name.to_string(), at };
        let next = self.seal_cursor(visitor.principal, aggregate.door(), &next);
        // The page is large and its end is known: nothing in it has to be looked at.
        let mut out = page.as_bytes()[..page.as_bytes().len() - 1].to_vec();
        json::write_member(&mut out, "nextCursor", RawJson::string(&next).as_bytes());
        out.push(b'}');
        RawJson::built(out)
    }
}

/// Which of these a resource belongs to, and its URI there.
async fn find_owner(met: &[Met<'_>], uri: &str) -> Option<Own> {
    let lists = |list: &List| list.find(uri).map(|item| item.name.clone());
    for met in met {
        if let Some(own) = met.look().known(ListKind::Resources).and_then(|list| lists(&list)) {
            return Some((met.at, own));
        }
    }
    let marked = |met: &Met<'_>| Some((met.at, apart::own(met.server.name(), uri)?.into()));
    if let Some(found) = met.iter().find_map(marked) {
        return Some(found);
    }
    let listed = join_all(met.iter().map(|met| met.list(ListKind::Resources))).await;
    let with: Vec<_> = met.iter().zip(listed).filter_map(|(met, list)| Some((met, list?))).collect();
    if let Some(found) = with.iter().find_map(|(met, list)| Some((met.at, lists(list)?))) {
        return Some(found);
    }
    let templates = join_all(with.iter().map(|(met, _)| met.list(ListKind::Templates))).await;
    let fits = |list: &Arc<List>| list.items().any(|item| fits_template(uri, &item.name));
    let by_template = with.iter().zip(templates).find(|(_, list)| list.as_ref().is_some_and(fits));
    match (by_template, &with[..]) {
        (Some(((met, _), _)), _) | (None, [(met, _)]) => Some((met.at, uri.into())),
        _ => None,
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
        Method::ResourcesRead if inbound.params.get("uri") != Some(&name) => inbound.params.set("uri", name),
        Method::Complete => {
            if let Some(at) = inbound.params.get("ref") {
                let key = if at.get("name").is_some() { "name" } else { "uri" };
                let at = at.with(&[], &[(key, &name)]);
                inbound.params.set("ref", at);
            }
        }
        _ => {}
    }
}

/// The two URIs of what is read, if they differ.
pub(crate) fn shown_uri(inbound: &Inbound) -> Option<ShownUri> {
    if !inbound.server.is_member() || inbound.method != Method::ResourcesRead {
        return None;
    }
    let shown = inbound.raw.as_ref()?.get("uri")?;
    let own = inbound.params.get("uri").filter(|own| **own != shown)?;
    Some(ShownUri { own: own.string_value()?.detached(), shown: shown.string_value()?.detached() })
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
