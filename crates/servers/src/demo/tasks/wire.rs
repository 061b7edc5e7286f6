//! Tasks as each era tells them: the flat object of the extension and the core task of 2025-11-25.

use super::{Entry, POLL_MS, lock};
use portreeve_mcp::{Code, RpcError, caps::TASKS_EXTENSION, meta::RELATED_TASK, payload::TaskStatus};
use serde_json::{Map, Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// The error of a call that cannot be answered without a task (extension, required capabilities).
pub(in super::super) fn extension_needed() -> RpcError {
    let data = json!({"requiredCapabilities": {"extensions": {TASKS_EXTENSION: {}}}});
    RpcError::new(Code::MISSING_CAPABILITY, "this needs the tasks extension").with_data(data.into())
}

/// A legacy message of a task says which one.
pub(super) fn related(mut object: Value, id: &str) -> Value {
    object["_meta"][RELATED_TASK] = json!({"taskId": id});
    object
}

impl Entry {
    fn common(&self) -> Map<String, Value> {
        let state = lock(&self.state);
        let mut task = Map::new();
        task.insert("taskId".to_owned(), self.id.clone().into());
        task.insert("createdAt".to_owned(), iso(self.created).into());
        task.insert("lastUpdatedAt".to_owned(), iso(state.updated).into());
        if let Some(message) = &state.message {
            task.insert("statusMessage".to_owned(), message.clone().into());
        }
        task
    }

    fn ttl_ms(&self) -> u64 {
        u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX)
    }

    /// The task of 2025-11-25. There, a result that says `isError` is a failure.
    pub(in super::super) fn legacy(&self) -> Value {
        let mut task = self.common();
        let state = lock(&self.state);
        let failed = matches!(&state.end, Some(Ok(result)) if result["isError"] == Value::Bool(true));
        let status = if failed { TaskStatus::Failed } else { state.status };
        task.insert("status".to_owned(), status.as_str().into());
        task.insert("ttl".to_owned(), self.ttl_ms().into());
        task.insert("pollInterval".to_owned(), POLL_MS.into());
        Value::Object(task)
    }

    /// The task of the extension, without what belongs to its status.
    pub(in super::super) fn modern(&self) -> Value {
        let mut task = self.common();
        task.insert("status".to_owned(), lock(&self.state).status.as_str().into());
        task.insert("ttlMs".to_owned(), self.ttl_ms().into());
        task.insert("pollIntervalMs".to_owned(), POLL_MS.into());
        Value::Object(task)
    }

    /// The same with result, error or questions.
    pub(in super::super) fn modern_detail(&self) -> Value {
        let mut task = self.modern();
        let state = lock(&self.state);
        match &state.end {
            Some(Ok(result)) => task["result"] = result.clone(),
            Some(Err(error)) => task["error"] = error.encode().to_value(),
            None if state.status == TaskStatus::InputRequired => {
                let questions = state.open.iter().map(|open| {
                    let method = open.question.kind.method();
                    let request = json!({"method": method.as_str(), "params": open.question.params});
                    (open.question.key.to_owned(), request)
                });
                task["inputRequests"] = Value::Object(questions.collect());
            }
            None => {}
        }
        task
    }
}

/// RFC 3339 in UTC, with milliseconds (days to date: Howard Hinnant's civil calendar, years from March).
fn iso(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, milliseconds) = (since.as_secs(), since.subsec_millis());
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_told_as_dates() {
        let rows = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_827_696_789, "2000-02-29T12:34:56.789Z"),
            (1_785_196_799_999, "2026-07-27T23:59:59.999Z"),
            (1_798_761_600_000, "2027-01-01T00:00:00.000Z"),
        ];
        for (milliseconds, text) in rows {
            assert_eq!(iso(UNIX_EPOCH + Duration::from_millis(milliseconds)), text);
        }
    }
}
