//! A child program without a will of its own: it joins stdin and stdout to a loopback port, so that a test can play an
//! MCP server over stdio inside its own process. It ends when either side ends.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    thread,
};

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).unwrap_or_default();
    let mut socket = TcpStream::connect(format!("127.0.0.1:{port}"))?;
    socket.set_nodelay(true)?;
    let mut upward = socket.try_clone()?;
    thread::spawn(move || {
        // A broken pipe ends the copy like an end of input does.
        let _ = copy(&mut io::stdin().lock(), &mut upward);
        let _ = upward.shutdown(Shutdown::Write);
    });
    copy(&mut socket, &mut io::stdout().lock())
}

/// Copies without waiting for more than there is.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = [0_u8; 8192];
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..length])?;
        to.flush()?;
    }
}
