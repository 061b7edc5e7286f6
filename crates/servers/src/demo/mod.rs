//! The demo server: everything that the protocol has, for people who try the gate and for tests that need a server.
//! It is native in both eras: it answers in the revision of whoever calls. It also holds every fixture of the protocol's
//! conformance suite. It does no transport, no authentication and keeps nothing beyond the process.

mod agent;
mod arguments;
mod call;
mod clock;
mod completion;
mod content;
mod counts;
mod interactive;
mod lists;
mod need;
mod plain;
mod prompts;
mod resources;
mod skills;
mod state;
mod suite;
mod table;
mod tasks;
#[cfg(test)]
mod tests;
mod tools;

use call::{Answer, Call, Stop};
use counts::Running;
use futures_core::future::BoxFuture;
use portreeve_mcp::{
    Code, Ctx, Era, Event, Leg, Method, Params, RawJson, Request, RpcError, Service, Text, Version,
    caps::TASKS_EXTENSION,
    json::{MAX_DEPTH, write_member},
    meta,
    service::{Description, Emitter, Failure, Notification, Watch, WatchFilter, generate},
};
use serde_json::{Value, json};
use std::{future::ready, sync::Arc, time::Duration};
use tokio::time::Instant;
use tools::Tool;

const INSTRUCTIONS: &str = "A server to try things with. Start with `hello`; `show_content` answers with every kind of \
    content, `countdown` is slow and reports progress, `ask_name` asks the person, `connection` tells which protocol \
    revision arrives here.";

/// How long clients may keep what they read here. Lists change only with a notification, so a minute is safe.
const FRESH_MS: u64 = 60_000;

/// The demo server could not start.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandomness(#[source] getrandom::Error);

/// The demo server. Clones are the same server.
#[derive(Clone)]
pub struct Demo(Arc<Server>);

struct Server {
    lists: lists::Lists,
    counts: counts::Counts,
    tags: state::Tags,
    tasks: tasks::Tasks,
    started: Instant,
}

impl Demo {
    /// A server of its own: nothing is shared with another one, not even states that clients bring back.
    pub fn new() -> Result<Self, NoRandomness> {
        Ok(Self(Arc::new(Server {
            lists: lists::Lists::new(),
            counts: counts::Counts::default(),
            tags: state::Tags::new().map_err(NoRandomness)?,
            tasks: tasks::Tasks::default(),
            started: Instant::now(),
        })))
    }
}

impl Server {
    fn uptime_seconds(&self) -> u64 {
        self.started.elapsed().as_secs()
    }
}

impl Service for Demo {
    fn describe(&self, ctx: Ctx) -> BoxFuture<'_, Result<Arc<Description>, Failure>> {
        let description = Description {
            era: None,
            version: ctx.version,
            capabilities: capabilities(ctx.version).into(),
            server_info: Some(server_info().into()),
            instructions: Some(RawJson::string(INSTRUCTIONS)),
        };
        Box::pin(ready(Ok(Arc::new(description))))
    }

    fn open(&self, ctx: Ctx, request: Request) -> Leg {
        let server = Arc::clone(&self.0);
        generate(move |emitter| async move {
            let version = ctx.version;
            match server.answer(ctx, &request, emitter).await {
                Ok((result, cache)) => Event::result(complete(result, version, cache)),
                Err(Stop::Ask(required)) => Event::InputRequired(*required),
                Err(Stop::Error(error)) => Event::error(error),
                Err(Stop::Failed(message)) => Event::error(RpcError::new(Code::INTERNAL, message)),
            }
        })
    }

    fn notify(&self, _ctx: Ctx, _notification: Notification) -> BoxFuture<'_, ()> {
        // Roots are asked for when they are needed, so a change of them means nothing here.
        Box::pin(ready(()))
    }

    fn watch(&self, _ctx: Ctx, filter: WatchFilter) -> Watch {
        let known = filter.resources.into_iter().filter(|uri| resources::exists(&self.0, uri));
        let known: Vec<_> = known.collect();
        let clock = known.iter().any(|uri| uri.as_str() == clock::CLOCK);
        let notices = self.0.lists.watch(known);
        if clock { Box::pin(clock::ticking(notices)) } else { Box::pin(notices) }
    }
}

/// What a result says about being kept (modern only).
#[derive(Clone, Copy)]
enum Cache {
    /// The method's results have no such fields.
    Unsaid,
    /// The same for everybody, for a while.
    Public,
    /// Not at all: it changes without a word to those who did not subscribe.
    Never,
    /// It is a task, which is complete as it is.
    Task,
}

