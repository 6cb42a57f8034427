//! A user, and what a registration must say.

use axum::http::StatusCode;
use commerce_chassis::{Problem, utoipa};
use commerce_contracts::{Channel, Role, UserChanged, UserStatus};
use serde::Deserialize;

use crate::secret::Secret;

const LONGEST_NAME: usize = 100;
/// The longest address of RFC 5321.
const LONGEST_EMAIL: usize = 254;
const LOCALES: [&str; 2] = ["en", "de"];

/// A user, without the password.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) phone: Option<String>,
    pub(crate) display_name: String,
    pub(crate) locale: String,
    pub(crate) roles: Vec<Role>,
    pub(crate) channels: Vec<Channel>,
    pub(crate) status: UserStatus,
    pub(crate) version: i64,
}

impl User {
    /// The event that tells others about the user as it is now.
    pub(crate) fn changed(&self) -> UserChanged {
        UserChanged {
            user_id: self.id.clone(),
            email: self.email.clone(),
            phone: self.phone.clone(),
            display_name: self.display_name.clone(),
            locale: self.locale.clone(),
            roles: self.roles.clone(),
            channel_prefs: self.channels.clone(),
            status: self.status,
            version: self.version,
        }
    }
}

/// The body of `POST /api/v1/auth/register`.
#[derive(Clone, Deserialize, utoipa::ToSchema, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registration {
    #[schema(format = Email, max_length = 254)]
    email: String,
    /// 10 to 200 characters.
    #[schema(value_type = String, min_length = 10, max_length = 200)]
    pub(crate) password: Secret,
    #[schema(min_length = 1, max_length = 100)]
    display_name: String,
    /// The language of mails: `en` or `de`.
    #[serde(default)]
    locale: Option<String>,
    /// For text messages, such as `+4930901820`.
    #[serde(default)]
    phone: Option<String>,
}

impl Registration {
    /// The customer that the registration describes.
    pub(crate) fn customer(&self, id: String) -> Result<User, Problem> {
        let email = normal(&self.email).ok_or_else(|| {
            let wanted = format!(
                "email: an address such as ada@example.com, at most {LONGEST_EMAIL} characters"
            );
            unprocessable("invalid-email", "The e-mail address is not one", wanted)
        })?;
        let display_name = self.display_name.trim();
        let length = display_name.chars().count();
        if !(1..=LONGEST_NAME).contains(&length) || display_name.chars().any(char::is_control) {
            let wanted = format!("display_name: 1 to {LONGEST_NAME} printable characters");
            return Err(unprocessable("invalid-name", "The name is not one", wanted));
        }
        let locale = self.locale.as_deref().unwrap_or(LOCALES[0]);
        if !LOCALES.contains(&locale) {
            let wanted = format!("locale: {}", LOCALES.join(" or "));
            return Err(unprocessable(
                "unknown-locale",
                "The shop does not speak this language",
                wanted,
            ));
        }
        let mut channels = vec![Channel::Email];
        if let Some(phone) = &self.phone {
            if !is_phone(phone) {
                let wanted = "phone: + and 7 to 15 digits, such as +4930901820";
                return Err(unprocessable(
                    "invalid-phone",
                    "The phone number is not one",
                    wanted,
                ));
            }
            channels.push(Channel::Sms);
        }
        Ok(User {
            id,
            email,
            phone: self.phone.clone(),
            display_name: display_name.to_owned(),
            locale: locale.to_owned(),
            roles: vec![Role::Customer],
            channels,
            status: UserStatus::Active,
            version: 1,
        })
    }
}

/// An e-mail address as it is stored, so that one mailbox has one user; none = it is no address.
pub(crate) fn normal(email: &str) -> Option<String> {
    let email = email.trim();
    let (local, domain) = email.rsplit_once('@')?;
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !"<>(),;:\\\"@[]".contains(c);
    let parts_are_plain = local.chars().all(is_plain) && domain.chars().all(is_plain);
    let domain_has_parts =
        domain.split('.').count() >= 2 && domain.split('.').all(|part| !part.is_empty());
    let fits = email.len() <= LONGEST_EMAIL && !local.is_empty();
    (parts_are_plain && domain_has_parts && fits).then(|| email.to_lowercase())
}

/// E.164.
fn is_phone(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    (7..=15).contains(&digits.len())
        && digits.bytes().all(|digit| digit.is_ascii_digit())
        && !digits.starts_with('0')
}

/// A well-formed request that says what cannot be.
pub(crate) fn unprocessable(
    slug: &'static str,
    title: &'static str,
    detail: impl Into<String>,
) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, slug, title, detail)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_plain_and_in_lower_case() {
        assert_eq!(normal(" Ada@Example.COM ").unwrap(), "ada@example.com");
        for wrong in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "ada@localhost",
            "a b@example.com",
            "ada@example..com",
            "<ada@example.com>",
            "ada@b@example.com",
            "ada\r\n@example.com",
        ] {
            assert_eq!(normal(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_phone_number_is_e164() {
        assert!(is_phone("+4930901820"));
        for wrong in [
            "4930901820",
            "+",
            "+49 30",
            "+0123456789",
            "+1234567890123456",
        ] {
            assert!(!is_phone(wrong), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn a_stored_address_stays_as_it_is(text in "\\PC{0,40}") {
            if let Some(email) = normal(&text) {
                prop_assert_eq!(normal(&email), Some(email.clone()));
                prop_assert!(!email.contains(char::is_whitespace));
            }
        }
    }
}
