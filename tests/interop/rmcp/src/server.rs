//! A server on crates.io `rmcp`, over stdio or Streamable HTTP, both eras: clients of the handshake are asked in the middle of a
//! call, those of 2026-07-28 by input-required results. Tools and their answers are those of `servers/py1.py`, without those that
//! only a session can have.

mod questions;

use questions::{Asking, answer_schema};
use rmcp::{
    ErrorData, ServerHandler, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ListToolsResult, PaginatedRequestParams,
        ProgressNotificationParam, ServerConfig,
    },
    service::{RequestContext, RoleServer},
    transport::{
        stdio,
        streamable_http_server::{
            StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
        },
    },
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

const STEP: Duration = Duration::from_millis(20);

struct Server;

pub fn made<T: DeserializeOwned>(value: Value) -> Result<T, ErrorData> {
    serde_json::from_value(value).map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

pub fn said(result: Value) -> Result<CallToolResponse, ErrorData> {
    let text = result.as_str().map_or_else(|| result.to_string(), str::to_owned);
    let content = json!([{"type": "text", "text": text}]);
    made::<CallToolResult>(
        json!({"resultType": "complete", "content": content, "structuredContent": {"result": result}}),
    )
    .map(Into::into)
}

/// What a tool found out, as text that is JSON.
pub fn value(told: &Value) -> Result<CallToolResponse, ErrorData> {
    said(json!(told.to_string()))
}

fn tool(name: &str, about: &str, properties: Value) -> Value {
    let required: Vec<&String> = properties.as_object().into_iter().flatten().map(|(name, _)| name).collect();
    let schema = json!({"type": "object", "properties": properties, "required": required});
    json!({"name": name, "description": about, "inputSchema": schema})
}

fn tools() -> Value {
    let (text, number) = (json!({"type": "string"}), json!({"type": "integer"}));
    json!([
        tool("echo", "Return the text.", json!({"text": text})),
        tool("add", "Return the sum.", json!({"a": number, "b": number})),
        tool("fail", "Fail with the reason.", json!({"reason": text})),
        tool("progress", "Report each step.", json!({"steps": number})),
        tool("slow", "Answer late.", json!({"milliseconds": number})),
        tool("ask", "Ask one question that carries the token.", json!({"token": text})),
        tool(
            "ask_twice",
            "Ask two questions, the second made from the first answer.",
            json!({"token": text})
        ),
        tool("ask_both", "Ask two questions at the same time.", json!({"token": text})),
        tool("sample", "Let the client's model answer the prompt.", json!({"prompt": text})),
        tool("roots", "Return the client's roots.", json!({})),
    ])
}

async fn progress(steps: u64, context: &RequestContext<RoleServer>) -> Result<CallToolResponse, ErrorData> {
    for step in 1..=steps {
        if let Some(token) = context.meta.get_progress_token() {
            let params = ProgressNotificationParam::new(token, step as f64).with_total(steps as f64);
            let told = context.peer.notify_progress(params.with_message(format!("step {step}"))).await;
            told.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        }
        tokio::time::sleep(STEP).await;
    }
    said(json!(format!("{steps} steps")))
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let info = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "interop-rmcp", "version": "1.0.0"},
        });
        serde_json::from_value(info).expect("the library reads its own format")
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        made(json!({"resultType": "complete", "tools": tools()}))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let given = json!(request.arguments);
        let text = |name: &str| given[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| given[name].as_u64().unwrap_or_default();
        let asking = Asking::new(&request, &context);
        match &*request.name {
            "echo" => said(given["text"].clone()),
            "add" => said(json!(number("a") + number("b"))),
            "fail" => {
                let content = json!([{"type": "text", "text": given["reason"]}]);
                made::<CallToolResult>(json!({"resultType": "complete", "content": content, "isError": true}))
                    .map(Into::into)
            }
            "progress" => progress(number("steps"), &context).await,
            "slow" => {
                tokio::time::sleep(Duration::from_millis(number("milliseconds"))).await;
                said(json!(format!("after {} ms", number("milliseconds"))))
            }
            "ask" => asking.once(&text("token")).await,
            "ask_twice" => asking.twice(&text("token")).await,
            "ask_both" => asking.both(&text("token")).await,
            "sample" => asking.sample(&text("prompt")).await,
            "roots" => asking.roots().await,
            other => Err(ErrorData::invalid_params(format!("no such tool: {other}"), None)),
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if std::env::args().nth(1).as_deref() == Some("stdio") {
        Server.serve(stdio()).await?.waiting().await?;
        return Ok(());
    }
    let sessions = Arc::new(LocalSessionManager::default());
    let service = StreamableHttpService::new(|| Ok(Server), sessions, StreamableHttpServerConfig::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", json!({"port": listener.local_addr()?.port()}));
    Ok(axum::serve(listener, axum::Router::new().nest_service("/mcp", service)).await?)
}

/// The form of every question.
pub fn question(message: &str) -> Value {
    json!({"mode": "form", "message": message, "requestedSchema": answer_schema()})
}
