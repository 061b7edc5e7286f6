//! The bridge through the gateway's own doors, with a scripted server in process and a clock that the tests move: whole
//! conversations in all four ways, and the edges that a real server shows too rarely. Here: what the tests share.

mod away;
mod direct;
mod pages;
mod park;
mod repeat;

use crate::{
    Gateway, Inbound, Isolation, ModernEnvelope, Offer, Out, Record, Recorder, ReplicaSetup, Reply, Server,
    ServerSetup, Session, Setup, Trace, exchange::Exchange, session::Greeting,
};
use futures_core::future::BoxFuture;
use futures_util::StreamExt;
use portreeve_auth::Identity;
use portreeve_mcp::{
    ClientCapabilities, Ctx, Era, Event, Id, Leg, Method, Outcome, Params, RawJson, Request, Service, Text,
    Version,
    meta::Meta,
    service::{
        Ask, AskKey, AskKind, AskPoint, Description, Emitter, Failure, Leavable, Notification,
        Reply as Answer, TakeUp, Watch, WatchFilter, generate,
    },
};
use portreeve_model::{Limits, Principal, PrincipalKind, ReplicaId, Secret, ServerName};
use portreeve_policy::Policy;
use portreeve_seal::KeyRing;
use portreeve_store::Coordinator;
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::broadcast;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const TTL: Duration = Duration::from_secs(300);

type Calls = dyn Fn(usize, Ctx, Request, Emitter) -> BoxFuture<'static, Event> + Send + Sync;

/// A server that answers calls by a script and everything else correctly.
struct Scripted {
    version: Version,
    calls: Box<Calls>,
    seen: Mutex<Vec<(Ctx, Request)>>,
    taken_up: Mutex<Vec<TakeUp>>,
    completed: broadcast::Sender<Text>,
}

fn raw(value: &Value) -> RawJson {
    RawJson::from(value.clone())
}

fn text(text: &str) -> Event {
    Event::result(raw(&json!({"content": [{"type": "text", "text": text}]})))
}

/// A result that asks, as a modern server gives it.
fn asks(questions: Value, state: Option<&str>) -> Event {
    let mut result = json!({"resultType": "input_required", "ttlMs": 5});
    let mut asks = Vec::new();
    for (key, question) in questions.as_object().expect("questions") {
        let kind =
            AskKind::from_method(&Method::from_text(&Text::from(question["method"].as_str().unwrap())));
        let params = question.get("params").map(raw);
        asks.push(portreeve_mcp::service::InputRequest {
            key: Text::from(key.as_str()),
            kind: kind.unwrap(),
            params,
        });
    }
    if !asks.is_empty() {
        result["inputRequests"] = questions;
    }
    if let Some(state) = state {
        result["requestState"] = json!(state);
    }
    let state = state.map(Text::from);
    Event::InputRequired(portreeve_mcp::service::InputRequired { state, asks, raw: raw(&result) })
}

/// Puts a question in the middle of a call; the receiver has its answer.
async fn ask(
    emit: &Emitter,
    key: u64,
    kind: AskKind,
    params: Option<Value>,
    point: Option<AskPoint>,
) -> futures_channel::oneshot::Receiver<Outcome> {
    let (reply, answer) = Answer::new();
    let params = params.as_ref().map(raw);
    emit.emit(Event::Ask(Ask { key: AskKey(key), kind, params, reply, point })).await;
    answer
}

fn form(message: &str) -> Value {
    json!({"message": message, "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}})
}

/// What the server makes of an answer: its JSON, as a tool's text.
fn echo(outcome: Result<Outcome, futures_channel::oneshot::Canceled>) -> Event {
    match outcome {
        Ok(Outcome::Result(result)) => text(result.as_str()),
        Ok(Outcome::Error(error)) => text(&format!("error {}", error.code.0)),
        Err(_) => text("dropped"),
    }
}

impl Service for Scripted {
    fn describe(&self, _: Ctx) -> BoxFuture<'_, Result<Arc<Description>, Failure>> {
        let description = Description {
            era: Some(self.version.era()),
            version: self.version,
            capabilities: raw(&json!({"tools": {}, "prompts": {}})),
            server_info: None,
            instructions: None,
        };
        Box::pin(async move { Ok(Arc::new(description)) })
    }

    fn open(&self, ctx: Ctx, request: Request) -> Leg {
        if request.method == Method::ToolsList {
            let tools = raw(&json!({"tools": [{"name": "t", "inputSchema": {"type": "object"}}]}));
            return generate(|_| async { Event::result(tools) });
        }
        let number = {
            let mut seen = self.seen.lock().unwrap();
            seen.push((ctx.clone(), request.clone()));
            seen.len()
        };
        generate(move |emit| (self.calls)(number, ctx, request, emit))
    }

    fn resume(&self, ctx: Ctx, call: TakeUp) -> Leg {
        self.taken_up.lock().unwrap().push(call);
        let number = self.taken_up.lock().unwrap().len() + 100;
        let request = Request { method: Method::ToolsCall, params: Params::default() };
        generate(move |emit| (self.calls)(number, ctx, request, emit))
    }

    fn notify(&self, _: Ctx, _: Notification) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn watch(&self, _: Ctx, _: WatchFilter) -> Watch {
        futures_util::stream::pending().boxed()
    }

    fn completed(&self) -> futures_core::stream::BoxStream<'static, Text> {
        let next =
            |mut from: broadcast::Receiver<Text>| async move { from.recv().await.ok().map(|id| (id, from)) };
        futures_util::stream::unfold(self.completed.subscribe(), next).boxed()
    }
}

