//! Servers that fail in every way that there is: each call gets exactly one answer, which says whether it may have run;
//! the gate and its other servers go on, and nothing is left behind.

use super::{
    operations::{children, is_alive},
    scripts::{child, event, remote, response, text},
};
use crate::harness::{Answer, Does, Gate, Post, Scripted, ScriptedStdio, Seen, soon};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpSocket, sync::mpsc};

const UP: &str = "/mcp/up";
const UNREACHABLE: i64 = -31001;
const TIMEOUT: i64 = -31003;
const UNKNOWN: i64 = -31004;
const BAD_ANSWER: i64 = -31005;
const CREDENTIAL: i64 = -31006;
const LARGE: usize = 20 << 20;

/// Arguments that name a fault.
fn fault(name: &str) -> Value {
    json!({ "fault": name })
}

fn fault_of(message: &Value) -> &str {
    message["params"]["arguments"]["fault"].as_str().unwrap_or_default()
}

/// The code that a modern and a legacy client get for a call with this fault.
async fn codes(gate: &Gate, name: &str) -> [i64; 2] {
    let session = gate.session(UP, json!({})).await;
    let modern = gate.call(UP, "tool", fault(name)).await.refusal().1;
    [modern, session.call("tool", fault(name)).await.refusal().1]
}

/// The same server with all the time that there is by default: large answers take theirs.
fn patient(mut config: Value) -> Value {
    config["timeouts"] = json!({});
    config
}

/// Open files of a process.
fn files(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the gate runs").count()
}

