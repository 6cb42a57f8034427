//! The role that gives engines their time.

use std::{fmt, sync::Arc, time::SystemTime};

use crate::Monotonic;

/// Where an engine gets its time from.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall clock: for timestamps that people and other systems read.
    ///
    /// # Behaviour
    /// - May jump in either direction; never use it to decide whether a lease has ended.
    fn now(&self) -> SystemTime;

    /// Time since an arbitrary origin that is the same for all processes of one boot of one host.
    ///
    /// # Behaviour
    /// - Never goes back.
    /// - Continues while the host is suspended, so a lease ends on time even on the machine that
    ///   slept.
    fn monotonic(&self) -> Monotonic;

    /// Which boot [`monotonic`](Self::monotonic) counts from. Readings of different boots cannot be
    /// compared: a lease that carries another boot id has ended.
    fn boot_id(&self) -> BootId;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> SystemTime {
        (**self).now()
    }
    fn monotonic(&self) -> Monotonic {
        (**self).monotonic()
    }
    fn boot_id(&self) -> BootId {
        (**self).boot_id()
    }
}

/// Identity of one boot of one host.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct BootId(Arc<str>);

impl BootId {
    /// Wraps an identifier; any text that differs between boots will do.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// The identifier as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
