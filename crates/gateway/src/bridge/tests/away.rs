//! Calls that their server keeps.

use super::*;
use std::sync::atomic::{AtomicBool, Ordering};

/// A call that can be left, or not yet.
#[derive(Debug)]
struct Kept {
    known: bool,
    left: Arc<AtomicBool>,
}

impl Leavable for Kept {
    fn is_leavable(&self) -> bool {
        self.known
    }

    fn leave(&self) -> Option<RawJson> {
        self.known.then(|| {
            self.left.store(true, Ordering::Relaxed);
            raw(&json!({"at": 5}))
        })
    }
}

struct Bed {
    bench: Bench,
    left: Arc<AtomicBool>,
}

/// A server that keeps its calls; taken up, it goes on with this.
fn keeping<F>(
    shape: Shape,
    known: bool,
    message: &str,
    end: impl Fn(usize, Emitter) -> F + Send + Sync + Clone + 'static,
) -> Bed
where
    F: Future<Output = Event> + Send + 'static,
{
    let left = Arc::new(AtomicBool::new(false));
    let (leaves, params) = (left.clone(), form(message));
    let bench = shape.start(move |number, _, _, emit| {
        let (leaves, params, end) = (leaves.clone(), params.clone(), end.clone());
        async move {
            if number > 100 {
                return end(number - 100, emit).await;
            }
            let call: Arc<dyn Leavable> = Arc::new(Kept { known, left: leaves });
            let point = |id: &str| Some(AskPoint { question: raw(&json!(id)), call: call.clone() });
            let one = ask(&emit, 1, AskKind::Elicit, Some(params.clone()), point("q1")).await;
            let two = ask(&emit, 2, AskKind::Roots, None, point("q2")).await;
            let _ = one.await;
            echo(two.await)
        }
    });
    Bed { bench, left }
}

fn both() -> Value {
    json!({"r1.0": accept("Ada"), "r1.1": {"roots": []}})
}

#[tokio::test(start_paused = true)]
async fn nothing_is_held_and_the_answers_go_with_the_call() {
    let mut shape = Shape::legacy();
    shape.limits.parked_total = 0;
    let bed = keeping(shape, true, "Who?", |_, _| async { text("done") });
    let bench = &bed.bench;
    let got = bench.call().await;
    let (keys, state) = got.asked();
    assert_eq!((keys, bed.left.load(Ordering::Relaxed)), (vec!["r1.0".to_owned(), "r1.1".to_owned()], true));
    assert_eq!(got.end()["inputRequests"]["r1.0"]["params"], form("Who?"));
    assert!(got.end()["inputRequests"]["r1.1"].get("params").is_none());
    // Long after the time of calls that are held here, but not of the seal.
    let done = bench.retry(&state, both()).await;
    assert_eq!(done.said(), "done");
    let taken = bench.server.taken_up.lock().unwrap().clone();
    assert_eq!(taken[0].point.to_value(), json!({"at": 5}));
    let answers: Vec<Value> =
        taken[0].answers.iter().map(|(id, outcome)| json!([id.to_value(), value(outcome)])).collect();
    assert_eq!(answers, [json!(["q1", accept("Ada")]), json!(["q2", {"roots": []}])]);
    assert_eq!(bench.retry(&state, both()).await.said(), "done");
    assert_eq!(bench.server.taken_up.lock().unwrap().len(), 1, "the same retry");
    assert_eq!(bench.calls(), 1);
    assert_eq!(bench.records(), [("input_required", 1), ("ok", 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_open_is_asked_again_with_what_was_answered_in_the_state() {
    let bed = keeping(Shape::legacy(), true, "Who?", |_, _| async { text("done") });
    let bench = &bed.bench;
    let (_, first) = bench.call().await.asked();
    let (keys, second) = bench.retry(&first, json!({"r1.1": {"roots": []}})).await.asked();
    assert_eq!(keys, ["r1.0"]);
    for bad in [json!([]), json!({"r1.0": {"action": "x"}})] {
        assert_eq!(bench.retry(&second, bad).await.code(), -32602);
    }
    let params = json!({"name": "t", "requestState": second, "inputResponses": {"r1.0": accept("Ada")}});
    assert_eq!(bench.ask(Method::ToolsCall, &params, &json!({"roots": {}})).await.code(), -32021);
    assert!(bench.server.taken_up.lock().unwrap().is_empty());
    assert_eq!(bench.retry(&second, json!({"r1.0": accept("Ada")})).await.said(), "done");
    let taken = bench.server.taken_up.lock().unwrap()[0].clone();
    let ids: Vec<Value> = taken.answers.iter().map(|(id, _)| id.to_value()).collect();
    assert_eq!(ids, ["q2", "q1"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_taken_up_may_ask_again_and_be_left_again() {
    let bed = keeping(Shape::legacy(), true, "Who?", |number, emit| async move {
        if number > 1 {
            return text("done");
        }
        let left = Arc::new(AtomicBool::new(false));
        let point = AskPoint { question: raw(&json!("q3")), call: Arc::new(Kept { known: true, left }) };
        echo(ask(&emit, 1, AskKind::Elicit, Some(form("More?")), Some(point)).await.await)
    });
    let bench = &bed.bench;
    let (_, first) = bench.call().await.asked();
    let asked = bench.retry(&first, both()).await;
    let (keys, second) = asked.asked();
    assert_eq!(keys, ["r2.0"]);
    assert_eq!(bench.retry(&first, both()).await.end, asked.end, "the first round went on like this");
    assert_eq!(bench.retry(&second, json!({"r2.0": accept("x")})).await.said(), "done");
    assert_eq!(bench.server.taken_up.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_cannot_be_taken_up_just_now_may_be_tried_again() {
    let bed = keeping(Shape::legacy(), true, "Who?", |number, _| async move {
        match number {
            1 => Event::failed(portreeve_mcp::service::FailureKind::Unreachable, "down"),
            2 => Event::failed(portreeve_mcp::service::FailureKind::OutcomeUnknown, "lost"),
            _ => text("done"),
        }
    });
    let bench = &bed.bench;
    let (_, state) = bench.call().await.asked();
    assert_eq!(bench.retry(&state, both()).await.code(), -31001);
    assert_eq!(bench.retry(&state, both()).await.code(), -31004);
    assert_eq!(bench.retry(&state, both()).await.code(), -31004, "what may have run has ended");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_left_is_held() {
    let bed = keeping(Shape::legacy(), false, "Who?", |_, _| async { text("done") });
    let (_, state) = bed.bench.call().await.asked();
    assert_eq!(bed.bench.retry(&state, both()).await.said(), json!({"roots": []}).to_string());
    assert!(!bed.left.load(Ordering::Relaxed));
    let large = "x".repeat(super::super::away::MAX_STATE + 1);
    let bed = keeping(Shape::legacy(), true, &large, |_, _| async { text("done") });
    let (_, state) = bed.bench.call().await.asked();
    assert!(!bed.left.load(Ordering::Relaxed), "a state has a bound");
    assert_eq!(bed.bench.retry(&state, both()).await.said(), json!({"roots": []}).to_string());
    assert!(bed.bench.server.taken_up.lock().unwrap().is_empty());
}
