//! Seventy servers at one address (reference: mcp.md 5.1, 5.2, 5.6): lists that say what is missing, calls that ask nobody else,
//! names that stay, and changes that are told. What is true of two servers is in `checks/aggregate.rs`.

use crate::harness::{
    Answer, Connection, Gate, GateBuilder, Place, Places, Post, Running, Scripted, Seen, demo_http, demo_sse,
    demo_stdio, modern_answers, soon,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

const ALL: &str = "/mcp";
const SMALL: usize = 55;
const LIST_CHANGED: &str = "notifications/tools/list_changed";

/// Seventy servers: ten demos over every transport in both eras, 55 small ones, three that are down, two that never answer.
struct Seventy {
    small: Scripted,
    slow: Scripted,
    _demos: Vec<Running>,
    config: Vec<(String, Value)>,
}

fn tool(name: &str) -> Value {
    json!({"name": name, "inputSchema": {"type": "object"}})
}

/// Many small servers in one: each path is one of its own.
fn small(request: &Seen) -> Answer {
    match request.method() {
        "tools/call" => Answer::text(request, &request.path),
        _ => modern_answers(request, &json!([tool("look"), tool("find")])),
    }
}

async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
    format!("http://{}/mcp", listener.local_addr().expect("a bound listener has an address"))
}

impl Seventy {
    async fn start() -> Self {
        let (small, slow) = (Scripted::start(small).await, Scripted::start(|_: &Seen| Answer::Silence).await);
        let (mut config, mut demos) = (Vec::new(), Vec::new());
        for (number, era) in ["legacy", "legacy", "modern", "modern"].into_iter().enumerate() {
            config.push((format!("child{number}"), demo_stdio(era)));
        }
        for (number, era) in ["legacy", "legacy", "modern", "modern"].into_iter().enumerate() {
            let (demo, url) = demo_http(era).await;
            demos.push(demo);
            config.push((format!("http{number}"), json!({"url": url})));
        }
        for number in 0..2 {
            let (demo, url) = demo_sse().await;
            demos.push(demo);
            config.push((format!("sse{number}"), json!({"url": url})));
        }
        for number in 0..SMALL {
            let url = format!("http://{}/s{number:02}", small.address);
            config.push((format!("small{number:02}"), json!({"url": url, "era": "modern"})));
        }
        for number in 0..3 {
            config.push((format!("down{number}"), json!({"url": nobody().await})));
        }
        for number in 0..2 {
            let url = format!("http://{}/slow{number}", slow.address);
            config.push((format!("slow{number}"), json!({"url": url})));
        }
        Self { small, slow, _demos: demos, config }
    }

    async fn gate(&self) -> Gate {
        let add = |gate: GateBuilder, (name, server): &(String, Value)| gate.server(name, server.clone());
        self.config.iter().fold(Gate::of(), add).start().await
    }
}

fn names(list: &Value) -> Vec<String> {
    let tools = list["tools"].as_array().expect("a list");
    tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
}

async fn list(gate: &Gate) -> Value {
    gate.ask(ALL, "tools/list", json!({})).await.result()
}

#[tokio::test]
async fn the_list_of_seventy_servers_is_complete_in_time_and_says_who_is_missing() {
    let seventy = Seventy::start().await;
    assert_eq!(seventy.config.len(), 70);
    let gate = seventy.gate().await;
    let began = Instant::now();
    let first = list(&gate).await;
    let waited = began.elapsed();
    let missing = json!(["down0", "down1", "down2", "slow0", "slow1"]);
    assert_eq!(first["_meta"]["portreeve/unavailable"], missing);
    assert!(
        first["ttlMs"].as_u64().is_some_and(|ttl| ttl <= 1000),
        "it may be complete soon: {}",
        first["ttlMs"]
    );
    let listed = names(&first);
    for (name, _) in
        seventy.config.iter().filter(|(name, _)| !missing.as_array().unwrap().contains(&json!(name)))
    {
        assert!(listed.iter().any(|tool| tool.starts_with(&format!("{name}_"))), "{name} is missing");
    }
    assert!(listed.contains(&"small54_find".to_owned()) && listed.contains(&"sse1_echo".to_owned()));
    // Once more, and nobody is asked anything.
    let asked = seventy.small.of("tools/list").len();
    let began = Instant::now();
    assert_eq!(names(&list(&gate).await), listed);
    assert_eq!(seventy.small.of("tools/list").len(), asked);
    eprintln!("the list of seventy: {waited:?} with two that never answer, then {:?}", began.elapsed());
    // The other era sees the same, under the same names, and so does everybody after a restart.
    let session = gate.session(ALL, json!({})).await;
    assert_eq!(names(&session.ask("tools/list", json!({})).await.result()), listed);
    gate.end().await;
    let again = seventy.gate().await;
    assert_eq!(names(&list(&again).await), listed);
}

