//! A notifier between the one who commits work and the round that does it.

use std::sync::Arc;

use tokio::sync::Notify;

/// Wakes a round of this process. Rings are remembered, not counted.
#[derive(Clone, Default, Debug)]
pub struct Bell(Arc<Notify>);

impl Bell {
    /// Wakes the listener, now or when it next listens.
    pub fn ring(&self) {
        self.0.notify_one();
    }

    pub(crate) async fn rung(&self) {
        self.0.notified().await;
    }
}
