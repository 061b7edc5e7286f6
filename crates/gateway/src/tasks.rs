//! Tasks across the eras (decision D4): which calls may become one, under which id its client knows it, and who looks
//! after it. Same era: the task passes, only ids are sealed. Modern client, legacy server: `tasks/translate.rs` tells
//! the core feature in the words of the extension. A client that knows no tasks: `tasks/drive.rs` waits in its place.
//! Nothing here stores a task; what a sealed id does not say is asked of the server.

mod drive;
mod ending;
mod held;
mod issued;
mod translate;

pub(crate) use drive::{Drive, answered, give_up, on_return};
pub(crate) use ending::{Taken, name_in, take_final};
pub(crate) use held::Holds;
pub(crate) use issued::Issued;
pub(crate) use translate::{Far, translated};

use crate::{
    Gateway,
    call::{Call, Inbound, Located},
    error::{self, Refusal},
    exchange::Client,
    server::Server,
    state::TaskState,
};
use portreeve_mcp::{
    Code, Era, Method, RawJson, Request, Text, Version,
    payload::{Task, TaskSupport, offers_tasks},
    service::{Anchor, Description},
};
use portreeve_model::Principal;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a legacy server is asked to keep a task that a modern client did not ask for by itself.
const WANTED_TTL: Duration = Duration::from_secs(60 * 60);
/// How long an id is good where the server sets no limit.
const UNLIMITED: Duration = Duration::from_secs(24 * 60 * 60);
/// An id outlives its task a little, so that it is the server who says that it is over.
const SLACK: Duration = Duration::from_secs(60);
/// How long an id is good at most.
const MAX_TTL: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The state of all tasks that this replica has to know something of.
#[derive(Default)]
pub(crate) struct Tasks {
    pub(crate) issued: Issued,
    pub(crate) holds: Holds,
}

/// What a call has to do with tasks.
#[derive(Default)]
pub(crate) enum Part {
    /// Nothing.
    #[default]
    None,
    /// Its answer may be a task, for a client that knows tasks.
    May,
    /// Its answer may be a task, for a client that does not: the gateway looks after it.
    Drives(Drive),
    /// It is about a task that is there.
    About(About),
    /// It asks for the tasks of a legacy server; what follows the page that is asked for.
    Lists(Page),
}

/// A page of the tasks of one principal: those of one session after another, each as its server pages them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Page {
    /// The sessions that are still to be asked, the one of this page first.
    #[serde(rename = "p")]
    places: Vec<Option<u64>>,
    /// The server's own cursor.
    #[serde(rename = "c")]
    cursor: Option<String>,
    #[serde(rename = "o")]
    owner: String,
}

/// A task as its client knows it, and what the id says.
pub(crate) struct About {
    pub(crate) id: Text,
    pub(crate) state: TaskState,
}

/// What a request about a task says, opened. Its `taskId` is the server's from here on (check 172: the header was
/// compared with the client's at the door, and is made anew from the server's).
pub(crate) fn asked(gateway: &Gateway, call: &mut Call<'_>) -> Result<Part, Refusal> {
    let inbound = &mut call.inbound;
    if !inbound.method.is_about_task() {
        return Ok(Part::None);
    }
    if inbound.method == Method::TasksList {
        return page(gateway, inbound).map(Part::Lists);
    }
    if matches!(call.client, Client::Modern) && call.tasks.is_none() {
        return Err(error::tasks_needed().into());
    }
    let Some(id) = inbound.params.text("taskId") else {
        return Err(Refusal::handler(Code::INVALID_PARAMS, "`params.taskId` must be a string"));
    };
    let state = gateway.open_task(&inbound.principal, inbound.server.door(), &id)?;
    inbound.params.set("taskId", RawJson::string(&state.task));
    Ok(Part::About(About { id, state }))
}

/// The page of `tasks/list` that is asked for.
fn page(gateway: &Gateway, inbound: &mut Inbound) -> Result<Page, Refusal> {
    let server = inbound.server.name();
    let Some(cursor) = inbound.params.take("cursor") else {
        let places = gateway.tasks.issued.places(inbound.principal.id(), server);
        return Ok(Page { places, cursor: None, owner: gateway.replica.as_str().to_owned() });
    };
    let page = cursor
        .string_value()
        .and_then(|cursor| gateway.open_page(&inbound.principal, inbound.server.door(), &cursor));
    let bad = || Refusal::handler(Code::INVALID_PARAMS, "unknown cursor; list anew without one");
    let page = page.filter(|page| gateway.owns(&page.owner)).ok_or_else(bad)?;
    if let Some(cursor) = &page.cursor {
        inbound.params.set("cursor", RawJson::string(cursor));
    }
    Ok(page)
}

impl Page {
    /// What follows, if something does.
    fn next(mut self, cursor: Option<Text>) -> Option<Self> {
        self.cursor = cursor.map(|cursor| cursor.to_string());
        if self.cursor.is_none() && !self.places.is_empty() {
            self.places.remove(0);
        }
        (!self.places.is_empty()).then_some(self)
    }
}

