//! Servers outside the replicas, one of each era, with a tool that writes its number into a file once its question has been
//! answered, and a line before it asks. What stands in the file has happened, whatever anybody was told.

use crate::harness::{Answer, Scripted, Seen, legacy_answers, modern_answers};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// The file and both servers.
pub(super) struct Ledger {
    pub(super) legacy: Scripted,
    pub(super) modern: Scripted,
    path: PathBuf,
    _directory: TempDir,
}

/// What the file says.
pub(super) struct Lines {
    /// How often each number was begun.
    pub(super) began: HashMap<u64, usize>,
    /// How often each number was written.
    pub(super) done: HashMap<u64, usize>,
}

#[derive(Clone)]
struct Book(Arc<Mutex<File>>);

impl Book {
    fn write(&self, what: &str, number: u64) {
        let mut file = self.0.lock().expect("nobody panics with it");
        writeln!(file, "{what} {number}").expect("the disk has room");
    }
}

fn tools() -> Value {
    let schema = json!({"type": "object", "properties": {"number": {"type": "integer"}}});
    json!([{"name": "append", "inputSchema": schema}])
}

fn question() -> Value {
    json!({"message": "append it?", "requestedSchema": {"type": "object", "properties": {}}})
}

fn number_of(request: &Seen) -> u64 {
    request.body["params"]["arguments"]["number"].as_u64().expect("calls are numbered")
}

impl Ledger {
    pub(super) async fn open() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("ledger");
        let file = OpenOptions::new().create(true).append(true).open(&path).expect("a writable file");
        let book = Book(Arc::new(Mutex::new(file)));
        let legacy = Scripted::start(legacy(book.clone())).await;
        let modern = Scripted::start(move |request| modern(&book, request)).await;
        Self { legacy, modern, path, _directory: directory }
    }

    pub(super) fn lines(&self) -> Lines {
        read(&self.path)
    }
}

fn read(path: &Path) -> Lines {
    let text = std::fs::read_to_string(path).expect("a readable file");
    let mut lines = Lines { began: HashMap::new(), done: HashMap::new() };
    for line in text.lines() {
        let (what, number) = line.split_once(' ').expect("two words a line");
        let counts = if what == "began" { &mut lines.began } else { &mut lines.done };
        *counts.entry(number.parse().expect("a number")).or_default() += 1;
    }
    lines
}

/// A legacy call that waits for its answer: its number, its id, and its stream.
type Waiting = HashMap<String, (u64, Value, mpsc::Sender<String>)>;

fn legacy(book: Book) -> impl Fn(&Seen) -> Answer + Send + Sync + 'static {
    let waiting: Mutex<Waiting> = Mutex::default();
    move |request| {
        let answered = request.body["id"].as_str().filter(|_| request.method().is_empty());
        if let Some(question) = answered {
            let found = waiting.lock().expect("nobody panics with it").remove(question);
            if let Some((number, id, stream)) = found
                && request.body["result"]["action"] == "accept"
            {
                book.write("done", number);
                let result = json!({"content": [{"type": "text", "text": number.to_string()}]});
                let message = json!({"jsonrpc": "2.0", "id": id, "result": result});
                // The gate may be gone; the file has it all the same.
                let _ = stream.try_send(event(&message));
            }
            return Answer::Empty(202);
        }
        if request.method() != "tools/call" {
            return legacy_answers(request, &tools());
        }
        let number = number_of(request);
        book.write("began", number);
        let (sender, receiver) = mpsc::channel(4);
        let question_id = format!("q{number}");
        let ask = json!({"jsonrpc": "2.0", "id": question_id, "method": "elicitation/create", "params": question()});
        sender.try_send(event(&ask)).expect("a new channel has room");
        let entry = (number, request.body["id"].clone(), sender);
        waiting.lock().expect("nobody panics with it").insert(question_id, entry);
        Answer::Stream(receiver)
    }
}

fn event(message: &Value) -> String {
    format!("event: message\ndata: {message}\n\n")
}

fn modern(book: &Book, request: &Seen) -> Answer {
    if request.method() != "tools/call" {
        return modern_answers(request, &tools());
    }
    let number = number_of(request);
    if request.body["params"]["inputResponses"]["append"]["action"] == "accept" {
        book.write("done", number);
        return Answer::text(request, &number.to_string());
    }
    book.write("began", number);
    let asks = json!({"append": {"method": "elicitation/create", "params": question()}});
    let result =
        json!({"resultType": "input_required", "inputRequests": asks, "requestState": number.to_string()});
    Answer::result(request, result)
}