type Answered = Result<(RawJson, Cache), Stop>;

impl Server {
    async fn answer(self: Arc<Self>, ctx: Ctx, request: &Request, emitter: Emitter) -> Answered {
        let (method, params, version) = (&request.method, &request.params, ctx.version);
        if !method.is_request_in(version) {
            return of_extension(method, version, params);
        }
        match method {
            Method::ToolsList => listed(params, "tools", &tools::list(version, self.lists.extra_tool())),
            Method::PromptsList => {
                listed_value(params, "prompts", &prompts::list(version, self.lists.extra_prompt()))
            }
            Method::ResourcesList => {
                listed_value(params, "resources", &resources::list(version, self.lists.extra_resource()))
            }
            Method::ResourceTemplatesList => {
                listed_value(params, "resourceTemplates", &resources::templates(version))
            }
            Method::ResourcesRead => self.read(version, params),
            Method::ResourcesSubscribe | Method::ResourcesUnsubscribe => self.subscribe(version, params),
            Method::Complete => {
                let params = params.encode(None).to_value();
                plain(completion::complete(&params, self.lists.extra_prompt())?)
            }
            Method::Ping | Method::SetLevel => plain(json!({})),
            Method::Discover => plain_discovery(),
            Method::ToolsCall => self.call(ctx, params, emitter).await,
            Method::TasksList => plain(tasks::list(&self.tasks, &ctx.isolation)),
            method if method.is_about_task() => self.task(&ctx, method, params, &emitter).await,
            Method::PromptsGet => {
                let name = named(params, "name")?;
                let call = Call::new(self, ctx, params, emitter)?;
                plain(prompts::get(&name, call).await?)
            }
            _ => Err(unknown_method(method).into()),
        }
    }

    async fn call(self: Arc<Self>, ctx: Ctx, params: &Params, emitter: Emitter) -> Answered {
        let tool = tools::find(&named(params, "name")?, self.lists.extra_tool())?;
        let asked = params.get("task").map(RawJson::to_value);
        let way = tasks::way(tool.tasks, &ctx, asked.as_ref())?;
        let running = self.counts.begin();
        let call = Call::new(self, ctx, params, emitter)?;
        match way {
            tasks::Way::Now => {
                let answer: Answer = tools::run(tool, call).await;
                // A refusal and a question are answers too: only a dropped leg is a cancellation.
                running.finish();
                plain(answer?)
            }
            tasks::Way::Task(ttl) => Self::start_task(tool, call, ttl, running).await,
        }
    }

    /// Answers with a task in which the tool runs.
    async fn start_task(tool: &'static Tool, call: Call, ttl: Duration, running: Running) -> Answered {
        let asked = match tool.first {
            Some(first) => call.ask_first(first()).await,
            None => Ok(call),
        };
        let call = match asked {
            Ok(call) => call,
            Err(stop) => {
                running.finish();
                return Err(stop);
            }
        };
        let (server, version, owner) = (Arc::clone(&call.demo), call.ctx.version, call.ctx.isolation.clone());
        let run = |task| async move {
            let answer = tools::run(tool, call.in_task(task)).await;
            running.finish();
            answer
        };
        let task = server.tasks.start(owner, ttl, |task| Box::pin(run(task)))?;
        if version.era() == Era::Legacy {
            return plain(json!({"task": task.legacy()}));
        }
        let mut created = task.modern();
        created["resultType"] = "task".into();
        Ok((created.into(), Cache::Task))
    }

    /// Everything about a task that is there (extension; 2025-11-25: basic/utilities/tasks).
    async fn task(&self, ctx: &Ctx, method: &Method, params: &Params, emitter: &Emitter) -> Answered {
        let modern = ctx.version.era() == Era::Modern;
        if modern && ctx.tasks.is_none() {
            return Err(tasks::extension_needed().into());
        }
        let task = self.tasks.find(&ctx.isolation, &named(params, "taskId")?)?;
        match method {
            Method::TasksGet if modern => plain(task.modern_detail()),
            Method::TasksGet => plain(task.legacy()),
            Method::TasksUpdate => {
                let answers = params.get("inputResponses").map(RawJson::to_value);
                let Some(Value::Object(answers)) = answers else {
                    let text = "`inputResponses` must be an object";
                    return Err(RpcError::new(Code::INVALID_PARAMS, text).into());
                };
                task.answer(&answers)?;
                plain(json!({}))
            }
            Method::TasksCancel => match (task.cancel(), modern) {
                (_, true) => plain(json!({})),
                (true, false) => plain(task.legacy()),
                (false, false) => {
                    Err(RpcError::new(Code::INVALID_PARAMS, "the task has ended already").into())
                }
            },
            _ => plain(task.outcome(emitter).await?),
        }
    }

