//! The way to the broker.

mod consumer;
mod publisher;

use std::fmt;

use mainstay_messaging::Error;

pub use consumer::HostConsumer;
pub use publisher::HostPublisher;

/// Why a call did not come through.
#[derive(Clone, Copy, Debug)]
struct OnTheWay(&'static str);

impl fmt::Display for OnTheWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for OnTheWay {}

fn lost(what: &'static str) -> Error {
    Error::Unavailable(OnTheWay(what).into())
}
