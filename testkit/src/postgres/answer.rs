//! Whether a server answers: an open port is not yet an answer.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

/// A client's first message: its length, version 3.0 of the protocol, user and database.
const LOGIN: &[u8] = b"\0\0\0\x29\0\x03\0\0user\0postgres\0database\0postgres\0\0";

const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the server on `port` for a login: while it starts or stops, it refuses.
pub(super) fn ask(port: u16) -> io::Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(LOGIN)?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    match answer {
        // It wants a password.
        [b'R'] => Ok(()),
        _ => Err(io::Error::other("the server refuses")),
    }
}
