//! Where notifications go.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use commerce_chassis::{Remote, Result};
use commerce_contracts::Channel;

use crate::{Settings, contact, store::deliveries::Due};

/// Why a sink did not take a notification.
#[derive(Clone, PartialEq, Eq, thiserror::Error, Debug)]
pub(crate) enum Undelivered {
    /// It can be sent again later.
    #[error("the sink is away: {0}")]
    Away(String),
    /// Sending it again does not help.
    #[error("refused: {0}")]
    Refused(String),
}

/// A sink takes several at once, and answers for each. To take one again is the same as once, as
/// far as the sink can tell: each delivery has a [name](Delivery::name) of its own.
pub(crate) type Sink =
    dyn Remote<Call = Vec<Delivery>, Answer = Vec<std::result::Result<(), Undelivered>>>;

/// What a sink gets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Delivery {
    /// The same for each attempt of one delivery, and different for a resend.
    pub(crate) name: String,
    pub(crate) recipient: String,
    /// None for a text message.
    pub(crate) subject: Option<String>,
    pub(crate) body: String,
}

impl Delivery {
    pub(crate) fn of(due: &Due) -> Self {
        let channel = contact::name(due.channel);
        let (subject, body) = match due.channel {
            Channel::Email => (Some(&due.subject), &due.body),
            Channel::Sms => (None, &due.subject),
        };
        Self {
            name: format!("{}.{channel}.{}", due.event_id, due.delivery),
            recipient: due.recipient.clone(),
            subject: subject.cloned(),
            body: body.clone(),
        }
    }
}

/// As in the files.
impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "To: {}", self.recipient)?;
        if let Some(subject) = &self.subject {
            writeln!(f, "Subject: {subject}")?;
        }
        writeln!(f, "\n{}", self.body)
    }
}

/// The sink of each channel.
#[derive(Clone)]
pub(crate) struct Sinks {
    pub(crate) email: Arc<Sink>,
    pub(crate) sms: Arc<Sink>,
}

impl Sinks {
    pub(crate) fn open(data: &Path, settings: &Settings) -> Result<Self> {
        let files: Arc<Sink> = Arc::new(Files::new(data.join("mails")));
        let email = match &settings.smtp {
            Some(url) => smtp(url)?,
            None => Arc::clone(&files),
        };
        Ok(Self { email, sms: files })
    }

    pub(crate) fn of(&self, channel: Channel) -> &Arc<Sink> {
        match channel {
            Channel::Email => &self.email,
            Channel::Sms => &self.sms,
        }
    }
}

#[cfg(feature = "smtp")]
fn smtp(url: &str) -> Result<Arc<Sink>> {
    let server = crate::smtp::Smtp::open(url)?;
    Ok(Arc::new(server))
}

#[cfg(not(feature = "smtp"))]
fn smtp(_: &str) -> Result<Arc<Sink>> {
    Err(commerce_chassis::Error::Setting {
        what: "this build writes mails to files: for SMTP, build with `--features distributed`",
    })
}

/// A file per delivery. It survives a kill, and not a power failure: files are not synced.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    directory: PathBuf,
}

impl Files {
    pub(crate) const fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    fn write_all(&self, deliveries: &[Delivery]) -> Vec<std::result::Result<(), Undelivered>> {
        let write = |delivery: &Delivery| {
            // The id of an event may be any text, such as a path.
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if !delivery.name.chars().all(is_plain) {
                return Err(Undelivered::Refused("it cannot name a file".to_owned()));
            }
            self.write(delivery)
                .map_err(|error| Undelivered::Away(error.to_string()))
        };
        deliveries.iter().map(write).collect()
    }

    fn write(&self, delivery: &Delivery) -> io::Result<()> {
        // A write that was cut short is repeated under the same name.
        let path = self.directory.join(format!("{}.txt", delivery.name));
        let text = delivery.to_string();
        match std::fs::write(&path, &text) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                std::fs::create_dir_all(&self.directory)?;
                std::fs::write(&path, text)
            }
            written => written,
        }
    }
}

#[async_trait]
impl Remote for Files {
    type Call = Vec<Delivery>;
    type Answer = Vec<std::result::Result<(), Undelivered>>;

    async fn call(&self, deliveries: Vec<Delivery>) -> Self::Answer {
        let (files, count) = (self.clone(), deliveries.len());
        let writing = tokio::task::spawn_blocking(move || files.write_all(&deliveries));
        // The runtime drops the work only at its own end.
        let cut = |_| vec![Err(Undelivered::Away("cut off".to_owned())); count];
        writing.await.unwrap_or_else(cut)
    }
}

impl fmt::Debug for Sinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sinks").finish_non_exhaustive()
    }
}
