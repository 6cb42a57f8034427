//! A build without an exporter of spans.

use tracing::Subscriber;
use tracing_subscriber::{Layer, layer::Identity};

use crate::error::Failure;

/// There is none.
#[derive(Debug)]
pub(super) enum Export {}

impl Export {
    pub(super) fn to(_: &str, _: String) -> Result<Self, Failure> {
        Err(Failure::plain(
            "otlp: this build sends no spans: build with `--features otel`",
        ))
    }

    pub(super) fn layer<S: Subscriber>(&self) -> impl Layer<S> + use<S> {
        match *self {}
        #[expect(unreachable_code, reason = "it names the type")]
        Identity::new()
    }

    pub(super) fn end(self) {
        match self {}
    }
}
