//! The two programs that are measured, nginx and the gateway: their configuration and their start. A third
//! target, the direct connection, needs neither.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::child::{Guard, MEASURED_CORE};
use super::http::Connection;
use super::upstream::Stats;
use super::wire::{Era, Place, TOOLS, Template, Work, excerpt, verify};

/// Time for a target to answer for the first time.
const FIRST_ANSWER: Duration = Duration::from_secs(15);
/// Between two attempts to connect; small against the aim of 100 ms.
const ATTEMPT: Duration = Duration::from_micros(500);

type Failure = Box<dyn std::error::Error>;

/// Addresses of the two upstreams.
pub(crate) struct Upstreams {
    /// The one with a handshake.
    pub(crate) legacy: String,
    /// The one without.
    pub(crate) modern: String,
}

impl Upstreams {
    /// The address of the upstream of this era.
    pub(crate) fn address(&self, era: Era) -> &str {
        match era {
            Era::Legacy => &self.legacy,
            Era::Modern => &self.modern,
        }
    }
}

/// A running target.
pub(crate) struct Running {
    /// The process.
    pub(crate) guard: Guard,
    /// Where it listens.
    pub(crate) address: String,
    /// From the start of the process to the first right answer.
    pub(crate) start: Duration,
}

/// Where nginx is, if it is installed.
pub(crate) fn find_nginx() -> Option<PathBuf> {
    ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx", "/usr/local/bin/nginx"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.is_file())
}

/// Starts nginx with one worker in a folder of its own.
pub(crate) async fn nginx(program: &Path, folder: &Path, upstreams: &Upstreams) -> Result<Running, Failure> {
    let address = free_address().await?;
    let file = folder.join("nginx.conf");
    std::fs::write(&file, nginx_configuration(&address, folder, upstreams))?;
    let (file, folder_name) = (file.display().to_string(), folder.display().to_string());
    let arguments = ["-p", &folder_name, "-c", &file, "-e", "stderr"];
    launch(program, &arguments, &folder.join("nginx.log"), address, "/modern").await
}

/// One worker, kept connections on both sides without a limit of requests, no access log; the rest as shipped.
fn nginx_configuration(address: &str, folder: &Path, upstreams: &Upstreams) -> String {
    let folder = folder.display();
    let mut text = String::new();
    if rustix::process::geteuid().is_root() {
        // The worker must reach the temporary folder, which belongs to us alone.
        text += "user root root;\n";
    }
    text += "daemon off;\nworker_processes 1;\nerror_log stderr error;\n";
    let mut servers = String::new();
    for era in [Era::Legacy, Era::Modern] {
        let (name, upstream) = (era.name(), upstreams.address(era));
        // A `String` takes every write.
        let _ = writeln!(
            servers,
            "  upstream {name} {{ server {upstream}; keepalive 64; keepalive_requests 1000000000; }}"
        );
    }
    let _ = write!(
        text,
        "pid {folder}/nginx.pid;\nevents {{ worker_connections 1024; }}\nhttp {{\n  access_log off;\n  \
         client_body_temp_path {folder}/body;\n  proxy_temp_path {folder}/proxy;\n  fastcgi_temp_path {folder}/f;\n  \
         uwsgi_temp_path {folder}/u;\n  scgi_temp_path {folder}/s;\n{servers}  server {{\n    listen {address};\n    \
         keepalive_requests 1000000000;\n    proxy_http_version 1.1;\n    proxy_set_header Connection \"\";\n    \
         location /legacy {{ proxy_pass http://legacy; }}\n    location /modern {{ proxy_pass http://modern; }}\n  }}\n}}\n"
    );
    text
}

/// Starts the gateway with both upstreams configured and nearly everything else as shipped.
pub(crate) async fn gateway(
    program: &Path,
    folder: &Path,
    upstreams: &Upstreams,
) -> Result<Running, Failure> {
    let address = free_address().await?;
    let file = folder.join("portreeve.yaml");
    // Sessions that are weighed stay, and others come after them.
    let configuration = format!(
        "listen: {address}\nlimits: {{sessions_per_principal: 100000}}\nservers:\n  legacy: {{url: \"http://{}/mcp\"}}\n  modern: {{url: \"http://{}/mcp\"}}\n",
        upstreams.legacy, upstreams.modern
    );
    std::fs::write(&file, configuration)?;
    let data = folder.join("data");
    std::fs::create_dir_all(&data)?;
    let (file, data) = (file.display().to_string(), data.display().to_string());
    let arguments = ["serve", "--config", &file, "--data", &data];
    launch(program, &arguments, &folder.join("gateway.log"), address, "/mcp/modern").await
}

/// How many servers stand behind one address.
pub(crate) const SERVERS: u64 = 70;

/// The name of a server among many.
pub(crate) fn server_name(index: u64) -> String {
    format!("s{index:02}")
}

