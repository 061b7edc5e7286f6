//! Certificates and proxies (decision D54): gates that show a certificate, gates that check one, and a proxy between them.
//! The client of every TLS gate here is another gate, so that both ends are the product's.

use crate::harness::{Gate, GateBuilder, demo_http, soon};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{Arc, Mutex},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// The content type of an alert (RFC 8446, section 5.1).
const ALERT: u8 = 21;

/// An authority, and a certificate of it for this machine.
struct Pair {
    authority: String,
    certificate: String,
    key: String,
}

impl Pair {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        Self { authority: issuer.pem(), certificate: certificate.pem(), key: key.serialize_pem() }
    }

    fn write(&self, directory: &Path) {
        std::fs::write(directory.join("tls.crt"), &self.certificate).unwrap();
        std::fs::write(directory.join("tls.key"), &self.key).unwrap();
    }

    /// A file that holds the authority.
    fn authority(&self, directory: &Path, name: &str) -> Value {
        let path = directory.join(name);
        std::fs::write(&path, &self.authority).unwrap();
        json!(path)
    }
}

/// A gate that shows the pair's certificate.
async fn showing(pair: &Pair) -> Gate {
    let directory = tempfile::tempdir().unwrap();
    pair.write(directory.path());
    let tls = json!({"certificate": "tls.crt", "key": "tls.key"});
    Gate::of().set("tls", tls).server("demo", json!({"builtin": "demo"})).start_in(directory).await
}

/// A gate in front, with these servers and a directory for its files.
async fn front(directory: TempDir, servers: &[(&str, Value)]) -> Gate {
    let add = |gate: GateBuilder, (name, server): &(&str, Value)| gate.server(name, server.clone());
    servers.iter().fold(Gate::of(), add).start_in(directory).await
}

fn url(gate: &Gate) -> String {
    format!("https://{}/mcp/demo", gate.address)
}

async fn echoes(gate: &Gate, server: &str) -> bool {
    let answer = gate.call(&format!("/mcp/{server}"), "echo", json!({"text": "hello"})).await;
    let message = answer.message();
    if message["error"].is_null() {
        assert_eq!(answer.said(), "hello");
        return true;
    }
    assert_eq!(message["error"]["code"], -31001, "{message}");
    false
}

#[tokio::test]
async fn a_certificate_is_believed_when_its_authority_is_named_and_never_else() {
    let (pair, other) = (Pair::new(), Pair::new());
    let gate = showing(&pair).await;
    let directory = tempfile::tempdir().unwrap();
    let (right, wrong) =
        (pair.authority(directory.path(), "a.pem"), other.authority(directory.path(), "b.pem"));
    let another_name = url(&gate).replace("127.0.0.1", "127.0.0.2");
    let servers = [
        ("known", json!({"url": url(&gate), "ca": right.clone()})),
        ("unknown", json!({"url": url(&gate)})),
        ("foreign", json!({"url": url(&gate), "ca": wrong})),
        ("another", json!({"url": another_name, "ca": right})),
    ];
    let front = front(directory, &servers).await;
    assert!(echoes(&front, "known").await);
    assert!(!echoes(&front, "unknown").await);
    assert!(!echoes(&front, "foreign").await);
    assert!(!echoes(&front, "another").await);
    front.running.logs("UnknownIssuer").await;
}

#[tokio::test]
async fn the_data_is_for_nobody_else_to_look_into() {
    let gate = Gate::demo().await;
    let mode =
        |name: &str| std::fs::metadata(gate.directory().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("data"), mode("data/seal.key")), (0o700, 0o600));
}

#[tokio::test]
async fn what_is_pasted_into_a_client_names_the_key_where_there_are_keys() {
    let keys =
        json!([{"name": "ci", "secret": "a-secret-that-is-long-enough-0123", "allow": [{"server": "demo"}]}]);
    let gate = Gate::of().set("keys", keys).server("demo", json!({"builtin": "demo"})).start().await;
    let line = gate.running.prints("mcpServers").await;
    let pasted: Value = serde_json::from_str(line.trim()).unwrap();
    assert_eq!(pasted["mcpServers"]["demo"]["headers"], json!({"Authorization": "Bearer <key>"}));
}

