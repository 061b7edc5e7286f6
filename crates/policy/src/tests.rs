//! The whole crate through its public door. The permission matrix is a checked-in text, so that a change of who may
//! do what is read in review and cannot hide in code.

use crate::*;
use portreeve_model::{KeyName, Principal, PrincipalKind, ServerName};
use std::fmt::Write;

fn server(name: &str) -> ServerName {
    ServerName::new(name).unwrap()
}

fn key(name: &str) -> Principal {
    Principal::new(PrincipalKind::Key(KeyName::new(name).unwrap()), None)
}

fn local() -> Principal {
    Principal::new(PrincipalKind::Local, None)
}

fn globs(list: &[&str]) -> Vec<Glob> {
    list.iter().map(|text| Glob::new(text).unwrap()).collect()
}

fn allow(server: &str, tools: Option<&[&str]>) -> Allow {
    Allow { server: Glob::new(server).unwrap(), tools: tools.map(globs) }
}

fn rule(name: &str, allow: Vec<Allow>) -> KeyRule {
    KeyRule { key: KeyName::new(name).unwrap(), allow }
}

fn policy() -> Policy {
    Policy::new(vec![
        rule("admin", vec![allow("*", None)]),
        rule("ci", vec![allow("files", Some(&["read_*"])), allow("play*", None)]),
        rule("split", vec![allow("files", Some(&["read_a"])), allow("f*", Some(&["write_?"]))]),
        rule("empty", vec![]),
        rule("toolless", vec![allow("files", Some(&[]))]),
    ])
    .with_tool_filter(server("files"), ToolFilter { allow: None, deny: globs(&["*secret*", "read_b"]) })
    .with_tool_filter(
        server("narrow"),
        ToolFilter { allow: Some(globs(&["get_*"])), deny: globs(&["get_x"]) },
    )
}

const PRINCIPALS: [&str; 7] = ["local", "admin", "ci", "split", "empty", "toolless", "stranger"];

fn principal(name: &str) -> Principal {
    if name == "local" { local() } else { key(name) }
}

const CALLS: [(&str, Kind, &str); 19] = [
    ("files", Kind::Tool, "read_a"),
    ("files", Kind::Tool, "read_b"),
    ("files", Kind::Tool, "read_secret"),
    ("files", Kind::Tool, "write_a"),
    ("files", Kind::Tool, "Read_a"),
    ("files", Kind::Prompt, "greet"),
    ("files", Kind::Resource, "file:///etc/passwd"),
    ("files", Kind::ResourceTemplate, "file:///{path}"),
    ("files", Kind::Method, "tools/list"),
    ("files", Kind::Method, "logging/setLevel"),
    ("files", Kind::Method, "tools/call"),
    ("files", Kind::Method, "vendor/anything"),
    ("playground", Kind::Tool, "echo"),
    ("playground", Kind::Prompt, "greet"),
    ("playground", Kind::Method, "resources/read"),
    ("playground", Kind::Method, "vendor/anything"),
    ("narrow", Kind::Tool, "get_a"),
    ("narrow", Kind::Tool, "get_x"),
    ("narrow", Kind::Tool, "put_a"),
];

#[test]
fn the_permission_matrix_is_the_reviewed_one() {
    let policy = policy();
    let mut printed = String::new();
    for name in PRINCIPALS {
        for (on, kind, what) in CALLS {
            let on = server(on);
            let call = Call { server: &on, kind, name: what, arguments: None };
            let Decision { effect, rule } = decide(&policy, &principal(name), &call);
            let kind = format!("{kind:?}");
            writeln!(
                printed,
                "{name:<8} {:<10} {kind:<16} {what:<18} {:<5} {rule}",
                on.as_str(),
                effect.as_str()
            )
            .unwrap();
        }
        printed.push('\n');
    }
    let reviewed = include_str!("permissions.txt");
    assert!(printed == reviewed, "crates/policy/src/permissions.txt differs; it would now be:\n{printed}");
}

#[test]
fn what_is_shown_is_what_is_permitted() {
    let policy = policy();
    for name in PRINCIPALS {
        let who = principal(name);
        for (on, kind, what) in CALLS {
            let on = server(on);
            let call = Call { server: &on, kind, name: what, arguments: Some(b"{}") };
            assert_eq!(
                policy.sees(&who, &on, kind, what),
                decide(&policy, &who, &call).is_allowed(),
                "{name} {on} {what}"
            );
        }
    }
}

#[test]
fn nothing_is_allowed_without_rules_but_to_the_local_principal() {
    let policy = Policy::default();
    let files = server("files");
    for (who, allowed) in [(local(), true), (key("ci"), false)] {
        for kind in [Kind::Tool, Kind::Prompt, Kind::Resource, Kind::ResourceTemplate, Kind::Method] {
            let call = Call { server: &files, kind, name: "x", arguments: None };
            assert_eq!(decide(&policy, &who, &call).is_allowed(), allowed, "{who:?} {kind:?}");
        }
        assert_eq!(policy.reaches(&who, &files), allowed);
    }
}

