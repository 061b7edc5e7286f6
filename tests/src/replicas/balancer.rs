//! A balancer without stickiness: each connection goes to the next replica, and one that cannot be reached is passed over, as
//! any balancer does. It knows bytes only. A client learns afterwards which replica its connection went to.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

pub(super) struct Balancer {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    replicas: Vec<SocketAddr>,
    next: AtomicUsize,
    /// Which replica the connection from this local port went to.
    went: Mutex<HashMap<u16, usize>>,
}

impl Balancer {
    pub(super) async fn start(replicas: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared { replicas, next: AtomicUsize::new(0), went: Mutex::default() });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, shared.clone()));
        Self { address, shared, _tasks: tasks }
    }

    /// Which replica the connection from this local port went to, if it reached one.
    pub(super) fn went(&self, port: u16) -> Option<usize> {
        self.shared.went.lock().expect("nobody panics with it").get(&port).copied()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((client, from)) = listener.accept().await {
        connections.spawn(carry(client, from.port(), shared.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn carry(mut client: TcpStream, port: u16, shared: Arc<Shared>) {
    let first = shared.next.fetch_add(1, Ordering::Relaxed);
    for turn in 0..shared.replicas.len() {
        let chosen = (first + turn) % shared.replicas.len();
        let Ok(mut replica) = TcpStream::connect(shared.replicas[chosen]).await else { continue };
        shared.went.lock().expect("nobody panics with it").insert(port, chosen);
        // How either side ends is what the other hears.
        let _ = copy_bidirectional(&mut client, &mut replica).await;
        return;
    }
}