#[tokio::test]
async fn a_call_asks_no_server_but_its_own() {
    let seventy = Seventy::start().await;
    let gate = seventy.gate().await;
    assert_eq!(gate.call(ALL, "small07_look", json!({})).await.said(), "/s07");
    let contacted: Vec<String> = seventy.small.seen().into_iter().map(|seen| seen.path).collect();
    assert!(contacted.iter().all(|path| path == "/s07"), "{contacted:?}");
    assert!(seventy.slow.seen().is_empty(), "nobody waited for those that never answer");
    assert_eq!(gate.call(ALL, "nobody_look", json!({})).await.refusal().1, -32602);
    assert!(seventy.slow.seen().is_empty());
    // For the reader: what the way through all seventy costs.
    let time = async |path: &str, tool: &str| {
        let mut connection = Connection::open(gate.address).await;
        let post = Post::call(path, tool, json!({}));
        let mut all = Vec::new();
        for _ in 0..50 {
            let began = Instant::now();
            assert_eq!(post.send_on(&mut connection).await.said(), "/s07");
            all.push(began.elapsed());
        }
        all.sort();
        all[all.len() / 2]
    };
    let (alone, together): (Duration, Duration) =
        (time("/mcp/small07", "look").await, time(ALL, "small07_look").await);
    let ratio = together.as_secs_f64() / alone.as_secs_f64();
    eprintln!("a call: {alone:?} at its own address, {together:?} through seventy, ratio {ratio:.2}");
}

#[tokio::test]
async fn a_server_that_comes_back_is_told_once_and_can_be_called() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
    let address = listener.local_addr().expect("a bound listener has an address");
    drop(listener);
    let gate = Gate::of()
        .server("away", json!({"url": format!("http://{address}/s1"), "era": "modern"}))
        .server("demo", json!({"builtin": "demo"}))
        .start()
        .await;
    assert_eq!(list(&gate).await["_meta"]["portreeve/unavailable"], json!(["away"]));
    let wanted = json!({"toolsListChanged": true, "resourceSubscriptions": ["demo://note"]});
    let listen = Post::modern(ALL, "subscriptions/listen", json!({"notifications": wanted}));
    let (_, mut stream) = listen.open(gate.address).await;
    let first = stream.event().await.expect("an acknowledgement");
    assert_eq!(first["params"]["notifications"], wanted);
    let session = gate.session(ALL, json!({})).await;
    let (_, mut legacy) = session.listen().await;
    // Its answer says that the watch behind this stream stands too, and has found the server away.
    session.ask("resources/subscribe", json!({"uri": "demo://note"})).await.result();
    let listener = TcpListener::bind(address).await.expect("nobody took the address");
    let _back = Scripted::start_on(listener, small);
    assert_eq!(stream.event().await.expect("a change")["method"], LIST_CHANGED);
    let now = list(&gate).await;
    assert_eq!(now["_meta"].get("portreeve/unavailable"), None);
    assert!(names(&now).contains(&"away_look".to_owned()));
    assert_eq!(gate.call(ALL, "away_look", json!({})).await.said(), "/s1");
    // What follows is the next thing that happens, and not the same again.
    gate.call(ALL, "demo_update_resource", json!({"text": "x"})).await.said();
    let next = stream.event().await.expect("an update");
    assert_eq!(
        (&next["method"], &next["params"]["uri"]),
        (&json!("notifications/resources/updated"), &json!("demo://note"))
    );
    assert_eq!(legacy.event().await.expect("a change")["method"], LIST_CHANGED);
}

