//! Makes a leg from an async function that emits events, without a task: whoever polls the leg drives the function.

use super::{Event, Leg};
use futures_core::Stream;
use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

/// Where the function puts its events.
#[derive(Clone, Default)]
pub struct Emitter(Arc<Mutex<VecDeque<Event>>>);

impl Emitter {
    /// Puts one event out and lets the reader take it before the function goes on.
    pub async fn emit(&self, event: Event) {
        self.lock().push_back(event);
        Yield(false).await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Yield(bool);

impl Future for Yield {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

struct Generated<F> {
    function: Option<Pin<Box<F>>>,
    queue: Emitter,
}

impl<F: Future<Output = Event>> Stream for Generated<F> {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if let Some(event) = self.queue.lock().pop_front() {
            return Poll::Ready(Some(event));
        }
        let Some(function) = &mut self.function else { return Poll::Ready(None) };
        if let Poll::Ready(last) = function.as_mut().poll(cx) {
            self.function = None;
            self.queue.lock().push_back(last);
        }
        let next = self.queue.lock().pop_front();
        next.map_or(Poll::Pending, |event| Poll::Ready(Some(event)))
    }
}

/// A leg from an async function: it emits what comes before, and returns the last event.
pub fn generate<F>(function: impl FnOnce(Emitter) -> F) -> Leg
where
    F: Future<Output = Event> + Send + 'static,
{
    let queue = Emitter::default();
    let function = Some(Box::pin(function(queue.clone())));
    Box::pin(Generated { function, queue })
}
