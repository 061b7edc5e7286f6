//! `portreeve import`: five configurations as people have them, taken over so that every server works and no secret stands in
//! clear text anywhere but in a file of its own.

use crate::harness::{Gate, Running, portreeve, soon};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

/// What must never be seen; each configuration below holds some of it.
const SECRETS: [&str; 5] = [
    "ghp_AbCdEf0123456789AbCdEf0123456789",
    "sk-live-0123456789abcdef0123456789",
    "p4ssw0rd-of-the-database",
    "gate-key-0123456789-0123456789-01",
    "zed-secret-value",
];

/// As Claude Desktop has it: `npx`, a token, and a connection string among the arguments.
const CLAUDE_DESKTOP: &str = r#"{
  "globalShortcut": "",
  "mcpServers": {
    "GitHub Tools": {"command": "@STANDIN@", "args": ["GITHUB_TOKEN", "ghp_AbCdEf0123456789AbCdEf0123456789"],
                     "env": {"GITHUB_TOKEN": "ghp_AbCdEf0123456789AbCdEf0123456789", "LOG_LEVEL": "debug"}},
    "postgres": {"command": "@PASSING@", "args": ["postgresql://app:p4ssw0rd-of-the-database@db.example.com/orders"]}
  }
}"#;

/// As VS Code has it: comments, a comma too many, inputs.
const VS_CODE: &str = r#"{
  // asked for once
  "inputs": [{"type": "promptString", "id": "api-key", "description": "the key", "password": true}],
  "servers": {
    "asked": {"type": "stdio", "command": "@STANDIN@", "args": ["API_KEY", "${input:api-key}"],
              "env": {"API_KEY": "${input:api-key}"}},
    "remote": {"type": "http", "url": "@GATE@", "headers": {"Authorization": "Bearer gate-key-0123456789-0123456789-01"}},
  },
}"#;

/// As Cursor has it: `mcp-remote` in front of a server that the gate can reach itself.
const CURSOR: &str = r#"{"mcpServers": {
  "bridged": {"command": "npx", "args": ["-y", "mcp-remote@latest", "@GATE@", "--header", "Authorization: ${AUTH}"],
              "env": {"AUTH": "Bearer gate-key-0123456789-0123456789-01"}},
  "off": {"command": "x", "disabled": true},
  "plain": {"command": "@PASSING@", "args": [], "autoApprove": ["echo"]}
}}"#;

/// As mcpo has it: transports by name.
const MCPO: &str = r#"{"mcpServers": {
  "stream": {"type": "streamable-http", "url": "@GATE@", "headers": {"authorization": "bearer gate-key-0123456789-0123456789-01"}},
  "keyed": {"command": "@STANDIN@", "args": ["OPENAI_KEY", "sk-live-0123456789abcdef0123456789"],
            "env": {"OPENAI_KEY": "sk-live-0123456789abcdef0123456789"}}
}}"#;

/// As Zed has it.
const ZED: &str = r#"{
  "theme": "One Dark",
  "context_servers": {
    "nested": {"source": "custom", "command": {"path": "@STANDIN@", "args": ["MY_SECRET", "zed-secret-value"],
               "env": {"MY_SECRET": "zed-secret-value"}}}
  }
}"#;

/// A script that is the demo server, for whoever gives it the right variable; or for everybody.
fn script(path: &Path, check: &str) {
    let text =
        format!("#!/bin/sh\n{check}\nexec {} demo --transport stdio --era both\n", portreeve().display());
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

async fn run(directory: &Path, arguments: &[&str]) -> (i32, String) {
    let places = ["--config", "portreeve.yaml", "--data", "data"];
    let mut running = Running::start(portreeve(), &[arguments, &places].concat(), directory);
    running.close_stdin();
    let status = soon("the end of the command", running.ended()).await;
    let printed = running.printed().await;
    (status.code().unwrap(), format!("{printed}{}", running.log().join("\n")))
}

fn assert_clean(what: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{what} shows {secret}:\n{text}");
    }
}

