//! The load generator: a fixed number of connections that each wait for their answer, as fast as it goes or at
//! a fixed rate. It checks every answer, and reads the CPU time of the process under test at the very ends of
//! the measured window. It knows nothing of who is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::events;
use super::http::{Connection, Message};
use super::proc;
use super::wire::{Era, Place, Template, Work, excerpt, handshake, is_right, verify};
use crate::command::{self, Outcome};

/// Time that connecting and the first answer on every connection may take.
const OPENING: Duration = Duration::from_secs(10);
/// Time that the last answers may take once the window has closed.
const CLOSING: Duration = Duration::from_secs(10);
/// Ids begin here, so that all requests have the same length.
const FIRST_ID: u64 = 1_000_000;

/// What to send where.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Address of what is measured
    #[arg(long)]
    pub(super) target: String,
    /// Path of the MCP endpoint
    #[arg(long)]
    pub(super) path: String,
    /// Form that the client speaks
    #[arg(long)]
    pub(super) era: Era,
    /// What is asked for
    #[arg(long)]
    pub(super) work: Work,
    /// Connections at once
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(super) connections: u16,
    /// Requests a second over all connections; as fast as possible without it
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) rate: Option<u32>,
    /// Milliseconds before the window opens
    #[arg(long, default_value_t = 500)]
    pub(super) warmup: u64,
    /// Milliseconds of the window
    #[arg(long, default_value_t = 3000)]
    pub(super) window: u64,
    /// Processes whose trees are measured
    #[arg(long)]
    pub(super) watch: Vec<u32>,
    /// Address where sessions are opened, if it is another one
    #[arg(long)]
    pub(super) session_at: Option<String>,
    /// What the names of tools begin with there
    #[arg(long, default_value = "")]
    pub(super) prefix: String,
}

/// What the window showed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Right answers within the window.
    pub(crate) answers: u64,
    /// Right answers a second.
    pub(crate) per_second: f64,
    /// Median latency in µs.
    pub(crate) p50: f64,
    /// 99th percentile of the latency in µs.
    pub(crate) p99: f64,
    /// CPU µs of the watched tree for each answer.
    pub(crate) cpu: Option<f64>,
    /// Resident memory of the watched tree at the end, in MiB.
    pub(crate) memory: Option<f64>,
    /// What went wrong, one line for each connection that failed.
    pub(crate) errors: Vec<String>,
}

/// Why a connection gave up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The transport failed.
    #[error("connection")]
    Io(#[source] std::io::Error),
    /// The peer closed a connection that was in use.
    #[error("closed by the peer after {0} answers")]
    Closed(u64),
    /// The first answer is not the expected one.
    #[error("first answer ({status}): {why}")]
    First {
        /// Its status.
        status: u16,
        /// What is wrong with it.
        why: String,
    },
    /// A later answer is not the expected one.
    #[error("answer {count} is wrong ({status}): {body}")]
    Wrong {
        /// How many were right before.
        count: u64,
        /// Its status.
        status: u16,
        /// Its beginning.
        body: String,
    },
    /// The handshake gave no session.
    #[error("the handshake failed ({status}): {body}")]
    Handshake {
        /// Its status.
        status: u16,
        /// Its beginning.
        body: String,
    },
    /// There is no question in what should hold one.
    #[error("no question, or its answer is refused ({status}): {body}")]
    Question {
        /// Its status.
        status: u16,
        /// Its beginning.
        body: String,
    },
    /// Nothing came in time.
    #[error("no answer in time")]
    Late,
}

/// Where the run stands, seen by all connections.
struct Phase(AtomicU8);

impl Phase {
    const WARM: u8 = 0;
    const OPEN: u8 = 1;
    const OVER: u8 = 2;

    fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, phase: u8) {
        self.0.store(phase, Ordering::Relaxed);
    }
}

/// What one connection counted within the window. Latencies are in tenths of a µs.
struct Count {
    answers: u64,
    latencies: Histogram<u32>,
}

/// Runs the load and prints the sample as one line of JSON.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sample = runtime.block_on(load(arguments))?;
    println!("{}", serde_json::to_string(&sample)?);
    Ok(())
}

