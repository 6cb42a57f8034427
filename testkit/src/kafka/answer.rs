//! Whether a broker answers: it listens before it knows its cluster.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(5);

/// A request for metadata of no topic: length, key 3, version 4, a number to recognize the answer by, no name of a
/// client, an empty list of topics, none of which is to be created.
const REQUEST: [u8; 19] = [0, 0, 0, 15, 0, 3, 0, 4, 0, 0, 0, 7, 255, 255, 0, 0, 0, 0, 0];

/// The longest answer of a cluster of one.
const LONGEST: usize = 64 * 1024;

/// Asks the broker on `port` for the brokers of its cluster, and finds one.
pub(super) fn ask(port: u16) -> io::Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&REQUEST)?;
    let length = number(&mut stream)?;
    let mut answer = vec![0; length.min(LONGEST)];
    stream.read_exact(&mut answer)?;
    let mut answer = &*answer;
    let (recognized, _throttled) = (number(&mut answer)?, number(&mut answer)?);
    if recognized != 7 {
        return Err(io::Error::other("what answers is not Kafka"));
    }
    match number(&mut answer)? {
        0 => Err(io::Error::other("no broker is registered yet")),
        _ => Ok(()),
    }
}

fn number(from: &mut impl Read) -> io::Result<usize> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    usize::try_from(u32::from_be_bytes(bytes)).map_err(io::Error::other)
}
