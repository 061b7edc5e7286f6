//! The program: command line, configuration, wiring.
//! `main` is a thin shell around [`cli::run`], so that everything here can be reached by tests.
//! What a request goes through lives in `gateway` and `edge`, not here.

pub mod cli;
pub mod commands;
pub mod config;
pub mod gate;
pub mod log;
pub mod reload;
pub mod stdio_door;
pub mod systemd;