#[tokio::test]
async fn five_configurations_are_taken_over_with_every_server_working() {
    let gate = Gate::of()
        .server("demo", json!({"builtin": "demo"}))
        .set("keys", json!([{"name": "k", "secret": SECRETS[3], "allow": [{"server": "*"}]}]))
        .start()
        .await;
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    // The value of the variable that the first argument names has to be the second argument.
    script(
        &root.join("standin"),
        r#"eval value=\$$1; [ -n "$value" ] && [ "$value" = "$2" ] || { echo "wrong $1" >&2; exit 3; }"#,
    );
    script(&root.join("passing"), "");
    // What VS Code asks for is a variable of the gate's environment, which a test's has not: the person is told to set it.
    fs::write(
        root.join("portreeve.yaml"),
        "# mine\nservers:\n  own: {builtin: demo} # stays\n\nlog: {level: warn}\n",
    )
    .unwrap();
    let filled = |text: &str| {
        text.replace("@STANDIN@", root.join("standin").to_str().unwrap())
            .replace("@PASSING@", root.join("passing").to_str().unwrap())
            .replace("@GATE@", &format!("http://{}/mcp/demo", gate.address))
            .replace("${input:api-key}", "sk-live-0123456789abcdef0123456789")
    };
    for (name, text) in
        [("claude", CLAUDE_DESKTOP), ("code", VS_CODE), ("cursor", CURSOR), ("mcpo", MCPO), ("zed", ZED)]
    {
        let file = format!("{name}.json");
        fs::write(root.join(&file), filled(text)).unwrap();
        let before = fs::read_to_string(root.join("portreeve.yaml")).unwrap();
        let (code, shown) = run(root, &["import", &file]).await;
        assert_eq!(code, 0, "{shown}");
        assert_clean(name, &shown);
        assert_eq!(fs::read_to_string(root.join("portreeve.yaml")).unwrap(), before, "it only shows");
        let (code, written) = run(root, &["import", &file, "--write"]).await;
        assert_eq!(code, 0, "{written}");
        assert_clean(name, &written);
    }
    let config = fs::read_to_string(root.join("portreeve.yaml")).unwrap();
    assert_clean("the configuration", &config);
    assert!(
        config.starts_with("# mine\nservers:\n  own: {builtin: demo} # stays\n  GitHub-Tools:\n"),
        "{config}"
    );
    assert!(config.ends_with("\n\nlog: {level: warn}\n"), "{config}");
    let (code, said) = run(root, &["doctor", "--json"]).await;
    assert_eq!(code, 0, "{said}");
    assert_clean("doctor", &said);
    let said: Value = serde_json::from_str(&said).unwrap();
    let names: Vec<&str> =
        said["servers"].as_array().unwrap().iter().map(|server| server["server"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "own",
            "GitHub-Tools",
            "postgres",
            "asked",
            "remote",
            "bridged",
            "plain",
            "stream",
            "keyed",
            "nested"
        ]
    );
    let modes: Vec<u32> = fs::read_dir(root.join("data/secrets"))
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().permissions().mode() & 0o777)
        .collect();
    assert!(modes.len() >= 8 && modes.iter().all(|mode| *mode == 0o600), "{modes:?}");
}

#[tokio::test]
async fn what_would_change_is_shown_as_a_difference() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::write(root.join("portreeve.yaml"), "servers:\n    taken: {builtin: demo}\n").unwrap();
    let foreign = json!({"mcpServers": {
        "taken": {"command": "x"},
        "two words": {"command": "cmd", "args": ["/c", "npx", "-y", "thing"], "timeout": 5},
        "asks": {"url": "https://mcp.example.com/mcp", "headers": {"Authorization": "Bearer ${TOKEN}"}},
    }});
    fs::write(root.join("other.json"), foreign.to_string()).unwrap();
    let (code, shown) = run(root, &["import", "other.json"]).await;
    assert_eq!(code, 0);
    let expected = r#"--- portreeve.yaml
+++ portreeve.yaml
@@ -1,2 +1,8 @@
 servers:
     taken: {builtin: demo}
+    two-words:
+      command: "npx"
+      args: ["-y", "thing"]
+    asks:
+      url: "https://mcp.example.com/mcp"
+      credential: {bearer: "${env:TOKEN}"}
notice: `two words`: timeout has no counterpart here and is left out
notice: `taken` is left out: there is a server of this name already
notice: `two words` becomes `two-words`: a name has letters, digits, `-` and `_`
"#;
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn what_cannot_be_taken_over_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::write(root.join("portreeve.yaml"), "servers: {a: {builtin: demo}}\n").unwrap();
    for (text, expected) in [
        ("{", "error: f.json: not valid JSON: EOF while parsing an object at line 1 column 1"),
        ("[]", "error: f.json: this is no JSON object"),
        ("{\"a\": 1}", "error: f.json: there is no `mcpServers`, `servers` or `context_servers` in it"),
        (
            "{\"mcpServers\": {\"x\": {\"command\": \"y\"}}}",
            "error: portreeve.yaml: `servers` is written on one line; put each server on a line of its own first",
        ),
    ] {
        fs::write(root.join("f.json"), text).unwrap();
        assert_eq!(run(root, &["import", "f.json", "--write"]).await, (2, expected.to_owned()));
    }
}
