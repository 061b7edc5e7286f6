//! What the gate tells systemd, over a real datagram socket (sd_notify(3)).

use crate::harness::{Running, portreeve, soon};
use std::path::Path;
use tokio::net::UnixDatagram;

struct Told(UnixDatagram);

impl Told {
    /// The next message but those that only say that the gate is alive, as lines.
    async fn next(&self) -> Vec<String> {
        loop {
            let message = self.any().await;
            if message != ["WATCHDOG=1"] {
                return message;
            }
        }
    }

    async fn any(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let length = soon("a message", self.0.recv(&mut buffer)).await.unwrap();
        let text = std::str::from_utf8(&buffer[..length]).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

/// A gate whose manager listens there.
fn start(directory: &Path, socket: &str) -> Running {
    std::fs::write(directory.join("portreeve.yaml"), CONFIG).unwrap();
    let socket = format!("NOTIFY_SOCKET={socket}");
    let program = portreeve().display().to_string();
    let arguments =
        [&socket, "WATCHDOG_USEC=400000", &program, "serve", "--config", "portreeve.yaml", "--data", "data"];
    Running::start(Path::new("/usr/bin/env"), &arguments, directory)
}

const CONFIG: &str = "listen: 127.0.0.1:0\nservers: {a: {builtin: demo}, b: {builtin: demo}}\n";

#[tokio::test]
async fn systemd_hears_when_the_gate_is_ready_reloads_lives_and_ends() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let told = Told(UnixDatagram::bind(&path).unwrap());
    let mut gate = start(directory.path(), path.to_str().unwrap());
    assert_eq!(told.next().await, ["READY=1", "STATUS=serving 2 servers"]);
    gate.prints("/mcp/a").await;
    while told.any().await != ["WATCHDOG=1"] {}

    let fewer = CONFIG.replace(", b: {builtin: demo}", "");
    std::fs::write(directory.path().join("portreeve.yaml"), fewer).unwrap();
    assert_eq!(told.next().await, ["STATUS=serving 1 servers"]);

    let pid = rustix::process::Pid::from_raw(gate.pid()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    let reloading = told.next().await;
    assert_eq!(reloading[0], "RELOADING=1");
    assert!(reloading[1].strip_prefix("MONOTONIC_USEC=").unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(told.next().await, ["READY=1", "STATUS=serving 1 servers"]);

    gate.terminate();
    assert_eq!(told.next().await[0], "STOPPING=1");
    assert!(gate.ended().await.success());
}

#[tokio::test]
async fn a_manager_that_is_gone_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut gate = start(directory.path(), "/nowhere/notify");
    gate.prints("/mcp/a").await;
    gate.terminate();
    assert!(gate.ended().await.success());
}
