//! Results and lists, between the revisions.

use super::*;
use crate::Params;

#[track_caller]
fn check(method: &Method, result: &str, client: Version, server: Era, wanted: &str) {
    check_one(method, result, client, server, wanted);
    // Large results take shortcuts past the scan: they must come to the same.
    if let (Some(result), Some(wanted)) = (result.strip_suffix('}'), wanted.strip_suffix('}')) {
        let padded = |text: &str| {
            let comma = if text.trim_end() == "{" { "" } else { "," };
            format!(r#"{text}{comma}"pad":"{}"}}"#, "x".repeat(2000))
        };
        check_one(method, &padded(result), client, server, &padded(wanted));
    }
}

#[track_caller]
fn check_one(method: &Method, result: &str, client: Version, server: Era, wanted: &str) {
    let result = raw(result);
    let got = result_for_client(method, &result, client, server);
    if wanted == result.as_str() {
        untouched(&got, &result);
    } else {
        same(&got, wanted, &format!("{method:?} {result:?} from {server:?} to {client}"));
    }
}

#[test]
fn check_038_124_modern_clients_get_result_type_and_cache_hints() {
    let hints = r#"{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":[]}"#;
    for server in [Era::Modern, Era::Legacy] {
        check(&Method::ToolsCall, "{}", MODERN, server, r#"{"resultType":"complete"}"#);
        check(
            &Method::ToolsCall,
            r#"{ "content":[] }"#,
            MODERN,
            server,
            r#"{"resultType":"complete","content":[]}"#,
        );
        check(&Method::ToolsList, r#"{"tools":[]}"#, MODERN, server, hints);
        for method in [
            Method::Discover,
            Method::PromptsList,
            Method::ResourcesList,
            Method::ResourceTemplatesList,
            Method::ResourcesRead,
        ] {
            check(&method, r#"{"tools":[]}"#, MODERN, server, hints);
        }
        check(&Method::Complete, "[1]", MODERN, server, "[1]");
    }
}

#[test]
fn a_modern_result_for_a_modern_client_is_left_alone() {
    let rows = [
        (
            Method::ToolsCall,
            r#"{"resultType":"complete","content":[{"type":"audio"}],"_meta":{"io.modelcontextprotocol/serverInfo":{}}}"#,
        ),
        (Method::ToolsCall, r#"{"content":[],"resultType":"complete","structuredContent":5,"ttlMs":-1}"#),
        (Method::ToolsCall, r#"{"inputRequests":{},"resultType":"input_required"}"#),
        (Method::ResourcesRead, r#"{"resultType":"input_required","requestState":"x"}"#),
        (Method::ToolsList, r#"{"tools":[ ],"ttlMs":5000,"cacheScope":"public","resultType":"complete"}"#),
        (Method::Other(crate::Text::from("x/y")), r#"{"resultType":"task"}"#),
    ];
    for (method, result) in rows {
        check(&method, result, MODERN, Era::Modern, result);
    }
}

#[test]
fn bad_cache_hints_are_mended() {
    let rows = [
        (
            r#"{"resultType":"complete","ttlMs":-5,"cacheScope":"public"}"#,
            r#"{"resultType":"complete","ttlMs":0,"cacheScope":"public"}"#,
        ),
        (
            r#"{"resultType":"complete","ttlMs":1.5,"cacheScope":"all"}"#,
            r#"{"resultType":"complete","ttlMs":0,"cacheScope":"private"}"#,
        ),
        (
            r#"{"resultType":"complete","ttlMs":null,"cacheScope":"private"}"#,
            r#"{"resultType":"complete","ttlMs":0,"cacheScope":"private"}"#,
        ),
    ];
    for (result, wanted) in rows {
        check(&Method::ToolsList, result, MODERN, Era::Modern, wanted);
    }
}

#[test]
fn a_legacy_server_cannot_speak_as_a_modern_one() {
    let rows = [
        (
            Method::ToolsCall,
            r#"{"resultType":"input_required","requestState":"x"}"#,
            r#"{"resultType":"complete","requestState":"x"}"#,
        ),
        (Method::ToolsCall, r#"{"\u0072esultType":"task"}"#, r#"{"resultType":"complete"}"#),
        (
            Method::ToolsList,
            r#"{"tools":[],"ttlMs":9,"cacheScope":"public"}"#,
            r#"{"tools":[],"ttlMs":0,"cacheScope":"private","resultType":"complete"}"#,
        ),
        (
            Method::ToolsCall,
            r#"{"_meta":{"io.modelcontextprotocol/serverInfo":{},"com.example/a":1,"io.modelcontextprotocol/related-task":{},"io.modelcontextprotocol/model-immediate-response":"x"}}"#,
            r#"{"resultType":"complete","_meta":{"com.example/a":1,"io.modelcontextprotocol/related-task":{},"io.modelcontextprotocol/model-immediate-response":"x"}}"#,
        ),
        (
            Method::ToolsCall,
            r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":1}}"#,
            r#"{"resultType":"complete"}"#,
        ),
        (Method::ToolsCall, r#"{"_meta":{"a":1}}"#, r#"{"resultType":"complete","_meta":{"a":1}}"#),
    ];
    for (method, result, wanted) in rows {
        check(&method, result, MODERN, Era::Legacy, wanted);
    }
}

#[test]
fn check_159_modern_fields_do_not_reach_legacy_clients() {
    let modern = r#"{"resultType":"complete","ttlMs":5,"cacheScope":"public","tools":[ 1 ],"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"x"}}}"#;
    for client in [OLDEST, AUDIO, FORMS, RICH] {
        check(&Method::ToolsList, modern, client, Era::Modern, r#"{"tools":[1]}"#);
        let third = r#"{"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{},"com.example/a":1}}"#;
        check(&Method::PromptsGet, third, client, Era::Modern, r#"{"_meta":{"com.example/a":1}}"#);
        for plain in [
            r#"{"content": [{"type":"text","text":"resultType"}],"isError":true}"#,
            "{}",
            r#"{"x":{"ttlMs":1}}"#,
        ] {
            check(&Method::ToolsCall, plain, client, Era::Legacy, plain);
        }
    }
}

#[test]
fn audio_becomes_an_embedded_resource_before_2025_03_26() {
    let result = r#"{"content":[{"type":"text","text":"a"},{"type":"audio","data":"AAA=","mimeType":"audio/wav","annotations":{"priority":1}}]}"#;
    let embedded = r#"{"content":[{"type":"text","text":"a"},{"type":"resource","resource":{"uri":"attachment:audio-1","mimeType":"audio/wav","blob":"AAA="},"annotations":{"priority":1}}]}"#;
    check(&Method::ToolsCall, result, OLDEST, Era::Legacy, embedded);
    check(&Method::ToolsCall, result, AUDIO, Era::Legacy, result);
    let prompt =
        r#"{"messages":[{"role":"user","content":{"type":"audio","data":"AAA=","mimeType":"audio/wav"}}]}"#;
    let embedded = r#"{"messages":[{"role":"user","content":{"type":"resource","resource":{"uri":"attachment:audio-0","mimeType":"audio/wav","blob":"AAA="}}}]}"#;
    check(&Method::PromptsGet, prompt, OLDEST, Era::Modern, embedded);
    check(&Method::PromptsGet, prompt, RICH, Era::Legacy, prompt);
}

#[test]
fn resource_links_become_text_before_2025_06_18() {
    let result = r#"{"content":[{"type":"resource_link","uri":"file:///a","name":"a","title":"The A","description":"first"},{"type":"resource_link","uri":"file:///b"}]}"#;
    let text = r#"{"content":[{"type":"text","text":"The A: file:///a - first"},{"type":"text","text":"file:///b"}]}"#;
    for client in [OLDEST, AUDIO] {
        check(&Method::ToolsCall, result, client, Era::Modern, text);
    }
    for client in [FORMS, RICH] {
        check(&Method::ToolsCall, result, client, Era::Modern, result);
    }
}

#[test]
fn check_142_143_structured_content_goes_where_it_is_known() {
    let object = r#"{"content":[{"type":"text","text":"{ \"a\": 1 }"}],"structuredContent":{"a":1}}"#;
    let object_bare = r#"{"content":[{"type":"text","text":"{ \"a\": 1 }"}]}"#;
    let list = r#"{"content":[{"type":"text","text":"two"}],"structuredContent":[1,2]}"#;
    let list_bare = r#"{"content":[{"type":"text","text":"two"},{"type":"text","text":"[1,2]"}]}"#;
    let alone = r#"{"structuredContent":"x"}"#;
    let alone_bare = r#"{"content":[{"type":"text","text":"\"x\""}]}"#;
    // A library's wrapping of what is no object, which the text says already; and one that the text does not say.
    let wrapped = [(r#""a b""#, "a b"), ("5", "5"), ("[1,2]", "[1, 2]")];
    for client in [OLDEST, AUDIO] {
        for (value, text) in wrapped {
            let text = RawJson::string(text);
            let bare = format!(r#"{{"content":[{{"type":"text","text":{}}}]}}"#, text.as_str());
            let full = format!(
                r#"{{"content":[{{"type":"text","text":{}}}],"structuredContent":{{"result":{value}}}}}"#,
                text.as_str()
            );
            check(&Method::ToolsCall, &full, client, Era::Modern, &bare);
        }
        let more = r#"{"content":[{"type":"text","text":"5"}],"structuredContent":{"result":5,"unit":"m"}}"#;
        let more_bare = r#"{"content":[{"type":"text","text":"5"},{"type":"text","text":"{\"result\":5,\"unit\":\"m\"}"}]}"#;
        check(&Method::ToolsCall, more, client, Era::Modern, more_bare);
        check(&Method::ToolsCall, object, client, Era::Modern, object_bare);
        check(&Method::ToolsCall, list, client, Era::Modern, list_bare);
        check(&Method::ToolsCall, alone, client, Era::Modern, alone_bare);
    }
    for client in [FORMS, RICH] {
        check(&Method::ToolsCall, object, client, Era::Modern, object);
        check(&Method::ToolsCall, list, client, Era::Modern, list_bare);
        check(&Method::ToolsCall, alone, client, Era::Modern, alone_bare);
        // Another method's member of that name is not ours to touch.
        check(&Method::ResourcesRead, alone, client, Era::Modern, alone);
    }
}

#[test]
fn keys_are_found_however_large_the_result_is() {
    let rows = [
        (r#"{"content":[],"\u0073tructuredContent":[]}"#, false),
        (r#"{"content":[],"structuredContent" : [] }"#, false),
        (r#"{"x":{"structuredContent":{}},"structuredContent":5}"#, false),
        (r#"{"x":{"structuredContent":[]},"structuredContent" : {"a":1}}"#, true),
        (r#"{"content":[{"type":"text","text":"\"structuredContent\":[]"}]}"#, true),
    ];
    for (result, passes) in rows {
        let padded = format!(r#"{{"pad":"{}",{}"#, "x".repeat(2000), &result[1..]);
        for result in [raw(result), raw(&padded)] {
            let got = result_for_client(&Method::ToolsCall, &result, RICH, Era::Modern);
            if passes {
                untouched(&got, &result);
            } else {
                assert!(got.get("structuredContent").is_none(), "{got:?}");
            }
        }
    }
}

#[test]
fn block_and_structure_are_downgraded_together() {
    let result = r#"{"content":[{"type":"audio","data":"","mimeType":"a/b"}],"structuredContent":null,"resultType":"complete"}"#;
    let wanted = r#"{"content":[{"type":"resource","resource":{"uri":"attachment:audio-0","mimeType":"a/b","blob":""}},{"type":"text","text":"null"}]}"#;
    check(&Method::ToolsCall, result, OLDEST, Era::Modern, wanted);
}

#[test]
fn tools_are_listed_in_the_terms_of_the_client() {
    let rows = [
        (
            MODERN,
            Era::Legacy,
            r#"{"name":"a","execution":{"taskSupport":"optional"},"title":"A"}"#,
            r#"{"name":"a","title":"A"}"#,
        ),
        (RICH, Era::Legacy, r#"{"name":"a","execution":{"taskSupport":"optional"},"icons":[]}"#, ""),
        (
            MODERN,
            Era::Modern,
            r#"{"name":"a","inputSchema":{"properties":{"b":{"x-mcp-header":"B"}}},"outputSchema":{"type":"array"}}"#,
            "",
        ),
        (
            RICH,
            Era::Modern,
            r#"{"name":"a","inputSchema":{"properties":{"b":{"type":"string","x-mcp-header":"B"}}}}"#,
            r#"{"name":"a","inputSchema":{"properties":{"b":{"type":"string"}}}}"#,
        ),
        (RICH, Era::Modern, r#"{"name":"a","outputSchema":{"type":"object","properties":{}}}"#, ""),
        (RICH, Era::Modern, r#"{"name":"a","outputSchema":{"type":"array"}}"#, r#"{"name":"a"}"#),
        (FORMS, Era::Modern, r#"{"name":"a","outputSchema":{"oneOf":[]}}"#, r#"{"name":"a"}"#),
        (
            AUDIO,
            Era::Legacy,
            r#"{"name":"a","outputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}}"#,
            r#"{"name":"a","annotations":{"readOnlyHint":true}}"#,
        ),
        (OLDEST, Era::Legacy, r#"{"name":"a","inputSchema":{"type":"object"},"unknown":[ 1]}"#, ""),
        (RICH, Era::Modern, r#"{"name":"a","_meta":{"ui":{"resourceUri":"ui://a"}}}"#, ""),
        (RICH, Era::Modern, r#"{"name":"a","_meta":{"io.modelcontextprotocol/x":1}}"#, r#"{"name":"a"}"#),
    ];
    for (client, server, tool, wanted) in rows {
        let tool = raw(tool);
        let got = tool_for_client(&tool, client, server);
        if wanted.is_empty() {
            untouched(&got, &tool);
        } else {
            same(&got, wanted, &format!("{tool:?} to {client}"));
        }
    }
}

#[test]
fn check_145_completion_context_is_dropped_for_old_servers() {
    let rows = [(OLDEST, false), (AUDIO, false), (FORMS, true), (RICH, true), (MODERN, true)];
    for (server, kept) in rows {
        let mut params = Params::parse(Some(&raw(r#"{"ref":{},"context":{"arguments":{}}}"#))).unwrap();
        params_for_server(&Method::Complete, &mut params, server);
        assert_eq!((params.get("context").is_some(), params.get("ref").is_some()), (kept, true), "{server}");
        let mut params = Params::parse(Some(&raw(r#"{"context":{}}"#))).unwrap();
        params_for_server(&Method::ToolsCall, &mut params, server);
        assert!(params.get("context").is_some(), "{server}");
    }
}

#[test]
fn half_of_a_cache_hint_is_not_kept_beside_ours() {
    let wanted = r#"{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":[]}"#;
    for half in [r#""ttlMs":5,"#, r#""cacheScope":"public","#, r#""ttlMs":5,"cacheScope":"public","#] {
        check(&Method::ToolsList, &format!(r#"{{{half}"tools":[]}}"#), MODERN, Era::Legacy, wanted);
        check(&Method::ToolsList, &format!(r#"{{{half}"tools":[]}}"#), RICH, Era::Modern, r#"{"tools":[]}"#);
    }
}

#[test]
fn a_prompt_message_with_several_blocks_has_each_of_them_changed() {
    let prompt = r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"audio","data":"AAA=","mimeType":"audio/wav"}]}]}"#;
    let wanted = r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"resource","resource":{"uri":"attachment:audio-1","mimeType":"audio/wav","blob":"AAA="}}]}]}"#;
    check(&Method::PromptsGet, prompt, OLDEST, Era::Legacy, wanted);
    check(&Method::PromptsGet, prompt, RICH, Era::Legacy, prompt);
}

#[test]
fn reserved_keys_of_a_tool_come_only_from_modern_servers() {
    let tool = raw(r#"{"name":"t","_meta":{"io.modelcontextprotocol/x":1,"com.example/a":2}}"#);
    let cleaned = r#"{"name":"t","_meta":{"com.example/a":2}}"#;
    assert_eq!(tool_for_client(&tool, MODERN, Era::Modern).as_str(), tool.as_str());
    assert_eq!(tool_for_client(&tool, MODERN, Era::Legacy).as_str(), cleaned);
    assert_eq!(tool_for_client(&tool, RICH, Era::Modern).as_str(), cleaned);
}
