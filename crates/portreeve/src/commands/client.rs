//! A client inside this process, for commands that use a server from a terminal: it speaks the modern revision to a
//! gateway that has just that server, so what works here works for every client.

use super::{CommandError, Exit, Setup};
use crate::{
    config::{Config, LogLevel},
    gate::{Gate, SealFrom},
    log::{self, LogGuard},
};
use futures_util::StreamExt;
use portreeve_gateway::{Eras, Inbound, Last, ModernEnvelope, Out, Reply, Trace, error};
use portreeve_mcp::{
    ClientCapabilities, Code, Id, Method, Outcome, Params, RawJson, RpcError, Version, frame,
    meta::Meta,
    service::{Description, Failure},
};
use portreeve_model::{Principal, PrincipalKind};
use std::sync::Arc;

/// One server, from inside.
pub(super) struct LocalClient {
    gate: Gate,
    server: String,
    _log: Option<LogGuard>,
}

/// What this client can be asked: forms and pages, since there is a person at a terminal.
const CAPABILITIES: &str = r#"{"elicitation":{"form":{},"url":{}}}"#;

/// The exit code that an error means.
pub(super) fn exit_of(error: &RpcError) -> Exit {
    match error.code {
        error::UNREACHABLE
        | error::BUSY
        | error::TIMEOUT
        | error::OUTCOME_UNKNOWN
        | error::NO_COMMON_VERSION
        | error::UPSTREAM_UNAUTHORIZED => Exit::Unreachable,
        _ => Exit::Failed,
    }
}

impl LocalClient {
    /// A gateway for this one server of the configuration.
    pub(super) fn new(setup: &Setup, server: &str) -> Result<Self, CommandError> {
        Self::of(setup.loaded.config.clone(), server)
    }

    /// The same, of any configuration.
    pub(super) fn of(mut config: Config, server: &str) -> Result<Self, CommandError> {
        let known: Vec<String> = config.servers.iter().map(|server| server.name.to_string()).collect();
        config.servers.retain(|known| known.name.as_str() == server);
        if config.servers.is_empty() {
            let text = format!("no server `{server}`; the configuration has: {}", known.join(", "));
            return Err(CommandError::plain(Exit::Usage, text));
        }
        config.keys.clear();
        config.log.level = config.log.level.min(LogLevel::Warn);
        // A second client of one process finds the log already there.
        let log = log::start(&config.log).ok().map(|(_, guard, _)| guard);
        let gate = Gate::build(&config, SealFrom::Process, Eras::Both, None, None)?;
        Ok(Self { gate, server: server.to_owned(), _log: log })
    }

    /// What the server is, or why that cannot be said.
    pub(super) async fn examine(&self) -> Option<Result<Arc<Description>, Failure>> {
        let server = self.gate.gateway.server(&self.server)?;
        Some(server.examine(&Principal::new(PrincipalKind::Local, None)).await)
    }

    /// What carries the server's messages, as far as that is known.
    pub(super) fn transport(&self) -> Option<&'static str> {
        self.gate.gateway.server(&self.server)?.transport()
    }

    /// One request to its answer; what happens meanwhile is told to `heard`.
    pub(super) async fn ask(&self, method: Method, params: Params, mut heard: impl FnMut(&[u8])) -> Outcome {
        let Some(server) = self.gate.gateway.server(&self.server) else {
            return Outcome::Error(RpcError::new(Code::INTERNAL, "the server is gone"));
        };
        let meta = RawJson::from_static(r#"{"progressToken":1}"#);
        let capabilities = ClientCapabilities::read(&RawJson::from_static(CAPABILITIES), Version::NEWEST);
        let envelope = ModernEnvelope {
            capabilities: capabilities.unwrap_or_else(ClientCapabilities::none),
            log_level: Some(portreeve_mcp::LogLevel::Info),
            meta: Meta::parse(Some(&meta)).unwrap_or_default(),
        };
        let inbound = Inbound {
            principal: Principal::new(PrincipalKind::Local, None),
            server,
            id: Id::number(1),
            method,
            raw: Some(params.encode(None)),
            params,
            trace: Trace::default(),
        };
        let mut exchange = match self.gate.gateway.modern(inbound, envelope, None).await {
            Reply::Call(exchange) => exchange,
            other => return other.into_outcome().await.unwrap_or_else(gone),
        };
        while let Some(out) = exchange.next().await {
            match out {
                Out::Message(message) => heard(&message),
                Out::HangUp(_) => {}
                Out::Last(Last::Outcome(outcome)) => return outcome,
                Out::Last(large @ Last::Large { .. }) => return large.into_outcome().await,
                Out::Gone => break,
            }
        }
        gone()
    }

    /// One request, quietly.
    pub(super) async fn request(&self, method: Method, params: Params) -> Outcome {
        self.ask(method, params, |_| {}).await
    }

    pub(super) async fn end(self) {
        self.gate.end().await;
    }
}

fn gone() -> Outcome {
    Outcome::Error(RpcError::new(Code::INTERNAL, "the call ended without an answer"))
}

/// What a notification says to a person, if it says anything.
pub(super) fn told(message: &[u8]) -> Option<String> {
    let frame =
        frame::decode(&bytes::Bytes::copy_from_slice(message), portreeve_mcp::json::MAX_DEPTH).ok()?;
    let frame::Frame::Notification { method, params: Some(params) } = frame else { return None };
    let text = |key: &str| params.get(key).and_then(|raw| raw.string_value()).map(|text| text.to_string());
    let number = |key: &str| params.get(key).map(|raw| raw.as_str().to_owned());
    match method {
        Method::Progress => {
            let total = number("total").map(|total| format!("/{total}")).unwrap_or_default();
            let message = text("message").map(|message| format!("  {message}")).unwrap_or_default();
            Some(format!("progress {}{total}{message}", number("progress")?))
        }
        Method::LogMessage => {
            let data = params.get("data")?;
            let data = data.string_value().map_or_else(|| data.as_str().to_owned(), |text| text.to_string());
            Some(format!("{}: {data}", text("level")?))
        }
        _ => None,
    }
}
