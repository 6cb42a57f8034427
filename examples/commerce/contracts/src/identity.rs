//! The events of the identity service.

use std::borrow::Cow;

use mainstay_messaging::event::Event;
use serde::{Deserialize, Serialize};

/// A user was registered or changed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct UserChanged {
    /// The user; customers are named `cust-…`.
    pub user_id: String,
    /// The address of e-mails.
    pub email: String,
    /// The number of text messages, such as `+4930901820`; none = the user gave none.
    #[serde(default)]
    pub phone: Option<String>,
    /// How the user is addressed.
    pub display_name: String,
    /// The language of texts, such as `en` or `de`.
    pub locale: String,
    /// What the user may do.
    pub roles: Vec<Role>,
    /// How the user wants to be told.
    pub channel_prefs: Vec<Channel>,
    /// Whether the user may sign in.
    pub status: UserStatus,
    /// Grows by one with each change of the user, from 1.
    pub version: i64,
}

/// What a user may do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Buys, and sees the own orders.
    Customer,
    /// Sees everything, and repairs it.
    Operator,
}

/// How a user is told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// By e-mail.
    Email,
    /// By text message.
    Sms,
}

/// Whether a user may sign in.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum UserStatus {
    /// May sign in.
    Active,
    /// May not.
    Disabled,
}

impl Event for UserChanged {
    const TOPIC: &'static str = "identity";
    const KIND: &'static str = "UserChanged";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(self.user_id.as_str().into())
    }
}
