//! Ports that stay free while a server is down.

use std::net::{Ipv4Addr, TcpListener};

use mainstay_clock::{IdGenerator, SystemIds};

use crate::{Error, error::At as _};

/// The lowest port that is tried; below are too many well-known ones.
const LOWEST: u16 = 20_000;

/// A free port of 127.0.0.1, below those of outgoing connections: one of these could take the port of
/// a server that is down for a moment.
pub(crate) fn free() -> Result<u16, Error> {
    let listen = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let (highest, random) = (first_ephemeral().unwrap_or(0), SystemIds::new());
    if highest > LOWEST + 1_000 {
        let draw = || random.random() % u64::from(highest - LOWEST) + u64::from(LOWEST);
        let tries = (0..100).filter_map(|_| u16::try_from(draw()).ok());
        if let Some(port) = tries.into_iter().find(|port| listen(*port).is_ok()) {
            return Ok(port);
        }
    }
    let address = listen(0).and_then(|listener| listener.local_addr());
    Ok(address.at("finding a free port")?.port())
}

fn first_ephemeral() -> Option<u16> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    range.split_whitespace().next()?.parse().ok()
}
