//! Load generator against upstream, without anything between them: what the benchmark counts has happened, and
//! what is wrong is seen.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::LocalSet;

use super::load::{Arguments, Sample, load};
use super::targets::statistics;
use super::upstream::{Stats, serve};
use super::wire::{Era, Work};

fn arguments(target: &str, era: Era, work: Work, rate: Option<u32>) -> Arguments {
    let (target, path) = (target.to_owned(), "/mcp".to_owned());
    Arguments {
        target,
        path,
        era,
        work,
        connections: 4,
        rate,
        warmup: 10,
        window: 100,
        watch: vec![std::process::id()],
        session_at: None,
        prefix: String::new(),
    }
}

/// Runs the load against an upstream and gives what both sides counted.
async fn measured(only: Option<Era>, era: Era, work: Work, rate: Option<u32>) -> (Sample, Stats) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (alive, life) = tokio::io::duplex(1);
    let client = async {
        let sample = load(&arguments(&address, era, work, rate)).await.unwrap();
        let stats = statistics(&address).await.unwrap();
        drop(alive);
        (sample, stats)
    };
    let (served, counted) =
        LocalSet::new().run_until(async { tokio::join!(serve(listener, only, life), client) }).await;
    served.unwrap();
    counted
}

#[tokio::test]
async fn both_eras_answer_all_kinds_of_work() {
    for only in [None, Some(Era::Legacy), Some(Era::Modern)] {
        for era in [Era::Legacy, Era::Modern].into_iter().filter(|era| only.is_none_or(|only| only == *era)) {
            for work in [Work::Small, Work::List, Work::Big, Work::Progress, Work::Ask] {
                let (sample, stats) = measured(only, era, work, None).await;
                assert_eq!(sample.errors, Vec::<String>::new(), "{only:?} {era:?} {work:?}");
                assert!(sample.answers > 0 && sample.p99 >= sample.p50, "{sample:?}");
                assert!(sample.cpu.unwrap() > 0.0 && sample.memory.unwrap() > 0.0, "{sample:?}");
                let asked = if work == Work::List { stats.list } else { stats.call };
                assert!(asked >= sample.answers, "{stats:?} {sample:?}");
                assert_eq!(stats.initialize, if era == Era::Legacy { 4 } else { 0 }, "{era:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_fixed_rate_is_kept() {
    let began = std::time::Instant::now();
    let (sample, stats) = measured(None, Era::Modern, Work::Small, Some(200)).await;
    assert_eq!(sample.errors, Vec::<String>::new());
    // The schedule, and on each connection the thorough check before and the request that is due at once.
    let most = 200.0 * began.elapsed().as_secs_f64() + 8.0;
    assert!(
        stats.call > 4 && f64::from(u32::try_from(stats.call).unwrap()) <= most,
        "{stats:?}, at most {most}"
    );
}

#[tokio::test]
async fn the_wrong_era_is_an_error() {
    let (legacy, _) = measured(Some(Era::Legacy), Era::Modern, Work::Small, None).await;
    let (modern, _) = measured(Some(Era::Modern), Era::Legacy, Work::Small, None).await;
    assert!(legacy.errors[0].starts_with("first answer (400)"), "{legacy:?}");
    assert!(modern.errors[0].starts_with("the handshake failed (400)"), "{modern:?}");
    assert_eq!((legacy.answers, modern.answers), (0, 0));
}

#[tokio::test]
async fn a_closed_connection_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let closing = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{").await.unwrap();
    };
    let arguments = arguments(&address, Era::Modern, Work::Small, None);
    let ((), sample) = tokio::join!(closing, load(&arguments));
    assert_eq!(sample.unwrap().errors.len(), 1);
}
