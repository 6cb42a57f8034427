//! Whom to tell, and how. Pure.

use commerce_contracts::Channel;

/// A user as this service knows them, with what they asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Contact {
    pub(crate) email: String,
    pub(crate) phone: Option<String>,
    pub(crate) name: String,
    pub(crate) locale: String,
    pub(crate) channels: Vec<Channel>,
}

impl Contact {
    /// The channels to use, with the address on each. A customer always hears of an order: by
    /// e-mail, if nothing else is possible.
    pub(crate) fn ways(&self) -> Vec<(Channel, &str)> {
        let way = |channel: &Channel| Some((*channel, self.address(*channel)?));
        let ways: Vec<_> = self.channels.iter().filter_map(way).collect();
        if ways.is_empty() {
            return vec![(Channel::Email, &self.email)];
        }
        ways
    }

    /// The address on a channel, if there is one.
    pub(crate) fn address(&self, channel: Channel) -> Option<&str> {
        match channel {
            Channel::Email => Some(&self.email),
            Channel::Sms => self.phone.as_deref(),
        }
    }
}

/// The name of a channel, in tables and on the wire.
pub(crate) const fn name(channel: Channel) -> &'static str {
    match channel {
        Channel::Email => "email",
        Channel::Sms => "sms",
    }
}

/// Reads [`name`].
pub(crate) fn channel(name: &str) -> Option<Channel> {
    [Channel::Email, Channel::Sms]
        .into_iter()
        .find(|channel| self::name(*channel) == name)
}

/// Channels as one text, each once.
pub(crate) fn join(channels: &[Channel]) -> String {
    let mut names: Vec<_> = channels.iter().copied().map(name).collect();
    names.sort_unstable();
    names.dedup();
    names.join(",")
}

/// Reads [`join`]; none = it is damaged.
pub(crate) fn split(names: &str) -> Option<Vec<Channel>> {
    let names = names.split(',').filter(|name| !name.is_empty());
    names.map(channel).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(phone: Option<&str>, channels: &[Channel]) -> Contact {
        Contact {
            email: "ada@customers.example".to_owned(),
            phone: phone.map(str::to_owned),
            name: "Ada".to_owned(),
            locale: "en".to_owned(),
            channels: channels.to_vec(),
        }
    }

    #[test]
    fn a_customer_hears_on_each_wanted_channel_and_at_least_by_mail() {
        let (both, sms) = ([Channel::Email, Channel::Sms], [Channel::Sms]);
        let email = (Channel::Email, "ada@customers.example");
        let text = (Channel::Sms, "+49");
        assert_eq!(contact(Some("+49"), &both).ways(), [email, text]);
        assert_eq!(contact(Some("+49"), &sms).ways(), [text]);
        for (phone, channels) in [(None, &sms[..]), (None, &both[..]), (Some("+49"), &[])] {
            assert_eq!(contact(phone, channels).ways(), [email]);
        }
    }

    #[test]
    fn channels_read_back() {
        for channels in [&[][..], &[Channel::Sms], &[Channel::Email, Channel::Sms]] {
            assert_eq!(split(&join(channels)).as_deref(), Some(channels));
        }
        assert_eq!(split("pigeon"), None);
    }
}
