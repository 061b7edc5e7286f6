//! The small public parts of the crate that have no file of tests of their own: what each must say to whoever uses it.

use crate::caps::Flags;
use crate::service::{AskKind, Event, Failure, FailureKind, Final, Notification, Reply, generate};
use crate::sse::encode_event;
use crate::{
    ClientCapabilities, Code, Era, Feature, Frame, Id, LogLevel, Method, Outcome, Params, RawJson, RpcError,
    Text, Version, annotation, frame, header, meta,
};
use bytes::Bytes;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

fn raw(text: &str) -> RawJson {
    RawJson::from_text(text).unwrap()
}

fn params(text: &str) -> Params {
    Params::parse(Some(&raw(text))).unwrap()
}

#[test]
fn every_revision_has_its_date_and_its_era() {
    let dates = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"];
    assert_eq!(Version::ALL.map(Version::as_str), dates);
    for version in Version::ALL {
        assert_eq!(Version::parse(version.as_str()), Some(version));
        assert_eq!(version.to_string(), version.as_str());
        assert_eq!(version.era() == Era::Modern, version == Version::V2026_07_28, "{version}");
    }
    for unknown in ["", "2025-11-24", "2026-07-28 ", "DRAFT-2026-v1", "1.0"] {
        assert_eq!(Version::parse(unknown), None, "{unknown}");
    }
    assert!(Version::ALL.is_sorted(), "later revisions are greater");
}

#[test]
fn features_begin_and_end_with_the_revisions_of_the_specification() {
    // For each feature the revisions that have it, oldest first.
    let table = [
        (Feature::Batches, "-x---"),
        (Feature::Audio, "-xxxx"),
        (Feature::StreamableHttp, "-xxxx"),
        (Feature::CompletionsCapability, "-xxxx"),
        (Feature::ResourceLink, "--xxx"),
        (Feature::StructuredContent, "--xxx"),
        (Feature::Elicitation, "--xxx"),
        (Feature::VersionHeader, "--xxx"),
        (Feature::CompletionContext, "--xxx"),
        (Feature::RichElicitation, "---xx"),
        (Feature::SamplingTools, "---xx"),
        (Feature::ErrorWithoutId, "---xx"),
        (Feature::Polling, "---x-"),
        (Feature::AnyStructuredContent, "----x"),
    ];
    for (feature, expected) in table {
        let found: String =
            Version::ALL.map(|version| if version.supports(feature) { 'x' } else { '-' }).iter().collect();
        assert_eq!(found, expected, "{feature:?}");
    }
}

