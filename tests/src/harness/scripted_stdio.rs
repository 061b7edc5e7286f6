//! An MCP server over stdio that plays a script inside the test: each child that the gate starts is a relay to a loopback
//! port of this process. Every line that the gate writes is remembered, with the child it went to.

use super::{binary::relay, soon};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::{broadcast, watch},
    task::JoinSet,
};

/// What a script does about a message.
pub(crate) enum Does {
    /// Writes this message.
    Says(Value),
    /// Writes this line as it is.
    Writes(String),
    /// Ends the child.
    Exits,
}

impl Does {
    /// The result of this request.
    pub(crate) fn result(request: &Value, result: Value) -> Self {
        Self::Says(json!({"jsonrpc": "2.0", "id": request["id"], "result": result}))
    }

    /// An error for this request.
    pub(crate) fn error(request: &Value, code: i64, message: &str) -> Self {
        let error = json!({"code": code, "message": message});
        Self::Says(json!({"jsonrpc": "2.0", "id": request["id"], "error": error}))
    }
}

type Script = Arc<dyn Fn(usize, &Value) -> Vec<Does> + Send + Sync>;
type Lines = Vec<(usize, Value)>;

/// The server; its children end on drop.
pub(crate) struct ScriptedStdio {
    port: u16,
    lines: watch::Receiver<Lines>,
    unasked: broadcast::Sender<(usize, Value)>,
    _tasks: JoinSet<()>,
}

impl ScriptedStdio {
    /// Starts a server that answers by this script; it is told the number of the child, from 0, and the message.
    pub(crate) async fn start(script: impl Fn(usize, &Value) -> Vec<Does> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let (sender, lines) = watch::channel(Vec::new());
        let (script, sender): (Script, _) = (Arc::new(script), Arc::new(sender));
        let (unasked, _) = broadcast::channel(64);
        let say = unasked.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut children = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = children.len();
                children.spawn(child(number, stream, script.clone(), sender.clone(), say.subscribe()));
            }
        });
        Self { port, lines, unasked, _tasks: tasks }
    }

    /// Its configuration as a server of a gate.
    pub(crate) fn config(&self, era: &str) -> Value {
        json!({"command": relay(), "args": [self.port.to_string()], "era": era})
    }

    /// Lets a child write a message that answers nothing.
    pub(crate) fn say(&self, child: usize, message: Value) {
        self.unasked.send((child, message)).expect("a child listens");
    }

    /// Every message so far, with the number of the child.
    pub(crate) fn lines(&self) -> Lines {
        self.lines.borrow().clone()
    }

    /// The methods that each child was told so far, in order.
    pub(crate) fn methods(&self) -> Vec<(usize, String)> {
        let lines = self.lines();
        lines.iter().map(|(child, line)| (*child, line["method"].as_str().unwrap_or("").to_owned())).collect()
    }

    /// The first message for which this holds, now or soon.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut lines = self.lines.clone();
        let found = |all: &Lines| all.iter().any(|(_, line)| wanted(line));
        soon(what, lines.wait_for(found)).await.expect("the server lives as long as its handle");
        self.lines().into_iter().map(|(_, line)| line).find(|line| wanted(line)).expect("just found")
    }
}

async fn child(
    number: usize,
    stream: TcpStream,
    script: Script,
    lines: Arc<watch::Sender<Lines>>,
    mut unasked: broadcast::Receiver<(usize, Value)>,
) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader).lines();
    loop {
        let steps = tokio::select! {
            line = reader.next_line() => {
                let Ok(Some(line)) = line else { return };
                let message: Value = serde_json::from_str(&line).unwrap_or_else(|_| json!({"not json": line}));
                let steps = script(number, &message);
                lines.send_modify(|all| all.push((number, message)));
                steps
            }
            said = unasked.recv() => match said {
                Ok((child, message)) if child == number => vec![Does::Says(message)],
                Ok(_) => continue,
                Err(error) => panic!("a test said too much at once: {error}"),
            },
        };
        for step in steps {
            let text = match step {
                Does::Says(message) => message.to_string(),
                Does::Writes(text) => text,
                Does::Exits => return,
            };
            if writer.write_all(format!("{text}\n").as_bytes()).await.is_err() {
                return;
            }
        }
    }
}
