//! Tasks in the words of both eras: the core feature of 2025-11-25 (basic/utilities/tasks) and the extension of the
//! newest revision. What of a task decides something is read; everything else is spliced. Who may see a task, where it
//! lives and who drives it is decided by the gateway.

use super::{Edit, is_object};
use crate::{Era, RawJson, Text, caps::TASKS_EXTENSION, json::Kind, meta::RELATED_TASK};
use std::time::Duration;

/// Where a task stands. Both eras have the same words; see [`TaskStatus::Failed`] for the one that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskStatus {
    /// The server works on it.
    Working,
    /// The server waits for answers.
    InputRequired,
    /// There is a result. Modern: also one with `isError`.
    Completed,
    /// There is an error. Legacy: also a result with `isError`.
    Failed,
    /// It was given up.
    Cancelled,
}

impl TaskStatus {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Working, "working"),
        (Self::InputRequired, "input_required"),
        (Self::Completed, "completed"),
        (Self::Failed, "failed"),
        (Self::Cancelled, "cancelled"),
    ];

    /// Reads the wire form.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| *name == text).map(|(status, _)| *status)
    }

    /// The wire form.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(status, _)| *status == self).map_or("working", |(_, name)| name)
    }

    /// Whether nothing follows.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// What of a task decides something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The server's name for it.
    pub id: Text,
    /// Where it stands.
    pub status: TaskStatus,
    /// How long it is kept, from its creation; `None` for as long as the server likes.
    pub ttl: Option<Duration>,
    /// How often it should be asked for at most.
    pub poll: Option<Duration>,
    /// What the server says about its progress.
    pub message: Option<Text>,
}

impl Task {
    /// Reads a task of either era.
    pub fn read(task: &RawJson) -> Option<Self> {
        let [id, status, ttl, ttl_ms, poll, poll_ms, message] = task.get_all([
            "taskId",
            "status",
            "ttl",
            "ttlMs",
            "pollInterval",
            "pollIntervalMs",
            "statusMessage",
        ]);
        let duration = |first: Option<RawJson>, second: Option<RawJson>| {
            let milliseconds = first.or(second)?.read::<f64>()?;
            Duration::try_from_secs_f64(milliseconds / 1000.0).ok()
        };
        Some(Self {
            id: id?.string_value()?,
            status: TaskStatus::parse(&status?.string_value()?)?,
            ttl: duration(ttl_ms, ttl),
            poll: duration(poll_ms, poll),
            message: message.and_then(|message| message.string_value()),
        })
    }
}

/// The task that the answer to a `tools/call` is about, if it is about one.
pub fn created_task(result: &RawJson, server: Era) -> Option<RawJson> {
    match server {
        Era::Modern => {
            let kind = result.get("resultType")?;
            (kind.as_bytes() == b"\"task\"").then(|| result.clone())
        }
        Era::Legacy => result.get("task").filter(is_object),
    }
}

/// A legacy task in the words of the extension, under this id: units in the names, nothing that only the core feature
/// knows. `kind` becomes `resultType`.
#[must_use]
pub fn task_for_modern(task: &RawJson, id: &str, status: TaskStatus, kind: &'static str) -> RawJson {
    let [ttl, poll, meta] = task.get_all(["ttl", "pollInterval", "_meta"]);
    let mut edit = Edit::default();
    edit.clean_meta_of(meta.as_ref(), crate::meta::is_reserved);
    edit.set("resultType", RawJson::string(kind));
    edit.set("taskId", RawJson::string(id));
    edit.set("status", RawJson::string(status.as_str()));
    edit.set("ttlMs", ttl.clone().and_then(whole).unwrap_or(RawJson::NULL));
    if ttl.is_some() {
        edit.drop("ttl");
    }
    if let Some(poll) = poll {
        edit.drop("pollInterval");
        if let Some(poll) = whole(poll) {
            edit.set("pollIntervalMs", poll);
        }
    }
    edit.apply(task)
}

/// Milliseconds have to be whole (extension, wire fields).
fn whole(number: RawJson) -> Option<RawJson> {
    if number.as_bytes().iter().all(u8::is_ascii_digit) {
        return Some(number);
    }
    let value = number.read::<f64>().filter(|value| (0.0..9e15).contains(value))?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within bounds, as just checked"
    )]
    Some(RawJson::encode(&(value as u64)))
}

/// The object with another `taskId`.
#[must_use]
pub fn with_task_id(object: &RawJson, id: &str) -> RawJson {
    object.with(&[], &[("taskId", &RawJson::string(id))])
}

/// The object with another id in its `related-task`; without an id, without the key.
#[must_use]
pub fn with_related_task(object: &RawJson, id: Option<&str>) -> RawJson {
    let Some(meta) = object.get("_meta") else { return object.clone() };
    let Some(related) = meta.get(RELATED_TASK) else { return object.clone() };
    let meta = match id {
        Some(id) => meta.with(&[], &[(RELATED_TASK, &with_task_id(&related, id))]),
        None => meta.with(&[RELATED_TASK], &[]),
    };
    if meta.as_bytes() == b"{}" {
        return object.with(&["_meta"], &[]);
    }
    object.with(&[], &[("_meta", &meta)])
}

/// What a legacy tool says about being run as a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TaskSupport {
    /// Not at all.
    #[default]
    Forbidden,
    /// If the caller likes.
    Optional,
    /// Not in any other way.
    Required,
}

