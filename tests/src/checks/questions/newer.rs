//! The newer kinds of question, with the demo in every place and clients of both eras: a page to open, a model that
//! uses a tool of the server.

use super::{converse, converse_legacy, said};
use crate::harness::{Place, Places, Post};
use serde_json::{Value, json};

#[tokio::test]
async fn a_page_of_every_server_is_opened_by_every_client() {
    let places = Places::start(&Place::ALL).await;
    let offered = json!({"elicitation": {"form": {}, "url": {}}});
    for place in Place::ALL {
        let agree = |method: &str, params: &Value| {
            assert_eq!((method, &params["mode"]), ("elicitation/create", &json!("url")), "{place:?}");
            assert_eq!(params["url"], "https://example.com/", "{place:?}");
            json!({"action": "accept"})
        };
        let modern = |method: &str, params: &Value| {
            assert!(params.get("elicitationId").is_none(), "{place:?}: {params}");
            agree(method, params)
        };
        let call = Post::call(&place.path(), "open_page", json!({})).capable(offered.clone());
        let (response, rounds) = converse(&places.gate, call, modern).await;
        assert_eq!((response.said().as_str(), rounds), ("You went to https://example.com/", 1), "{place:?}");

        let session = places.gate.session(&place.path(), offered.clone()).await;
        let legacy = |method: &str, params: &Value| json!({"result": agree(method, params)});
        let all = converse_legacy(&places.gate, &session, "open_page", legacy).await;
        assert_eq!(said(&all[all.len() - 1]), "You went to https://example.com/", "{place:?}");
        let id = &all[0]["params"]["elicitationId"];
        assert!(id.is_string(), "{place:?}: {all:?}");
        let told = all.iter().find(|message| message["method"] == "notifications/elicitation/complete");
        let told = told.unwrap_or_else(|| panic!("{place:?}: nobody says that the page is done: {all:?}"));
        assert_eq!(&told["params"]["elicitationId"], id, "{place:?}");
    }
}

/// Uses the tool that it is given, then says what the tool said.
fn model(method: &str, params: &Value) -> Value {
    assert_eq!(method, "sampling/createMessage");
    assert_eq!(params["tools"][0]["name"], "sum");
    let messages = params["messages"].as_array().expect("messages");
    let last = &messages[messages.len() - 1]["content"];
    let block = last.as_array().map_or(last, |blocks| &blocks[0]);
    let (reason, content) = if block["type"] == "tool_result" {
        assert_eq!(block["toolUseId"], "use-1");
        ("endTurn", json!({"type": "text", "text": format!("It is {}", block["content"][0]["text"])}))
    } else {
        (
            "toolUse",
            json!({"type": "tool_use", "id": "use-1", "name": "sum", "input": {"numbers": [17.5, 24.5]}}),
        )
    };
    json!({"role": "assistant", "model": "m", "stopReason": reason, "content": content})
}

#[tokio::test]
async fn a_model_at_every_client_uses_a_tool_of_every_server() {
    let places = Places::start(&Place::ALL).await;
    let offered = json!({"sampling": {"tools": {}}});
    for place in Place::ALL {
        let call = Post::call(&place.path(), "calculate", json!({})).capable(offered.clone());
        let (response, rounds) = converse(&places.gate, call, model).await;
        assert_eq!((response.said().as_str(), rounds), ("Your model says: It is \"42\"", 2), "{place:?}");
        let session = places.gate.session(&place.path(), offered.clone()).await;
        let legacy = |method: &str, params: &Value| json!({"result": model(method, params)});
        let all = converse_legacy(&places.gate, &session, "calculate", legacy).await;
        assert_eq!(said(&all[all.len() - 1]), "Your model says: It is \"42\"", "{place:?}");
    }
}