#[tokio::test]
async fn changes_of_any_server_reach_clients_of_both_eras() {
    let places = Places::start(&[Place::StdioLegacy, Place::HttpModern, Place::BuiltIn]).await;
    let gate = &places.gate;
    let wanted = json!({"promptsListChanged": true});
    let listen = Post::modern(ALL, "subscriptions/listen", json!({"notifications": wanted}));
    let (_, mut stream) = listen.open(gate.address).await;
    assert_eq!(stream.event().await.expect("an acknowledgement")["params"]["notifications"], wanted);
    let session = gate.session(ALL, json!({})).await;
    assert_eq!(session.initialized["capabilities"]["prompts"], json!({"listChanged": true}));
    assert_eq!(
        session.initialized["capabilities"]["resources"],
        json!({"listChanged": true, "subscribe": true})
    );
    let (_, mut legacy) = session.listen().await;
    session.ask("resources/subscribe", json!({"uri": "demo://note"})).await.result();
    for server in ["stdio-legacy", "http-modern", "built-in"] {
        gate.call(ALL, &format!("{server}_change_list"), json!({"list": "prompts"})).await.said();
        let told = stream.event().await.expect("a change");
        assert_eq!(told["method"], "notifications/prompts/list_changed", "{server}");
        let told = legacy.event().await.expect("a change");
        assert_eq!(told["method"], "notifications/prompts/list_changed", "{server}");
    }
    // All of them have this one: it is the first one's, and its changes alone are told.
    gate.call(ALL, "stdio-legacy_update_resource", json!({"text": "x"})).await.said();
    gate.call(ALL, "built-in_update_resource", json!({"text": "x"})).await.said();
    let told = legacy.event().await.expect("an update");
    assert_eq!(
        (&told["method"], &told["params"]["uri"]),
        (&json!("notifications/resources/updated"), &json!("demo://note"))
    );
    session.ask("resources/unsubscribe", json!({"uri": "demo://note"})).await.result();
}

#[tokio::test]
async fn a_question_says_which_server_asks() {
    let places = Places::start(&[Place::StdioLegacy, Place::HttpModern]).await;
    let gate = &places.gate;
    let able = json!({"elicitation": {"form": {}}});
    for server in ["stdio-legacy", "http-modern"] {
        let call = Post::call(ALL, &format!("{server}_ask_name"), json!({})).capable(able.clone());
        let asked = gate.send(&call).await.result();
        let questions = asked["inputRequests"].as_object().expect("questions");
        for (_, question) in questions {
            let message = question["params"]["message"].as_str().expect("a message");
            assert!(message.starts_with(&format!("{server}: ")), "{message}");
        }
        let session = gate.session(ALL, able.clone()).await;
        let (_, mut stream) = session.open_call(&format!("{server}_ask_name"), json!({})).await;
        let question = soon("a question", stream.event()).await.expect("a question");
        let message = question["params"]["message"].as_str().expect("a message");
        assert!(message.starts_with(&format!("{server}: ")), "{message}");
        let own = Post::call(&format!("/mcp/{server}"), "ask_name", json!({})).capable(able.clone());
        let asked = gate.send(&own).await.result();
        assert!(!asked["inputRequests"].to_string().contains(&format!("{server}: ")), "{asked}");
    }
}

#[tokio::test]
async fn a_uri_that_two_servers_have_is_told_apart_and_can_be_read() {
    let places = Places::start(&[Place::StdioLegacy, Place::HttpModern]).await;
    let gate = &places.gate;
    let list = gate.ask(ALL, "resources/list", json!({})).await.result();
    let uris: Vec<&str> = list["resources"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|item| item["uri"].as_str())
        .collect();
    for uri in ["demo://note", "stdio-legacy+demo://note"] {
        assert!(uris.contains(&uri), "{uris:?}");
        let read = gate.ask(ALL, "resources/read", json!({"uri": uri})).await.result();
        assert_eq!(read["contents"][0]["uri"], uri, "{read}");
    }
}