/// Starts the gateway with many servers, all of them the modern upstream. A page has as many tools as one server, so that a
/// page of the list of all is as long as the list of one.
pub(crate) async fn crowd(program: &Path, folder: &Path, upstreams: &Upstreams) -> Result<Running, Failure> {
    let address = free_address().await?;
    let file = folder.join("crowd.yaml");
    let mut configuration = format!("listen: {address}\nmcp: {{page_size: {TOOLS}}}\nservers:\n");
    for index in 0..SERVERS {
        // A `String` takes every write.
        let _ =
            writeln!(configuration, "  {}: {{url: \"http://{}/mcp\"}}", server_name(index), upstreams.modern);
    }
    std::fs::write(&file, configuration)?;
    let data = folder.join("crowd");
    std::fs::create_dir_all(&data)?;
    let (file, data) = (file.display().to_string(), data.display().to_string());
    let arguments = ["serve", "--config", &file, "--data", &data];
    let path = format!("/mcp/{}", server_name(0));
    launch(program, &arguments, &folder.join("crowd.log"), address, &path).await
}

/// Starts two replicas of one gateway with a legacy upstream: whoever opens a session at the first can call at the second.
pub(crate) async fn replicas(
    program: &Path,
    folder: &Path,
    upstreams: &Upstreams,
) -> Result<[Running; 2], Failure> {
    Ok([replica(program, folder, upstreams, 1).await?, replica(program, folder, upstreams, 2).await?])
}

async fn replica(
    program: &Path,
    folder: &Path,
    upstreams: &Upstreams,
    number: u8,
) -> Result<Running, Failure> {
    let (address, inner) = (free_address().await?, free_address().await?);
    let file = folder.join(format!("replica-{number}.yaml"));
    let configuration = format!(
        "listen: {address}\nservers:\n  legacy: {{url: \"http://{}/mcp\"}}\nseal: {{keys: [\"the-replicas-of-a-benchmark-share-this-key\"]}}\nreplicas: {{listen: {inner}, advertise: \"http://{inner}\"}}\n",
        upstreams.legacy
    );
    std::fs::write(&file, configuration)?;
    let data = folder.join(format!("replica-{number}"));
    std::fs::create_dir_all(&data)?;
    let (file, data) = (file.display().to_string(), data.display().to_string());
    let arguments = ["serve", "--config", &file, "--data", &data];
    let log = folder.join(format!("replica-{number}.log"));
    launch(program, &arguments, &log, address, "/mcp/legacy").await
}

/// An address that was free a moment ago.
async fn free_address() -> std::io::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string())
}

/// Starts a target and asks until it answers a call.
async fn launch(
    program: &Path,
    arguments: &[&str],
    log: &Path,
    address: String,
    path: &str,
) -> Result<Running, Failure> {
    let began = Instant::now();
    let mut guard = Guard::start(MEASURED_CORE, program, arguments, log)?;
    let mut last = String::from("it never listened");
    loop {
        match timeout(FIRST_ANSWER, ask(&address, path)).await.map_err(|_| "no answer")? {
            Ok(()) => return Ok(Running { guard, address, start: began.elapsed() }),
            Err(AskError::NotListening) => {}
            Err(AskError::Refused(why)) => last = why,
        }
        if guard.has_ended() || began.elapsed() > FIRST_ANSWER {
            let written = std::fs::read_to_string(log).unwrap_or_default();
            let program = program.display();
            return Err(format!("{program} does not answer ({last}); its output:\n{}", written.trim()).into());
        }
        sleep(ATTEMPT).await;
    }
}

enum AskError {
    NotListening,
    Refused(String),
}

/// One call in the modern form, which has no handshake.
async fn ask(address: &str, path: &str) -> Result<(), AskError> {
    let stream = TcpStream::connect(address).await.map_err(|_| AskError::NotListening)?;
    let broken = |error: std::io::Error| AskError::Refused(error.to_string());
    let mut connection = Connection::new(stream).map_err(broken)?;
    let mut request = Vec::new();
    let place = Place { target: address, path, prefix: "" };
    Template::new(&place, Era::Modern, Work::Small, None).write(1, &mut request);
    connection.send(&request).await.map_err(broken)?;
    let message = connection.receive().await.map_err(broken)?;
    let message = message.ok_or_else(|| AskError::Refused("closed".into()))?;
    if message.status() != 200 {
        return Err(AskError::Refused(format!("{}: {}", message.status(), excerpt(message.body))));
    }
    verify(Era::Modern, Work::Small, "", 1, message.body).map_err(AskError::Refused)
}

/// What an upstream has been asked so far.
pub(crate) async fn statistics(address: &str) -> Result<Stats, Failure> {
    let mut connection = Connection::new(TcpStream::connect(address).await?)?;
    connection.send(b"GET /stats HTTP/1.1\r\nHost: upstream\r\n\r\n").await?;
    let message = connection.receive().await?.ok_or("the upstream closed")?;
    Ok(serde_json::from_slice(message.body)?)
}
