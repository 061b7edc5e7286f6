//! Modern envelope, headers and versions, towards clients (checks 1–43 but for those about servers behind the gate).

use crate::harness::{Gate, Post, Session};
use serde_json::json;

const DEMO: &str = "/mcp/demo";

#[tokio::test]
async fn check_057_both_eras_on_one_address_at_once() {
    let gate = Gate::demo().await;
    let session = Session::open(gate.address, DEMO, "2025-06-18", json!({})).await;
    assert_eq!(session.call("echo", json!({"text": "old"})).await.said(), "old");
    assert_eq!(gate.call(DEMO, "echo", json!({"text": "new"})).await.said(), "new");
    assert_eq!(Post::call(DEMO, "echo", json!({"text": "x"})).send(gate.address).await.said(), "x");
}
