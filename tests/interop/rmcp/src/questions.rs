//! The tools that ask, each in the way of the era of its caller.

use crate::{made, question, value};
use rmcp::{
    ErrorData,
    model::{CallToolRequestParams, CallToolResponse, InputRequiredResult, InputResponses, ProtocolVersion},
    service::{Peer, RequestContext, RoleServer},
};
use serde::Serialize;
use serde_json::{Value, json};

pub fn answer_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "answer": {"type": "string"},
            "agree": {"type": "boolean"},
            "count": {"type": "integer", "minimum": 1, "maximum": 9},
        },
        "required": ["answer", "agree", "count"],
    })
}

/// One call that may ask.
pub struct Asking<'a> {
    peer: &'a Peer<RoleServer>,
    is_modern: bool,
    responses: Option<&'a InputResponses>,
    state: Option<&'a str>,
}

type Called = Result<CallToolResponse, ErrorData>;

fn plain(answer: &impl Serialize) -> Value {
    let answer = serde_json::to_value(answer).unwrap_or_default();
    json!({"action": answer["action"], "content": answer["content"]})
}

/// A value as Python writes it, because the expected question was written so.
fn as_python(value: &Value) -> String {
    let Some(object) = value.as_object() else { return value.to_string() };
    let members: Vec<String> = object.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
    format!("{{{}}}", members.join(", "))
}

fn failed(error: impl ToString) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

fn required(requests: Value, state: Option<&str>) -> Called {
    let mut result = json!({"resultType": "input_required", "inputRequests": requests});
    if let Some(state) = state {
        result["requestState"] = json!(state);
    }
    made::<InputRequiredResult>(result).map(Into::into)
}

fn form(message: &str) -> Value {
    json!({"method": "elicitation/create", "params": question(message)})
}

impl<'a> Asking<'a> {
    pub fn new(request: &'a CallToolRequestParams, context: &'a RequestContext<RoleServer>) -> Self {
        Self {
            peer: &context.peer,
            is_modern: context.protocol_version() == Some(ProtocolVersion::V_2026_07_28),
            responses: request.input_responses.as_ref(),
            state: request.request_state.as_deref(),
        }
    }

    fn answer(&self, key: &str) -> Option<&Value> {
        self.responses?.get(key)
    }

    /// Asks in the middle of the call, and gives what was answered.
    async fn ask(&self, message: &str) -> Result<Value, ErrorData> {
        self.peer
            .create_elicitation(made(question(message))?)
            .await
            .map(|answer| plain(&answer))
            .map_err(failed)
    }

    pub async fn once(&self, token: &str) -> Called {
        let message = format!("token {token}?");
        if !self.is_modern {
            return value(&json!({"token": token, "told": self.ask(&message).await?}));
        }
        match self.answer("only") {
            None => required(json!({"only": form(&message)}), None),
            Some(only) => value(&json!({"token": token, "told": plain(only)})),
        }
    }

    pub async fn twice(&self, token: &str) -> Called {
        let (message, after) = (format!("first {token}?"), |first: &Value| {
            format!("second after {}?", as_python(&first["content"]))
        });
        if !self.is_modern {
            let first = self.ask(&message).await?;
            let second = self.ask(&after(&first)).await?;
            return value(&json!({"token": token, "first": first, "second": second}));
        }
        let Some(latest) = self.answer("q").map(plain) else {
            return required(json!({"q": form(&message)}), Some("round 1"));
        };
        match self.state {
            Some("round 1") => required(json!({"q": form(&after(&latest))}), Some(&latest.to_string())),
            state => {
                let first: Value = serde_json::from_str(state.unwrap_or_default()).map_err(failed)?;
                value(&json!({"token": token, "first": first, "second": latest}))
            }
        }
    }

    pub async fn both(&self, token: &str) -> Called {
        let (left, right) = (format!("left {token}?"), format!("right {token}?"));
        if !self.is_modern {
            let (left, right) = tokio::try_join!(self.ask(&left), self.ask(&right))?;
            return value(&json!({"token": token, "left": left, "right": right}));
        }
        match (self.answer("left"), self.answer("right")) {
            (Some(left), Some(right)) => {
                value(&json!({"token": token, "left": plain(left), "right": plain(right)}))
            }
            _ => required(json!({"left": form(&left), "right": form(&right)}), Some("both")),
        }
    }

    pub async fn sample(&self, prompt: &str) -> Called {
        let message = json!({"role": "user", "content": {"type": "text", "text": prompt}});
        let params = json!({"messages": [message], "maxTokens": 64});
        let result = match (self.is_modern, self.answer("model")) {
            (true, Some(result)) => result.clone(),
            (true, None) => {
                return required(
                    json!({"model": {"method": "sampling/createMessage", "params": params}}),
                    None,
                );
            }
            (false, _) => json!(self.peer.create_message(made(params)?).await.map_err(failed)?),
        };
        let content = result["content"].get(0).unwrap_or(&result["content"]);
        value(&json!({"model": result["model"], "text": content["text"]}))
    }

    pub async fn roots(&self) -> Called {
        let result = match (self.is_modern, self.answer("roots")) {
            (true, Some(result)) => result.clone(),
            (true, None) => return required(json!({"roots": {"method": "roots/list"}}), None),
            (false, _) => json!(self.peer.list_roots().await.map_err(failed)?),
        };
        let roots = result["roots"].as_array().into_iter().flatten();
        value(&json!(roots.map(|root| json!({"uri": root["uri"], "name": root["name"]})).collect::<Vec<_>>()))
    }
}