#[test]
fn methods_are_requests_in_the_revisions_that_have_them() {
    let table = [
        ("tools/list", "xxxxx"),
        ("tools/call", "xxxxx"),
        ("prompts/list", "xxxxx"),
        ("prompts/get", "xxxxx"),
        ("resources/list", "xxxxx"),
        ("resources/templates/list", "xxxxx"),
        ("resources/read", "xxxxx"),
        ("completion/complete", "xxxxx"),
        ("initialize", "xxxx-"),
        ("ping", "xxxx-"),
        ("logging/setLevel", "xxxx-"),
        ("resources/subscribe", "xxxx-"),
        ("resources/unsubscribe", "xxxx-"),
        ("server/discover", "----x"),
        ("subscriptions/listen", "----x"),
        ("tasks/update", "----x"),
        ("tasks/get", "---xx"),
        ("tasks/cancel", "---xx"),
        ("tasks/result", "---x-"),
        ("tasks/list", "---x-"),
        ("elicitation/create", "-----"),
        ("sampling/createMessage", "-----"),
        ("roots/list", "-----"),
        ("notifications/cancelled", "-----"),
        ("made/up", "-----"),
    ];
    for (name, expected) in table {
        let method = Method::from_text(&Text::from(name));
        assert_eq!(method.as_str(), name);
        let found: String = Version::ALL
            .map(|version| if method.is_request_in(version) { 'x' } else { '-' })
            .iter()
            .collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn a_request_names_its_aim_by_the_parameter_of_its_method() {
    let table = [
        ("tools/call", Some("name"), true),
        ("prompts/get", Some("name"), true),
        ("resources/read", Some("uri"), true),
        ("tasks/get", Some("taskId"), false),
        ("tasks/update", Some("taskId"), false),
        ("tasks/cancel", Some("taskId"), false),
        ("tools/list", None, false),
        ("made/up", None, false),
    ];
    for (name, parameter, may_ask) in table {
        let method = Method::from_text(&Text::from(name));
        assert_eq!((method.name_parameter(), method.may_ask()), (parameter, may_ask), "{name}");
    }
}

/// What a client can, as letters: form, url, sampling, its tools, its context, roots, tasks.
fn letters(flags: Flags) -> String {
    let all = [
        ('f', flags.elicitation_form),
        ('u', flags.elicitation_url),
        ('s', flags.sampling),
        ('t', flags.sampling_tools),
        ('c', flags.sampling_context),
        ('r', flags.roots),
        ('k', flags.tasks),
    ];
    all.iter().filter(|(_, has)| *has).map(|(letter, _)| letter).collect()
}

#[test]
fn capabilities_mean_what_the_revision_says() {
    let (old, plain, rich, modern) =
        (Version::V2025_03_26, Version::V2025_06_18, Version::V2025_11_25, Version::V2026_07_28);
    let everything =
        r#"{"elicitation":{"form":{},"url":{}},"sampling":{"tools":{},"context":{}},"roots":{}}"#;
    let table = [
        (everything, modern, "fustcr"),
        (everything, rich, "fustcr"),
        (everything, plain, "fscr"),
        (everything, old, "scr"),
        (r#"{"elicitation":{}}"#, modern, "f"),
        (r#"{"elicitation":{}}"#, plain, "f"),
        (r#"{"elicitation":{}}"#, old, ""),
        (r#"{"elicitation":{"form":{}}}"#, rich, "f"),
        (r#"{"elicitation":{"url":{}}}"#, rich, "u"),
        (r#"{"elicitation":{"url":{}}}"#, plain, "f"),
        (r#"{"elicitation":true}"#, modern, ""),
        (r#"{"sampling":{}}"#, modern, "s"),
        // The tools and the context of sampling are declared one by one from 2025-11-25 on; before, all had the context.
        (r#"{"sampling":{}}"#, rich, "s"),
        (r#"{"sampling":{}}"#, plain, "sc"),
        (r#"{"sampling":{"tools":{}}}"#, modern, "st"),
        (r#"{"sampling":{"tools":{}}}"#, plain, "sc"),
        (r#"{"sampling":{"context":{}}}"#, modern, "sc"),
        (r#"{"roots":{"listChanged":true}}"#, old, "r"),
        (r#"{"roots":[]}"#, modern, ""),
        (r#"{"experimental":{"x":{}}}"#, modern, ""),
    ];
    for (text, version, expected) in table {
        let found = ClientCapabilities::read(&raw(text), version).unwrap();
        assert_eq!(letters(found.flags()), expected, "{text} in {version}");
        if version == modern {
            assert_eq!(found.raw().as_str(), text, "what the client declared is kept as it stands");
        }
        let asked = found.flags();
        assert_eq!(asked.can_be_asked(), expected.contains(['f', 'u', 's', 'r']), "{text} in {version}");
    }
    assert_eq!(ClientCapabilities::none().raw().as_str(), "{}");
}

#[test]
fn levels_are_those_of_syslog_in_their_order() {
    let names = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];
    let levels: Vec<LogLevel> = names.iter().map(|name| LogLevel::parse(name).unwrap()).collect();
    assert!(levels.is_sorted() && levels.windows(2).all(|pair| pair[0] != pair[1]));
    assert_eq!(levels.iter().map(|level| level.as_str()).collect::<Vec<_>>(), names);
    for unknown in ["", "warn", "Info", "trace"] {
        assert_eq!(LogLevel::parse(unknown), None, "{unknown}");
    }
}

#[test]
fn ids_keep_their_type() {
    let id = |text: &str| Id::from_raw(&raw(text));
    assert_eq!(id(r#""a\u0062""#).unwrap().as_text().as_deref(), Some("ab"));
    assert_eq!(id("7").unwrap().as_text(), None);
    assert_eq!(id("7").unwrap().as_number(), Some(7));
    assert_eq!(id(r#""7""#).unwrap().as_number(), None);
    assert_eq!((Id::number(7), Id::text("7")), (id("7").unwrap(), id(r#""7""#).unwrap()));
    for bad in ["1.0", "1e1", "1E1", "null", "true", "[]", "{}"] {
        assert_eq!(id(bad), None, "{bad}");
    }
}

#[test]
fn an_error_may_come_without_an_id_but_not_with_a_broken_one() {
    let decode = |text: &str| frame::decode(&Bytes::copy_from_slice(text.as_bytes()), 16);
    for none in [r#""id":null,"#, ""] {
        let text = format!(r#"{{"jsonrpc":"2.0",{none}"error":{{"code":1,"message":"m"}}}}"#);
        let Ok(Frame::Response { id: None, outcome: Outcome::Error(error) }) = decode(&text) else {
            panic!("{text}")
        };
        assert_eq!((error.code.0, &*error.message), (1, "m"));
    }
    for broken in ["1.5", "{}", "[]", "true"] {
        for outcome in [r#""error":{"code":1,"message":"m"}"#, r#""result":{}"#] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":{broken},{outcome}}}"#);
            let refused = decode(&text).unwrap_err();
            assert_eq!(refused.message, "`id` must be a string or an integer", "{text}");
            assert_eq!(refused.to_rpc().code.0, -32600);
        }
    }
    let null = decode(r#"{"jsonrpc":"2.0","id":null,"result":{}}"#).unwrap_err();
    assert_eq!(null.message, "a result needs an `id`");
}

#[test]
fn messages_are_written_into_room_that_fits_them() {
    let long = raw(&format!(r#"{{"text":"{}"}}"#, "x".repeat(5000)));
    let name = "m".repeat(300);
    let outcome = Outcome::Result(long.clone());
    let mut event = Vec::new();
    encode_event(&mut event, Some("an-id-of-some-length"), Some("message"), long.as_bytes());
    let written = [
        frame::encode_request(&Id::number(1), &name, Some(&long)),
        frame::encode_notification(&name, Some(&long)),
        frame::encode_response(Some(&Id::number(1)), &outcome),
        params(long.as_str()).encode(Some(&long)).bytes().to_vec(),
        event,
    ];
    for bytes in written {
        let spare = bytes.capacity() - bytes.len();
        assert!(spare < 200, "{spare} bytes to spare of {}", bytes.len());
    }
}

#[test]
fn parameters_are_found_changed_and_taken_by_name() {
    let mut some = params(r#"{"name":"a","_meta":{"x":1},"n":5}"#);
    assert_eq!(some.members().iter().map(|m| m.key.to_string()).collect::<Vec<_>>(), ["name", "_meta", "n"]);
    assert_eq!(some.meta().map(RawJson::as_str), Some(r#"{"x":1}"#));
    assert_eq!(some.text("name").as_deref(), Some("a"));
    assert_eq!(some.text("n"), None, "a number is no text");
    let copy = some.clone();
    some.set("n", RawJson::string("five"));
    some.set("new", RawJson::NULL);
    assert_eq!(some.take("name").unwrap().as_str(), r#""a""#);
    assert_eq!(some.take("name"), None);
    assert_eq!(some.encode(None).as_str(), r#"{"n":"five","new":null}"#);
    assert_eq!(copy.encode(None).as_str(), r#"{"name":"a","n":5}"#, "a copy is not changed with it");
    assert_eq!(Params::parse(None).unwrap().encode(None).as_str(), "{}");
}

#[test]
fn a_meta_gives_its_tokens_and_passes_only_what_is_not_reserved() {
    let text = r#"{"progressToken":"p","io.modelcontextprotocol/protocolVersion":"2026-07-28","com.example/trace":1,"plain":2,"dev.mcp/x":3}"#;
    let known = meta::Meta::parse(Some(&raw(text))).unwrap();
    assert_eq!(known.progress_token().map(RawJson::as_str), Some(r#""p""#));
    assert_eq!(known.protocol_version().map(RawJson::as_str), Some(r#""2026-07-28""#));
    let passing: Vec<String> = known.passing().map(|member| member.key.to_string()).collect();
    assert_eq!(passing, ["com.example/trace", "plain"]);
    let token = |text: &str| meta::Meta::parse(Some(&raw(text))).unwrap().progress_token().is_some();
    assert!(token(r#"{"progressToken":5}"#));
    assert!(!token(r#"{"progressToken":null}"#) && !token(r#"{"progressToken":{}}"#) && !token("{}"));
    assert!(meta::Meta::parse(None).unwrap().protocol_version().is_none());
    assert!(meta::Meta::parse(Some(&RawJson::NULL)).is_err());
}

#[test]
fn an_envelope_says_what_its_era_wants_to_hear() {
    let capabilities = ClientCapabilities::read(&raw(r#"{"roots":{}}"#), Version::NEWEST).unwrap();
    let info = raw(r#"{"name":"n","version":"1"}"#);
    let extra = raw(r#"{"com.example/x":1}"#).members().unwrap();
    let envelope = |version| {
        let envelope = meta::Envelope {
            version,
            capabilities: &capabilities,
            client_info: Some(&info),
            log_level: Some(LogLevel::Warning),
            progress_token: Some(9),
            tasks: None,
            extra: &extra,
        };
        envelope.encode().as_str().to_owned()
    };
    assert_eq!(envelope(Version::NEWEST_LEGACY), r#"{"progressToken":9,"com.example/x":1}"#);
    assert_eq!(
        envelope(Version::NEWEST),
        r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"roots":{}},"io.modelcontextprotocol/clientInfo":{"name":"n","version":"1"},"io.modelcontextprotocol/logLevel":"warning","progressToken":9,"com.example/x":1}"#
    );
}

#[test]
fn a_cancellation_names_its_request() {
    let id = |method: Method, text: &str| meta::cancelled_id(&method, Some(&raw(text)));
    assert_eq!(id(Method::Cancelled, r#"{"requestId":"r","reason":"x"}"#), Some(Id::text("r")));
    assert_eq!(id(Method::Cancelled, r#"{"requestId":4}"#), Some(Id::number(4)));
    assert_eq!(id(Method::Progress, r#"{"requestId":4}"#), None, "another notification");
    assert_eq!(id(Method::Cancelled, r#"{"requestId":null}"#), None);
    assert_eq!(meta::cancelled_id(&Method::Cancelled, None), None);
    assert_eq!(meta::progress_token_of(&raw(r#"{"progressToken":3}"#)).unwrap().as_str(), "3");
}

#[test]
fn the_three_questions_and_their_methods_belong_together() {
    for kind in [AskKind::Elicit, AskKind::Sample, AskKind::Roots] {
        assert_eq!(AskKind::from_method(&kind.method()), Some(kind));
    }
    assert_eq!(AskKind::from_method(&Method::ToolsCall), None);
}

#[test]
fn an_answer_reaches_the_connector_and_a_dropped_one_is_noticed() {
    let (reply, mut waiting) = Reply::new();
    assert_eq!(waiting.try_recv(), Ok(None), "nobody has answered yet");
    reply.answer(Outcome::Result(RawJson::EMPTY_OBJECT));
    assert_eq!(waiting.try_recv(), Ok(Some(Outcome::Result(RawJson::EMPTY_OBJECT))));
    let (reply, mut waiting) = Reply::new();
    drop(reply);
    assert!(waiting.try_recv().is_err());
}

#[test]
fn what_ends_a_leg_can_be_read_in_a_log() {
    let whole = Final::Whole(Outcome::Result(RawJson::EMPTY_OBJECT));
    assert_eq!(format!("{whole:?}"), "Whole(Result({}))");
    let failed = Final::Failed(Failure::new(FailureKind::Busy, "all 8 taken"));
    let failed = format!("{failed:?}");
    assert!(failed.contains("Busy") && failed.contains("all 8 taken"), "{failed}");
}

#[test]
fn texts_equal_texts_of_the_same_bytes() {
    let text = Text::from("ab");
    let (same, other) = (Text::from("ab".to_owned()), Text::from("aB"));
    assert!(text == *"ab" && text == "ab" && text == same);
    assert!(text != *"abc" && text != "b" && text != other);
    assert_eq!(format!("{text:?}"), "\"ab\"");
    assert_eq!((text.to_string().as_str(), text.as_bytes(), text.len()), ("ab", &b"ab"[..], 2));
}

#[test]
fn strings_are_escaped_where_json_wants_it() {
    for text in ["", "plain ä€", "\"", "\\", "\n", "\u{1f}", "\u{0}", "a\tb", " ", "\u{7f}"] {
        let written = RawJson::string(text);
        let expected = serde_json::to_string(text).unwrap();
        assert_eq!(written.as_str(), expected);
        assert_eq!(written.string_value().as_deref(), Some(text));
        assert_eq!(written.bytes(), expected.as_bytes());
    }
}

#[test]
fn codes_are_those_of_the_specification() {
    let table = [
        (Code::PARSE, -32700, false),
        (Code::INVALID_REQUEST, -32600, false),
        (Code::METHOD_NOT_FOUND, -32601, false),
        (Code::INVALID_PARAMS, -32602, false),
        (Code::INTERNAL, -32603, false),
        (Code::RESOURCE_NOT_FOUND, -32002, false),
        (Code::URL_ELICITATION_REQUIRED, -32042, false),
        (Code::HEADER_MISMATCH, -32020, true),
        (Code::MISSING_CAPABILITY, -32021, true),
        (Code::UNSUPPORTED_VERSION, -32022, true),
        (Code::REJECTED, -1, false),
    ];
    for (code, number, proves_modern) in table {
        assert_eq!((code.0, code.proves_modern()), (number, proves_modern));
    }
}

#[test]
fn an_error_is_passed_as_it_came_until_it_is_changed() {
    let text = r#"{ "code":-5.0, "message":"m", "data":[1], "extra":true }"#;
    let error = RpcError::from_raw(&raw(text));
    assert_eq!((error.code.0, error.message.as_str(), error.encode().as_str()), (-5, "m", text));
    let changed = error.clone().with_code(Code::INTERNAL).encode();
    assert_eq!(changed.as_str(), r#"{"code":-32603,"message":"m","data":[1]}"#);
    assert_eq!(error.with_data(RawJson::NULL).encode().as_str(), r#"{"code":-5,"message":"m","data":null}"#);
    assert_eq!(RpcError::from_raw(&raw(r#"{"code":999999999999999}"#)).code.0, 999_999_999_999_999);
    for malformed in
        [r#"{"code":1.5}"#, r#"{"code":1e15}"#, r#"{"code":-1e300}"#, r#"{"code":"1"}"#, "{}", "[]"]
    {
        assert_eq!(RpcError::from_raw(&raw(malformed)).code, Code::INTERNAL, "{malformed}");
    }
}

#[test]
fn different_capabilities_hash_differently() {
    let hash = |text: &str| {
        let mut hasher = DefaultHasher::new();
        ClientCapabilities::read(&raw(text), Version::NEWEST).unwrap().hash(&mut hasher);
        hasher.finish()
    };
    assert_eq!(hash(r#"{"roots":{}}"#), hash(r#"{"roots":{}}"#));
    assert_ne!(hash(r#"{"roots":{}}"#), hash(r#"{"sampling":{}}"#));
}

#[test]
fn a_tool_whose_annotation_is_wrong_is_told_why() {
    let fault = |properties: &str| {
        let schema = format!(r#"{{"type":"object","properties":{{{properties}}}}}"#);
        annotation::read(&raw(&schema)).unwrap_err().to_string()
    };
    let table = [
        (r#""a":{"type":"string","x-mcp-header":""}"#, "is empty"),
        (r#""a":{"type":"string","x-mcp-header":"a b"}"#, "is not a token"),
        (
            r#""a":{"type":"string","x-mcp-header":"X"},"b":{"type":"string","x-mcp-header":"x"}"#,
            "another property has",
        ),
        (r#""a":{"type":"number","x-mcp-header":"X"}"#, "is not a string, integer or boolean"),
        (r#""a":{"type":"array","items":{"type":"string","x-mcp-header":"X"}}"#, "`properties` alone"),
    ];
    for (properties, expected) in table {
        let said = fault(properties);
        assert!(said.contains(expected), "{properties}: {said}");
    }
}

#[test]
fn arguments_of_another_type_than_annotated_are_mirrored_as_they_are() {
    let schema = r#"{"type":"object","properties":{"s":{"type":"string","x-mcp-header":"S"},"b":{"type":"boolean","x-mcp-header":"B"}}}"#;
    let annotations = annotation::read(&raw(schema)).unwrap();
    for (arguments, expected) in [
        (r#"{"s":1e2}"#, "1e2"),
        (r#"{"s":true}"#, "true"),
        (r#"{"b":false}"#, "false"),
        (r#"{"b":7}"#, "7"),
        (r#"{"b":"x"}"#, "x"),
    ] {
        let headers = header::param_headers(&annotations, Some(&raw(arguments)));
        assert_eq!(
            headers.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>(),
            [expected],
            "{arguments}"
        );
    }
    assert!(header::param_headers(&annotations, Some(&raw(r#"{"s":{},"b":[]}"#))).is_empty());
}

#[test]
fn a_generated_leg_gives_each_event_before_the_function_goes_on() {
    let progress = || Event::Notification(Notification { method: Method::Progress, params: None });
    let reached = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&reached);
    let mut leg = generate(move |out| async move {
        for step in 1..=2 {
            seen.store(step, Ordering::Relaxed);
            out.emit(progress()).await;
        }
        Event::Final(Final::Whole(Outcome::Result(RawJson::EMPTY_OBJECT)))
    });
    let mut context = Context::from_waker(Waker::noop());
    for step in 1..=2 {
        let event = leg.as_mut().poll_next(&mut context);
        assert!(matches!(event, Poll::Ready(Some(Event::Notification(_)))), "{event:?}");
        assert_eq!(reached.load(Ordering::Relaxed), step, "no further than what has been taken");
    }
    assert!(matches!(leg.as_mut().poll_next(&mut context), Poll::Ready(Some(Event::Final(_)))));
    assert!(matches!(leg.as_mut().poll_next(&mut context), Poll::Ready(None)));
}