/// Every record, in order.
#[derive(Default)]
struct Records(Mutex<Vec<(&'static str, u32)>>);

impl Recorder for Records {
    fn record(&self, record: &Record) {
        if record.method == Method::ToolsCall {
            self.0.lock().unwrap().push((record.end.as_str(), record.rounds));
        }
    }
}

/// A gate before one scripted server.
struct Bench {
    gate: Arc<Gateway>,
    server: Arc<Scripted>,
    records: Arc<Records>,
    principal: Principal,
}

/// What of a gate differs from the usual one.
struct Shape {
    version: Version,
    roots: Option<Value>,
    limits: Limits,
    holds_children: bool,
}

impl Shape {
    fn of(version: Version) -> Self {
        Self { version, roots: None, limits: Limits::default(), holds_children: false }
    }

    fn legacy() -> Self {
        Self::of(Version::V2025_11_25)
    }

    fn modern() -> Self {
        Self::of(Version::V2026_07_28)
    }

    fn rounds(mut self, rounds: u32) -> Self {
        self.limits.rounds = rounds;
        self
    }

    /// Starts it; the script gets the number of the call, from 1, or of the taking up, from 101.
    fn start<F>(self, calls: impl Fn(usize, Ctx, Request, Emitter) -> F + Send + Sync + 'static) -> Bench
    where
        F: Future<Output = Event> + Send + 'static,
    {
        let server = Arc::new(Scripted {
            version: self.version,
            calls: Box::new(move |number, ctx, request, emit| Box::pin(calls(number, ctx, request, emit))),
            seen: Mutex::default(),
            taken_up: Mutex::default(),
            completed: broadcast::channel(8).0,
        });
        let service: Arc<dyn Service> = Arc::new(Shared(server.clone()));
        let setup = ServerSetup {
            name: ServerName::new("up").unwrap(),
            service,
            isolation: Isolation::Shared,
            offer: Offer::default(),
            roots: self.roots.as_ref().map(raw),
            credential: None,
            renewal: None,
            eras: crate::Eras::Both,
            holds_children: self.holds_children,
            ends: CancellationToken::new().drop_guard(),
        };
        let records = Arc::new(Records::default());
        let gate = Gateway::new(Setup {
            serving: crate::Serving {
                servers: vec![crate::Entry::New(Box::new(setup))],
                policy: Policy::default(),
                identity: Identity::loopback(),
                calls_per_minute: None,
                park_ttl: TTL,
                root: None,
                eras: crate::Eras::Both,
                page_size: 1000,
                name_length: 64,
            },
            seals: KeyRing::from_secrets(&[Secret::new("a secret that is long enough for a key".repeat(2))])
                .unwrap(),
            replica: ReplicaSetup { id: ReplicaId::new("one"), peers: None, coordinator: Coordinator::Alone },
            limits: self.limits,
            tracing: None,
            recorder: records.clone(),
            tracker: TaskTracker::new(),
            shutdown: CancellationToken::new(),
        });
        Bench { gate, server, records, principal: Principal::new(PrincipalKind::Local, None) }
    }
}

/// The service of which the test keeps a handle.
struct Shared(Arc<Scripted>);

impl Service for Shared {
    fn describe(&self, ctx: Ctx) -> BoxFuture<'_, Result<Arc<Description>, Failure>> {
        self.0.describe(ctx)
    }
    fn open(&self, ctx: Ctx, request: Request) -> Leg {
        self.0.open(ctx, request)
    }
    fn resume(&self, ctx: Ctx, call: TakeUp) -> Leg {
        self.0.resume(ctx, call)
    }
    fn notify(&self, ctx: Ctx, notification: Notification) -> BoxFuture<'_, ()> {
        self.0.notify(ctx, notification)
    }
    fn watch(&self, ctx: Ctx, filter: WatchFilter) -> Watch {
        self.0.watch(ctx, filter)
    }
    fn completed(&self) -> futures_core::stream::BoxStream<'static, Text> {
        self.0.completed()
    }
}

/// What a client got.
#[derive(Debug)]
struct Got {
    messages: Vec<Value>,
    end: Option<Value>,
}

impl Got {
    fn end(&self) -> &Value {
        self.end.as_ref().unwrap_or_else(|| panic!("no end: {self:?}"))
    }

    #[track_caller]
    fn said(&self) -> &str {
        self.end()["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {self:?}"))
    }

    #[track_caller]
    fn code(&self) -> i64 {
        self.end()["error"]["code"].as_i64().unwrap_or_else(|| panic!("no error: {self:?}"))
    }

    /// The questions and the state.
    #[track_caller]
    fn asked(&self) -> (Vec<String>, String) {
        let end = self.end();
        assert_eq!(end["resultType"], "input_required", "{self:?}");
        let keys = end["inputRequests"].as_object().map(|asked| asked.keys().cloned().collect());
        (keys.unwrap_or_default(), end["requestState"].as_str().expect("a state").to_owned())
    }
}