/// The part that a call has, and what its context has to say for it.
pub(crate) fn part(call: &mut Call<'_>, located: &Located, asked: Part) -> Part {
    match &asked {
        Part::About(about) => {
            call.ctx.tasks = call.tasks.take();
            call.ctx.anchor = about.state.place.map(Anchor::at);
        }
        Part::Lists(page) => call.ctx.anchor = page.places.first().copied().flatten().map(Anchor::at),
        _ if call.inbound.method == Method::ToolsCall => return part_of_tool(call, located),
        _ => {}
    }
    asked
}

fn part_of_tool(call: &mut Call<'_>, located: &Located) -> Part {
    let modern = matches!(call.client, Client::Modern);
    let support = support(call, located);
    let part =
        match (modern, located.version.era()) {
            (true, Era::Modern) if call.tasks.is_some() => {
                call.ctx.tasks = call.tasks.take();
                Part::May
            }
            (true, Era::Legacy) => match (support, call.tasks.is_some()) {
                (TaskSupport::Forbidden, _) | (TaskSupport::Optional, false) => Part::None,
                (_, true) => Part::May,
                (TaskSupport::Required, false) => Part::Drives(Drive::default()),
            },
            (false, Era::Modern) => Part::Drives(Drive::default()),
            (false, Era::Legacy) if knows_core(call.ctx.version) => {
                if call.inbound.params.get("task").is_some() { Part::May } else { Part::None }
            }
            (false, Era::Legacy) if support == TaskSupport::Required => Part::Drives(Drive::default()),
            (true, Era::Modern) | (false, Era::Legacy) => Part::None,
        };
    // Only the tasks of a modern server behind a connector can be reached from every replica.
    if !matches!(part, Part::None) && (located.native || located.version.era() == Era::Legacy) {
        call.ctx.anchor = Some(Anchor::anywhere());
    }
    part
}

/// Whether the called tool of a legacy server runs as a task there.
fn support(call: &Call<'_>, located: &Located) -> TaskSupport {
    let Some(list) = located.list.as_ref().filter(|list| list.tasks && knows_core(located.version)) else {
        return TaskSupport::Forbidden;
    };
    let name = call.inbound.params.text("name");
    name.and_then(|name| list.find(&name).map(|tool| tool.tasks)).unwrap_or_default()
}

/// Only 2025-11-25 has tasks in its core.
pub(crate) fn knows_core(version: Version) -> bool {
    version == Version::V2025_11_25
}

/// The request as the server gets it: with the wish for a task where the gateway wishes it, and without the client's
/// where the server cannot take it for one.
pub(crate) fn sent(part: &Part, client: &Client, request: &Request, server: Version) -> Request {
    let mut request = request.clone();
    if request.method != Method::ToolsCall || server.era() == Era::Modern {
        return request;
    }
    let relayed = matches!((part, client), (Part::May, Client::Legacy { .. }));
    match part {
        _ if relayed => {}
        Part::May | Part::Drives(_) => {
            let ttl = u64::try_from(WANTED_TTL.as_millis()).unwrap_or(u64::MAX);
            request.params.set("task", serde_json::json!({ "ttl": ttl }).into());
        }
        _ => {
            request.params.take("task");
        }
    }
    request
}

impl Gateway {
    /// The id under which a client knows a task of a server. With an anchor only this replica can reach it, in that
    /// session or child if it lives in one.
    pub(crate) fn issue_task(
        &self,
        (principal, server): (&Principal, &Server),
        tool: &str,
        task: &Task,
        anchor: Option<&Anchor>,
    ) -> Text {
        let owner = anchor.map(|_| self.replica.as_str().to_owned());
        let place = anchor.and_then(Anchor::used);
        let state = TaskState { task: task.id.to_string(), tool: tool.to_owned(), place, owner };
        let ttl = task.ttl.map_or(UNLIMITED, |ttl| ttl.saturating_add(SLACK)).min(MAX_TTL);
        let id = Text::from(self.seal_task(principal, server.door(), &state, ttl));
        if state.owner.is_some() {
            self.tasks.issued.add(principal.id(), server.name(), state, id.clone(), ttl);
        }
        id
    }
}

/// Whether a server carries tasks towards clients of this revision.
pub(crate) fn carried(description: &Description, client: Version) -> bool {
    let version = if description.era.is_some() { description.version } else { client };
    let offered = offers_tasks(&description.capabilities, version.era());
    match (client.era(), version.era()) {
        (Era::Modern, Era::Modern) => offered,
        (Era::Modern, Era::Legacy) => offered && knows_core(version),
        (Era::Legacy, Era::Legacy) => offered && knows_core(version) && knows_core(client),
        (Era::Legacy, Era::Modern) => false,
    }
}