#[test]
fn views_are_shared_exactly_by_those_who_see_the_same() {
    let policy = Policy::new(vec![
        rule("all", vec![allow("*", None)]),
        rule("also_all", vec![allow("files", Some(&["a"])), allow("files", None)]),
        rule("ab", vec![allow("files", Some(&["b", "a"]))]),
        rule("a_then_b", vec![allow("files", Some(&["a"])), allow("fil*", Some(&["b", "a"]))]),
        rule("a", vec![allow("files", Some(&["a"]))]),
        rule("joined", vec![allow("files", Some(&["ab"]))]),
        rule("none", vec![allow("other", None)]),
        rule("toolless", vec![allow("files", Some(&[]))]),
    ]);
    let files = server("files");
    let view = |name: &str| policy.view_key(&principal(name), &files);
    for name in ["local", "all", "also_all"] {
        assert_eq!(view(name), ViewKey::Everything, "{name}");
    }
    for name in ["none", "stranger"] {
        assert_eq!(view(name), ViewKey::Nothing, "{name}");
    }
    assert_eq!(view("ab"), view("a_then_b"));
    let parts =
        [view("ab"), view("a"), view("joined"), view("toolless"), ViewKey::Everything, ViewKey::Nothing];
    for (at, one) in parts.iter().enumerate() {
        for other in &parts[at + 1..] {
            assert_ne!(one, other);
        }
    }
}

#[test]
fn a_tool_filter_changes_the_view_of_everybody() {
    let files = server("files");
    let plain =
        Policy::new(vec![rule("all", vec![allow("*", None)]), rule("a", vec![allow("*", Some(&["a"]))])]);
    let deny = plain.clone().with_tool_filter(files.clone(), ToolFilter { allow: None, deny: globs(&["a"]) });
    let only = plain
        .clone()
        .with_tool_filter(files.clone(), ToolFilter { allow: Some(globs(&["a"])), deny: vec![] });
    for who in [local(), key("all"), key("a")] {
        let views = [&plain, &deny, &only].map(|policy| policy.view_key(&who, &files));
        assert!(views[0] != views[1] && views[1] != views[2] && views[0] != views[2], "{who:?}");
    }
    assert_eq!(deny.view_key(&local(), &files), deny.view_key(&key("all"), &files));
    assert_eq!(deny.view_key(&local(), &server("other")), ViewKey::Everything);
}

fn target(kind: Kind, name: &str, params: &[u8]) -> Target {
    Target { server: server("files"), kind, name: name.into(), digest: ParamsDigest::of(params) }
}

#[test]
fn an_authorisation_covers_its_target_and_nothing_else() {
    let policy = Policy::new(vec![rule("ci", vec![allow("files", None)])]);
    let table: &[(Kind, &str, &[&str], &[&str])] = &[
        (Kind::Tool, "read", &["tools/call"], &["read", "tools/list", "resources/read"]),
        (Kind::Prompt, "greet", &["prompts/get", "completion/complete"], &["tools/call"]),
        (Kind::Resource, "file:///a", &["resources/read", "resources/subscribe"], &["tools/call"]),
        (Kind::ResourceTemplate, "file:///{a}", &["completion/complete"], &["resources/read"]),
        (Kind::Method, "vendor/x", &["vendor/x"], &["vendor/y", "tools/call"]),
    ];
    for (kind, name, good, bad) in table {
        let (authorized, decision) =
            authorize(&policy, &key("ci"), target(*kind, name, b"{\"a\":1}"), None).unwrap();
        assert_eq!(decision.rule.as_str(), "keys.ci.allow[0]");
        assert!(good.iter().all(|method| authorized.permits(method)), "{name}");
        assert!(!bad.iter().any(|method| authorized.permits(method)), "{name}");
        assert!(authorized.covers(b"{\"a\":1}") && !authorized.covers(b"{\"a\":2}"));
        assert_eq!(&*authorized.into_target().name, *name);
    }
}

#[test]
fn a_refusal_names_its_rule() {
    let policy = Policy::new(vec![rule("ci", vec![allow("other", None)])]);
    let Denied(decision) = authorize(&policy, &key("ci"), target(Kind::Tool, "read", b""), None).unwrap_err();
    assert_eq!(decision.effect, Effect::Deny);
    assert_eq!(decision.rule.as_str(), "keys.ci: not in its allow list");
}

#[test]
fn the_gateways_own_traffic_never_runs_or_reads_anything() {
    for reason in SystemReason::ALL {
        let authorized = Authorized::system(reason, server("files"));
        assert_eq!(authorized.reason(), Some(reason));
        for method in ["tools/call", "prompts/get", "resources/read", "completion/complete", "vendor/x", ""] {
            assert!(!authorized.permits(method), "{reason:?} {method:?}");
        }
    }
    for (reason, method) in [
        (SystemReason::Catalogue, "tools/list"),
        (SystemReason::Watch, "subscriptions/listen"),
        (SystemReason::Probe, "server/discover"),
        (SystemReason::Discover, "server/discover"),
    ] {
        assert!(Authorized::system(reason, server("files")).permits(method));
    }
}

#[test]
fn what_records_hold_can_be_read() {
    let words = SystemReason::ALL.map(SystemReason::as_str);
    assert_eq!(words, ["catalogue", "watch", "probe", "discover"]);
    let digest = ParamsDigest::of(b"abc");
    // SHA-256 of "abc", from FIPS 180-4's examples.
    let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!((digest.to_string().as_str(), format!("{digest:?}").as_str()), (hex, hex));
    assert_eq!(digest.as_bytes()[..4], [0xba, 0x78, 0x16, 0xbf]);
    let refused = |name| {
        let policy = Policy::new(vec![rule("ci", vec![allow("other", None)])]);
        authorize(&policy, &key(name), target(Kind::Tool, "read", b""), None).unwrap_err().0.rule
    };
    assert_eq!(refused("ci"), refused("ci"));
    assert_ne!(refused("ci"), refused("unknown"));
    assert_eq!(format!("{:?}", refused("ci")), "\"keys.ci: not in its allow list\"");
    assert!(Glob::new("*").unwrap().is_everything() && !Glob::new("a*").unwrap().is_everything());
    let glob = Glob::new("read_*").unwrap();
    assert_eq!((glob.to_string().as_str(), format!("{glob:?}").as_str()), ("read_*", "\"read_*\""));
}
