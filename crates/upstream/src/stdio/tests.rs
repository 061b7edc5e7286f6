//! The stdio connector against real children that are scripted by their arguments (`examples/scripted.rs`).

mod hazards;

use super::Stdio;
use crate::{
    EraChoice, Runtime, StdioConfig,
    testing::{
        PATIENCE, askable, end, failure_of, kind_of, next, plain, raw, request, result_of, runtime, tool,
    },
};
use portreeve_mcp::{
    Event, Leg, Outcome, Version,
    service::{Ask, AskKind, FailureKind, Notice, WatchFilter},
};
use portreeve_model::{Deadlines, IsolationKey, ServerName};
use portreeve_process::Spec;
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

const DISCOVERED: &str = r#"server/discover=>!result {"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private"}"#;
const UNKNOWN: &str = r#"server/discover=>{"jsonrpc":"2.0","id":$id,"error":{"code":-32601,"message":"no"}}"#;
const INITIALIZED: &str = r#"initialize=>!result {"protocolVersion":"2025-06-18","capabilities":{"tools":{},"logging":{},"resources":{"subscribe":true}},"serverInfo":{"name":"s","version":"1"}}"#;
const RECEIVED: &str = "tools/call:received=>!received";
const DONE: &str = r#"tools/call:x=>!result {"content":[]}"#;

fn scripted() -> String {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples/scripted");
    assert!(path.exists(), "{} is missing: `cargo test -p portreeve-upstream` builds it", path.display());
    path.to_str().unwrap().to_owned()
}

fn config(rules: &[&str]) -> StdioConfig {
    let name = ServerName::new("child").unwrap();
    let args = rules.iter().map(|rule| (*rule).to_owned()).collect();
    let spec = Spec { name: name.clone(), command: scripted(), args, env: BTreeMap::new(), cwd: None };
    StdioConfig {
        name,
        spec,
        era: EraChoice::Auto,
        max_children: 3,
        deadlines: Deadlines { call: PATIENCE, ..Deadlines::default() },
        idle: Duration::from_secs(60),
    }
}

/// The connector and its runtime, whose end is awaited by [`Running::stop`].
struct Running {
    stdio: Arc<Stdio>,
    runtime: Runtime,
}

impl Running {
    fn new(rules: &[&str]) -> Self {
        Self::with(config(rules))
    }

    fn with(config: StdioConfig) -> Self {
        let runtime = runtime();
        Self { stdio: Stdio::new(config, runtime.clone()), runtime }
    }

    /// What the child that serves this caller has read.
    async fn received(&self, ctx: &portreeve_mcp::Ctx) -> Vec<Value> {
        let result = result_of(end(self.stdio.open(ctx.clone(), tool("received"))).await);
        let result: Value = serde_json::from_str(&result).unwrap();
        result["lines"].as_array().unwrap().clone()
    }

    async fn stop(self) {
        self.runtime.shutdown.cancel();
        self.runtime.tracker.close();
        tokio::time::timeout(PATIENCE, self.runtime.tracker.wait()).await.expect("every task ends");
    }
}

fn methods(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["method"].as_str().unwrap_or("response")).collect()
}

async fn next_ask(leg: &mut Leg) -> Ask {
    match next(leg).await {
        Event::Ask(ask) => ask,
        other => panic!("not an ask: {other:?}"),
    }
}

