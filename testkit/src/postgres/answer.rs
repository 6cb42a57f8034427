//! Whether a server answers: an open port is not yet an answer.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use bytes::BytesMut;
use postgres_protocol::{
    authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256},
    message::{backend::Message, frontend},
};

const PATIENCE: Duration = Duration::from_secs(5);

/// Asks `SELECT 1` of the server on `port`, as the superuser; an error if anything else than a row comes back.
pub(super) fn ask(port: u16, password: &str) -> io::Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let (mut sent, mut received) = (BytesMut::new(), BytesMut::new());
    let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
    frontend::startup_message([("user", "postgres"), ("database", "postgres")], &mut sent)?;
    loop {
        stream.write_all(&sent)?;
        sent.clear();
        match next(&mut stream, &mut received)? {
            Message::AuthenticationSasl(_) => {
                frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), &mut sent)?;
            }
            Message::AuthenticationSaslContinue(body) => {
                scram.update(body.data())?;
                frontend::sasl_response(scram.message(), &mut sent)?;
            }
            Message::AuthenticationSaslFinal(body) => scram.finish(body.data())?,
            Message::ReadyForQuery(_) => frontend::query("SELECT 1", &mut sent)?,
            Message::DataRow(_) => {
                frontend::terminate(&mut sent);
                return stream.write_all(&sent);
            }
            Message::ErrorResponse(_) => return Err(io::Error::other("the server refuses")),
            // Parameters, notices, the description of the row.
            _ => {}
        }
    }
}

fn next(stream: &mut TcpStream, received: &mut BytesMut) -> io::Result<Message> {
    loop {
        if let Some(message) = Message::parse(received)? {
            return Ok(message);
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => received.extend_from_slice(chunk.get(..length).unwrap_or_default()),
        }
    }
}