    fn read(&self, version: Version, params: &Params) -> Answered {
        let uri = named(params, "uri")?;
        let cache = if resources::changes(&uri) { Cache::Never } else { Cache::Public };
        Ok((resources::read(self, version, &uri)?.into(), cache))
    }

    fn subscribe(&self, version: Version, params: &Params) -> Answered {
        let uri = named(params, "uri")?;
        if resources::exists(self, &uri) {
            plain(json!({}))
        } else {
            Err(resources::not_found(version, &uri).into())
        }
    }
}

fn unknown_method(method: &Method) -> RpcError {
    RpcError::new(Code::METHOD_NOT_FOUND, format!("unknown method: {}", method.as_str()))
}

/// Extensions came with the newest revision; their methods are none of the protocol's own.
fn of_extension(method: &Method, version: Version, params: &Params) -> Answered {
    let answer = skills::answer(method.as_str(), params).filter(|_| version.era() == Era::Modern);
    Ok((answer.unwrap_or_else(|| Err(unknown_method(method)))?.into(), Cache::Public))
}

fn named(params: &Params, key: &str) -> Result<Text, RpcError> {
    params
        .text(key)
        .ok_or_else(|| RpcError::new(Code::INVALID_PARAMS, format!("`{key}` is missing or not a string")))
}

fn plain(result: Value) -> Answered {
    Ok((result.into(), Cache::Unsaid))
}

fn plain_discovery() -> Answered {
    let versions: Vec<_> = Version::MODERN.iter().map(|version| version.as_str()).collect();
    let result = json!({
        "supportedVersions": versions,
        "capabilities": capabilities(Version::NEWEST),
        "instructions": INSTRUCTIONS,
    });
    Ok((result.into(), Cache::Public))
}

fn listed_value(params: &Params, key: &str, list: &Value) -> Answered {
    listed(params, key, &serde_json::to_vec(list).unwrap_or_default())
}

/// A list on one page: every cursor is one that was never given out.
fn listed(params: &Params, key: &str, list: &[u8]) -> Answered {
    if params.get("cursor").is_some() {
        return Err(RpcError::new(Code::INVALID_PARAMS, "unknown cursor").into());
    }
    let mut out = Vec::with_capacity(list.len() + 32);
    out.push(b'{');
    write_member(&mut out, key, list);
    out.push(b'}');
    let result = RawJson::parse(&out.into(), MAX_DEPTH);
    let result =
        result.map_err(|error| RpcError::new(Code::INTERNAL, format!("the list of {key} is {error}")))?;
    Ok((result, Cache::Public))
}

/// Adds what every result of the caller's revision has (spec: basic/index, server/utilities/caching).
fn complete(result: RawJson, version: Version, cache: Cache) -> RawJson {
    if version.era() == Era::Legacy {
        return result;
    }
    let kind = RawJson::from_static("\"complete\"");
    let meta: RawJson = json!({meta::SERVER_INFO: server_info()}).into();
    let (ttl, scope) = match cache {
        Cache::Task => return result.with(&[], &[("_meta", &meta)]),
        Cache::Unsaid => return result.with(&[], &[("resultType", &kind), ("_meta", &meta)]),
        Cache::Public => (RawJson::encode(&FRESH_MS), RawJson::from_static("\"public\"")),
        Cache::Never => (RawJson::encode(&0), RawJson::from_static("\"private\"")),
    };
    result.with(&[], &[("resultType", &kind), ("ttlMs", &ttl), ("cacheScope", &scope), ("_meta", &meta)])
}

fn server_info() -> Value {
    json!({"name": "portreeve-demo", "title": "Portreeve demo", "version": env!("CARGO_PKG_VERSION")})
}

fn capabilities(version: Version) -> Value {
    let mut all = json!({
        "tools": {"listChanged": true},
        "prompts": {"listChanged": true},
        "resources": {"listChanged": true, "subscribe": true},
        "logging": {},
    });
    if version >= Version::V2025_03_26 {
        all["completions"] = json!({});
    }
    if version == Version::V2025_11_25 {
        all["tasks"] = json!({"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}});
    }
    if version.era() == Era::Modern {
        all["extensions"] = json!({skills::EXTENSION: {}, TASKS_EXTENSION: {}});
    }
    all
}
