//! Questions of servers and answers of clients, between the revisions.

use super::*;

fn ask(kind: AskKind, params: &RawJson, client: Version) -> Result<RawJson, Unaskable> {
    ask_for_client(kind, Some(params), client).map(|rewrite| rewrite.params.unwrap())
}

#[track_caller]
fn check(kind: AskKind, params: &str, client: Version, wanted: &str) {
    let params = raw(params);
    let got = ask(kind, &params, client).unwrap();
    if params.as_str() == wanted {
        untouched(&got, &params);
    } else {
        same(&got, wanted, &format!("{params:?} to {client}"));
    }
}

fn form(field: &str) -> String {
    format!(r#"{{"message":"m","requestedSchema":{{"type":"object","properties":{{"a":{field}}}}}}}"#)
}

#[test]
fn newer_clients_are_asked_as_the_server_asks() {
    let rich = form(r#"{"type":"array","items":{"anyOf":[{"const":"x","title":"X"}]},"default":["x"]}"#);
    for client in [RICH, MODERN] {
        check(AskKind::Elicit, &rich, client, &rich);
        check(
            AskKind::Elicit,
            r#"{"mode":"form","message":"m"}"#,
            client,
            r#"{"mode":"form","message":"m"}"#,
        );
        let sampling = r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a"}]}],"tools":[{}],"maxTokens":1}"#;
        check(AskKind::Sample, sampling, client, sampling);
        check(AskKind::Roots, "{}", client, "{}");
    }
    assert_eq!(ask_for_client(AskKind::Roots, None, OLDEST).unwrap().params, None);
}

#[test]
fn what_ends_at_this_hop_is_dropped() {
    let url = r#"{"mode":"url","url":"https://a","elicitationId":"7","message":"m"}"#;
    check(AskKind::Elicit, url, MODERN, r#"{"mode":"url","url":"https://a","message":"m"}"#);
    check(AskKind::Elicit, url, RICH, url);
    let meta =
        r#"{"task":{"ttl":1},"_meta":{"progressToken":1,"io.modelcontextprotocol/related-task":{},"a/b":2}}"#;
    check(AskKind::Roots, meta, MODERN, r#"{"_meta":{"a/b":2}}"#);
    check(
        AskKind::Roots,
        meta,
        RICH,
        r#"{"task":{"ttl":1},"_meta":{"io.modelcontextprotocol/related-task":{},"a/b":2}}"#,
    );
    check(AskKind::Sample, r#"{"_meta":{"progressToken":1}}"#, FORMS, "{}");
}

#[test]
fn old_clients_refuse_what_their_revision_lacks() {
    let plain = form(r#"{"type":"string"}"#);
    let odd = form(r#"{"type":"array","items":{"type":"string"}}"#);
    let many = format!(r#"{{"type":"array","items":{{"enum":[{}]}}}}"#, vec!["\"x\""; 65].join(","));
    let tool_use = r#"{"messages":[{"role":"assistant","content":{"type":"tool_use"}}]}"#;
    let rows: [(AskKind, &str, Version, Unaskable); 7] = [
        (AskKind::Elicit, &plain, AUDIO, Unaskable::Elicitation),
        (AskKind::Elicit, &plain, OLDEST, Unaskable::Elicitation),
        (AskKind::Elicit, r#"{"mode":"url","url":"x"}"#, FORMS, Unaskable::Url),
        (AskKind::Elicit, &odd, FORMS, Unaskable::Form),
        (AskKind::Elicit, &form(&many), FORMS, Unaskable::Form),
        (AskKind::Sample, r#"{"messages":[],"tools":[{}]}"#, FORMS, Unaskable::SamplingTools),
        (AskKind::Sample, tool_use, FORMS, Unaskable::SamplingTools),
    ];
    for (kind, params, client, wanted) in rows {
        assert_eq!(ask(kind, &raw(params), client), Err(wanted), "{params} to {client}");
    }
}

#[test]
fn forms_are_put_into_the_terms_of_2025_06_18() {
    let rows = [
        (r#"{"type":"string","format":"email","title":"T"}"#, ""),
        (r#"{"type":"string","enum":["x"],"enumNames":["X"]}"#, ""),
        (r#"{"type":"boolean","default":true}"#, ""),
        (r#"{"type":"string","default":"x"}"#, r#"{"type":"string"}"#),
        (r#"{"type":"integer","default":5,"minimum":1}"#, r#"{"type":"integer","minimum":1}"#),
        (r#"{"type":"string","enum":["x"],"default":"x"}"#, r#"{"type":"string","enum":["x"]}"#),
        (
            r#"{"type":"string","title":"T","oneOf":[{"const":"x","title":"X"},{"const":"y"}],"default":"y"}"#,
            r#"{"type":"string","title":"T","enum":["x","y"],"enumNames":["X","y"]}"#,
        ),
    ];
    for (field, wanted) in rows {
        let wanted = form(if wanted.is_empty() { field } else { wanted });
        check(AskKind::Elicit, &form(field), FORMS, &wanted);
    }
    check(AskKind::Elicit, r#"{"mode":"form","message":"m"}"#, FORMS, r#"{"message":"m"}"#);
}

const MULTI: &str = r#"{"message":"Pick.","requestedSchema":{"type":"object","properties":{
    "who":{"type":"string"},
    "c":{"type":"array","title":"Colours","description":"Your choice","minItems":1,"maxItems":2,"default":["g"],
         "items":{"anyOf":[{"const":"r","title":"Red"},{"const":"g","title":"Green"},{"const":"b","title":"Blue"}]}},
    "t":{"type":"array","items":{"type":"string","enum":["x","y"],"enumNames":["X"]}},
    "t_1":{"type":"boolean"}},"required":["c","who"]}}"#;

#[test]
fn a_multi_select_becomes_booleans() {
    let wanted = r#"{"message":"Pick.","requestedSchema":{"type":"object","properties":{
        "who":{"type":"string"},
        "c_1":{"type":"boolean","title":"Colours: Red","default":false,"description":"Your choice"},
        "c_2":{"type":"boolean","title":"Colours: Green","default":true},
        "c_3":{"type":"boolean","title":"Colours: Blue","default":false},
        "t_1_":{"type":"boolean","title":"t: X","default":false},
        "t_2":{"type":"boolean","title":"t: y","default":false},
        "t_1":{"type":"boolean"}},"required":["who"]}}"#;
    check(AskKind::Elicit, MULTI, FORMS, wanted);
}

#[test]
fn the_booleans_are_joined_in_the_answer() {
    let rewrite = ask_for_client(AskKind::Elicit, Some(&raw(MULTI)), FORMS).unwrap();
    let accept = |content: &str| format!(r#"{{"action":"accept","content":{content}}}"#);
    let done = [
        (
            accept(r#"{"who":"me","c_1":true,"c_2":false,"c_3":true,"t_1":false}"#),
            accept(r#"{"who":"me","t_1":false,"c":["r","b"]}"#),
        ),
        (
            accept(r#"{"who":"me","c_2":true,"t_1_":true,"t_2":true}"#),
            accept(r#"{"who":"me","c":["g"],"t":["x","y"]}"#),
        ),
        (r#"{"action":"decline"}"#.to_owned(), r#"{"action":"decline"}"#.to_owned()),
        (r#"{"action":"cancel","resultType":"complete"}"#.to_owned(), r#"{"action":"cancel"}"#.to_owned()),
    ];
    for (answer, wanted) in done {
        match answer_for_server(AskKind::Elicit, &rewrite, &raw(&answer), MODERN) {
            Answered::Done(got) => same(&got, &wanted, &answer),
            again @ Answered::Again(_) => panic!("{answer}: {again:?}"),
        }
    }
    let again = [
        (accept(r#"{"who":"me"}"#), "Choose at least 1 for \"Colours\".\n\nPick."),
        (accept(r#"{"c_1":true,"c_2":true,"c_3":true}"#), "Choose at most 2 for \"Colours\".\n\nPick."),
        (r#"{"action":"accept"}"#.to_owned(), "Choose at least 1 for \"Colours\".\n\nPick."),
    ];
    for (answer, message) in again {
        let got = answer_for_server(AskKind::Elicit, &rewrite, &raw(&answer), RICH);
        let wanted = rewrite.params.as_ref().unwrap().with(&[], &[("message", &RawJson::string(message))]);
        assert_eq!(got, Answered::Again(wanted), "{answer}");
    }
}

#[test]
fn sampling_before_2025_11_25_has_one_block_for_each_message() {
    let messages = |list: &str| format!(r#"{{"messages":{list},"maxTokens":5}}"#);
    let two = r#"[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image","data":"","mimeType":"x/y"}]},{"role":"assistant","content":{"type":"text","text":"b"}}]"#;
    let three = r#"[{"role":"user","content":{"type":"text","text":"a"}},{"role":"user","content":{"type":"image","data":"","mimeType":"x/y"}},{"role":"assistant","content":{"type":"text","text":"b"}}]"#;
    check(AskKind::Sample, &messages(two), FORMS, &messages(three));
    check(AskKind::Sample, &messages(three), FORMS, &messages(three));
    let wrapped = r#"[{"role":"user","content":[{"type":"text","text":"a"}]}]"#;
    let unwrapped = r#"[{"role":"user","content":{"type":"text","text":"a"}}]"#;
    check(AskKind::Sample, &messages(wrapped), AUDIO, &messages(unwrapped));
    check(
        AskKind::Sample,
        r#"{"messages":[],"tools":[],"toolChoice":{"mode":"auto"}}"#,
        FORMS,
        r#"{"messages":[]}"#,
    );
    let audio = r#"[{"role":"user","content":{"type":"audio","data":"","mimeType":"a/b"}}]"#;
    check(AskKind::Sample, &messages(audio), AUDIO, &messages(audio));
    let note = r#"[{"role":"user","content":{"type":"text","text":"[audio that this client cannot take]"}}]"#;
    check(AskKind::Sample, &messages(audio), OLDEST, &messages(note));
}

#[test]
fn answers_are_bare_and_in_the_servers_terms() {
    let elicited = raw(r#"{"action":"accept","content":{"a": 1}}"#);
    untouched(&answer_for_modern(&elicited), &elicited);
    untouched(&answer_for_legacy(AskKind::Elicit, &elicited, OLDEST), &elicited);
    let full = raw(
        r#"{"roots":[],"resultType":"complete","_meta":{"io.modelcontextprotocol/related-task":{},"a/b":1}}"#,
    );
    same(&answer_for_modern(&full), r#"{"roots":[],"_meta":{"a/b":1}}"#, "modern");
    same(&answer_for_legacy(AskKind::Roots, &full, RICH), r#"{"roots":[],"_meta":{"a/b":1}}"#, "legacy");
    let answer = |content: &str| raw(&format!(r#"{{"role":"assistant","model":"m","content":{content}}}"#));
    let a = r#"{"type":"text","text":"a"}"#;
    let rows = [
        (a.to_owned(), a.to_owned()),
        (format!("[{a}]"), a.to_owned()),
        (format!("[{a},{a}]"), r#"{"type":"text","text":"a\na"}"#.to_owned()),
        (format!(r#"[{a},{{"type":"tool_use"}}]"#), format!(r#"[{a},{{"type":"tool_use"}}]"#)),
    ];
    for (content, wanted) in rows {
        let got = answer_for_legacy(AskKind::Sample, &answer(&content), FORMS);
        same(&got, answer(&wanted).as_str(), &content);
        untouched(&answer_for_legacy(AskKind::Sample, &got, RICH), &got);
    }
}

#[test]
fn check_094_malformed_answers_are_told_apart() {
    let elicit = "`action` must be accept, decline or cancel";
    let values = "`content` holds something else than plain values";
    let block = "`content` must be a content block or an array of them";
    let bad = [
        (AskKind::Elicit, "5", "an answer is an object without a key twice"),
        (
            AskKind::Elicit,
            r#"{"action":"accept","action":"decline"}"#,
            "an answer is an object without a key twice",
        ),
        (AskKind::Elicit, "{}", elicit),
        (AskKind::Elicit, r#"{"action":"Accept"}"#, elicit),
        (
            AskKind::Elicit,
            r#"{"action":"accept","content":[]}"#,
            "`content` must be an object without a key twice",
        ),
        (AskKind::Elicit, r#"{"action":"accept","content":{"a":{}}}"#, values),
        (AskKind::Elicit, r#"{"action":"accept","content":{"a":[1]}}"#, values),
        (AskKind::Sample, r#"{"content":{"type":"text"},"model":"m"}"#, "`role` must be user or assistant"),
        (AskKind::Sample, r#"{"role":"user","content":{"type":"text"}}"#, "`model` must be a string"),
        (AskKind::Sample, r#"{"role":"user","model":"m"}"#, block),
        (AskKind::Sample, r#"{"role":"user","model":"m","content":"hi"}"#, block),
        (AskKind::Sample, r#"{"role":"user","model":"m","content":[{"type":"text"},{}]}"#, block),
        (AskKind::Roots, "{}", "`roots` must be an array"),
        (AskKind::Roots, r#"{"roots":[{"name":"x"}]}"#, "each of `roots` must be an object with a `uri`"),
        (AskKind::Roots, r#"{"roots":["file:///"]}"#, "each of `roots` must be an object with a `uri`"),
    ];
    for (kind, answer, wanted) in bad {
        assert_eq!(check_answer(kind, &raw(answer)), Err(wanted), "{answer}");
    }
    let good = [
        (AskKind::Elicit, r#"{"action":"accept"}"#),
        (AskKind::Elicit, r#"{"action":"accept","content":{"a":"x","b":1.5,"c":true,"d":["x"],"e":null}}"#),
        (AskKind::Elicit, r#"{"action":"decline","content":null}"#),
        (AskKind::Elicit, r#"{"action":"cancel"}"#),
        (AskKind::Sample, r#"{"role":"assistant","model":"m","content":{"type":"text","text":"x"}}"#),
        (AskKind::Sample, r#"{"role":"user","model":"m","content":[]}"#),
        (AskKind::Roots, r#"{"roots":[]}"#),
        (AskKind::Roots, r#"{"roots":[{"uri":"file:///a"}]}"#),
    ];
    for (kind, answer) in good {
        assert_eq!(check_answer(kind, &raw(answer)), Ok(()), "{answer}");
    }
}

#[test]
fn messages_of_one_block_pass_byte_for_byte() {
    let spaced =
        r#"{"messages": [ { "role": "user", "content": {"type": "text", "text": "a"} } ], "maxTokens": 1}"#;
    for client in [OLDEST, AUDIO, FORMS] {
        check(AskKind::Sample, spaced, client, spaced);
    }
}
