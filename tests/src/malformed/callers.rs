//! What is wrong with how a caller says who they are, at a gate that wants a key (RFC 6750; check 198).

use super::{DEMO, Expected, Kind, Row, problem};
use crate::harness::{Gate, Post};
use serde_json::json;

const KEY: &str = "anna-0123456789abcdef";

/// A gate with a key.
pub(super) async fn gate() -> Gate {
    let keys = json!([{"name": "anna", "secret": KEY, "allow": [{"server": "*"}]}]);
    Gate::of().server("demo", json!({"builtin": "demo"})).set("keys", keys).start().await
}

/// The call that succeeds there.
pub(super) fn good() -> Post {
    super::good().header("Authorization", &format!("Bearer {KEY}"))
}

fn unknown() -> Expected {
    problem(401, "a valid key is needed: `Authorization: Bearer <key>`")
}

pub(super) fn rows() -> Vec<Row> {
    [schemes(), several(), doors()].into_iter().flatten().collect()
}

/// Values that are not `Bearer` and one token.
fn schemes() -> Vec<Row> {
    let row = |name, value: &str| {
        Row::new(Kind::Caller, name, good().header("Authorization", value).bytes(), unknown())
    };
    vec![
        row("an empty credential", ""),
        row("a scheme without a credential", "Bearer"),
        row("a scheme and blanks", "Bearer   "),
        row("a credential without a scheme", KEY),
        row("another scheme", &format!("Token {KEY}")),
        row("a user and a password", "Basic YW5uYTphbm5hLTAxMjM0NTY3ODlhYmNkZWY="),
        row("a scheme that goes on", &format!("Bearers {KEY}")),
        row("no blank behind the scheme", &format!("Bearer:{KEY}")),
        row("a tab behind the scheme", &format!("Bearer\t{KEY}")),
        row("a credential in quotes", &format!("Bearer \"{KEY}\"")),
        row("a credential as a parameter", &format!("Bearer token={KEY}")),
        row("two credentials in one value", &format!("Bearer {KEY} {KEY}")),
        row("two credentials with a comma", &format!("Bearer {KEY},{KEY}")),
        row("two schemes in one value", &format!("Bearer {KEY}, Basic eDp5")),
        row("half a key", &format!("Bearer {}", &KEY[..KEY.len() / 2])),
        row("a key and more", &format!("Bearer {KEY}0")),
        row("a key in other letters", &format!("Bearer {}", KEY.to_uppercase())),
        row("a key beyond ASCII", &format!("Bearer {KEY}\u{f6}")),
    ]
}

/// More than one header, or the key somewhere else.
fn several() -> Vec<Row> {
    let row = |name, post: Post, expected| Row::new(Kind::Caller, name, post.bytes(), expected);
    let key = format!("Bearer {KEY}");
    vec![
        row("no credential", super::good(), unknown()),
        row("the same credential twice", good().and_header("Authorization", &key), unknown()),
        row("another credential behind", good().and_header("Authorization", "Bearer other"), unknown()),
        row(
            "another credential before",
            super::good().header("Authorization", "Bearer other").and_header("authorization", &key),
            unknown(),
        ),
        row("an empty credential behind", good().and_header("Authorization", ""), unknown()),
        row("a key for a proxy", super::good().header("Proxy-Authorization", &key), unknown()),
        row("a key in a header of its own", super::good().header("X-Api-Key", KEY), unknown()),
        row("a key in a cookie", super::good().header("Cookie", &format!("access_token={KEY}")), unknown()),
        row(
            "a key in the address too",
            good().path(&format!("{DEMO}?access_token={KEY}")),
            problem(400, "credentials belong in the Authorization header, never in the address"),
        ),
        row(
            "a key in the address of a server that is not there",
            super::good().path(&format!("/mcp/none?token={KEY}")),
            problem(400, "credentials belong in the Authorization header, never in the address"),
        ),
        row("no credential for a server that is not there", super::good().path("/mcp/none"), unknown()),
        row("no credential for a body that is no JSON", super::good().raw("{"), unknown()),
    ]
}

/// The same at the other doors.
fn doors() -> Vec<Row> {
    let row = |name, verb: &str, path: &str, line: &str| {
        let bytes = format!("{verb} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n{line}\r\n");
        Row::new(Kind::Caller, name, bytes, unknown())
    };
    let two = format!("Authorization: Bearer {KEY}\r\nAuthorization: Bearer {KEY}\r\n");
    let bare = format!("Authorization: {KEY}\r\n");
    vec![
        row("two credentials for the list of tools", "GET", "/api/v1/tools", &two),
        row("another scheme for a tool", "GET", "/api/v1/tools/demo/echo", "Authorization: Basic eDp5\r\n"),
        row("two credentials for a stream", "GET", "/sse/demo", &two),
        row("a credential without a scheme for a stream", "GET", "/sse/demo", &bare),
        row("two credentials at the address of all servers", "GET", "/mcp", &two),
    ]
}
