//! Driver for crates.io `rmcp`: the handshake, 2026-07-28 alone, or as it comes, over Streamable HTTP or a command. Reads a job from
//! stdin and prints one JSON document, as `clients/driver.py` describes. It judges nothing.

mod answers;
mod asked;
mod moves;

use asked::Asked;
use moves::Moves;
use rmcp::{
    model::{ClientConfig, ProtocolVersion},
    service::{ClientLifecycleMode, ClientServiceExt, RoleClient, RunningService},
    transport::{
        StreamableHttpClientTransport, TokioChildProcess,
        streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use serde_json::{Map, Value, json};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};
use tokio::{process::Command, time::timeout};

pub type Client = RunningService<RoleClient, Asked>;

/// Where the connection of a scenario goes, and how.
async fn connect(job: &Value, scenario: &Value, asked: Asked) -> anyhow::Result<Client> {
    let newest = || vec![ProtocolVersion::V_2026_07_28];
    let lifecycle = match job["mode"].as_str() {
        Some("auto") => ClientLifecycleMode::Auto { preferred_versions: newest(), legacy_version: None },
        Some("legacy") => ClientLifecycleMode::Initialize,
        _ => ClientLifecycleMode::Discover { preferred_versions: newest() },
    };
    let target = &job["target"];
    if let Some(command) = target["command"].as_str() {
        let mut child = Command::new(command);
        child.args(target["args"].as_array().into_iter().flatten().filter_map(Value::as_str));
        return Ok(asked.serve_with_lifecycle(TokioChildProcess::new(child)?, lifecycle).await?);
    }
    let url = scenario["via"].as_str().map_or(&target["url"], |via| &target["routes"][via]);
    let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str().unwrap_or_default());
    if let Some(key) = target["bearer"].as_str() {
        config = config.auth_header(key);
    }
    let transport = StreamableHttpClientTransport::from_config(config);
    Ok(asked.serve_with_lifecycle(transport, lifecycle).await?)
}

async fn one_scenario(client: &Client, scenario: &Value, seconds: Duration) -> Value {
    eprintln!("--- {}", scenario["name"]);
    let asked = client.service();
    asked.begin(scenario["action"].as_str().unwrap_or("accept"));
    let version = client.peer_info().map(|info| info.protocol_version.to_string());
    let mut moves = Moves::new(client, seconds);
    let mut steps = Vec::new();
    let mut failed = Value::Null;
    for step in scenario["steps"].as_array().into_iter().flatten() {
        match timeout(seconds, moves.step(step)).await {
            Ok(result) => steps.push(result),
            Err(_) => {
                failed = json!(format!("no answer within {seconds:?}"));
                break;
            }
        }
    }
    let mut outcome = asked.told();
    outcome.extend([("steps".to_owned(), json!(steps)), ("version".to_owned(), json!(version))]);
    if !failed.is_null() {
        outcome.insert("failed".to_owned(), failed);
    }
    Value::Object(outcome)
}

/// Connects and takes scenarios from the front: one over HTTP, all over a command until one fails.
async fn on_one_connection(
    job: &Value,
    waiting: &mut VecDeque<Value>,
    results: &mut Map<String, Value>,
    end: Instant,
) {
    let seconds = Duration::from_secs_f64(job["seconds"].as_f64().unwrap_or(20.0));
    let Some(first) = waiting.front().cloned() else { return };
    let able = first["able"] != json!(false);
    let connected = timeout(seconds, connect(job, &first, Asked::new(able))).await;
    let client = match connected {
        Ok(Ok(client)) => client,
        other => {
            let why = match other {
                Ok(Err(error)) => format!("{error:#}"),
                _ => format!("no connection within {seconds:?}"),
            };
            waiting.pop_front();
            results.insert(
                first["name"].as_str().unwrap_or_default().to_owned(),
                json!({"steps": [], "failed": why}),
            );
            return;
        }
    };
    while let Some(scenario) = waiting.front().cloned() {
        if (scenario["able"] != json!(false)) != able || Instant::now() >= end {
            break;
        }
        waiting.pop_front();
        let outcome = one_scenario(&client, &scenario, seconds).await;
        let failed = outcome.get("failed").is_some();
        results.insert(scenario["name"].as_str().unwrap_or_default().to_owned(), outcome);
        if failed || job["target"]["url"].is_string() {
            break;
        }
    }
    if timeout(Duration::from_secs(5), client.cancel()).await.is_err() {
        eprintln!("the connection did not end within 5 s");
    }
}

// The library hears each notification in a task of its own: with one thread they keep their order.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        anyhow::bail!("somebody else brought a TLS provider");
    }
    let job: Value = serde_json::from_reader(std::io::stdin())?;
    let end = Instant::now() + Duration::from_secs_f64(job["budget"].as_f64().unwrap_or(90.0));
    let mut waiting: VecDeque<Value> = job["scenarios"].as_array().cloned().unwrap_or_default().into();
    let mut results = Map::new();
    while !waiting.is_empty() && Instant::now() < end {
        on_one_connection(&job, &mut waiting, &mut results, end).await;
    }
    for scenario in waiting {
        let over = json!({"steps": [], "failed": "the time for this pair was over"});
        results.insert(scenario["name"].as_str().unwrap_or_default().to_owned(), over);
    }
    println!("{}", Value::Object(results));
    Ok(())
}

/// What this client tells a server about itself.
pub fn about(able: bool) -> ClientConfig {
    let capabilities =
        if able { json!({"elicitation": {"form": {}}, "sampling": {}, "roots": {}}) } else { json!({}) };
    let about = json!({
        "protocolVersion": "2025-11-25",
        "capabilities": capabilities,
        "clientInfo": {"name": "interop-rmcp", "version": "1.0.0"},
    });
    serde_json::from_value(about).expect("the library reads its own format")
}