fn misbehave(request: &Seen) -> Answer {
    let json = |text: &str| Answer::Page(200, "application/json", text.to_owned());
    match fault_of(&request.body) {
        "closes" => Answer::Close,
        "hangs" => Answer::Silence,
        "page" => Answer::Page(200, "text/html", "<h1>It works</h1>".to_owned()),
        "bad gateway" => Answer::Page(502, "text/html", "<h1>Bad gateway</h1>".to_owned()),
        "half" => json(r#"{"jsonrpc":"2.0","id":1,"res"#),
        "other" => json(r#"{"jsonrpc":"2.0","id":987654321,"result":{}}"#),
        "cut" => Answer::Page(200, "text/event-stream", ": begun\n\n".to_owned()),
        "half an event" => Answer::Page(200, "text/event-stream", "data: {\"jsonrpc\":".to_owned()),
        "locked" => Answer::Page(401, "text/html", "<h1>Who are you?</h1>".to_owned()),
        "large" => Answer::Events(vec![response(&request.body["id"], text(&"x".repeat(LARGE)))]),
        _ => Answer::result(request, text("done")),
    }
}

#[tokio::test]
async fn each_fault_of_a_server_over_http_ends_its_call_once_and_leaves_nothing() {
    for era in ["legacy", "modern"] {
        let server = Scripted::start(remote(era, misbehave)).await;
        let mut config = server.config(era);
        config["timeouts"] = json!({"call": "1s"});
        let gate = Gate::before(config).await;
        assert_eq!(gate.call(UP, "tool", json!({})).await.said(), "done");
        let before = files(gate.running.pid());
        for (name, code) in [
            ("closes", UNKNOWN),
            ("hangs", TIMEOUT),
            ("page", BAD_ANSWER),
            ("bad gateway", UNKNOWN),
            ("half", BAD_ANSWER),
            ("other", BAD_ANSWER),
            ("cut", UNKNOWN),
            ("half an event", UNKNOWN),
            ("locked", CREDENTIAL),
        ] {
            assert_eq!(codes(&gate, name).await, [code; 2], "{era} {name}");
            let calls = server.of("tools/call").into_iter();
            let calls = calls.filter(|seen| fault_of(&seen.body) == name).count();
            assert_eq!(calls, 2, "{era} {name}: never repeated");
        }
        assert_eq!(gate.call(UP, "tool", json!({})).await.said(), "done");
        let settled = async {
            // Whoever looks gets a connection of its own, which is closed by then.
            while files(gate.running.pid()) > before + 1 {
                gate.call(UP, "tool", json!({})).await;
            }
        };
        soon("the end of every connection that broke", settled).await;
        gate.end().await;
    }
}

#[tokio::test]
async fn twenty_mebibytes_in_one_event_arrive() {
    for era in ["legacy", "modern"] {
        let server = Scripted::start(remote(era, misbehave)).await;
        let gate = Gate::before(server.config(era)).await;
        assert_eq!(gate.call(UP, "tool", fault("large")).await.said().len(), LARGE, "{era}");
    }
}

/// A server of the oldest transport: what a call does is up to its fault.
async fn old_stream() -> (Scripted, Value) {
    let streams: Arc<Mutex<HashMap<String, mpsc::Sender<String>>>> = Arc::default();
    let opened = Mutex::new(0);
    let server = Scripted::start(move |request| {
        let mut streams = streams.lock().unwrap();
        let fault = fault_of(&request.body);
        if request.verb == "GET" {
            let (stream, events) = mpsc::channel(16);
            let mut opened = opened.lock().unwrap();
            *opened += 1;
            let endpoint = format!("/messages/{opened}");
            let first = format!("event: endpoint\ndata: {endpoint}\n\n");
            stream.try_send(first).expect("an empty stream takes an event");
            streams.insert(endpoint, stream);
            return Answer::Stream(events);
        }
        let Some(stream) = streams.get(&request.path) else { return Answer::Empty(405) };
        let say = |text: String| stream.try_send(text).expect("the stream takes an event");
        let id = &request.body["id"];
        match (request.method(), fault) {
            ("initialize", _) => say(event(&response(
                id,
                json!({
                    "protocolVersion": "2024-11-05",
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "scripted", "version": "1"},
                }),
            ))),
            ("tools/list", _) => say(event(&response(id, json!({"tools": super::scripts::tools()})))),
            ("tools/call", "closes") => return Answer::Close,
            ("tools/call", "hangs") => {}
            ("tools/call", "cut") => {
                streams.remove(&request.path);
            }
            ("tools/call", "half an event") => {
                say("data: {\"jsonrpc\":".to_owned());
                streams.remove(&request.path);
            }
            ("tools/call", "locked") => return Answer::Empty(401),
            ("tools/call", "junk") => {
                say("data: <h1>hello</h1>\n\nevent: odd\ndata: 1\n\n: quiet\n\n".to_owned());
                say(event(&response(id, text("done"))));
            }
            ("tools/call", "large") => say(event(&response(id, text(&"x".repeat(LARGE))))),
            ("tools/call", _) => say(event(&response(id, text("done")))),
            _ => {}
        }
        Answer::Empty(202)
    })
    .await;
    let config = json!({"url": format!("http://{}/sse", server.address), "timeouts": {"call": "2s"}});
    (server, config)
}

#[tokio::test]
async fn each_fault_of_an_old_stream_ends_its_call_once_and_the_next_one_is_served() {
    let (server, config) = old_stream().await;
    let gate = Gate::before(config.clone()).await;
    for (name, code) in [
        ("cut", UNKNOWN),
        ("half an event", UNKNOWN),
        ("closes", UNKNOWN),
        ("hangs", TIMEOUT),
        ("locked", CREDENTIAL),
    ] {
        assert_eq!(codes(&gate, name).await, [code; 2], "{name}");
        assert_eq!(gate.call(UP, "tool", fault("junk")).await.said(), "done", "after {name}");
        let calls = server.of("tools/call").into_iter();
        let calls = calls.filter(|seen| fault_of(&seen.body) == name).count();
        assert_eq!(calls, 2, "{name}: never repeated");
    }
    gate.end().await;
    let gate = Gate::before(patient(config)).await;
    assert_eq!(gate.call(UP, "tool", fault("large")).await.said().len(), LARGE);
}

#[tokio::test]
async fn each_fault_of_a_child_ends_its_call_once_and_the_next_one_is_served() {
    let server = ScriptedStdio::start(child("legacy", |message| match fault_of(message) {
        "exits" => vec![Does::Exits],
        "hangs" => Vec::new(),
        "junk" => {
            let half = Does::Writes(r#"{"jsonrpc":"2.0","id"#.to_owned());
            vec![half, Does::Writes("\u{0}\u{1b}[31m".to_owned()), Does::result(message, text("done"))]
        }
        "large" => vec![Does::result(message, text(&"x".repeat(LARGE)))],
        _ => vec![Does::result(message, text("done"))],
    }))
    .await;
    let mut config = server.config("legacy");
    config["timeouts"] = json!({"call": "5s"});
    let gate = Gate::before(config.clone()).await;
    for (name, code) in [("exits", UNKNOWN), ("hangs", TIMEOUT)] {
        assert_eq!(gate.call(UP, "tool", fault(name)).await.refusal().1, code, "{name}");
        assert_eq!(gate.call(UP, "tool", fault("junk")).await.said(), "done", "after {name}");
        let calls = server.lines().into_iter().filter(|(_, line)| fault_of(line) == name).count();
        assert_eq!(calls, 1, "{name}: never repeated");
    }
    gate.end().await;
    let gate = Gate::before(patient(config)).await;
    assert_eq!(gate.call(UP, "tool", fault("large")).await.said().len(), LARGE);
}

/// A legacy server in shell: answers the handshake and the list of tools, then does what its argument says at a call.
const SHELL: &str = r#"
while read -r line; do
  id=${line##*\"id\":}; id=${id%%[,\}]*}
  case $line in
  *'"initialize"'*) result='{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}' ;;
  *'"tools/list"'*) result='{"tools":[{"name":"tool","inputSchema":{"type":"object"}}]}' ;;
  *'"tools/call"'*) eval "$1"; continue ;;
  *) continue ;;
  esac
  echo "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":$result}"
