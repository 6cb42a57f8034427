//! Whether a server answers: an open port is not yet an answer.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(5);

/// Logs in at the server on `port` and asks it for a command: while it reads its data, it refuses.
pub(super) fn ask(port: u16, password: &str) -> io::Result<()> {
    converse(
        port,
        &format!("AUTH {password}\r\nPING\r\n"),
        "+OK\r\n+PONG",
    )
}

/// Asks the server on `port` for a command without a login, which it refuses.
pub(super) fn knock(port: u16) -> io::Result<()> {
    converse(port, "PING\r\n", "-NOAUTH")
}

fn converse(port: u16, said: &str, expected: &str) -> io::Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(said.as_bytes())?;
    let mut answer = vec![0; expected.len()];
    stream.read_exact(&mut answer)?;
    if answer != expected.as_bytes() {
        return Err(io::Error::other("the server refuses"));
    }
    Ok(())
}