/// Opens all connections, warms up, measures.
pub(super) async fn load(arguments: &Arguments) -> Result<Sample, Box<dyn std::error::Error>> {
    let phase = Arc::new(Phase(AtomicU8::new(Phase::WARM)));
    let mut tasks = JoinSet::new();
    let mut errors = Vec::new();
    let mut clients = Vec::new();
    for index in 0..arguments.connections {
        match timeout(OPENING, Client::open(arguments, FIRST_ID * (1 + u64::from(index)))).await {
            Ok(Ok(client)) => clients.push(client),
            Ok(Err(error)) => errors.push(command::chain(&error)),
            Err(_) => errors.push(LoadError::Late.to_string()),
        }
        if !errors.is_empty() {
            break;
        }
    }
    if !errors.is_empty() {
        return Ok(Sample {
            answers: 0,
            per_second: 0.0,
            p50: 0.0,
            p99: 0.0,
            cpu: None,
            memory: None,
            errors,
        });
    }
    let pace = arguments.rate.map(|rate| Duration::from_secs(1) / rate);
    for (index, client) in clients.into_iter().enumerate() {
        let pace = pace.map(|each| Pace {
            next: Instant::now() + each * u32::try_from(index).unwrap_or(0),
            each: each * u32::from(arguments.connections),
        });
        tasks.spawn(client.run(Arc::clone(&phase), pace));
    }
    sleep(Duration::from_millis(arguments.warmup)).await;
    let pids: Vec<u32> = arguments.watch.iter().flat_map(|pid| proc::tree(*pid)).collect();
    let (before, opened) = (proc::cpu(&pids), Instant::now());
    phase.set(Phase::OPEN);
    sleep(Duration::from_millis(arguments.window)).await;
    phase.set(Phase::OVER);
    let (cpu, seconds) = (proc::cpu(&pids).since(before), opened.elapsed().as_secs_f64());
    let memory = proc::resident_kib(&pids);
    let (answers, latencies) = gather(&mut tasks, &mut errors).await?;
    let watched = (answers > 0 && !pids.is_empty()).then_some(());
    Ok(Sample {
        answers,
        per_second: precise(answers) / seconds,
        p50: precise(latencies.value_at_quantile(0.5)) / 10.0,
        p99: precise(latencies.value_at_quantile(0.99)) / 10.0,
        cpu: watched.map(|_| precise(cpu) / 1000.0 / precise(answers)),
        memory: watched.map(|_| precise(memory) / 1024.0),
        errors,
    })
}

/// Waits for all connections to finish their last answer, and adds up.
async fn gather(
    tasks: &mut JoinSet<Result<Count, LoadError>>,
    errors: &mut Vec<String>,
) -> Result<(u64, Histogram<u32>), Box<dyn std::error::Error>> {
    let mut answers = 0;
    let mut latencies = Histogram::new(2)?;
    let deadline = Instant::now() + CLOSING;
    loop {
        match tokio::time::timeout_at(deadline, tasks.join_next()).await {
            Ok(None) => return Ok((answers, latencies)),
            Ok(Some(Ok(Ok(count)))) => {
                answers += count.answers;
                latencies.add(count.latencies)?;
            }
            Ok(Some(Ok(Err(error)))) => errors.push(command::chain(&error)),
            Ok(Some(Err(error))) => errors.push(error.to_string()),
            Err(_) => {
                errors.extend(std::iter::repeat_n(LoadError::Late.to_string(), tasks.len()));
                return Ok((answers, latencies));
            }
        }
    }
}

/// Counts here stay far below 2^52, so nothing is lost.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn precise(number: u64) -> f64 {
    number as f64
}

/// The schedule of one connection at a fixed rate.
struct Pace {
    next: Instant,
    each: Duration,
}

impl Pace {
    /// Waits for the next turn; gives the moment from which its latency counts: now, or when it was due if the
    /// answer before came too late for it.
    async fn turn(&mut self) -> Instant {
        let due = self.next;
        self.next += self.each;
        if Instant::now() < due {
            sleep_until(due).await;
            return Instant::now();
        }
        due
    }
}

/// One connection with its session, if its era has one.
struct Client {
    connection: Connection,
    template: Template,
    work: Work,
    era: Era,
    id: u64,
    /// Where a legacy client answers questions, whose call still has its stream.
    side: Option<Side>,
}

/// What a legacy client answers questions with.
struct Side {
    connection: Connection,
    target: String,
    path: String,
    session: String,
}

impl Client {
    /// Connects, opens a session where there are sessions, and checks one answer thoroughly.
    async fn open(arguments: &Arguments, id: u64) -> Result<Self, LoadError> {
        let Arguments { target, path, era, work, .. } = arguments;
        let mut connection = connect(target).await?;
        let session = match (era, &arguments.session_at) {
            (Era::Modern, _) => None,
            (Era::Legacy, None) => Some(shake_hands(&mut connection, target, path).await?),
            (Era::Legacy, Some(owner)) => Some(shake_hands(&mut connect(owner).await?, owner, path).await?),
        };
        let place = Place { target, path, prefix: &arguments.prefix };
        let template = Template::new(&place, *era, *work, session.as_deref());
        let side = match session.filter(|_| *work == Work::Ask) {
            Some(session) => {
                let (connection, target, path) = (connect(target).await?, target.clone(), path.clone());
                Some(Side { connection, target, path, session })
            }
            None => None,
        };
        let mut client = Self { connection, template, work: *work, era: *era, id, side };
        client.first(&arguments.prefix).await?;
        Ok(client)
    }