done
"#;

fn shell(at_a_call: &str) -> Value {
    // A configuration takes `${` for a reference.
    let script = SHELL.replace("${", "$${");
    json!({
        "command": "/bin/sh", "args": ["-c", script, "sh", at_a_call], "era": "legacy",
        "env": {"PATH": "/usr/bin:/bin"}, "timeouts": {"call": "2s"},
    })
}

#[tokio::test]
async fn a_child_that_is_alive_but_deaf_or_mute_ends_calls_and_does_not_outlive_the_gate() {
    // Closed stdout is the end of a child, whatever it does; one that does not read any more may still answer.
    for (at_a_call, first) in [("exec >&-; sleep 1000", UNKNOWN), ("exec sleep 1000", TIMEOUT)] {
        let gate = Gate::before(shell(at_a_call)).await;
        assert_eq!(gate.call(UP, "tool", json!({})).await.refusal().1, first, "{at_a_call}");
        // More than a pipe holds.
        let padding = "x".repeat(1 << 20);
        let (_, code) = gate.call(UP, "tool", json!({ "padding": padding })).await.refusal();
        assert!([UNKNOWN, TIMEOUT, UNREACHABLE].contains(&code), "{at_a_call}: {code}");
        let children = children(gate.running.pid());
        gate.end().await;
        assert!(children.iter().all(|pid| !is_alive(*pid)), "{at_a_call}");
    }
}

#[tokio::test]
async fn a_child_that_always_ends_is_started_ever_more_rarely() {
    let gate = Gate::of()
        .server("up", json!({"command": "/bin/sh", "args": ["-c", "exit 7"], "era": "legacy"}))
        .server("demo", json!({"builtin": "demo"}))
        .start()
        .await;
    for _ in 0..8 {
        assert_eq!(gate.call(UP, "tool", json!({})).await.refusal().1, UNREACHABLE);
        assert_eq!(gate.call("/mcp/demo", "echo", json!({"text": "hi"})).await.said(), "hi");
    }
    let starts = gate.running.log().iter().filter(|line| line.contains("a child has been started")).count();
    assert!((2..=4).contains(&starts), "{starts} starts");
}

#[tokio::test]
async fn a_server_that_is_down_is_left_alone_and_comes_back() {
    // Bound and not listening: nobody else has the port, and connections to it are refused.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("loopback has free ports");
    let address = socket.local_addr().expect("a bound socket has an address");
    let gate = Gate::of()
        .server("up", json!({"url": format!("http://{address}/mcp")}))
        .server("demo", json!({"builtin": "demo"}))
        .start()
        .await;
    let call = || gate.call(UP, "tool", json!({}));
    let left_alone = async {
        while !gate.running.log().iter().any(|line| line.contains("is left alone")) {
            assert_eq!(call().await.refusal().1, UNREACHABLE);
        }
    };
    soon("the circuit opens", left_alone).await;
    assert_eq!(call().await.refusal().1, UNREACHABLE);
    gate.running.logs("is tried again").await;
    assert_eq!(gate.call("/mcp/demo", "echo", json!({"text": "hi"})).await.said(), "hi");
    let script = remote("modern", |seen| Answer::result(seen, text("back")));
    let _server = Scripted::start_on(socket.listen(64).expect("the port is ours"), script);
    let back = async {
        loop {
            let response = gate.send(&Post::call(UP, "tool", json!({}))).await;
            if response.message()["result"].is_object() {
                return response.said();
            }
        }
    };
    assert_eq!(soon("the server is called again", back).await, "back");
    gate.running.logs("can be reached again").await;
}
