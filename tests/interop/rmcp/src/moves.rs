//! The steps of a scenario, in this library's terms; `clients/moves.py` says what each gives. The tasks of 2025-11-25 are none of
//! this library's (it has those of the extension).

use crate::Client;
use rmcp::{
    ServiceError,
    model::{CallToolRequestParams, ClientRequest, ProtocolVersion, Request, SubscriptionFilter},
    service::{PeerRequestOptions, RequestHandle, RoleClient, Subscription},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use std::time::Duration;

const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// A legacy client cannot know when the stream that carries changes is open, so it tries a few times.
const TRIES: usize = 5;
const TRY: Duration = Duration::from_secs(2);
/// How long an answer to a cancelled call is looked out for.
const LATE: Duration = Duration::from_millis(300);

pub struct Moves<'a> {
    client: &'a Client,
    level: Option<Value>,
    seconds: Duration,
}

type Done<T> = Result<T, ServiceError>;

fn plain(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn made<T: DeserializeOwned>(value: Value) -> Done<T> {
    serde_json::from_value(value).map_err(|_| ServiceError::UnexpectedResponse)
}

fn failure(error: &ServiceError) -> Value {
    let (code, message) = match error {
        ServiceError::McpError(error) => (json!(error.code.0), error.message.to_string()),
        other => (Value::Null, other.to_string()),
    };
    json!({"failed": "ServiceError", "code": code, "message": message})
}

fn told(result: &Value) -> Value {
    let blocks = result["content"].as_array().into_iter().flatten();
    let content: Vec<&Value> =
        blocks.map(|it| if it["type"] == "text" { &it["text"] } else { &it["type"] }).collect();
    let error = result["isError"].as_bool().unwrap_or(false);
    json!({"error": error, "content": content, "structured": result["structuredContent"]})
}

impl<'a> Moves<'a> {
    pub fn new(client: &'a Client, seconds: Duration) -> Self {
        Self { client, level: None, seconds }
    }

    fn is_modern(&self) -> bool {
        self.client.peer_info().is_some_and(|info| info.protocol_version == ProtocolVersion::V_2026_07_28)
    }

    pub async fn step(&mut self, step: &Value) -> Value {
        let done = match step["op"].as_str().unwrap_or_default() {
            "call" => return self.one_call(step).await,
            "together" => return self.together(step).await,
            "list" => self.list().await,
            "until_asked" => {
                let within = Duration::from_secs_f64(step["seconds"].as_f64().unwrap_or(1.0));
                self.client.service().until_asked(step["kind"].as_str().unwrap_or_default(), within).await;
                Ok(Value::Null)
            }
            "level" => self.set_level(step).await,
            "cancel" => self.cancel(step).await,
            "complete" => self.complete(step).await,
            "pages" => self.pages(step).await,
            "watch" => self.watch(step).await,
            other => Ok(json!({"lacks": other})),
        };
        done.unwrap_or_else(|error| failure(&error))
    }

    async fn list(&self) -> Done<Value> {
        let tools = self.client.list_all_tools().await?;
        let shape =
            |tool: &Value| json!({"description": tool["description"], "inputSchema": tool["inputSchema"]});
        let named = tools
            .iter()
            .map(plain)
            .map(|tool| (tool["name"].as_str().unwrap_or_default().to_owned(), shape(&tool)));
        Ok(Value::Object(named.collect::<Map<_, _>>()))
    }

    fn request(&self, step: &Value) -> Done<CallToolRequestParams> {
        let mut params = json!({"name": step["tool"], "arguments": step["arguments"]});
        if let Some(level) = &self.level {
            params["_meta"] = json!({LOG_LEVEL: level});
        }
        made(params)
    }

    /// A call that can be cancelled.
    async fn begin(&self, step: &Value) -> Done<RequestHandle<RoleClient>> {
        let request = ClientRequest::CallToolRequest(Request::new(self.request(step)?));
        self.client.send_cancellable_request(request, PeerRequestOptions::no_options()).await
    }

    async fn call(&self, step: &Value) -> Done<Value> {
        let asked = self.client.service();
        let before = asked.steps();
        let mut outcome = told(&plain(&self.client.call_tool(self.request(step)?).await?));
        if step["progress"] == json!(true) {
            // A call that is asked something goes out again, under another token; no two calls at once report progress.
            outcome["progress"] = json!(asked.steps_since(before));
        }
        Ok(outcome)
    }

    async fn one_call(&self, step: &Value) -> Value {
        self.call(step).await.unwrap_or_else(|error| {
            let mut outcome = failure(&error);
            if step["progress"] == json!(true) {
                outcome["progress"] = json!([]);
            }
            outcome
        })
    }

    async fn together(&self, step: &Value) -> Value {
        let calls = step["calls"].as_array().into_iter().flatten();
        json!(futures::future::join_all(calls.map(|call| self.one_call(call))).await)
    }

    async fn set_level(&mut self, step: &Value) -> Done<Value> {
        if self.is_modern() {
            self.level = Some(step["level"].clone());
        } else {
            self.client.set_level(made(json!({"level": step["level"]}))?).await?;
        }
        Ok(Value::Null)
    }

    async fn cancel(&self, step: &Value) -> Done<Value> {
        let handle = self.begin(step).await?;
        let token = plain(&handle.progress_token);
        let started = self.client.service().until_progress(&token, self.seconds).await;
        let RequestHandle { rx, id, peer, .. } = handle;
        let cancelled = json!({"method": "notifications/cancelled", "params": {"requestId": id, "reason": "no longer wanted"}});
        peer.send_notification(made(cancelled)?).await?;
        let answered = matches!(tokio::time::timeout(LATE, rx).await, Ok(Ok(Ok(_))));
        Ok(json!({"started": started, "answered": answered}))
    }

    async fn complete(&self, step: &Value) -> Done<Value> {
        let mut params = json!({"ref": step["ref"], "argument": step["argument"]});
        if step["context"].is_object() {
            params["context"] = json!({"arguments": step["context"]});
        }
        Ok(plain(&self.client.complete(made(params)?).await?)["completion"]["values"].clone())
    }

    async fn pages(&self, step: &Value) -> Done<Value> {
        let (mut uris, mut cursor, mut count) = (Vec::new(), Value::Null, 0);
        let prefix = step["prefix"].as_str().unwrap_or_default();
        while count == 0 || (!cursor.is_null() && count < step["most"].as_u64().unwrap_or(1)) {
            let params = if cursor.is_null() { json!({}) } else { json!({"cursor": cursor}) };
            let page = plain(&self.client.list_resources(made(params)?).await?);
            let all = page["resources"].as_array().into_iter().flatten().map(|it| it["uri"].clone());
            uris.extend(all.filter(|uri| uri.as_str().is_some_and(|uri| uri.starts_with(prefix))));
            cursor = page["nextCursor"].clone();
            count += 1;
        }
        Ok(json!({"uris": uris, "ended": cursor.is_null()}))
    }

    async fn watch(&self, step: &Value) -> Done<Value> {
        let (kind, uri) = (step["kind"].as_str().unwrap_or_default(), step["uri"].as_str());
        let mut stream = self.watching(kind, uri).await?;
        let tries = if stream.is_some() { 1 } else { TRIES };
        let (mut failed, mut heard) = (Vec::new(), false);
        for _ in 0..tries {
            for call in step["calls"].as_array().into_iter().flatten() {
                let result = self.one_call(call).await;
                if result.get("failed").is_some() || result["error"] == json!(true) {
                    failed.push(result);
                }
            }
            heard = match &mut stream {
                Some(stream) => comes(stream, kind, uri).await,
                None => self.client.service().until_heard(kind, uri, TRY).await,
            };
            if heard {
                break;
            }
        }
        self.end_watch(stream, uri).await?;
        let has = self.names(kind).await?.is_none_or(|names| names.contains(&step["name"]));
        Ok(json!({"heard": heard, "failed": failed, "has": has}))
    }

    async fn watching(&self, kind: &str, uri: Option<&str>) -> Done<Option<Subscription>> {
        if !self.is_modern() {
            if let Some(uri) = uri {
                self.client.subscribe(made(json!({"uri": uri}))?).await?;
            }
            return Ok(None);
        }
        let filter = match (uri, kind) {
            (Some(uri), _) => json!({"resourceSubscriptions": [uri]}),
            (None, "prompts/list_changed") => json!({"promptsListChanged": true}),
            (None, _) => json!({"resourcesListChanged": true}),
        };
        self.client.listen(made::<SubscriptionFilter>(filter)?).await.map(Some)
    }

    async fn end_watch(&self, stream: Option<Subscription>, uri: Option<&str>) -> Done<()> {
        match (stream, uri) {
            (Some(mut stream), _) => stream.cancel().await,
            (None, Some(uri)) => self.client.unsubscribe(made(json!({"uri": uri}))?).await,
            (None, None) => Ok(()),
        }
    }

    /// What the list that has changed holds now.
    async fn names(&self, kind: &str) -> Done<Option<Vec<Value>>> {
        let list = match kind {
            "prompts/list_changed" => plain(&self.client.list_all_prompts().await?),
            "resources/list_changed" => plain(&self.client.list_all_resources().await?),
            _ => return Ok(None),
        };
        Ok(Some(list.as_array().into_iter().flatten().map(|entry| entry["name"].clone()).collect()))
    }
}

async fn comes(stream: &mut Subscription, kind: &str, uri: Option<&str>) -> bool {
    let wanted = format!("notifications/{kind}");
    let waited = tokio::time::timeout(TRY * TRIES as u32, async {
        while let Ok(Some(notification)) = stream.next().await {
            let notification = plain(&notification);
            if notification["method"] == wanted && notification["params"]["uri"].as_str() == uri {
                return true;
            }
        }
        false
    });
    waited.await.unwrap_or(false)
}
