//! What good files mean. What wrong files are told is in `tests/wrong.rs`, row by row.

mod described;
mod wrong;

use super::*;
use std::{collections::HashMap, path::Path, time::Duration};

/// References answered from a table.
pub(super) struct Table {
    variables: HashMap<&'static str, &'static str>,
    files: HashMap<&'static str, &'static str>,
}

impl Lookup for Table {
    fn env(&self, name: &str) -> Result<Option<String>, String> {
        match name {
            "BINARY" => Err("it is not UTF-8".to_owned()),
            name => Ok(self.variables.get(name).map(ToString::to_string)),
        }
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        let found = self.files.get(path.to_str().unwrap());
        found.map(ToString::to_string).ok_or_else(|| "there is no such file".to_owned())
    }
}

pub(super) fn table() -> Table {
    Table {
        variables: HashMap::from([
            ("KEY", "0123456789abcdef0123456789abcdef"),
            ("TOKEN", "token-of-tickets"),
            ("EMPTY", ""),
            ("PORT", "9000"),
            ("FIVE", "5"),
            ("TRUE", "true"),
            ("BLANKS", "two words and more of them"),
            ("HOME", "/home/me"),
        ]),
        files: HashMap::from([
            ("/run/secrets/seal", "fedcba9876543210fedcba9876543210\n"),
            ("/etc/portreeve/near", "beside the configuration\r\n"),
            ("/etc/lines", "one\ntwo\n\n"),
        ]),
    }
}

