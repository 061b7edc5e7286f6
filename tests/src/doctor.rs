//! `portreeve doctor`: what it says of servers that answer, and of twelve that do not.

use crate::harness::{Running, demo_sse, demo_stdio, portreeve, soon};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    path::Path,
    time::Duration,
};

/// Answers every request with these bytes; nothing at all where there are none. Ends with the test's process.
fn answering(bytes: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            // A client that goes is none of this server's business.
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            let mut head = [0; 4096];
            if bytes.is_empty() {
                held.push(stream);
            } else if stream.read(&mut head).is_ok() {
                let _ = stream.write_all(bytes.as_bytes());
            }
        }
    });
    address
}

fn shell(script: &str) -> Value {
    json!({"command": "/bin/sh", "args": ["-c", script], "timeouts": {"call": "2s"}})
}

/// Runs the command over a configuration; its exit code and what it prints.
async fn doctor(directory: &Path, config: &Value, arguments: &[&str]) -> (i32, String) {
    std::fs::write(directory.join("portreeve.yaml"), config.to_string()).unwrap();
    let arguments = [&["doctor", "--config", "portreeve.yaml", "--data", "data"], arguments].concat();
    let mut running = Running::start(portreeve(), &arguments, directory);
    running.close_stdin();
    let status = soon("the end of the command", running.ended()).await;
    (status.code().expect("it ends by itself"), running.printed().await)
}

#[tokio::test]
async fn servers_that_answer_are_described() {
    let (_demo, url) = demo_sse().await;
    let directory = tempfile::tempdir().unwrap();
    let config = json!({"servers": {
        "old": demo_stdio("legacy"), "new": demo_stdio("modern"), "sse": {"url": url}, "own": {"builtin": "demo"},
    }});
    let (code, text) = doctor(directory.path(), &config, &["--json"]).await;
    assert_eq!(code, 0, "{text}");
    let said: Value = serde_json::from_str(&text).unwrap();
    let row = |place: usize| {
        let server = &said["servers"][place];
        let counted = server["counts"]["tools"].as_u64().unwrap() > 5;
        json!([server["server"], server["transport"], server["revision"], server["era"], counted])
    };
    assert_eq!(row(0), json!(["old", "stdio", "2025-11-25", "legacy", true]));
    assert_eq!(row(1), json!(["new", "stdio", "2026-07-28", "modern", true]));
    assert_eq!(row(2), json!(["sse", "http+sse", "2025-11-25", "legacy", true]));
    assert_eq!(row(3), json!(["own", "built in", "2026-07-28", "both", true]));
    let (_, table) = doctor(directory.path(), &config, &["new"]).await;
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "server  transport        revision    era     what");
    assert!(lines[1].starts_with("new     stdio            2026-07-28  modern  portreeve-demo "), "{table}");
    assert_eq!(lines.last(), Some(&"1 servers, all answer"));
}

const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const UNAUTHORIZED: &str =
    "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const HTML: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\nConnection: close\r\n\r\n<html></html>";
const TOKEN: &str = "echo 'Error: API_TOKEN is required (got sk-abc0123456789abcdef0123)' >&2; exit 1";
const NOISE: &str = "while :; do echo hello there; read line; done";

/// A broken set-up: its name, the server, the code, and words of what is said and of the mend.
type Row = (&'static str, Value, &'static str, &'static str, &'static str);

fn at(url: String) -> Value {
    json!({"url": url, "timeouts": {"call": "2s"}})
}

/// Servers behind a URL.
fn faulty_remotes() -> Vec<Row> {
    let http = |bytes: &'static str| at(format!("http://{}/mcp", answering(bytes)));
    let tls = at(format!("https://{}/mcp", answering(NOT_FOUND)));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = at(format!("http://{closed}/mcp"));
    let mut through_nothing = http(NOT_FOUND);
    through_nothing["proxy"] = json!("http://127.0.0.1:1");
    vec![
        ("wrong-url", http(NOT_FOUND), "wrong-url", "no MCP endpoint at this address", "mend the path"),
        ("unauthorized", http(UNAUTHORIZED), "unauthorized", "none is configured", "set `credential:"),
        ("tls", tls, "tls", "no secure connection", "write `http://`"),
        ("html", http(HTML), "html", "a web page instead of MCP", "the address of the MCP endpoint"),
        ("hangs", http(""), "hangs", "does not answer within 2s", "`--timeout`"),
        ("closed", closed, "closed", "nothing listens at", "mend host and port"),
        ("proxy", through_nothing, "proxy", "does not let the gate through", "proxy: none"),
        ("loops", at("http://127.0.0.1:8484/mcp".to_owned()), "loop", "this gate's own", "the server itself"),
    ]
}

/// Servers that are started.
fn faulty_children() -> Vec<Row> {
    let absent = json!({"command": "/no/such/program"});
    let silent = json!({"command": "/bin/sleep", "args": ["60"], "timeouts": {"call": "2s"}});
    let old = shell("echo 'SyntaxError: Unexpected token ??=' >&2; exit 1");
    let mut wrong_era = demo_stdio("legacy");
    wrong_era["era"] = json!("modern");
    vec![
        ("wrong-path", absent, "not-found", "/no/such/program", "write its whole path"),
        ("wrong-era", wrong_era, "wrong-era", "speaks an older revision", "take `era` away"),
        ("silent", silent, "hangs", "within 2s", "by hand"),
        ("junk", shell(NOISE), "junk", "no message on stdout", "log to stderr"),
        ("token", shell(TOKEN), "needs-token", "wants a token or key", "under `env`"),
        ("old-node", old, "old-runtime", "runtime is too old", "update the runtime"),
    ]
}

#[tokio::test]
async fn fourteen_faults_are_named_with_their_mend() {
    let rows = [faulty_children(), faulty_remotes()].concat();
    let directory = tempfile::tempdir().unwrap();
    let servers: serde_json::Map<_, _> = rows.iter().map(|row| (row.0.to_owned(), row.1.clone())).collect();
    let (code, text) = doctor(directory.path(), &json!({ "servers": servers }), &["--json"]).await;
    assert_eq!(code, 3, "{text}");
    assert!(!text.contains("sk-abc0123456789abcdef0123"), "what looks like a secret is not shown: {text}");
    let said: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    for (place, (name, _, code, what, mend)) in rows.iter().enumerate() {
        let found = &said["servers"][place];
        let fault = &found["fault"];
        println!("{name:14} {:13} {}", fault["code"].as_str().unwrap(), fault["what"].as_str().unwrap());
        assert_eq!((&found["server"], &fault["code"]), (&json!(name), &json!(code)), "{found:#}");
        assert!(fault["what"].as_str().unwrap().contains(what), "{found:#}");
        assert!(fault["mend"].as_str().unwrap().contains(mend), "{found:#}");
    }
}

#[tokio::test]
async fn faults_read_well_on_a_terminal() {
    let directory = tempfile::tempdir().unwrap();
    let config = json!({"servers": {"token": shell(TOKEN), "lost": {"command": "/no/such/program"}}});
    let (_, table) = doctor(directory.path(), &config, &["token", "lost"]).await;
    let expected = "\
server  transport        revision    era     what
token   stdio            -           -       FAULT: it ends at once: it wants a token or key
        said: Error: API_TOKEN is required (got …
        mend: give it what it wants under `env`, such as `TOKEN: \"${env:TOKEN}\"`: children see nothing else of the environment
lost    stdio            -           -       FAULT: the command `/no/such/program` was not found in the file system
        mend: install the program, or write its whole path in `command`

2 servers, 2 with a fault
";
    assert_eq!(table, expected);
}
