//! The configuration changes while the gate runs (decision D53): no call is lost, what stays the same stays, what cannot be used
//! is refused whole and named.

use crate::harness::{Connection, Gate, Post, Session, demo_stdio};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};
use tokio::task::JoinSet;

/// How often the configuration changes under load.
const CHANGES: usize = 200;

/// A configuration file that is exchanged as editors do it.
struct File {
    path: PathBuf,
    config: Value,
}

impl File {
    fn of(gate: &Gate) -> Self {
        let path = gate.directory().join("portreeve.yaml");
        let config = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        Self { path, config }
    }

    /// Writes it beside and renames it over.
    fn write(&self, text: &str) {
        let beside = self.path.with_extension("new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(&beside, &self.path).unwrap();
    }

    fn save(&self) {
        self.write(&self.config.to_string());
    }
}

/// How many log lines say this.
fn said(gate: &Gate, what: &str) -> usize {
    gate.running.log().iter().filter(|line| line.contains(what)).count()
}

const APPLIED: &str = "the configuration was read again";
const REFUSED: &str = "the changed configuration is refused";

/// Waits until a change has been taken up.
async fn taken(gate: &Gate, line: &str, times: usize) {
    gate.running.logs_times(line, times).await;
}

#[tokio::test]
async fn servers_come_change_and_go_and_listeners_hear_of_it() {
    let gate = Gate::of().server("a", demo_stdio("legacy")).start().await;
    let mut file = File::of(&gate);
    let session = gate.session("/mcp/a", json!({})).await;
    let (_, mut stream) = session.listen().await;
    assert_eq!(gate.call("/mcp/b", "echo", json!({"text": "x"})).await.status, 404);

    file.config["servers"]["b"] = json!({"builtin": "demo"});
    file.save();
    taken(&gate, APPLIED, 1).await;
    assert_eq!(gate.call("/mcp/b", "echo", json!({"text": "b"})).await.said(), "b");

    // The same server with another setting: its session goes on, and hears that its lists may have changed.
    file.config["servers"]["a"]["timeouts"] = json!({"call": "119s"});
    file.save();
    taken(&gate, APPLIED, 2).await;
    let mut told = stream.event().await.expect("the change is told");
    while told["method"] != "notifications/tools/list_changed" {
        told = stream.event().await.expect("the change is told");
    }
    assert_eq!(session.call("echo", json!({"text": "still"})).await.said(), "still");

    file.config["servers"].as_object_mut().unwrap().remove("a");
    file.save();
    taken(&gate, APPLIED, 3).await;
    assert_eq!(session.call("echo", json!({"text": "gone"})).await.status, 404);
    stream.events().await;
}

#[tokio::test]
async fn rules_and_keys_hold_from_the_next_call_on() {
    let gate = Gate::demo().await;
    let mut file = File::of(&gate);
    let list = || async { gate.ask("/mcp/demo", "tools/list", json!({})).await };
    assert!(list().await.text().contains("\"countdown\""));
    file.config["servers"]["demo"]["tools"] = json!({"deny": ["count*"]});
    file.save();
    taken(&gate, APPLIED, 1).await;
    assert!(
        !list().await.text().contains("\"countdown\""),
        "the ready bytes of the older rules are not used"
    );
    assert_eq!(gate.call("/mcp/demo", "countdown", json!({})).await.refusal().1, -32602);
    file.config["keys"] =
        json!([{"name": "ci", "secret": "a-secret-that-is-long-enough-0123", "allow": [{"server": "demo"}]}]);
    file.save();
    taken(&gate, APPLIED, 2).await;
    assert_eq!(list().await.status, 401);
    let with = Post::modern("/mcp/demo", "tools/list", json!({}))
        .header("Authorization", "Bearer a-secret-that-is-long-enough-0123");
    assert_eq!(gate.send(&with).await.status, 200);
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_whole_and_named() {
    let gate = Gate::demo().await;
    let mut file = File::of(&gate);
    file.write("servers:\n  demo: {builtin: demo}\n  more: {builtin: demo, isolatoin: shared}\nlistne: x\n");
    taken(&gate, REFUSED, 1).await;
    taken(&gate, "portreeve.yaml:3:", 1).await;
    taken(&gate, "did you mean `isolation`?", 1).await;
    taken(&gate, "portreeve.yaml:4:1", 1).await;
    assert_eq!(gate.call("/mcp/demo", "echo", json!({"text": "on"})).await.said(), "on");
    assert_eq!(
        gate.call("/mcp/more", "echo", json!({"text": "x"})).await.status,
        404,
        "no part of it is used"
    );

    // What needs another start is said and does not stand in the way of the rest.
    file.config["public_url"] = json!("https://gate.example.com");
    file.config["servers"]["more"] = json!({"builtin": "demo"});
    file.save();
    taken(&gate, APPLIED, 1).await;
    taken(&gate, "public_url: what changed here has no effect before the gate is started again", 1).await;
    assert_eq!(gate.call("/mcp/more", "echo", json!({"text": "more"})).await.said(), "more");
}

#[tokio::test]
async fn a_secret_in_a_file_and_the_links_of_a_config_map_are_watched() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().to_owned();
    let place = |version: &str, config: &Value, token: &str| {
        let real = root.join(version);
        std::fs::create_dir(&real).unwrap();
        std::fs::write(real.join("portreeve.yaml"), config.to_string()).unwrap();
        std::fs::write(real.join("token"), token).unwrap();
        // As the kubelet does it: a link beside, renamed over the one that is used.
        let beside = root.join("..data_tmp");
        std::os::unix::fs::symlink(&real, &beside).unwrap();
        std::fs::rename(&beside, root.join("..data")).unwrap();
    };
    let key = json!([{"name": "ci", "secret": "${file:token}", "allow": [{"server": "demo"}]}]);
    let config = json!({
        "listen": "127.0.0.1:0", "keys": key, "servers": {"demo": {"builtin": "demo"}}, "log": {"format": "json"},
    });
    let place = |version: &str, token: &str| place(version, &config, token);
    place("..one", "the-first-secret-0123456789-0123\n");
    for name in ["portreeve.yaml", "token"] {
        std::os::unix::fs::symlink(Path::new("..data").join(name), root.join(name)).unwrap();
    }
    let gate = Gate::over(directory).await;
    let address = gate.address;
    let status = |secret: &'static str| {
        let post = Post::modern("/mcp/demo", "tools/list", json!({}));
        let post = post.header("Authorization", &format!("Bearer {secret}"));
        async move { post.send(address).await.status }
    };
    assert_eq!(status("the-first-secret-0123456789-0123").await, 200);
    place("..two", "another-secret-0123456789-01234\n");
    taken(&gate, APPLIED, 1).await;
    assert_eq!(status("the-first-secret-0123456789-0123").await, 401);
    assert_eq!(status("another-secret-0123456789-01234").await, 200);
}