/// A good file, without warnings.
fn good(text: &str) -> Config {
    let (config, warnings) =
        parse(text, "/etc/portreeve/portreeve.yaml", &table()).unwrap_or_else(|problems| {
            panic!("{text}\n{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        });
    assert_eq!(warnings, [], "{text}");
    config
}

fn child(server: &Server) -> &Child {
    match &server.kind {
        ServerKind::Child(child) => child,
        other => panic!("{other:?}"),
    }
}

fn remote(server: &Server) -> &Remote {
    match &server.kind {
        ServerKind::Remote(remote) => remote,
        other => panic!("{other:?}"),
    }
}

const EVERYTHING: &str = r#"
listen: "0.0.0.0:${env:PORT}"
public_url: https://gate.example.com/
allowed_hosts: [Gate.internal, "gate.internal:8443"]
allowed_origins: [https://Chat.example.com]
metrics: {listen: localhost:8485}
servers:
  files:
    command: npx
    args: [-y, "@example/files", "", 7.10]
    env: {LOG: debug, NUMBER: 010, HOME: "${env:HOME}", LITERAL: "$${env:HOME}", NONE: ""}
    cwd: data
    era: legacy
    max_children: 3
    roots: [{uri: "file:///srv/data", name: data}, {uri: "file:///srv"}]
  tickets:
    url: https://mcp.example.net:8443/mcp?team=a
    transport: streamable-http
    replay: true
    era: modern
    headers: {X-Team: platform, X-Key: "${env:KEY}"}
    credential: {bearer: "${env:TOKEN}"}
    isolation: session
    timeouts: {connect: 250ms, call: 2h, ask: 1m}
    tools: {allow: ["read_*", search], deny: ["*_secret"]}
    offer: {elicitation: false, sampling: "${env:TRUE}"}
  playground: {builtin: demo, options: {}}
mcp: {root: tickets, name_length: 128, sse_after: 1s, page_size: 50}
keys:
  - {name: ci, secret: "${env:KEY}", allow: [{server: files, tools: ["read_*"]}, {server: "play*"}]}
limits:
  {body: 1MiB, headers: 16KiB, depth: 32, upstream_message: 10MB, calls_per_minute: unlimited, parked_per_principal: 1,
   parked_total: 2, rounds: "${env:FIVE}", sessions_per_principal: 4,
   replay_bytes: 64KiB, replay_events: 16, replay_total: 1MiB, replay_wait: 2s}
seal: {keys: ["${file:/run/secrets/seal}"]}
log: {format: json, level: debug}
"#;

#[test]
fn every_key_of_the_gate_arrives() {
    let config = good(EVERYTHING);
    assert_eq!(config.listen.to_string(), "0.0.0.0:9000");
    assert_eq!(config.client_url(config.listen), "https://gate.example.com");
    assert_eq!(config.allowed_hosts, ["gate.internal", "gate.internal:8443"]);
    assert_eq!(config.allowed_origins, ["https://chat.example.com"]);
    assert_eq!(config.metrics.unwrap().listen.to_string(), "127.0.0.1:8485");
    assert_eq!(config.mcp.root.unwrap().as_str(), "tickets");
    assert_eq!((config.mcp.name_length, config.mcp.sse_after), (128, Duration::from_secs(1)));
    assert_eq!(config.mcp.page_size, 50);
    let limits = &config.limits;
    assert_eq!(
        (limits.body, limits.headers, limits.depth, limits.upstream_message),
        (1 << 20, 16 << 10, 32, 10_000_000)
    );
    assert_eq!((limits.calls_per_minute, limits.parked_per_principal, limits.parked_total), (None, 1, 2));
    assert_eq!((limits.rounds, limits.sessions_per_principal), (5, 4));
    assert_eq!((limits.replay_bytes, limits.replay_events, limits.replay_total), (64 << 10, 16, 1 << 20));
    assert_eq!(limits.replay_wait, Duration::from_secs(2));
    assert_eq!(config.seal_keys[0].expose(), "fedcba9876543210fedcba9876543210");
    assert_eq!(config.log, Log { format: LogFormat::Json, level: LogLevel::Debug });
    let key = &config.keys[0];
    assert_eq!((key.name.as_str(), key.secret.expose().len()), ("ci", 32));
    let grants: Vec<(&str, &str)> =
        key.allow.iter().map(|grant| (grant.server.as_str(), grant.tools[0].as_str())).collect();
    assert_eq!(grants, [("files", "read_*"), ("play*", "*")]);
}

#[test]
fn every_key_of_a_server_arrives() {
    let config = good(EVERYTHING);
    let [files, tickets, playground] = &config.servers[..] else { panic!("{:?}", config.servers) };
    assert_eq!((files.era, files.isolation, files.max_children), (Era::Legacy, Isolation::Principal, 3));
    assert_eq!(files.roots[0], Root { uri: "file:///srv/data".to_owned(), name: Some("data".to_owned()) });
    assert_eq!(child(files).args, ["-y", "@example/files", "", "7.10"]);
    assert_eq!(child(files).cwd.as_deref(), Some(Path::new("/etc/portreeve/data")));
    let env: Vec<(&str, &str)> =
        child(files).env.iter().map(|(name, value)| (name.as_str(), value.expose().as_str())).collect();
    assert_eq!(
        env,
        [("LOG", "debug"), ("NUMBER", "010"), ("HOME", "/home/me"), ("LITERAL", "${env:HOME}"), ("NONE", "")]
    );

    let Remote { url, transport, headers, credential, replay, way } = remote(tickets);
    assert_eq!(*way, Outbound::default());
    assert_eq!(*replay, Replay::Kept);
    assert_eq!(
        (url.to_string().as_str(), *transport),
        ("https://mcp.example.net:8443/mcp?team=a", Transport::StreamableHttp)
    );
    assert_eq!((tickets.era, tickets.isolation), (Era::Modern, Isolation::Session));
    let sensitive: Vec<(&str, bool)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.is_sensitive())).collect();
    assert_eq!(sensitive, [("x-team", false), ("x-key", true)]);
    assert_eq!(credential.as_ref().unwrap().authorization_header().expose(), "Bearer token-of-tickets");
    assert_eq!(tickets.deadlines.connect, Duration::from_millis(250));
    assert_eq!(tickets.deadlines.ask, Duration::from_secs(60));
    assert_eq!(
        tickets.deadlines.progress_cap, tickets.deadlines.call,
        "a long call without a cap is that long"
    );
    assert_eq!(tickets.tools.allow, ["read_*", "search"]);
    assert_eq!(tickets.tools.deny, ["*_secret"]);
    assert_eq!(tickets.offer, Offer { elicitation: false, sampling: true, roots: true });

    assert!(matches!(playground.kind, ServerKind::Builtin(Builtin::Demo)));
}

#[test]
fn defaults_are_those_of_a_laptop() {
    let config = good("servers: {a: {command: x}, b: {url: 'http://127.0.0.1:1/'}}");
    assert_eq!(config.listen.to_string(), "127.0.0.1:8484");
    assert_eq!(config.client_url(config.listen), "http://127.0.0.1:8484");
    assert_eq!(
        config.mcp,
        Mcp { root: None, name_length: 64, sse_after: Duration::from_secs(5), page_size: 1000 }
    );
    assert_eq!(config.limits.calls_per_minute, Some(100));
    assert_eq!(config.log, Log { format: LogFormat::Auto, level: LogLevel::Info });
    let server = config.server("b").unwrap();
    assert_eq!((server.era, server.isolation, server.max_children), (Era::Auto, Isolation::Shared, 8));
    assert_eq!(server.tools, ToolFilter { allow: vec!["*".to_owned()], deny: vec![] });
    assert_eq!(server.offer, Offer { elicitation: true, sampling: true, roots: true });
    assert_eq!(remote(server).transport, Transport::Auto);
    assert_eq!(remote(server).replay, Replay::Unknown);
    assert!(config.server("c").is_none());
}

#[test]
fn values_are_read_as_they_are_meant() {
    let listen = |text: &str| good(&format!("{text}\nservers: {{a: {{command: x}}}}")).listen.to_string();
    for (text, expected) in [
        ("listen: 127.0.0.1:0", "127.0.0.1:0"),
        ("listen: '[::1]:80'", "[::1]:80"),
        ("listen: localhost:80", "127.0.0.1:80"),
        ("listen: &a 127.0.0.1:${env:PORT}\nmetrics: {listen: 127.0.0.1:1}", "127.0.0.1:9000"),
        ("\u{feff}listen: 127.0.0.2:1", "127.0.0.2:1"),
        ("listen: '127.0.0.1:1' # a comment", "127.0.0.1:1"),
        ("listen: 127.0.0.1:1\r\nlog: {level: info}\r", "127.0.0.1:1"),
    ] {
        assert_eq!(listen(text), expected, "{text}");
    }
    let argument = |text: &str| {
        child(&good(&format!("servers: {{a: {{command: x, args: [{text}]}}}}")).servers[0]).args[0].clone()
    };
    for (text, expected) in [
        ("\"${file:near}\"", "beside the configuration"),
        ("\"${file:/etc/lines}\"", "one\ntwo\n"),
        ("\"<${env:EMPTY}>\"", "<>"),
        ("\"$${x} $5 $\"", "${x} $5 $"),
        ("\"${env:FIVE}${env:FIVE}\"", "55"),
        ("yes", "yes"),
        ("0x10", "0x10"),
    ] {
        assert_eq!(argument(text), expected, "{text}");
    }
}

#[test]
fn an_alias_repeats_what_its_anchor_says() {
    let config = good("servers:\n  a: {command: x, tools: &t {deny: [d]}}\n  b: {command: y, tools: *t}");
    assert_eq!(config.servers[0].tools, config.servers[1].tools);
}

#[test]
fn a_listening_address_of_the_command_line_is_held_to_the_same_rule() {
    let config = good("servers: {a: {command: x}}");
    for (listen, allowed) in [
        ("127.0.0.1:1", true),
        ("[::1]:1", true),
        ("[::ffff:127.0.0.1]:1", true),
        ("0.0.0.0:1", false),
        ("[::]:1", false),
    ] {
        assert_eq!(check_exposure(listen.parse().unwrap(), &config).is_none(), allowed, "{listen}");
    }
    let with_keys = good(EVERYTHING);
    assert_eq!(check_exposure("0.0.0.0:1".parse().unwrap(), &with_keys), None);
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    for (text, expected) in [
        ("", "f.yaml:1:1: the file is empty: the demo server runs on loopback"),
        ("# nothing but a comment", "f.yaml:1:1: the file is empty: the demo server runs on loopback"),
        ("log: {level: info}", "f.yaml:1:1: no `servers`: the demo server is the only one"),
        (
            "servers: {}",
            "f.yaml:1:10: servers: there is no server\n    mend: name one, or remove the key to have the demo server",
        ),
        (
            "servers: {a: {command: npx -y x}}",
            "f.yaml:1:24: servers.a.command: `npx -y x` has a blank in it\n    mend: no shell is involved: put the program into `command` and each argument into `args`",
        ),
        (
            "servers: {a: {url: 'https://h/', credential: {bearer: abcdefgh}}}",
            "f.yaml:1:55: servers.a.credential.bearer: a secret is written into the file itself\n    mend: move it out: `${env:NAME}` or `${file:/path}`",
        ),
        (
            "servers: {a: {command: x, tools: {allow: []}}}",
            "f.yaml:1:42: servers.a.tools.allow: no tool is allowed, so the server has none\n    mend: name tools or patterns, such as `read_*`",
        ),
        (
            "servers: {a: {command: x}}\nkeys: [{name: a, secret: '${env:KEY}'}]",
            "f.yaml:2:8: keys[0]: this key has no `allow`, so it may do nothing\n    mend: write `allow: [{server: NAME}]`, with `tools: [\"read_*\"]` to narrow it",
        ),
        (
            "servers: {a: {command: x}}\nkeys: [{name: a, secret: '${env:KEY}', allow: [{server: 'b*'}]}]",
            "f.yaml:2:57: keys[0].allow[0].server: `b*` matches no server",
        ),
        (
            "listen: 0.0.0.0:1\nservers: {a: {command: x}}\nkeys: [{name: a, secret: '${env:KEY}', allow: []}]",
            "f.yaml:1:9: listen: the gate leaves this machine and has no `public_url`\n    mend: set `public_url`; clients are told http://0.0.0.0:1 otherwise",
        ),
    ] {
        let (_, warnings) =
            parse(text, "f.yaml", &table()).unwrap_or_else(|problems| panic!("{text}\n{problems:?}"));
        let shown: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(shown, [expected], "{text}");
    }
}

#[test]
fn a_damaged_file_is_an_answer_too() {
    let signs =
        ["{", "}", "[", "]", ":", "#", "\"", "'", "$", "&", "*", "!", "|", "\t", "\n", "\0", "ä", "- "];
    let damaged = EVERYTHING.char_indices().enumerate().flat_map(|(nth, (at, sign))| {
        let (before, after) = (&EVERYTHING[..at], &EVERYTHING[at + sign.len_utf8()..]);
        [
            before.to_owned(),
            format!("{before}{after}"),
            format!("{before}{}{after}", signs[nth % signs.len()]),
        ]
    });
    let mut refused = 0;
    for text in damaged {
        let Err(problems) = parse(&text, "f.yaml", &table()) else { continue };
        refused += 1;
        let last = text.lines().count() + 1;
        let placed = |problem: &Problem| (1..=last).contains(&problem.mark.line) && problem.mark.column >= 1;
        assert!(!problems.is_empty() && problems.iter().all(placed), "{text}\n{problems:?}");
    }
    assert!(refused > 1000, "only {refused} of the damaged files are refused");
}

#[test]
fn nothing_secret_is_printed_with_a_configuration() {
    let printed = format!("{:?}", good(EVERYTHING));
    for secret in ["0123456789abcdef", "token-of-tickets", "fedcba9876543210", "/home/me"] {
        assert!(!printed.contains(secret), "{secret}");
    }
}

#[test]
fn every_example_is_good() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = std::fs::read_to_string(&path).unwrap();
            let outcome = parse(&text, path.to_str().unwrap(), &Anything);
            let (_, warnings) = outcome.unwrap_or_else(|problems| panic!("{}", problems[0]));
            assert_eq!(warnings, [], "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 3, "{seen} examples");
}

#[test]
fn the_page_about_configuration_is_true() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = std::fs::read_to_string(path).unwrap();
    let blocks: Vec<&str> =
        page.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 5, "{} blocks", blocks.len());
    for block in blocks {
        // A gate that only shows some keys may leave out others, so warnings are in order here.
        parse(block, "/etc/portreeve/portreeve.yaml", &Anything)
            .unwrap_or_else(|problems| panic!("{block}\n{}", problems[0]));
    }
}

/// Answers every reference, with another text each; where a certificate or its key has to be, with those.
struct Anything;

/// A certificate and its key, in PEM.
fn pair() -> &'static (String, String) {
    static PAIR: std::sync::OnceLock<(String, String)> = std::sync::OnceLock::new();
    PAIR.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(["gate.example.com".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    })
}

impl Lookup for Anything {
    fn env(&self, name: &str) -> Result<Option<String>, String> {
        Ok(Some(format!("{name:x<40}")))
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        Ok(match path.extension().and_then(|form| form.to_str()) {
            Some("crt" | "pem") => pair().0.clone(),
            Some("key") => pair().1.clone(),
            _ => format!("{:x<40}\n", path.display()),
        })
    }
}
