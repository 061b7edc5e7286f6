//! The edge and the life of the process: origins, hosts, CORS, what never crosses the gate, keys, and the end.

use crate::harness::{
    Answer, Does, Gate, Post, Response, Running, Scripted, ScriptedStdio, Session, demo_stdio,
    legacy_answers, modern_answers, portreeve,
};
use serde_json::{Value, json};

const DEMO: &str = "/mcp/demo";
const UP: &str = "/mcp/up";

fn tools() -> Value {
    json!([{"name": "plain", "inputSchema": {"type": "object"}}])
}

fn echo() -> Post {
    Post::call(DEMO, "echo", json!({"text": "x"}))
}

/// A child of a legacy revision whose calls this answers.
async fn old_child(call: impl Fn(&Value) -> Vec<Does> + Send + Sync + 'static) -> ScriptedStdio {
    ScriptedStdio::start(move |_, message| match message["method"].as_str() {
        Some("initialize") => vec![Does::result(
            message,
            json!({
                "protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": {"name": "scripted", "version": "1"},
            }),
        )],
        Some("tools/list") => vec![Does::result(message, json!({"tools": tools()}))],
        Some("tools/call") => call(message),
        _ => Vec::new(),
    })
    .await
}

#[tokio::test]
async fn check_193_194_origins_and_hosts_are_listed_or_refused() {
    let gate = Gate::of()
        .server("demo", json!({"builtin": "demo"}))
        .set("allowed_origins", json!(["https://app.example.com"]))
        .set("allowed_hosts", json!(["gate.example.com"]))
        .start()
        .await;
    let port = gate.address.port();
    for (what, post, status) in [
        ("no origin", echo(), 200),
        ("a listed origin", echo().header("Origin", "https://app.example.com"), 200),
        ("a loopback origin", echo().header("Origin", "http://localhost:3000"), 200),
        ("another origin", echo().header("Origin", "https://evil.example.com"), 403),
        ("an origin that begins alike", echo().header("Origin", "https://app.example.com.evil.example"), 403),
        ("another scheme", echo().header("Origin", "http://app.example.com"), 403),
        ("no origin at all", echo().header("Origin", "null"), 403),
        ("its own address", echo().header("Host", &format!("127.0.0.1:{port}")), 200),
        ("a listed host", echo().header("Host", "gate.example.com"), 200),
        ("another host", echo().header("Host", "evil.example.com"), 421),
        ("a rebound name", echo().header("Host", "127.0.0.1.evil.example.com"), 421),
        ("no host", echo().header("Host", ""), 421),
    ] {
        let response: Response = gate.send(&post).await;
        assert_eq!(response.status, status, "{what}: {}", response.text());
    }
    let health = b"GET /healthz HTTP/1.1\r\nHost: 10.1.2.3\r\n\r\n";
    assert_eq!(gate.raw(health).await.status, 200, "probes know no name");
}

#[tokio::test]
async fn check_195_preflights_and_exposed_headers() {
    let gate = Gate::demo().await;
    let wanted = "authorization, content-type, mcp-protocol-version, mcp-method, mcp-name, mcp-session-id, \
                  last-event-id, mcp-param-region, x-evil";
    let preflight = |origin: &str| {
        format!(
            "OPTIONS {DEMO} HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n\
             Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: {wanted}\r\n\r\n"
        )
    };
    let origin = "http://localhost:3000";
    let response = gate.raw(preflight(origin).as_bytes()).await;
    assert!((200..300).contains(&response.status), "{}", response.status);
    assert_eq!(response.header("access-control-allow-origin"), Some(origin));
    let methods = response.header("access-control-allow-methods").expect("methods").to_ascii_uppercase();
    assert!(["POST", "GET", "DELETE"].iter().all(|verb| methods.contains(verb)), "{methods}");
    let granted = response.header("access-control-allow-headers").expect("headers").to_ascii_lowercase();
    let granted: Vec<&str> = granted.split(',').map(str::trim).collect();
    for name in wanted.split(',').map(str::trim) {
        assert_eq!(granted.contains(&name), name != "x-evil", "{name} in {granted:?}");
    }
    let refused = gate.raw(preflight("https://evil.example.com").as_bytes()).await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (403, None));
    let real = gate.send(&echo().header("Origin", origin)).await;
    let exposed = real.header("access-control-expose-headers").expect("exposed").to_ascii_lowercase();
    assert!(exposed.contains("mcp-session-id") && exposed.contains("www-authenticate"), "{exposed}");
    assert_eq!(gate.send(&echo()).await.header("access-control-allow-origin"), None, "no page asks");
}

