//! `portreeve doctor`: try every server and say what it is, or what is wrong with it and how to mend that. It tries servers as
//! the gate does, several at once; what faults look like is told in `fault`.

mod fault;

use super::{CommandError, Exit, Setup, client::LocalClient, runtime};
use crate::{
    cli::{DoctorArguments, print},
    config::{Config, LogLevel, Server, ServerKind},
};
use fault::Fault;
use futures_util::{StreamExt, stream};
use portreeve_mcp::{Era, Method, Outcome, Params, Version, service::Description};
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    io::{IsTerminal, Write as _},
    time::{Duration, Instant},
};

/// How many servers are tried at once: children start slowly when all start together.
const AT_ONCE: usize = 8;

/// What was found out about one server.
struct Finding {
    name: String,
    transport: &'static str,
    took: Duration,
    outcome: Result<Sound, Fault>,
}

/// A server that answers.
struct Sound {
    version: Version,
    era: &'static str,
    info: String,
    counts: Vec<(&'static str, Result<usize, String>)>,
    warnings: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// It could not be done; the error has the exit code.
pub fn run(setup: &Setup, arguments: &DoctorArguments) -> Result<Exit, CommandError> {
    let mut config = setup.loaded.config.clone();
    config.log.level = LogLevel::Off;
    for name in &arguments.servers {
        if config.server(name).is_none() {
            let known: Vec<&str> = config.servers.iter().map(|server| server.name.as_str()).collect();
            let text = format!("no server `{name}`; the configuration has: {}", known.join(", "));
            return Err(CommandError::plain(Exit::Usage, text));
        }
    }
    let wanted = |server: &&Server| {
        arguments.servers.is_empty() || arguments.servers.iter().any(|name| *name == server.name.as_str())
    };
    let servers: Vec<&Server> = config.servers.iter().filter(wanted).collect();
    let findings = runtime()?.block_on(examine(&config, &servers, arguments.timeout.0));
    let text = if arguments.json { as_json(&findings) } else { as_table(&findings) };
    print(text.as_bytes())?;
    Ok(if findings.iter().all(|finding| finding.outcome.is_ok()) { Exit::Done } else { Exit::Unreachable })
}

async fn examine(config: &Config, servers: &[&Server], patience: Duration) -> Vec<Finding> {
    let mut done = 0;
    let mut findings: Vec<(usize, Finding)> = Vec::new();
    let mut running = stream::iter(servers.iter().enumerate())
        .map(|(place, server)| async move { (place, one(config, server, patience).await) })
        .buffer_unordered(AT_ONCE);
    progress(done, servers.len());
    while let Some(finding) = running.next().await {
        findings.push(finding);
        done += 1;
        progress(done, servers.len());
    }
    findings.sort_by_key(|(place, _)| *place);
    findings.into_iter().map(|(_, finding)| finding).collect()
}

/// Says on a terminal how far it is; the line is taken away at the end.
fn progress(done: usize, all: usize) {
    let mut stderr = std::io::stderr().lock();
    if stderr.is_terminal() {
        let text =
            if done < all { format!("\rtried {done} of {all} servers") } else { "\r\x1b[K".to_owned() };
        // A terminal that has gone is not missed.
        let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    }
}

async fn one(config: &Config, server: &Server, patience: Duration) -> Finding {
    let began = Instant::now();
    let name = server.name.to_string();
    let mut transport = match &server.kind {
        ServerKind::Child(_) => "stdio",
        ServerKind::Remote(_) => "http",
        ServerKind::Builtin(_) => "built in",
    };
    let outcome = match fault::before_asking(config, server) {
        Some(fault) => Err(fault),
        None => match LocalClient::of(config.clone(), &name) {
            Err(error) => Err(Fault::other(error.to_string())),
            Ok(client) => {
                let looked = tokio::time::timeout(patience, look(server, &client)).await;
                transport = client.transport().unwrap_or(transport);
                client.end().await;
                looked.unwrap_or_else(|_| Err(Fault::hangs(server, patience)))
            }
        },
    };
    Finding { name, transport, took: began.elapsed(), outcome }
}

async fn look(server: &Server, client: &LocalClient) -> Result<Sound, Fault> {
    let described = client.examine().await.ok_or_else(|| Fault::other("the server is gone".to_owned()))?;
    let description = described.map_err(|failure| fault::of(server, &failure))?;
    let mut counts = Vec::new();
    for (what, method) in
        [("tools", Method::ToolsList), ("prompts", Method::PromptsList), ("resources", Method::ResourcesList)]
    {
        if description.capabilities.get(what).is_some() {
            counts.push((what, count(client, what, method).await));
        }
    }
    Ok(sound(&description, counts))
}

async fn count(client: &LocalClient, what: &str, method: Method) -> Result<usize, String> {
    match client.request(method, Params::default()).await {
        Outcome::Result(result) => {
            Ok(result.get(what).and_then(|list| list.elements()).map_or(0, |all| all.len()))
        }
        Outcome::Error(error) => Err(error.message.to_string()),
    }
}

fn sound(description: &Description, counts: Vec<(&'static str, Result<usize, String>)>) -> Sound {
    let part = |key: &str| {
        let info = description.server_info.as_ref()?;
        Some(info.get(key)?.string_value()?.to_string())
    };
    let mut warnings = Vec::new();
    if description.version < Version::V2025_03_26 {
        warnings.push(format!(
            "it speaks {}, the oldest revision; a newer release may know more",
            description.version
        ));
    }
    if counts.is_empty() {
        warnings.push("it offers no tools, prompts or resources".to_owned());
    }
    for (what, found) in &counts {
        match found {
            Ok(0) if *what == "tools" => warnings.push("its list of tools is empty".to_owned()),
            Err(why) => warnings.push(format!("its list of {what} cannot be had: {why}")),
            Ok(_) => {}
        }
    }
    let era = match description.era {
        Some(Era::Legacy) => "legacy",
        Some(Era::Modern) => "modern",
        None => "both",
    };
    let info = [part("name"), part("version")].into_iter().flatten().collect::<Vec<_>>().join(" ");
    Sound { version: description.version, era, info, counts, warnings }
}

fn as_table(findings: &[Finding]) -> String {
    let mut out = String::new();
    let width = findings.iter().map(|finding| finding.name.chars().count()).max().unwrap_or(0).max(6);
    // Writing into a `String` cannot fail.
    let _ = writeln!(out, "{:width$}  {:15}  {:10}  {:6}  what", "server", "transport", "revision", "era");
    for Finding { name, transport, outcome, .. } in findings {
        match outcome {
            Ok(sound) => {
                let counts: Vec<String> = sound
                    .counts
                    .iter()
                    .filter_map(|(what, found)| Some(format!("{} {what}", found.as_ref().ok()?)))
                    .collect();
                let what = [sound.info.clone(), counts.join(", ")].join("; ");
                let _ = writeln!(
                    out,
                    "{name:width$}  {transport:15}  {:10}  {:6}  {what}",
                    sound.version.as_str(),
                    sound.era
                );
                for warning in &sound.warnings {
                    let _ = writeln!(out, "{:width$}  warning: {warning}", "");
                }
            }
            Err(fault) => {
                let _ = writeln!(
                    out,
                    "{name:width$}  {transport:15}  {:10}  {:6}  FAULT: {}",
                    "-", "-", fault.what
                );
                if let Some(said) = &fault.said {
                    let _ = writeln!(out, "{:width$}  said: {said}", "");
                }
                let _ = writeln!(out, "{:width$}  mend: {}", "", fault.mend);
            }
        }
    }
    let faults = findings.iter().filter(|finding| finding.outcome.is_err()).count();
    let _ = match faults {
        0 => writeln!(out, "\n{} servers, all answer", findings.len()),
        faults => writeln!(out, "\n{} servers, {faults} with a fault", findings.len()),
    };
    out
}

fn as_json(findings: &[Finding]) -> String {
    let one = |finding: &Finding| {
        let mut value = json!({
            "server": finding.name,
            "transport": finding.transport,
            "ok": finding.outcome.is_ok(),
            "milliseconds": u64::try_from(finding.took.as_millis()).unwrap_or(u64::MAX),
        });
        match &finding.outcome {
            Ok(sound) => {
                let counts =
                    sound.counts.iter().map(|(what, found)| ((*what).to_owned(), json!(found.as_ref().ok())));
                value["revision"] = json!(sound.version.as_str());
                value["era"] = json!(sound.era);
                value["serverInfo"] = json!(sound.info);
                value["counts"] = Value::Object(counts.collect());
                value["warnings"] = json!(sound.warnings);
            }
            Err(fault) => {
                value["fault"] =
                    json!({"code": fault.code, "what": fault.what, "mend": fault.mend, "said": fault.said});
            }
        }
        value
    };
    format!("{:#}\n", json!({"servers": findings.iter().map(one).collect::<Vec<_>>()}))
}