    /// The first answer, thoroughly checked.
    async fn first(&mut self, prefix: &str) -> Result<(), LoadError> {
        let (era, work) = (self.era, self.work);
        let (id, message) = self.exchange(&mut Vec::new()).await?;
        let status = message.status();
        let kind = message.header("content-type").unwrap_or_default();
        let expected = match (work, era) {
            (Work::Progress, _) | (Work::Ask, Era::Legacy) => "text/event-stream",
            _ => "application/json",
        };
        let verdict = if status != 200 {
            Err(excerpt(message.body))
        } else if !kind.starts_with(expected) {
            Err(format!("{kind:?} instead of {expected}"))
        } else {
            verify(era, work, prefix, id, message.body)
        };
        verdict.map_err(|why| LoadError::First { status, why })
    }

    /// One request with everything until its answer; gives the id that the answer has to have, and the answer.
    async fn exchange(&mut self, out: &mut Vec<u8>) -> Result<(u64, Message<'_>), LoadError> {
        self.send("", out).await?;
        match (self.work, &mut self.side) {
            (Work::Ask, Some(side)) => {
                let event = self.connection.event_with(b"elicitation/create").await.map_err(LoadError::Io)?;
                side.answer(event).await?;
            }
            (Work::Ask, None) => {
                let message = self.connection.receive().await.map_err(LoadError::Io)?;
                let message = message.ok_or(LoadError::Closed(0))?;
                let (status, body) = (message.status(), message.body);
                let retry = events::retry(body);
                let retry = retry.ok_or_else(|| LoadError::Question { status, body: excerpt(body) })?;
                self.send(&retry, out).await?;
            }
            _ => {}
        }
        let id = self.id - 1;
        let message = self.connection.receive().await.map_err(LoadError::Io)?;
        Ok((id, message.ok_or(LoadError::Closed(id % FIRST_ID))?))
    }

    /// Sends the request with the next id.
    async fn send(&mut self, more: &str, out: &mut Vec<u8>) -> Result<(), LoadError> {
        self.template.write_with(self.id, more, out);
        self.id += 1;
        self.connection.send(out).await.map_err(LoadError::Io)
    }

    /// Asks and checks until the run is over.
    async fn run(mut self, phase: Arc<Phase>, mut pace: Option<Pace>) -> Result<Count, LoadError> {
        let latencies = Histogram::new_with_bounds(1, 600_000_000, 2);
        let mut count = Count { answers: 0, latencies: latencies.map_err(|_| LoadError::Late)? };
        let mut out = Vec::new();
        let (first, work) = (self.id, self.work);
        while phase.get() != Phase::OVER {
            let began = match &mut pace {
                Some(pace) => pace.turn().await,
                None => Instant::now(),
            };
            let (id, message) = self.exchange(&mut out).await?;
            if !is_right(work, id, message.status(), message.body) {
                let (status, body) = (message.status(), excerpt(message.body));
                return Err(LoadError::Wrong { count: id - first, status, body });
            }
            if phase.get() == Phase::OPEN {
                count.answers += 1;
                let tenths = u64::try_from(began.elapsed().as_nanos() / 100).unwrap_or(u64::MAX);
                count.latencies.saturating_record(tenths.max(1));
            }
        }
        Ok(count)
    }
}

impl Side {
    /// Answers the question in an event.
    async fn answer(&mut self, event: &[u8]) -> Result<(), LoadError> {
        let Self { connection, target, path, session } = self;
        let reply = events::reply(target, path, session, event);
        let reply = reply.ok_or_else(|| LoadError::Question { status: 200, body: excerpt(event) })?;
        connection.send(&reply).await.map_err(LoadError::Io)?;
        let message = connection.receive().await.map_err(LoadError::Io)?.ok_or(LoadError::Closed(0))?;
        match message.status() {
            202 => Ok(()),
            status => Err(LoadError::Question { status, body: excerpt(message.body) }),
        }
    }
}

async fn connect(target: &str) -> Result<Connection, LoadError> {
    Connection::new(TcpStream::connect(target).await.map_err(LoadError::Io)?).map_err(LoadError::Io)
}

/// `initialize` and its notification; gives the session id.
async fn shake_hands(connection: &mut Connection, target: &str, path: &str) -> Result<String, LoadError> {
    connection.send(&handshake(target, path, None)).await.map_err(LoadError::Io)?;
    let message = connection.receive().await.map_err(LoadError::Io)?.ok_or(LoadError::Closed(0))?;
    let status = message.status();
    let session = message.header("mcp-session-id").filter(|_| status == 200).map(str::to_owned);
    let session = session.ok_or_else(|| LoadError::Handshake { status, body: excerpt(message.body) })?;
    connection.send(&handshake(target, path, Some(&session))).await.map_err(LoadError::Io)?;
    let message = connection.receive().await.map_err(LoadError::Io)?.ok_or(LoadError::Closed(0))?;
    match message.status() {
        202 => Ok(session),
        status => Err(LoadError::Handshake { status, body: excerpt(message.body) }),
    }
}