#[tokio::test]
async fn check_196_what_belongs_to_one_side_stays_there() {
    const SECRET: &str = "client-0123456789abcdef";
    for era in ["modern", "legacy"] {
        let server = Scripted::start(move |seen| match (era, seen.method()) {
            ("modern", "tools/call") => Answer::text(seen, "done"),
            ("modern", _) => modern_answers(seen, &tools()),
            (_, "tools/call") => Answer::result(seen, json!({"content": [{"type": "text", "text": "done"}]})),
            _ => legacy_answers(seen, &tools()),
        })
        .await;
        let mut config = server.config(era);
        config["credential"] = json!({"bearer": "upstream-token"});
        let keys = json!([{"name": "one", "secret": SECRET, "allow": [{"server": "up"}]}]);
        let gate = Gate::of().server("up", config).set("keys", keys).start().await;
        let post = Post::call(UP, "plain", json!({}))
            .header("Authorization", &format!("Bearer {SECRET}"))
            .header("Cookie", "sid=client-cookie")
            .header("Mcp-Session-Id", "client-session")
            .header("Last-Event-ID", "client-event")
            .header("Forwarded", "for=client-address")
            .header("X-Forwarded-User", "client-user")
            .header("Origin", "http://localhost:1");
        assert_eq!(gate.send(&post).await.said(), "done");
        for seen in server.seen() {
            assert!(!format!("{seen:?}").contains("client-"), "{seen:?}");
            assert_eq!(seen.header("authorization"), Some("Bearer upstream-token"));
            assert_eq!(seen.header("host"), Some(server.address.to_string().as_str()));
            assert_eq!((seen.header("cookie"), seen.header("origin")), (None, None));
        }
        assert!(
            gate.running.log().iter().all(|line| !line.contains(SECRET) && !line.contains("upstream-token"))
        );
    }
}

#[tokio::test]
async fn check_197_trace_context_goes_on_and_malformed_values_do_not() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let server = Scripted::start(|seen| match seen.method() {
        "tools/call" => Answer::text(seen, "done"),
        _ => modern_answers(seen, &tools()),
    })
    .await;
    let gate = Gate::before(server.config("modern")).await;
    let traced = |value: &str| Post::call(UP, "plain", json!({})).meta("traceparent", json!(value));
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    assert_eq!(gate.send(&traced(&parent)).await.said(), "done");
    let sent = server.of("tools/call")[0].meta("traceparent").clone();
    assert!(sent.as_str().is_some_and(|sent| sent.starts_with(&format!("00-{TRACE}-"))), "{sent}");
    for malformed in [
        "",
        "nonsense",
        "00-xyz-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
    ] {
        assert_eq!(gate.send(&traced(malformed)).await.said(), "done", "{malformed}");
        let calls = server.of("tools/call");
        let sent = calls.last().expect("a call").meta("traceparent");
        assert_ne!(sent, malformed, "a malformed value is ignored");
    }
}

/// A server that hears everything, says what it heard, and does not go away by itself.
const STUBBORN: &str = r#"
trap 'echo term >> ladder' TERM
while read -r line; do
  id=${line#*\"id\":}
  id=${id%%[,\}]*}
  case $line in
    *'"initialize"'*) result='{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}' ;;
    *'"tools/list"'*) result='{"tools":[{"name":"plain","inputSchema":{"type":"object"}}]}' ;;
    *) continue ;;
  esac
  echo "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":$result}"
done
echo closed >> ladder
while :; do sleep 0.05; done
"#;

#[tokio::test]
async fn check_199_a_child_is_asked_to_go_before_it_is_killed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(directory.path().join("stubborn.sh"), STUBBORN).expect("writable");
    let server = json!({
        "command": "/bin/sh", "args": ["stubborn.sh"], "cwd": directory.path(), "era": "legacy",
        "env": {"PATH": "/usr/bin:/bin"},
    });
    let gate = Gate::before(server).await;
    let listed = gate.ask(UP, "tools/list", json!({})).await.result();
    assert_eq!(listed["tools"][0]["name"], "plain");
    let children = children(gate.running.pid());
    assert!(!children.is_empty());
    gate.end().await;
    let ladder = std::fs::read_to_string(directory.path().join("ladder")).expect("the child went down it");
    assert_eq!(ladder, "closed\nterm\n");
    assert!(children.iter().all(|pid| !is_alive(*pid)), "killed at last");
}

#[tokio::test]
async fn the_door_over_stdio_speaks_both_eras_and_ends_with_its_client() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut door = Running::start(portreeve(), &["stdio", "--data", "data"], directory.path());
    let call = Post::call(DEMO, "echo", json!({"text": "modern text"})).id(json!("m"));
    door.write_line(&call.body().to_string()).await;
    let line = door.prints("modern text").await;
    let answer: Value = serde_json::from_str(&line).expect("one message a line");
    assert_eq!((&answer["id"], &answer["result"]["resultType"]), (&json!("m"), &json!("complete")));
    let hello = Session::initialize(DEMO, "2025-06-18", &json!({}));
    door.write_line(&hello.body().to_string()).await;
    door.prints("\"protocolVersion\":\"2025-06-18\"").await;
    door.write_line(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    let params = json!({"name": "echo", "arguments": {"text": "legacy text"}});
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    door.write_line(&call.to_string()).await;
    let line = door.prints("legacy text").await;
    assert!(!line.contains("resultType"), "{line}");
    door.close_stdin();
    assert!(door.ended().await.success());
}

