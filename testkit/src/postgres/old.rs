//! A server that is too old, without having one.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
};

/// Says on the wire that it is a PostgreSQL of some version, lets everybody in, and knows `SHOW server_version_num`
/// only: what a client makes of a version it learns in this way from any server. It hangs up on who prepares a statement.
/// It goes with the process.
#[derive(Debug)]
pub struct OldServer {
    port: u16,
}

impl OldServer {
    /// A server of this version, as `130016`.
    pub fn start(version: &'static str) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A client that goes away has seen enough.
                thread::spawn(move || drop(serve(client, version)));
            }
        });
        Ok(Self { port })
    }

    /// The port of 127.0.0.1 it listens on.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

fn serve(mut client: TcpStream, version: &str) -> io::Result<()> {
    const NO_ENCRYPTION: [u8; 1] = *b"N";
    const ENCRYPTION_WANTED: [u8; 4] = 80_877_103_u32.to_be_bytes();
    while rest(&mut client)?.starts_with(&ENCRYPTION_WANTED) {
        client.write_all(&NO_ENCRYPTION)?;
    }
    client.write_all(&message(b'R', &0_i32.to_be_bytes()))?;
    client.write_all(&message(b'Z', b"I"))?;
    loop {
        let mut kind = [0];
        client.read_exact(&mut kind)?;
        rest(&mut client)?;
        if kind != *b"Q" {
            return Ok(());
        }
        // One column of text, of no table: a name, then six numbers.
        let column = b"\0\x01v\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0";
        let length = u32::try_from(version.len()).map_err(io::Error::other)?;
        let value = [&b"\0\x01"[..], &length.to_be_bytes(), version.as_bytes()].concat();
        client.write_all(&message(b'T', column))?;
        client.write_all(&message(b'D', &value))?;
        client.write_all(&message(b'C', b"SHOW\0"))?;
        client.write_all(&message(b'Z', b"I"))?;
    }
}

/// What follows a length.
fn rest(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    client.read_exact(&mut length)?;
    let length = u64::from(u32::from_be_bytes(length).saturating_sub(4));
    let mut rest = Vec::new();
    client.take(length).read_to_end(&mut rest)?;
    Ok(rest)
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&[kind], &length.to_be_bytes()[..], body].concat()
}
