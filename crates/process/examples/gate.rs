//! A stand-in for the program in this crate's tests: it is its own keeper, and with `hold PROGRAM ARGUMENT…` it runs one
//! child, copies that child's stdout to its own, and stays until it is killed.

use portreeve_model::ServerName;
use portreeve_process::{Child, KEEPER_ARGUMENT, Launcher, Spec, Supervisor, child_main};
use std::{collections::BTreeMap, error::Error, process::ExitCode};
use tokio_util::task::TaskTracker;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    match args.next() {
        Some(first) if first == KEEPER_ARGUMENT => child_main(args),
        Some(first) if first == "hold" => match hold(args.filter_map(|arg| arg.into_string().ok()).collect())
        {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        _ => ExitCode::from(2),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn hold(mut args: Vec<String>) -> Result<(), Box<dyn Error>> {
    let command = args.remove(0);
    let supervisor = Supervisor::new(Launcher::this_program()?, std::env::vars_os(), TaskTracker::new());
    let name = ServerName::new("held")?;
    let spec = Spec { name, command, args, env: BTreeMap::new(), cwd: None };
    let (child, stdin, mut stdout) = Child::spawn(&spec, &supervisor)?;
    tokio::io::copy(&mut stdout, &mut tokio::io::stdout()).await?;
    child.wait_exit().await;
    drop(stdin);
    Ok(())
}