impl TaskSupport {
    /// Reads `execution.taskSupport` of a tool.
    pub fn of(tool: &RawJson) -> Self {
        let support = tool.get("execution").and_then(|execution| execution.get("taskSupport"));
        match support.as_ref().map(RawJson::as_bytes) {
            Some(b"\"optional\"") => Self::Optional,
            Some(b"\"required\"") => Self::Required,
            _ => Self::Forbidden,
        }
    }
}

/// Whether these capabilities of a server, of that era, say that it runs tools as tasks.
pub fn offers_tasks(capabilities: &RawJson, server: Era) -> bool {
    let path: &[&str] = match server {
        Era::Modern => &["extensions", TASKS_EXTENSION],
        Era::Legacy => &["tasks", "requests", "tools", "call"],
    };
    let found = path.iter().try_fold(capabilities.clone(), |at, key| at.get(key));
    found.is_some_and(|raw| raw.kind() == Kind::Object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::from_text(text).unwrap()
    }

    #[test]
    fn a_legacy_task_is_told_in_the_words_of_the_extension() {
        let task = raw(
            r#"{"taskId":"up","status":"working","statusMessage":"half","createdAt":"c","ttl":60000,"pollInterval":250.5,"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"up"}},"x":1}"#,
        );
        let modern = task_for_modern(&task, "ours", TaskStatus::Working, "task");
        assert_eq!(
            modern.as_str(),
            r#"{"taskId":"ours","status":"working","statusMessage":"half","createdAt":"c","x":1,"resultType":"task","ttlMs":60000,"pollIntervalMs":250}"#
        );
        let kept = raw(r#"{"taskId":"up","status":"failed","createdAt":"c","ttl":null}"#);
        let modern = task_for_modern(&kept, "ours", TaskStatus::Completed, "complete");
        assert_eq!(
            modern.as_str(),
            r#"{"taskId":"ours","status":"completed","createdAt":"c","resultType":"complete","ttlMs":null}"#
        );
    }

    #[test]
    fn what_decides_something_is_read_from_both_forms() {
        let task = |text| Task::read(&raw(text));
        let modern = task(
            r#"{"resultType":"task","taskId":"a","status":"input_required","ttlMs":1500,"pollIntervalMs":20}"#,
        );
        let legacy = task(r#"{"taskId":"a","status":"input_required","ttl":1500,"pollInterval":20}"#);
        assert_eq!(modern, legacy);
        let task_ = modern.unwrap();
        assert_eq!(
            (task_.ttl, task_.poll),
            (Some(Duration::from_millis(1500)), Some(Duration::from_millis(20)))
        );
        assert_eq!(task(r#"{"taskId":"a","status":"working","ttlMs":null}"#).unwrap().ttl, None);
        assert_eq!(task(r#"{"taskId":"a","status":"resting"}"#), None);
        assert_eq!(task(r#"{"status":"working"}"#), None);
        assert!(TaskStatus::Cancelled.is_terminal() && !TaskStatus::InputRequired.is_terminal());
    }

    #[test]
    fn only_the_answer_that_is_a_task_is_taken_for_one() {
        let legacy = raw(r#"{"task":{"taskId":"a","status":"working"}}"#);
        assert!(created_task(&legacy, Era::Legacy).is_some());
        assert!(created_task(&legacy, Era::Modern).is_none());
        assert!(created_task(&raw(r#"{"content":[],"resultType":"complete"}"#), Era::Modern).is_none());
        assert!(created_task(&raw(r#"{"resultType":"task","taskId":"a"}"#), Era::Modern).is_some());
        assert!(created_task(&raw(r#"{"content":[]}"#), Era::Legacy).is_none());
    }

    #[test]
    fn related_tasks_are_renamed_or_dropped_and_nothing_else() {
        let both = raw(r#"{"a":1,"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"up"},"k":2}}"#);
        assert_eq!(
            with_related_task(&both, Some("ours")).as_str(),
            r#"{"a":1,"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"ours"},"k":2}}"#
        );
        assert_eq!(with_related_task(&both, None).as_str(), r#"{"a":1,"_meta":{"k":2}}"#);
        let only = raw(r#"{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"up"}}}"#);
        assert_eq!(with_related_task(&only, None).as_str(), "{}");
        let none = raw(r#"{"a":1}"#);
        assert_eq!(with_related_task(&none, Some("ours")), none);
    }

    #[test]
    fn support_and_offers_follow_the_era() {
        assert_eq!(
            TaskSupport::of(&raw(r#"{"execution":{"taskSupport":"required"}}"#)),
            TaskSupport::Required
        );
        assert_eq!(TaskSupport::of(&raw(r#"{"execution":{}}"#)), TaskSupport::Forbidden);
        let legacy = raw(r#"{"tasks":{"requests":{"tools":{"call":{}}}}}"#);
        let modern = raw(r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#);
        assert!(offers_tasks(&legacy, Era::Legacy) && !offers_tasks(&legacy, Era::Modern));
        assert!(offers_tasks(&modern, Era::Modern) && !offers_tasks(&modern, Era::Legacy));
        assert!(!offers_tasks(&raw(r#"{"tasks":{"list":{}}}"#), Era::Legacy));
    }
}
