//! The door for people and scripts, `/api/v1/tools`: what it lists, what a call says, and every status that it has. What a
//! caller may do here is what they may do with an MCP client.

use crate::harness::{Answer, Gate, Response, Scripted, modern_answers};
use serde_json::{Value, json};

const ANNA: &str = "Authorization: Bearer anna-0123456789abcdef";
const CARL: &str = "Authorization: Bearer carl-0123456789abcdef";

fn keys() -> Value {
    json!([
        {"name": "anna", "secret": "anna-0123456789abcdef", "allow": [{"server": "*"}]},
        {"name": "carl", "secret": "carl-0123456789abcdef", "allow": [{"server": "up", "tools": ["e*"]}]},
    ])
}

/// One request, with these header lines.
async fn send(gate: &Gate, verb: &str, path: &str, headers: &[&str], body: &str) -> Response {
    let mut head = format!("{verb} {path} HTTP/1.1\r\nHost: {}\r\n", gate.address);
    for header in headers {
        head.push_str(&format!("{header}\r\n"));
    }
    if verb == "POST" {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    gate.raw(format!("{head}\r\n{body}").as_bytes()).await
}

async fn get(gate: &Gate, path: &str) -> Response {
    send(gate, "GET", path, &[], "").await
}

async fn post(gate: &Gate, path: &str, body: &Value) -> Response {
    send(gate, "POST", path, &["Content-Type: application/json"], &body.to_string()).await
}

/// `server/tool` of each tool in a list.
fn names(list: &Value) -> Vec<String> {
    let name = |tool: &Value| {
        format!("{}/{}", tool["server"].as_str().expect("a server"), tool["name"].as_str().expect("a name"))
    };
    list["tools"].as_array().expect("tools").iter().map(name).collect()
}

#[tokio::test]
async fn tools_are_listed_described_and_called() {
    let gate = Gate::demo().await;
    let all = get(&gate, "/api/v1/tools").await;
    assert_eq!(all.status, 200);
    assert_eq!(all.header("content-type"), Some("application/json"));
    let all = all.json();
    assert_eq!(all["unavailable"], json!([]));
    assert!(names(&all).contains(&"demo/add".to_owned()), "{all}");
    assert_eq!(get(&gate, "/api/v1/tools/demo").await.json()["tools"], all["tools"]);
    let add = get(&gate, "/api/v1/tools/demo/add").await.json();
    assert_eq!((&add["server"], &add["name"]), (&json!("demo"), &json!("add")));
    assert_eq!(add["inputSchema"]["required"], json!(["a", "b"]));

    let sum = post(&gate, "/api/v1/tools/demo/add", &json!({"a": 2, "b": 40})).await;
    assert_eq!(sum.status, 200);
    assert_eq!(sum.json()["structuredContent"], json!({"sum": 42}));
    let hello =
        send(&gate, "POST", "/api/v1/tools/demo/hello", &["Content-Type: application/json"], "").await;
    assert_eq!(hello.status, 200, "a call without arguments needs no body: {}", hello.text());
    let large = post(&gate, "/api/v1/tools/demo/large_text", &json!({"kilobytes": 2048})).await;
    let text = large.json()["content"][0]["text"].as_str().map(str::len);
    assert_eq!(text, Some(2048 << 10), "a large result arrives whole");
}

#[tokio::test]
async fn a_tool_that_fails_says_so_by_its_status_too() {
    let gate = Gate::demo().await;
    let failed = post(&gate, "/api/v1/tools/demo/fail", &json!({"message": "no paper"})).await;
    assert_eq!(failed.status, 422);
    assert_eq!(failed.json()["isError"], json!(true));
    assert!(failed.text().contains("no paper"), "{}", failed.text());
}

#[tokio::test]
async fn progress_and_logs_of_a_call_are_no_part_of_its_answer() {
    let gate = Gate::demo().await;
    let done = post(&gate, "/api/v1/tools/demo/countdown", &json!({"steps": 3, "interval_ms": 1})).await;
    assert_eq!(done.status, 200);
    assert!(done.json()["content"].is_array(), "{}", done.text());
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_by_its_status() {
    const JSON: &str = "Content-Type: application/json";
    let gate = Gate::demo().await;
    let rows: [(&str, &str, &[&str], &str, u16); 19] = [
        ("GET", "/api/v1/tools/", &[], "", 404),
        ("GET", "/api/v1/tools/other", &[], "", 404),
        ("GET", "/api/v1/tools/demo/none", &[], "", 404),
        ("GET", "/api/v1/tools/demo/%zz", &[], "", 404),
        ("GET", "/api/v1/tools/demo/%ff", &[], "", 400),
        ("GET", "/api/v1/tools?token=x", &[], "", 400),
        ("GET", "/api/v1/tools", &["Accept: text/html"], "", 406),
        ("GET", "/api/v1/tools", &["Origin: https://evil.example.com"], "", 403),
        ("DELETE", "/api/v1/tools", &[], "", 405),
        ("POST", "/api/v1/tools", &[JSON], "{}", 405),
        ("POST", "/api/v1/tools/demo", &[JSON], "{}", 405),
        ("PUT", "/api/v1/tools/demo/echo", &[], "", 405),
        ("POST", "/api/v1/tools/demo/none", &[JSON], "{}", 404),
        ("POST", "/api/v1/tools/other/echo", &[JSON], "{}", 404),
        ("POST", "/api/v1/tools/demo/echo", &[], r#"{"text":"x"}"#, 415),
        ("POST", "/api/v1/tools/demo/echo", &["Content-Type: text/plain"], r#"{"text":"x"}"#, 415),
        ("POST", "/api/v1/tools/demo/echo", &[JSON], "[1]", 400),
        ("POST", "/api/v1/tools/demo/echo", &[JSON], r#"{"text":"#, 400),
        ("POST", "/api/v1/tools/demo/ask_name", &[JSON], "{}", 501),
    ];
    for (verb, path, headers, body, status) in rows {
        let response = send(&gate, verb, path, headers, body).await;
        assert_eq!(response.status, status, "{verb} {path} {body}: {}", response.text());
        assert!(response.json()["error"].is_string(), "{verb} {path}: {}", response.text());
        assert_eq!(status == 405, response.header("allow").is_some(), "{verb} {path}");
    }
}

#[tokio::test]
async fn a_caller_sees_and_does_what_their_key_allows() {
    let gate = Gate::of()
        .server("up", json!({"builtin": "demo"}))
        .server("other", json!({"builtin": "demo"}))
        .set("keys", keys())
        .start()
        .await;
    let nobody = get(&gate, "/api/v1/tools").await;
    assert_eq!((nobody.status, nobody.header("www-authenticate")), (401, Some("Bearer")));
    let all = send(&gate, "GET", "/api/v1/tools", &[CARL], "").await.json();
    assert_eq!(names(&all), ["up/echo"]);
    let all = send(&gate, "GET", "/api/v1/tools", &[ANNA], "").await.json();
    assert!(names(&all).contains(&"other/add".to_owned()), "{all}");

    let json = "Content-Type: application/json";
    let rows = [("up/echo", 200), ("up/add", 404), ("up/none", 404), ("other/echo", 404)];
    for (tool, status) in rows {
        let body = r#"{"text":"x","a":1,"b":2}"#;
        let path = format!("/api/v1/tools/{tool}");
        let response = send(&gate, "POST", &path, &[CARL, json], body).await;
        assert_eq!(response.status, status, "{tool}: {}", response.text());
    }
}

#[tokio::test]
async fn troubles_of_a_server_are_told_apart_and_hide_no_other_server() {
    let tools = json!([{"name": "tool", "inputSchema": {"type": "object"}}]);
    let faulty = Scripted::start(move |request| {
        if request.method() != "tools/call" {
            return modern_answers(request, &tools);
        }
        match request.body["params"]["arguments"]["fault"].as_str() {
            Some("closes") => Answer::Close,
            Some("hangs") => Answer::Silence,
            Some("refuses") => Answer::error(request, 200, -32602, "the date is not a date"),
            _ => Answer::error(request, 200, -32000, "out of ink"),
        }
    })
    .await;
    let mut config = faulty.config("modern");
    config["timeouts"] = json!({"call": "300ms"});
    let gate = Gate::of()
        .server("faulty", config)
        .server("down", json!({"url": "http://127.0.0.1:9/mcp", "era": "modern"}))
        .server("demo", json!({"builtin": "demo"}))
        .start()
        .await;
    let rows = [
        ("faulty/tool", "closes", 502, -31004),
        ("faulty/tool", "hangs", 504, -31003),
        ("faulty/tool", "refuses", 400, -32602),
        ("faulty/tool", "other", 502, -32000),
        ("down/tool", "", 503, -31001),
    ];
    for (tool, fault, status, code) in rows {
        let response = post(&gate, &format!("/api/v1/tools/{tool}"), &json!({ "fault": fault })).await;
        let body = response.json();
        assert_eq!((response.status, &body["code"]), (status, &json!(code)), "{tool} {fault}: {body}");
    }
    assert_eq!(get(&gate, "/api/v1/tools/down").await.status, 503);
    let all = get(&gate, "/api/v1/tools").await.json();
    let missing = all["unavailable"].as_array().expect("a list");
    assert_eq!(missing.len(), 1, "{all}");
    assert_eq!((&missing[0]["server"], &missing[0]["code"]), (&json!("down"), &json!(-31001)));
    assert!(missing[0]["error"].is_string());
    let names = names(&all);
    assert!(names.contains(&"faulty/tool".to_owned()) && names.contains(&"demo/add".to_owned()), "{names:?}");
}

#[tokio::test]
async fn who_calls_too_often_is_told_when_to_come_back() {
    let gate = Gate::of()
        .server("demo", json!({"builtin": "demo"}))
        .set("keys", json!([keys()[0]]))
        .set("limits", json!({"calls_per_minute": 1}))
        .start()
        .await;
    let call = async || {
        let headers = [ANNA, "Content-Type: application/json"];
        send(&gate, "POST", "/api/v1/tools/demo/echo", &headers, r#"{"text":"x"}"#).await
    };
    assert_eq!(call().await.status, 200);
    let refused = call().await;
    assert_eq!((refused.status, refused.json()["code"].as_i64()), (429, Some(-31012)));
    let wait: u64 = refused.header("retry-after").expect("a delay").parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
}
