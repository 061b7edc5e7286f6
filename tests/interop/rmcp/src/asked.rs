//! What a server asks and tells this client: answered by the rules of `answers.rs`, and remembered.

use crate::{about, answers};
use rmcp::{
    ClientHandler, ErrorData,
    model::{
        ClientConfig, CreateMessageRequestParams, CreateMessageResult, ElicitRequestParams, ElicitResult,
        ListRootsResult, LoggingMessageNotificationParam, ProgressNotificationParam,
        ResourceUpdatedNotificationParam,
    },
    service::{NotificationContext, RequestContext, RoleClient},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use std::{
    sync::{Mutex, MutexGuard},
    time::Duration,
};
use tokio::{sync::Notify, time::timeout};

#[derive(Default)]
struct Memory {
    action: String,
    log: Vec<Value>,
    said: Vec<Value>,
    heard: Vec<(String, Option<String>)>,
    progress: Vec<(Value, Value)>,
}

pub struct Asked {
    able: bool,
    memory: Mutex<Memory>,
    news: Notify,
}

impl Asked {
    pub fn new(able: bool) -> Self {
        Self { able, memory: Mutex::default(), news: Notify::new() }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().expect("nobody panics while holding it")
    }

    /// A new scenario on the same connection: its own way to answer, its own memory.
    pub fn begin(&self, action: &str) {
        *self.memory() = Memory { action: action.to_owned(), ..Memory::default() };
    }

    pub fn told(&self) -> Map<String, Value> {
        let memory = self.memory();
        Map::from_iter([("asked".to_owned(), json!(memory.log)), ("said".to_owned(), json!(memory.said))])
    }

    pub fn hear(&self, kind: &str, uri: Option<String>) {
        self.memory().heard.push((kind.to_owned(), uri));
        self.news.notify_waiters();
    }

    /// How many steps of any call have been reported.
    pub fn steps(&self) -> usize {
        self.memory().progress.len()
    }

    pub fn steps_since(&self, before: usize) -> Vec<Value> {
        let memory = self.memory();
        memory.progress.iter().skip(before).map(|(_, step)| step.clone()).collect()
    }

    pub async fn until_asked(&self, kind: &str, within: Duration) -> bool {
        self.until(within, |memory| memory.log.iter().any(|entry| entry["kind"] == kind)).await
    }

    pub async fn until_heard(&self, kind: &str, uri: Option<&str>, within: Duration) -> bool {
        self.until(within, |memory| memory.heard.iter().any(|(of, at)| of == kind && at.as_deref() == uri))
            .await
    }

    pub async fn until_progress(&self, token: &Value, within: Duration) -> bool {
        self.until(within, |memory| memory.progress.iter().any(|(of, _)| of == token)).await
    }

    async fn until(&self, within: Duration, done: impl Fn(&Memory) -> bool) -> bool {
        let waited = timeout(within, async {
            loop {
                let news = self.news.notified();
                tokio::pin!(news);
                news.as_mut().enable();
                if done(&self.memory()) {
                    return;
                }
                news.await;
            }
        });
        waited.await.is_ok()
    }

    fn note(&self, kind: &str, message: Option<&str>) -> (usize, String) {
        let mut memory = self.memory();
        memory.log.push(match message {
            Some(message) => json!({"kind": kind, "message": message}),
            None => json!({"kind": kind}),
        });
        let ordinal = memory.log.iter().filter(|entry| entry["kind"] == kind).count();
        let action = memory.action.clone();
        drop(memory);
        self.news.notify_waiters();
        (ordinal, action)
    }
}

fn plain(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn made<T: DeserializeOwned>(value: Value) -> Result<T, ErrorData> {
    serde_json::from_value(value).map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

impl ClientHandler for Asked {
    fn get_info(&self) -> ClientConfig {
        about(self.able)
    }

    async fn create_elicitation(
        &self,
        params: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let params = plain(&params);
        let (ordinal, action) = self.note("elicitation", params["message"].as_str());
        made(answers::elicitation(&params, &action, ordinal))
    }

    async fn create_message(
        &self,
        params: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        let text = answers::sampled_text(&plain(&params));
        self.note("sampling", Some(&text));
        let content = json!({"type": "text", "text": text});
        made(
            json!({"role": "assistant", "model": answers::MODEL, "content": content, "stopReason": "endTurn"}),
        )
    }

    async fn list_roots(&self, _: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        self.note("roots", None);
        made(json!({"roots": answers::roots()}))
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        let params = plain(&params);
        let step = json!([params["progress"], params["total"], params["message"]]);
        self.memory().progress.push((params["progressToken"].clone(), step));
        self.news.notify_waiters();
    }

    async fn on_logging_message(
        &self,
        params: LoggingMessageNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        let params = plain(&params);
        self.memory().said.push(json!([params["level"], params["data"]]));
    }

    async fn on_resource_updated(
        &self,
        params: ResourceUpdatedNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        self.hear("resources/updated", Some(params.uri));
    }

    async fn on_resource_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.hear("resources/list_changed", None);
    }

    async fn on_prompt_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.hear("prompts/list_changed", None);
    }
}
