//! Mails over SMTP.

use std::{fmt, ops::RangeInclusive};

use async_trait::async_trait;
use commerce_chassis::{Error, Remote, Result};
use futures_util::{StreamExt as _, stream};
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};

use crate::sink::{Delivery, Undelivered};

/// The sender of all mails.
const FROM: &str = "Shop <shop@commerce.example>";
/// The right side of the ids of mails.
const DOMAIN: &str = "commerce.example";
/// Mails on their way to the server at the same time.
const AT_ONCE: usize = 8;

/// Codes that refuse the recipient for good.
const RECIPIENT: RangeInclusive<u16> = 550..=553;

/// A mail server.
pub(crate) struct Smtp {
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Smtp {
    pub(crate) fn open(url: &str) -> Result<Self> {
        // The parser's error may hold the password.
        let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(url);
        let server = server.map_err(|_| Error::Setting {
            what: "the SMTP URL is invalid: expected smtps://USER:PASSWORD@HOST:PORT, or smtp://HOST:PORT for a server without TLS",
        })?;
        let from = FROM.parse();
        Ok(Self {
            server: server.build(),
            from: from.map_err(|error| Error::damaged("the sender's address", error))?,
        })
    }

    async fn send(&self, delivery: Delivery) -> std::result::Result<(), Undelivered> {
        let mail = self.mail(&delivery);
        let mail = mail.map_err(|error| Undelivered::Refused(error.to_string()))?;
        let sent = self.server.send(mail).await;
        sent.map(|_| ()).map_err(|error| {
            let text = error.to_string();
            // Any other code is about the server or our account there, such as 535.
            if error
                .status()
                .is_some_and(|code| RECIPIENT.contains(&code.into()))
            {
                Undelivered::Refused(text)
            } else {
                Undelivered::Away(text)
            }
        })
    }

    /// The same `Message-ID` on each attempt: who gets the mail twice can tell.
    fn mail(
        &self,
        delivery: &Delivery,
    ) -> std::result::Result<Message, Box<dyn std::error::Error + Send + Sync>> {
        let mail = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, delivery.recipient.parse()?))
            .message_id(Some(format!("<{}@{DOMAIN}>", delivery.name)))
            .subject(delivery.subject.clone().unwrap_or_default())
            .header(ContentType::TEXT_PLAIN);
        Ok(mail.body(delivery.body.clone())?)
    }
}

#[async_trait]
impl Remote for Smtp {
    type Call = Vec<Delivery>;
    type Answer = Vec<std::result::Result<(), Undelivered>>;

    async fn call(&self, deliveries: Vec<Delivery>) -> Self::Answer {
        let sending = deliveries.into_iter().map(|delivery| self.send(delivery));
        stream::iter(sending).buffered(AT_ONCE).collect().await
    }
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp").finish_non_exhaustive()
    }
}
