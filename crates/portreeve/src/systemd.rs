//! What systemd is told (sd_notify(3), `Type=notify-reload`): ready, reading the configuration again, ending, and that the
//! gate is alive. Outside of systemd all of it does nothing. A message that cannot be sent is no reason to stop serving.

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

/// The doors are open.
pub fn ready(servers: usize) {
    let status = format!("serving {servers} servers");
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// What is served has changed.
pub fn served(servers: usize) {
    let status = format!("serving {servers} servers");
    tell(&[NotifyState::Status(&status)]);
}

/// The configuration is being read again because somebody asked; [`ready`] follows.
pub fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// The gate closes.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("letting what is in flight finish")]);
}

/// Says that the gate is alive, twice within the time that systemd waits for it, if it does.
pub async fn watchdog(stop: CancellationToken) {
    let Some(longest) = sd_notify::watchdog_enabled() else { return };
    let mut beat = tokio::time::interval(longest / 2);
    loop {
        tokio::select! {
            _ = beat.tick() => tell(&[NotifyState::Watchdog]),
            () = stop.cancelled() => return,
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}