/// Calls without a pause until it is told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
    failed: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Load {
    async fn modern(self, address: SocketAddr, path: &'static str, tool: &'static str) {
        let mut connection = Connection::open(address).await;
        let post = Post::call(path, tool, json!({"text": "x"}));
        while !self.stop.load(Ordering::Relaxed) {
            let response = post.send_on(&mut connection).await;
            self.count(path, response.status == 200 && response.text().contains("\"x\""), response.text());
        }
    }

    async fn legacy(self, address: SocketAddr, path: &'static str) {
        let session = Session::open(address, path, "2025-11-25", json!({})).await;
        let mut connection = Connection::open(address).await;
        while !self.stop.load(Ordering::Relaxed) {
            let post = session.request("tools/call", json!({"name": "echo", "arguments": {"text": "x"}}));
            let response = post.send_on(&mut connection).await;
            self.count(path, response.status == 200 && response.text().contains("\"x\""), response.text());
        }
    }

    fn count(&self, path: &str, good: bool, text: &str) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if !good {
            self.failed.lock().unwrap().push(format!("{path}: {text}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_changes_under_load_cost_no_call() {
    let gate = Gate::of()
        .server("stays", demo_stdio("legacy"))
        .server("modern", demo_stdio("modern"))
        .server("changes", json!({"builtin": "demo"}))
        .start()
        .await;
    let mut file = File::of(&gate);
    let (stop, calls, failed) = (Arc::default(), Arc::new(AtomicUsize::new(0)), Arc::default());
    let load = || Load { stop: Arc::clone(&stop), calls: Arc::clone(&calls), failed: Arc::clone(&failed) };
    let address = gate.address;
    let mut clients = JoinSet::new();
    clients.spawn(load().modern(address, "/mcp/stays", "echo"));
    clients.spawn(load().modern(address, "/mcp/changes", "echo"));
    clients.spawn(load().modern(address, "/mcp", "modern_echo"));
    clients.spawn(load().legacy(address, "/mcp/stays"));
    clients.spawn(load().legacy(address, "/mcp/modern"));
    clients.spawn(load().legacy(address, "/mcp/changes"));
    // One call that is held the whole time, at a server that is exchanged under it again and again.
    let held = gate.session("/mcp/changes", json!({"elicitation": {}})).await;
    let (_, mut call) = held.open_call("ask_name", json!({})).await;
    let asked = call.event().await.expect("the question");
    let mut refused = 0;
    for change in 0..CHANGES {
        match change % 4 {
            0 => file.config["servers"]["comes"] = json!({"builtin": "demo"}),
            1 => {
                let call = format!("{}s", 100 + change);
                file.config["servers"]["changes"]["timeouts"] = json!({ "call": call });
            }
            2 => drop(file.config["servers"].as_object_mut().unwrap().remove("comes")),
            _ => file.config["limits"] = json!({"calls_per_minute": 1000 + change}),
        }
        if change == CHANGES / 2 {
            file.write("servers: {stays: {comand: x}}");
            refused += 1;
            taken(&gate, REFUSED, refused).await;
        }
        file.save();
        taken(&gate, APPLIED, change + 1).await;
    }
    stop.store(true, Ordering::Relaxed);
    clients.join_all().await;
    held.answer(&asked, json!({"action": "accept", "content": {"name": "Ada"}})).await;
    assert!(call.event().await.expect("the answer").to_string().contains("Ada"));
    let (calls, failed) = (calls.load(Ordering::Relaxed), failed.lock().unwrap());
    println!(
        "{CHANGES} changes applied, {refused} refused, {calls} calls meanwhile, {} failed",
        failed.len()
    );
    assert!(failed.is_empty(), "{:#?}", &failed[..failed.len().min(5)]);
    assert!(calls > CHANGES, "there was no load");
    assert_eq!(said(&gate, REFUSED), refused);
}