fn value(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Result(result) => result.to_value(),
        Outcome::Error(error) => json!({"error": error.encode().to_value()}),
    }
}

async fn read(mut exchange: Box<Exchange>) -> Got {
    let mut got = Got { messages: Vec::new(), end: None };
    while let Some(out) = exchange.next().await {
        match out {
            Out::Message(message) => got.messages.push(serde_json::from_slice(&message).unwrap()),
            Out::Last(last) => got.end = Some(value(&last.into_outcome().await)),
            _ => {}
        }
    }
    got
}

fn everything() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}, "context": {}}, "roots": {}})
}

impl Bench {
    fn up(&self) -> Arc<Server> {
        self.gate.server("up").unwrap()
    }

    fn inbound(&self, method: Method, params: &Value, id: u64) -> Inbound {
        let params = raw(params);
        Inbound {
            principal: self.principal.clone(),
            server: self.up(),
            id: Id::number(id),
            method,
            params: Params::parse(Some(&params)).unwrap(),
            trace: Trace::default(),
            raw: Some(params),
        }
    }

    /// A modern request with these capabilities.
    async fn reply(&self, method: Method, params: &Value, capabilities: &Value) -> Reply {
        let capabilities = ClientCapabilities::read(&raw(capabilities), Version::NEWEST).unwrap();
        let meta = Meta::parse(Some(&raw(&json!({"progressToken": "p"})))).unwrap();
        let envelope = ModernEnvelope { capabilities, log_level: None, meta };
        self.gate.modern(self.inbound(method, params, 1), envelope, None).await
    }

    async fn ask(&self, method: Method, params: &Value, capabilities: &Value) -> Got {
        match self.reply(method, params, capabilities).await {
            Reply::Call(exchange) => read(exchange).await,
            reply => Got { messages: Vec::new(), end: reply.into_outcome().await.as_ref().map(value) },
        }
    }

    /// A modern call of the tool by a client that can be asked everything.
    async fn call(&self) -> Got {
        self.ask(Method::ToolsCall, &json!({"name": "t"}), &everything()).await
    }

    /// The same again, with a state and answers.
    async fn retry(&self, state: &str, answers: Value) -> Got {
        let params = json!({"name": "t", "requestState": state, "inputResponses": answers});
        self.ask(Method::ToolsCall, &params, &everything()).await
    }

    fn session(&self, version: Version, capabilities: &Value) -> Arc<Session> {
        let capabilities = ClientCapabilities::read(&raw(capabilities), version).unwrap();
        let hello = Greeting { version, capabilities, client_info: None };
        self.gate.open_new_session(&self.principal, &self.up(), hello).expect("there is room")
    }

    /// A legacy request; each question is answered by this, or left open.
    async fn legacy(
        &self,
        session: &Arc<Session>,
        method: Method,
        params: &Value,
        answer: impl Fn(&Value) -> Option<Outcome>,
    ) -> Got {
        let reply = self.gate.legacy(self.inbound(method, params, 7), Meta::default(), session).await;
        let Reply::Call(mut exchange) = reply else {
            return Got { messages: Vec::new(), end: reply.into_outcome().await.as_ref().map(value) };
        };
        let mut got = Got { messages: Vec::new(), end: None };
        while let Some(out) = exchange.next().await {
            match out {
                Out::Message(message) => {
                    let message: Value = serde_json::from_slice(&message).unwrap();
                    if message.get("id").is_some()
                        && let Some(outcome) = answer(&message)
                    {
                        let id = Id::from_raw(&raw(&message["id"])).unwrap();
                        assert!(self.gate.answer(session, Some(&id), outcome), "{message}");
                    }
                    got.messages.push(message);
                }
                Out::Last(last) => got.end = Some(value(&last.into_outcome().await)),
                _ => {}
            }
        }
        got
    }

    /// A legacy call of the tool by a 2025-11-25 client that can be asked everything.
    async fn legacy_call(&self, answer: impl Fn(&Value) -> Option<Outcome>) -> Got {
        let session = self.session(Version::V2025_11_25, &everything());
        self.legacy(&session, Method::ToolsCall, &json!({"name": "t"}), answer).await
    }

    /// How often the server was called.
    fn calls(&self) -> usize {
        self.server.seen.lock().unwrap().len()
    }

    /// `params` of a call as the server got them.
    fn params(&self, call: usize) -> Value {
        self.server.seen.lock().unwrap()[call].1.params.encode(None).to_value()
    }

    fn records(&self) -> Vec<(&'static str, u32)> {
        self.records.0.lock().unwrap().clone()
    }
}

fn accept(name: &str) -> Value {
    json!({"action": "accept", "content": {"name": name}})
}

fn result(value: &Value) -> Option<Outcome> {
    Some(Outcome::Result(raw(value)))
}

fn accepts(_: &Value) -> Option<Outcome> {
    result(&accept("Ada"))
}