#[tokio::test]
async fn a_door_with_a_certificate_takes_nothing_else() {
    let gate = showing(&Pair::new()).await;
    let mut connection = TcpStream::connect(gate.address).await.unwrap();
    connection.write_all(b"GET /ready HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    soon("the end", connection.read_to_end(&mut said)).await.unwrap();
    assert_eq!(said.first(), Some(&ALERT), "an alert of TLS, and no answer: {said:?}");
    gate.running.logs("a TLS handshake failed").await;
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_who_comes_next_and_cuts_nobody() {
    let (first, second) = (Pair::new(), Pair::new());
    let gate = showing(&first).await;
    let directory = tempfile::tempdir().unwrap();
    let old = first.authority(directory.path(), "a.pem");
    let new = second.authority(directory.path(), "b.pem");
    let servers = [
        ("old", json!({"url": url(&gate), "ca": old.clone()})),
        ("late", json!({"url": url(&gate), "ca": old})),
        ("new", json!({"url": url(&gate), "ca": new})),
    ];
    let front = front(directory, &servers).await;
    let session = front.session("/mcp/old", json!({})).await;
    assert_eq!(session.call("echo", json!({"text": "before"})).await.said(), "before");

    // A key without its certificate is refused, and the gate goes on with what it has.
    std::fs::write(gate.directory().join("tls.key"), &second.key).unwrap();
    gate.running.logs("the key is not the one of the certificate").await;
    assert_eq!(session.call("echo", json!({"text": "between"})).await.said(), "between");

    second.write(gate.directory());
    gate.running.logs("the configuration was read again").await;
    assert_eq!(session.call("echo", json!({"text": "after"})).await.said(), "after");
    assert!(echoes(&front, "new").await);
    assert!(!echoes(&front, "late").await);
}

/// A proxy that remembers the head of every request.
struct ProxyServer {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl ProxyServer {
    /// Lets whoever has this authorization through.
    async fn start(authorization: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (mut tasks, seen) = (JoinSet::new(), heads.clone());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(pass(stream, authorization, seen.clone()));
            }
        });
        Self { address, heads, _tasks: tasks }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// One connection through the proxy.
async fn pass(mut stream: TcpStream, authorization: &str, heads: Arc<Mutex<Vec<String>>>) {
    let mut read = Vec::new();
    while !read.windows(4).any(|window| window == b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0, "the head ends");
    }
    let text = String::from_utf8_lossy(&read).into_owned();
    let head = text.split("\r\n\r\n").next().unwrap().to_owned();
    let target = head.split(' ').nth(1).unwrap().to_owned();
    let allowed = head
        .to_ascii_lowercase()
        .contains(&format!("proxy-authorization: {}", authorization.to_ascii_lowercase()));
    heads.lock().unwrap().push(head.clone());
    if !allowed {
        let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(refusal).await.unwrap();
        return;
    }
    let tunnel = head.starts_with("CONNECT ");
    let place = target.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    let mut server = TcpStream::connect(place).await.unwrap();
    if tunnel {
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
    } else {
        server.write_all(&read).await.unwrap();
    }
    // Which side ends it, and how, is none of the proxy's business.
    let _ = copy_bidirectional(&mut stream, &mut server).await;
}

#[tokio::test]
async fn a_proxy_is_on_the_way_where_it_is_configured_and_nowhere_else() {
    let pair = Pair::new();
    let gate = showing(&pair).await;
    let (_plain, plain_url) = demo_http("modern").await;
    let authorization = format!("Basic {}", STANDARD.encode("me:s3cret@"));
    let proxy = ProxyServer::start(authorization.leak()).await;
    let directory = tempfile::tempdir().unwrap();
    let ca = pair.authority(directory.path(), "a.pem");
    let through = format!("http://me:s3cret%40@{}", proxy.address);
    let nobody = format!("http://{}", proxy.address);
    let servers = [
        ("tunnel", json!({"url": url(&gate), "ca": ca.clone(), "proxy": through.clone()})),
        ("whole", json!({"url": plain_url.clone(), "proxy": through})),
        ("refused", json!({"url": url(&gate), "ca": ca.clone(), "proxy": nobody})),
        ("direct", json!({"url": url(&gate), "ca": ca.clone(), "proxy": "none"})),
        ("near", json!({"url": url(&gate), "ca": ca})),
    ];
    let add = |gate: GateBuilder, (name, server): &(&str, Value)| gate.server(name, server.clone());
    // The proxy for all leads nowhere: servers of this machine do without it.
    let front = servers.iter().fold(Gate::of().set("outbound", json!({"proxy": "http://127.0.0.1:1"})), add);
    let front = front.start_in(directory).await;

    assert!(echoes(&front, "tunnel").await);
    let heads = proxy.heads();
    assert!(
        !heads.is_empty() && heads.iter().all(|head| head.starts_with(&format!("CONNECT {} ", gate.address))),
        "{heads:?}"
    );

    assert!(echoes(&front, "whole").await);
    let whole = proxy.heads().split_off(heads.len());
    assert!(
        !whole.is_empty() && whole.iter().all(|head| head.starts_with(&format!("POST {plain_url} "))),
        "{whole:?}"
    );

    let before = proxy.heads().len();
    assert!(echoes(&front, "direct").await && echoes(&front, "near").await);
    assert_eq!(proxy.heads().len(), before, "nobody asked the proxy");

    assert!(!echoes(&front, "refused").await);
    let line = front.running.logs("407 Proxy Authentication Required").await;
    assert!(!line.contains("s3cret"), "{line}");
}
