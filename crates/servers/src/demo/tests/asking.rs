//! Questions of the newer kinds: a page to open, a model that uses a tool.

use super::*;

const RICH: &str = r#"{"elicitation":{"form":{},"url":{}},"sampling":{"tools":{}}}"#;

async fn ask(version: Version, capabilities: &str, tool: &str, arguments: Value, answers: &[Value]) -> Story {
    let params = json!({"name": tool, "arguments": arguments});
    run(&Demo::new().unwrap(), ctx(version, capabilities), "tools/call", params, answers).await
}

#[tokio::test(start_paused = true)]
async fn a_page_has_an_id_only_where_the_revision_has_one() {
    for version in BOTH {
        let agreed = [json!({"action": "accept"})];
        let story = ask(version, RICH, "open_page", json!({}), &agreed).await;
        assert_eq!(story.text(), "You went to https://example.com/", "{version}");
        let (method, question) = &story.asked[0];
        assert_eq!((method.as_str(), &question["mode"]), ("elicitation/create", &json!("url")));
        assert_eq!(question["url"], "https://example.com/");
        let id = &question["elicitationId"];
        let told = vec![("notifications/elicitation/complete".to_owned(), json!({"elicitationId": id}))];
        if version == LEGACY {
            assert!(id.is_string(), "{question}");
            assert_eq!(story.notifications, told);
        } else {
            assert!(id.is_null() && story.notifications.is_empty(), "{question}");
        }
        let refused = [json!({"action": "decline"})];
        let story = ask(version, RICH, "open_page", json!({}), &refused).await;
        assert_eq!(story.text(), "You declined to open it.", "{version}");
        assert!(story.notifications.is_empty(), "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_is_told_the_outcome_of_the_tool_that_it_uses() {
    let uses = |id: &str, input: Value| {
        let block = json!({"type": "tool_use", "id": id, "name": "sum", "input": input});
        json!({"role": "assistant", "model": "m", "stopReason": "toolUse", "content": [block]})
    };
    for version in BOTH {
        let answers = [
            uses("a", json!({"numbers": [1, 2.5]})),
            uses("b", json!({"numbers": "all"})),
            sample("It is three and a half"),
        ];
        let story = ask(version, RICH, "calculate", json!({"problem": "1 + 2.5"}), &answers).await;
        assert_eq!(story.text(), "Your model says: It is three and a half", "{version}");
        let turns: Vec<_> = story.asked.iter().map(|(_, question)| &question["messages"]).collect();
        assert_eq!(turns.iter().map(|turn| turn.as_array().unwrap().len()).collect::<Vec<_>>(), [1, 3, 5]);
        let outcome = |turn: usize, at: usize| turns[turn][at]["content"][0].clone();
        assert_eq!((&outcome(2, 1)["type"], &outcome(2, 1)["id"]), (&json!("tool_use"), &json!("a")));
        assert_eq!(outcome(2, 2)["toolUseId"], "a");
        assert_eq!(outcome(2, 2)["content"][0]["text"], "3.5");
        assert_eq!((&outcome(2, 4)["toolUseId"], &outcome(2, 4)["isError"]), (&json!("b"), &json!(true)));
        assert_eq!(story.asked[2].1["tools"][0]["name"], "sum");

        let forever = vec![uses("x", json!({"numbers": [1]})); 4];
        let story = ask(version, RICH, "calculate", json!({"problem": "1"}), &forever).await;
        assert_eq!(
            (story.text(), &story.result()["isError"]),
            ("your model went on using tools", &json!(true))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_was_not_declared_is_not_asked() {
    for (tool, arguments, less, named, needed) in [
        (
            "open_page",
            json!({}),
            r#"{"elicitation":{}}"#,
            "elicitation.url",
            json!({"elicitation": {"url": {}}}),
        ),
        (
            "calculate",
            json!({"problem": ""}),
            r#"{"sampling":{}}"#,
            "sampling.tools",
            json!({"sampling": {"tools": {}}}),
        ),
    ] {
        let story = ask(MODERN, less, tool, arguments.clone(), &[]).await;
        assert_eq!(story.code(), -32021, "{tool}");
        let data = story.end.unwrap().unwrap_err().data.unwrap().to_value();
        assert_eq!(data, json!({"requiredCapabilities": needed}));
        for (version, declared) in [(LEGACY, less), (Version::V2025_06_18, RICH)] {
            let story = ask(version, declared, tool, arguments.clone(), &[]).await;
            assert_eq!(story.text(), format!("this client does not offer {named}"), "{version}");
        }
    }
}
