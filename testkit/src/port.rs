//! Ports that stay free while a server is down.

use std::net::{Ipv4Addr, TcpListener};

use mainstay_clock::{IdGenerator, SystemIds};

use crate::Error;

/// The lowest port that is tried; below are too many well-known ones.
const LOWEST: u16 = 20_000;

/// A port of 127.0.0.1 that nobody listens on, below those that the system hands to outgoing connections: one of
/// these could take the port of a server that is down for a moment, or a client that tries it could reach itself.
pub(crate) fn free() -> Result<u16, Error> {
    let highest = first_ephemeral().filter(|&first| first > LOWEST + 1_000);
    if let Some(highest) = highest {
        let random = SystemIds::new();
        for _ in 0..100 {
            let offset = random.random() % u64::from(highest - LOWEST);
            let port = u16::try_from(u64::from(LOWEST) + offset).unwrap_or(LOWEST);
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(port);
            }
        }
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| Error::step("finding a free port", error.to_string()))
}

fn first_ephemeral() -> Option<u16> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    range.split_whitespace().next()?.parse().ok()
}