#[tokio::test]
async fn check_200_junk_of_a_child_is_logged_and_harmless() {
    let child = old_child(|message| {
        vec![
            Does::Writes("Loading model weights, please wait".to_owned()),
            Does::Writes(String::new()),
            Does::Writes("{\"half\":".to_owned()),
            Does::result(message, json!({"content": [{"type": "text", "text": "done"}]})),
        ]
    })
    .await;
    let gate = Gate::before(child.config("legacy")).await;
    for _ in 0..2 {
        assert_eq!(gate.call(UP, "plain", json!({})).await.said(), "done");
    }
    gate.running.logs("Loading model weights").await;
    assert!(child.lines().iter().all(|(number, _)| *number == 0), "the child lives on");
}

#[tokio::test]
async fn check_201_sessions_survive_a_rotation_of_keys() {
    let [old, new] = ["old", "new"].map(|name| format!("{name}-seal-key-0123456789abcdef0123456789abcdef"));
    let mut directory = tempfile::tempdir().expect("a temporary directory");
    let mut sessions: Vec<String> = Vec::new();
    for (phase, keys, valid) in [
        ("the old one alone", vec![&old], vec![]),
        ("everybody can read the new one", vec![&old, &new], vec![true]),
        ("the new one is written", vec![&new, &old], vec![true, true]),
        ("the old one is gone", vec![&new], vec![false, false, true]),
    ] {
        let gate = Gate::of().server("demo", json!({"builtin": "demo"})).set("seal", json!({"keys": keys}));
        let gate = gate.start_in(directory).await;
        for (id, valid) in sessions.iter().zip(&valid) {
            let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
            let response = gate.send(&Post::json(DEMO, ping).header("Mcp-Session-Id", id)).await;
            assert_eq!(response.status, if *valid { 200 } else { 404 }, "{phase}");
        }
        assert_eq!(sessions.len(), valid.len(), "{phase}");
        sessions.push(Session::open(gate.address, DEMO, "2025-11-25", json!({})).await.id);
        directory = gate.end().await;
    }
}

#[tokio::test]
async fn check_202_the_end_is_told_and_leaves_no_child() {
    let gate = Gate::of()
        .server("demo", json!({"builtin": "demo"}))
        .server("child", demo_stdio("legacy"))
        .start()
        .await;
    assert_eq!(gate.call("/mcp/child", "echo", json!({"text": "x"})).await.said(), "x");
    let children = children(gate.running.pid());
    assert!(!children.is_empty(), "the server is a child of the gate");
    let filter = json!({"notifications": {"toolsListChanged": true}});
    let listen = Post::modern(DEMO, "subscriptions/listen", filter).id(json!("l"));
    let (head, mut stream) = listen.open(gate.address).await;
    assert_eq!(head.status, 200);
    let first = stream.event().await.expect("an acknowledgement");
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
    let ask = Post::call("/mcp/child", "ask_name", json!({})).capable(json!({"elicitation": {}}));
    assert_eq!(gate.send(&ask).await.result()["resultType"], "input_required", "a call is parked");
    gate.running.terminate();
    let last = stream.event().await.expect("the result of the listen");
    assert_eq!((&last["id"], last["result"].is_object()), (&json!("l"), true), "{last}");
    assert_eq!(stream.event().await, None);
    let mut running = gate.running;
    let status = running.ended().await;
    assert!(status.success(), "{status}: {:#?}", running.log());
    let alive: Vec<i32> = children.into_iter().filter(|pid| is_alive(*pid)).collect();
    assert!(alive.is_empty(), "{alive:?}");
}

#[tokio::test]
async fn check_202_parked_calls_expire_in_order() {
    let child = old_child(|_| {
        let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}});
        let params = json!({"message": "Who?", "requestedSchema": schema});
        vec![Does::Says(
            json!({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": params}),
        )]
    })
    .await;
    let gate = Gate::before(child.config("legacy")).await;
    let ask = Post::call(UP, "plain", json!({})).capable(json!({"elicitation": {}}));
    assert_eq!(gate.send(&ask).await.result()["resultType"], "input_required");
    gate.running.terminate();
    child.until("the cancellation", |line| line["method"] == "notifications/cancelled").await;
    let lines = child.lines();
    let call =
        lines.iter().find(|(_, line)| line["method"] == "tools/call").expect("the call").1["id"].clone();
    let answered = lines.iter().position(|(_, line)| line["id"] == "q").expect("the question is answered");
    assert_eq!(lines[answered].1["result"]["action"], "cancel", "{lines:?}");
    let cancelled = lines.iter().position(|(_, line)| line["method"] == "notifications/cancelled");
    let cancelled = cancelled.expect("the call is cancelled");
    assert_eq!(lines[cancelled].1["params"]["requestId"], call);
    assert!(answered < cancelled, "first the question, then the call: {lines:?}");
}

/// The processes below this one, whatever their depth.
pub(super) fn children(pid: i32) -> Vec<i32> {
    let mut found = Vec::new();
    let mut left = vec![pid];
    while let Some(pid) = left.pop() {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a running process");
        for thread in threads.flatten() {
            let own = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            let own = own.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok());
            for child in own {
                found.push(child);
                left.push(child);
            }
        }
    }
    found
}

pub(super) fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Behind the name, which is in brackets, stands the state; Z is a body that nobody fetched yet.
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}
