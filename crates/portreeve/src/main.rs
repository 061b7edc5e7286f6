//! The `portreeve` binary; everything is in the library.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // A child program is started through this program itself, so that it ends with us (see the crate `process`).
    if std::env::args_os().nth(1).is_some_and(|argument| argument == portreeve_process::KEEPER_ARGUMENT) {
        return portreeve_process::child_main(std::env::args_os().skip(2));
    }
    portreeve::cli::run(std::env::args_os()).into()
}