#[tokio::test]
async fn check_047_a_modern_child_is_found_by_asking_and_shared_by_everybody() {
    let running = Running::new(&[DISCOVERED, DONE, RECEIVED]);
    let mut other = askable();
    other.isolation = IsolationKey::new("somebody else");
    other.wants_progress = true;
    assert_eq!(result_of(end(running.stdio.open(plain(), tool("x"))).await), r#"{"content":[]}"#);
    result_of(end(running.stdio.open(other, tool("x"))).await);
    let lines = running.received(&plain()).await;
    assert_eq!(methods(&lines), ["server/discover", "tools/call", "tools/call", "tools/call"]);
    let meta = |line: usize| &lines[line]["params"]["_meta"];
    assert_eq!(meta(1)["io.modelcontextprotocol/clientCapabilities"], json!({}));
    assert_eq!(meta(2)["io.modelcontextprotocol/clientCapabilities"]["roots"], json!({}));
    assert_eq!(meta(2)["progressToken"], lines[2]["id"]);
    assert_eq!(running.stdio.describe(&plain()).await.unwrap().version, Version::V2026_07_28);
    assert_eq!(running.stdio.status().sessions, 1);
    running.stop().await;
}

#[tokio::test]
async fn check_111_a_legacy_child_hears_exactly_what_its_caller_declared() {
    let running = Running::new(&[UNKNOWN, INITIALIZED, DONE, RECEIVED]);
    result_of(end(running.stdio.open(askable(), tool("x"))).await);
    let lines = running.received(&askable()).await;
    assert_eq!(
        methods(&lines),
        ["server/discover", "initialize", "notifications/initialized", "tools/call", "tools/call"]
    );
    assert_eq!(
        lines[1]["params"]["capabilities"],
        json!({"elicitation": {"form": {}}, "sampling": {}, "roots": {}})
    );
    assert!(lines[3]["params"].get("_meta").is_none(), "{}", lines[3]);
    // Another caller, who can be asked nothing, gets a child of its own, which is not probed again.
    let lines = running.received(&plain()).await;
    assert_eq!(methods(&lines), ["initialize", "notifications/initialized", "tools/call"]);
    assert_eq!(lines[0]["params"]["capabilities"], json!({}));
    assert_eq!(running.stdio.status().sessions, 2);
    running.stop().await;
}

const ASKS: &str =
    r#"tools/call:ask=>{"jsonrpc":"2.0","id":"q1","method":"elicitation/create","params":{"message":"?"}}"#;
const ASKS_AGAIN: &str = r#"tools/call:ask=>{"jsonrpc":"2.0","id":"q2","method":"roots/list"}"#;

#[tokio::test]
async fn questions_of_a_child_reach_its_only_call_and_their_answers_the_child() {
    let rules = [
        UNKNOWN,
        INITIALIZED,
        ASKS,
        ASKS_AGAIN,
        r#"response:q2=>!answer tools/call:ask {"content":[]}"#,
        RECEIVED,
    ];
    let running = Running::new(&rules);
    let mut leg = running.stdio.open(askable(), tool("ask"));
    let (first, second) = (next_ask(&mut leg).await, next_ask(&mut leg).await);
    assert_eq!((first.kind, second.kind), (AskKind::Elicit, AskKind::Roots));
    first.reply.answer(Outcome::Result(raw(r#"{"action":"accept","content":{}}"#)));
    second.reply.answer(Outcome::Result(raw(r#"{"roots":[]}"#)));
    assert_eq!(result_of(end(leg).await), r#"{"content":[]}"#);
    let lines = running.received(&askable()).await;
    let answer = |id: &str| lines.iter().find(|line| line["id"] == id).unwrap()["result"].clone();
    assert_eq!(answer("q1")["action"], "accept");
    assert_eq!(answer("q2"), json!({"roots": []}));
    running.stop().await;
}

#[tokio::test]
async fn calls_that_can_be_asked_have_a_child_each_and_meet_it_again() {
    let running = Running::new(&[UNKNOWN, INITIALIZED, ASKS, DONE, RECEIVED]);
    let mut held = running.stdio.open(askable(), tool("ask"));
    let ask = next_ask(&mut held).await;
    result_of(end(running.stdio.open(askable(), tool("x"))).await);
    let lines = running.received(&askable()).await;
    assert_eq!(methods(&lines), ["initialize", "notifications/initialized", "tools/call", "tools/call"]);
    assert_eq!(running.stdio.status().sessions, 2);
    drop((held, ask));
    // The first child is free again, and is the one that comes first.
    let lines = running.received(&askable()).await;
    assert_eq!(lines[0]["method"], "server/discover");
    running.stop().await;
}

#[tokio::test]
async fn check_064_a_dropped_leg_is_cancelled_at_the_child() {
    let running = Running::new(&[
        DISCOVERED,
        r#"tools/call:hang=>{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":$id,"progress":1}}"#,
        RECEIVED,
    ]);
    let mut ctx = plain();
    ctx.wants_progress = true;
    let mut leg = running.stdio.open(ctx, tool("hang"));
    assert!(matches!(next(&mut leg).await, Event::Notification(_)));
    drop(leg);
    let lines = running.received(&plain()).await;
    assert_eq!(methods(&lines), ["server/discover", "tools/call", "notifications/cancelled", "tools/call"]);
    assert_eq!(lines[2]["params"]["requestId"], lines[1]["id"]);
    running.stop().await;
}

#[tokio::test]
async fn a_legacy_child_is_watched_by_subscribing() {
    let running = Running::new(&[
        UNKNOWN,
        INITIALIZED,
        "resources/subscribe=>!result {}",
        r#"resources/subscribe=>{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:1"}}"#,
        r#"resources/subscribe=>{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"b:1"}}"#,
        r#"resources/subscribe=>{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}"#,
    ]);
    let mut watch = running.stdio.watch(plain(), WatchFilter { resources: vec!["a:1".into()] });
    let mut heard = Vec::new();
    while heard.len() < 3 {
        let notice = tokio::time::timeout(PATIENCE, futures_util::StreamExt::next(&mut watch)).await;
        heard.push(notice.unwrap().unwrap());
    }
    let updated = Notice::ResourceUpdated { uri: "a:1".into(), params: raw(r#"{"uri":"a:1"}"#) };
    assert_eq!(heard, [Notice::Watching(vec!["a:1".into()]), updated, Notice::PromptsChanged]);
    drop(watch);
    running.stop().await;
}
