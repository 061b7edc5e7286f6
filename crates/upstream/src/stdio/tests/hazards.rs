//! What children do that they should not, and what must not follow from it.

use super::*;

const EXITS: &str = "server/discover=>!exit 3";
const SHIM: &str = r#"server/discover=>!result {"supportedVersions":["2025-06-18"],"capabilities":{}}"#;
const ERROR_2: &str = r#"server/discover=>{"jsonrpc":"2.0","id":$id,"error":{"code":-32602,"message":"no"}}"#;
const ERROR_ODD: &str = r#"server/discover=>{"jsonrpc":"2.0","id":$id,"error":{"code":-1,"message":"no"}}"#;
const LEGACY_ONLY: &str = r#"server/discover=>{"jsonrpc":"2.0","id":$id,"error":{"code":-32022,"message":"no","data":{"supported":["2025-11-25"]}}}"#;
const SILENT: &str = "start=>!stderr silent";

#[tokio::test]
async fn check_048_check_053_check_054_whatever_is_no_modern_answer_means_legacy() {
    for hazard in [UNKNOWN, ERROR_2, ERROR_ODD, LEGACY_ONLY, SHIM, EXITS, SILENT] {
        let running = Running::new(&[hazard, INITIALIZED, DONE]);
        let result = result_of(end(running.stdio.open(plain(), tool("x"))).await);
        assert_eq!(result, r#"{"content":[]}"#, "{hazard}");
        assert_eq!(running.stdio.describe(&plain()).await.unwrap().version, Version::V2025_06_18, "{hazard}");
        running.stop().await;
    }
}

#[tokio::test]
async fn check_049_a_foreign_version_is_said_and_not_worked_around() {
    let foreign = r#"server/discover=>{"jsonrpc":"2.0","id":$id,"error":{"code":-32022,"message":"no","data":{"supported":["2031-01-01"]}}}"#;
    let running = Running::new(&[foreign, INITIALIZED, DONE]);
    assert_eq!(kind_of(end(running.stdio.open(plain(), tool("x"))).await), FailureKind::NoCommonVersion);
    running.stop().await;
}

#[tokio::test]
async fn check_200_junk_on_stdout_is_passed_over() {
    let rules = [
        "start=>Welcome to the server!",
        "start=>",
        r#"start=>{"not":"a message"}"#,
        "start=>!stderr warming up",
        DISCOVERED,
        "tools/call:x=>DEBUG about to answer",
        DONE,
    ];
    let running = Running::new(&rules);
    result_of(end(running.stdio.open(plain(), tool("x"))).await);
    running.stop().await;
}

#[tokio::test]
async fn a_line_beyond_the_limit_ends_the_child_and_its_calls() {
    let running = Running::new(&[DISCOVERED, "tools/call:big=>!huge 1100000", DONE]);
    let failure = failure_of(end(running.stdio.open(plain(), tool("big"))).await);
    assert_eq!(failure.kind, FailureKind::OutcomeUnknown);
    assert!(failure.detail.contains("more than 1048576 bytes"), "{}", failure.detail);
    // The next call finds another child.
    result_of(end(running.stdio.open(plain(), tool("x"))).await);
    running.stop().await;
}

#[tokio::test]
async fn a_child_that_dies_takes_its_calls_with_it_and_says_why() {
    let running =
        Running::new(&[DISCOVERED, "tools/call:die=>!stderr out of luck", "tools/call:die=>!exit 7", DONE]);
    let failure = failure_of(end(running.stdio.open(plain(), tool("die"))).await);
    assert_eq!(failure.kind, FailureKind::OutcomeUnknown);
    assert!(failure.detail.contains('7') && failure.detail.contains("out of luck"), "{}", failure.detail);
    result_of(end(running.stdio.open(plain(), tool("x"))).await);
    running.stop().await;
}

#[tokio::test]
async fn a_command_that_does_not_exist_is_unreachable_and_says_so() {
    let mut config = config(&[]);
    config.spec.command = "no-such-command-anywhere".to_owned();
    let running = Running::with(config);
    let failure = failure_of(end(running.stdio.open(plain(), tool("x"))).await);
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert!(failure.detail.contains("no-such-command-anywhere"), "{}", failure.detail);
    running.stop().await;
}

#[tokio::test]
async fn check_112_a_question_that_no_call_can_carry_is_refused() {
    let early =
        r#"initialize=>{"jsonrpc":"2.0","id":"e","method":"elicitation/create","params":{"message":"?"}}"#;
    let other = r#"initialize=>{"jsonrpc":"2.0","id":"o","method":"odd/request"}"#;
    let ping = r#"initialize=>{"jsonrpc":"2.0","id":"p","method":"ping"}"#;
    let running = Running::new(&[UNKNOWN, early, other, ping, INITIALIZED, RECEIVED]);
    let lines = running.received(&askable()).await;
    let answer =
        |id: &str| lines.iter().find(|line| line["id"] == id).unwrap_or_else(|| panic!("{id}")).clone();
    assert_eq!(answer("e")["result"]["action"], "cancel");
    assert_eq!(answer("o")["error"]["code"], -32601);
    assert_eq!(answer("p")["result"], json!({}));
    running.stop().await;
}

#[tokio::test]
async fn roots_that_are_asked_for_early_wait_for_the_next_call() {
    let early = r#"notifications/initialized=>{"jsonrpc":"2.0","id":"r","method":"roots/list"}"#;
    let finish = r#"response:r=>!answer tools/call {"content":[]}"#;
    let running = Running::new(&[UNKNOWN, INITIALIZED, early, finish]);
    let mut leg = running.stdio.open(askable(), tool("x"));
    let ask = next_ask(&mut leg).await;
    assert_eq!(ask.kind, AskKind::Roots);
    ask.reply.answer(Outcome::Result(raw(r#"{"roots":[]}"#)));
    assert_eq!(result_of(end(leg).await), r#"{"content":[]}"#);
    running.stop().await;
}

#[tokio::test]
async fn a_withdrawn_question_is_withdrawn_and_its_answer_goes_nowhere() {
    let withdraw =
        r#"tools/call:ask=>{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"q1"}}"#;
    let running = Running::new(&[
        UNKNOWN,
        INITIALIZED,
        ASKS,
        withdraw,
        r#"tools/call:ask=>!result {"content":[]}"#,
        RECEIVED,
    ]);
    let mut leg = running.stdio.open(askable(), tool("ask"));
    let ask = next_ask(&mut leg).await;
    assert!(matches!(next(&mut leg).await, Event::AskWithdrawn(key) if key == ask.key));
    ask.reply.answer(Outcome::Result(raw(r#"{"action":"accept"}"#)));
    result_of(end(leg).await);
    let lines = running.received(&askable()).await;
    assert!(lines.iter().all(|line| line["id"] != "q1"), "{lines:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_full_pool_says_busy() {
    let mut config = config(&[UNKNOWN, INITIALIZED, ASKS]);
    config.max_children = 1;
    config.deadlines.call = Duration::from_millis(300);
    config.deadlines.ask = PATIENCE;
    let running = Running::with(config);
    let mut held = running.stdio.open(askable(), tool("ask"));
    let _ask = next_ask(&mut held).await;
    assert_eq!(kind_of(end(running.stdio.open(askable(), tool("ask"))).await), FailureKind::Busy);
    drop(held);
    running.stop().await;
}

#[tokio::test]
async fn check_077_a_call_without_an_answer_ends_in_time_and_is_cancelled() {
    let mut config = config(&[DISCOVERED, RECEIVED]);
    config.deadlines.call = Duration::from_millis(300);
    let running = Running::with(config);
    running.received(&plain()).await;
    assert_eq!(kind_of(end(running.stdio.open(plain(), tool("hang"))).await), FailureKind::Timeout);
    let lines = running.received(&plain()).await;
    assert_eq!(methods(&lines)[2..], ["tools/call", "notifications/cancelled", "tools/call"]);
    running.stop().await;
}

#[tokio::test]
async fn check_070_answers_and_progress_find_their_calls_whatever_their_order() {
    let progress = r#"tools/call:slow=>{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":$id,"progress":1}}"#;
    let late = r#"tools/call:fast=>!answer tools/call:slow {"late":true}"#;
    let running = Running::new(&[DISCOVERED, progress, r#"tools/call:fast=>!result {"fast":true}"#, late]);
    let mut ctx = plain();
    ctx.wants_progress = true;
    let mut slow = running.stdio.open(ctx.clone(), tool("slow"));
    assert!(matches!(next(&mut slow).await, Event::Notification(_)));
    let mut fast = running.stdio.open(ctx, tool("fast"));
    assert_eq!(result_of(next(&mut fast).await), r#"{"fast":true}"#);
    assert_eq!(result_of(next(&mut slow).await), r#"{"late":true}"#);
    running.stop().await;
}

#[tokio::test]
async fn a_log_level_is_set_once_and_only_where_it_is_wanted() {
    let rules = [UNKNOWN, INITIALIZED, "logging/setLevel=>!result {}", DONE, RECEIVED];
    let running = Running::new(&rules);
    let mut ctx = plain();
    ctx.log_level = Some(portreeve_mcp::LogLevel::Info);
    for level in
        [portreeve_mcp::LogLevel::Info, portreeve_mcp::LogLevel::Error, portreeve_mcp::LogLevel::Info]
    {
        ctx.log_level = Some(level);
        result_of(end(running.stdio.open(ctx.clone(), request("tools/call", r#"{"name":"x"}"#))).await);
    }
    let lines = running.received(&ctx).await;
    let levels: Vec<_> = lines.iter().filter(|line| line["method"] == "logging/setLevel").collect();
    assert_eq!(levels.len(), 1);
    assert_eq!(levels[0]["params"]["level"], "info");
    running.stop().await;
}
