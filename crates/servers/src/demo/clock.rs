//! A resource that changes by itself: how long the server stands. Those who subscribed are told each second, so that
//! one sees updates arrive without doing anything; nothing ticks while nobody listens.

use futures_core::Stream;
use futures_util::{StreamExt, stream};
use portreeve_mcp::{Text, service::Notice};
use serde_json::json;
use std::{task::Poll, time::Duration};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// The resource.
pub(super) const CLOCK: &str = "demo://clock";

const TICK: Duration = Duration::from_secs(1);

/// The same notices with a tick a second among them, and the same end.
pub(super) fn ticking(notices: impl Stream<Item = Notice> + Unpin) -> impl Stream<Item = Notice> {
    let mut notices = notices;
    let mut clock = interval_at(Instant::now() + TICK, TICK);
    // Whoever was away wants to know that time has passed, not how often.
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::poll_fn(move |cx| match notices.poll_next_unpin(cx) {
        Poll::Ready(notice) => Poll::Ready(notice),
        Poll::Pending => clock.poll_tick(cx).map(|_| Some(tick())),
    })
}

fn tick() -> Notice {
    Notice::ResourceUpdated { uri: Text::from_static(CLOCK), params: json!({"uri": CLOCK}).into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::Demo;
    use portreeve_mcp::{Ctx, Service, service::WatchFilter};
    use portreeve_model::IsolationKey;

    #[tokio::test(start_paused = true)]
    async fn it_ticks_for_those_who_subscribed_until_the_watch_ends() {
        let demo = Demo::new().unwrap();
        let ctx = || Ctx::system(IsolationKey::new("somebody"), None);
        let wanted = vec![Text::from(CLOCK)];
        let mut watch = demo.watch(ctx(), WatchFilter { resources: wanted.clone() });
        assert_eq!(watch.next().await, Some(Notice::Watching(wanted)));
        let start = Instant::now();
        for second in 1..=3 {
            assert_eq!(watch.next().await, Some(tick()));
            assert_eq!(start.elapsed(), TICK * second);
        }
        let others = demo.watch(ctx(), WatchFilter::default());
        assert_eq!(others.take_until(tokio::time::sleep(TICK * 5)).collect::<Vec<_>>().await.len(), 1);
        // A watch that has fallen behind ends, clock or no clock.
        for _ in 0..1000 {
            demo.0.lists.toggle_tool();
        }
        assert!(watch.take(1000).count().await < 1000);
    }
}
