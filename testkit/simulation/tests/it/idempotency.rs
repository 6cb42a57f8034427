//! Idempotency keys on hosts that die, stand still and are cut off.
#![expect(clippy::unwrap_used, reason = "tests")]

mod leases;
mod records;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use mainstay_idempotency::{Answer, KeyedRequest, Scope};
use mainstay_simulation::Topology;

const HOSTS: [&str; 3] = ["service-1", "service-2", "service-3"];
const KEYS: usize = 8;

/// Three hosts, each of which asks for everything.
fn topology() -> Topology {
    Topology {
        workers: HOSTS.map(Arc::from).to_vec(),
        within: Duration::from_secs(4),
        ..Topology::default()
    }
}

fn request(number: usize) -> KeyedRequest {
    let scope = Scope::new("acme", "POST /orders").unwrap();
    KeyedRequest::new(scope.key(&format!("k{number}")).unwrap(), "a mug")
}

fn answer(text: &str) -> Answer {
    Answer::new(201_u16, text.to_owned())
}

fn text(answer: &Answer) -> String {
    let body = answer.body().map_or(&[][..], |body| &**body);
    String::from_utf8_lossy(body).into_owned()
}

/// The answers that clients got, by the number of the key.
type Given = BTreeMap<usize, Vec<String>>;
