//! The texts: one template per language and news, in `templates/`. Its first line is the subject of
//! the mail, and all of a text message; the rest is the mail.

use commerce_chassis::{Error, Result};
use commerce_contracts::{Currency, Money, OrderId};
use minijinja::{Environment, UndefinedBehavior, Value, context};

use crate::news::News;

const TEMPLATES: [(&str, &str); 12] = [
    (
        "en/confirmed",
        include_str!("../templates/en/confirmed.txt"),
    ),
    (
        "en/cancelled",
        include_str!("../templates/en/cancelled.txt"),
    ),
    ("en/refunded", include_str!("../templates/en/refunded.txt")),
    (
        "en/dispatched",
        include_str!("../templates/en/dispatched.txt"),
    ),
    (
        "en/delivered",
        include_str!("../templates/en/delivered.txt"),
    ),
    ("en/returned", include_str!("../templates/en/returned.txt")),
    (
        "de/confirmed",
        include_str!("../templates/de/confirmed.txt"),
    ),
    (
        "de/cancelled",
        include_str!("../templates/de/cancelled.txt"),
    ),
    ("de/refunded", include_str!("../templates/de/refunded.txt")),
    (
        "de/dispatched",
        include_str!("../templates/de/dispatched.txt"),
    ),
    (
        "de/delivered",
        include_str!("../templates/de/delivered.txt"),
    ),
    ("de/returned", include_str!("../templates/de/returned.txt")),
];

/// A language of the texts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Language {
    English,
    German,
}

impl Language {
    /// The language of a locale, such as `de-AT`; English if there are no texts in it.
    pub(crate) fn of(locale: &str) -> Self {
        let language = locale.split(['-', '_']).next().unwrap_or_default();
        if language.eq_ignore_ascii_case("de") {
            Self::German
        } else {
            Self::English
        }
    }

    const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    fn money(self, amount: Money, currency: Currency) -> String {
        match self {
            Self::English => format!("{currency} {amount}"),
            Self::German => format!("{amount} {currency}").replace('.', ","),
        }
    }
}

/// A text for one customer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Text {
    /// One line.
    pub(crate) subject: String,
    pub(crate) body: String,
}

/// What a text is rendered for.
#[derive(Clone, Debug)]
pub(crate) struct About<'a> {
    pub(crate) name: &'a str,
    pub(crate) locale: &'a str,
    pub(crate) order_id: &'a OrderId,
    /// The currency of the order, if it was confirmed.
    pub(crate) currency: Option<Currency>,
}

/// The templates.
#[derive(Debug)]
pub(crate) struct Texts(Environment<'static>);

impl Texts {
    pub(crate) fn load() -> Result<Self> {
        Self::of(&TEMPLATES)
    }

    pub(crate) fn of(templates: &[(&'static str, &'static str)]) -> Result<Self> {
        let mut environment = Environment::new();
        // A misspelt name is an error, not a gap in a mail.
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        for (name, source) in templates {
            let added = environment.add_template(name, source);
            added.map_err(|error| Error::damaged("a template", error))?;
        }
        Ok(Self(environment))
    }

    /// Renders a text.
    pub(crate) fn render(
        &self,
        news: &News,
        about: &About<'_>,
    ) -> std::result::Result<Text, minijinja::Error> {
        let language = Language::of(about.locale);
        let name = format!("{}/{}", language.code(), news.name());
        let values = values(language, news, about);
        let text = self.0.get_template(&name)?.render(values)?;
        let (subject, body) = text.split_once('\n').unwrap_or((&text, ""));
        Ok(Text {
            subject: subject.trim().to_owned(),
            body: body.trim().to_owned(),
        })
    }
}

fn values(language: Language, news: &News, about: &About<'_>) -> Value {
    let common = context! { name => about.name, order_id => about.order_id.as_str() };
    let own = match news {
        News::Confirmed {
            lines,
            total,
            currency,
        } => {
            let lines = lines.iter();
            let lines = lines.map(|line| context! { sku => line.sku.as_str(), qty => line.qty });
            let lines: Vec<Value> = lines.collect();
            context! { lines, total => language.money(*total, *currency) }
        }
        News::Cancelled { reason, released } => {
            context! { reason => reason.as_str(), released => *released }
        }
        News::Refunded { amount } => match about.currency {
            Some(currency) => context! { amount => language.money(*amount, currency) },
            None => context! {},
        },
        News::Dispatched { tracking_no }
        | News::Delivered { tracking_no }
        | News::Returned { tracking_no } => {
            context! { tracking_no => tracking_no.as_str() }
        }
    };
    context! { ..common, ..own }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::news::Line;

    fn all() -> [News; 6] {
        let tracking_no = "MS17".to_owned();
        [
            News::Confirmed {
                lines: vec![Line {
                    sku: "SKU-001".to_owned(),
                    qty: 2,
                }],
                total: Money::from_minor(123_456).unwrap(),
                currency: Currency::Eur,
            },
            News::Cancelled {
                reason: "out_of_stock".to_owned(),
                released: true,
            },
            News::Refunded {
                amount: Money::from_minor(500).unwrap(),
            },
            News::Dispatched {
                tracking_no: tracking_no.clone(),
            },
            News::Delivered {
                tracking_no: tracking_no.clone(),
            },
            News::Returned { tracking_no },
        ]
    }

    fn render(news: &News, locale: &str) -> Text {
        let order_id = OrderId::new("o-1");
        let about = About {
            name: "Ada",
            locale,
            order_id: &order_id,
            currency: Some(Currency::Gbp),
        };
        Texts::load().unwrap().render(news, &about).unwrap()
    }

    #[test]
    fn each_news_has_a_text_in_each_language() {
        for news in all() {
            for (locale, greeting) in [("en-GB", "Dear Ada"), ("de-AT", "Guten Tag Ada")] {
                let text = render(&news, locale);
                assert!(text.subject.contains("o-1"), "{text:?}");
                assert!(text.body.starts_with(greeting), "{text:?}");
            }
        }
    }

    #[test]
    fn money_is_written_as_the_language_does_and_goods_are_listed() {
        let [confirmed, _, refunded, ..] = all();
        let english = render(&confirmed, "fr").body;
        assert!(english.contains("EUR 1234.56"), "{english}");
        assert!(english.contains("2 x SKU-001"), "{english}");
        let german = render(&confirmed, "de").body;
        assert!(german.contains("1234,56 EUR"), "{german}");
        let refunded = render(&refunded, "en").subject;
        assert!(refunded.starts_with("GBP 5.00"), "{refunded}");
    }

    #[test]
    fn every_reason_has_a_sentence_of_its_own() {
        let body = |reason: &str| {
            let reason = reason.to_owned();
            let cancelled = News::Cancelled {
                reason,
                released: false,
            };
            render(&cancelled, "en").body
        };
        let codes = [
            "out_of_stock",
            "payment_declined",
            "undeliverable",
            "cancelled",
            "timed_out",
        ];
        let mut bodies: Vec<String> = codes.map(body).to_vec();
        bodies.sort();
        bodies.dedup();
        assert_eq!(bodies.len(), codes.len());
        assert_eq!(body("some_new_code"), body("timed_out"));
    }

    #[test]
    fn a_name_that_is_not_given_is_an_error() {
        let texts = Texts::of(&[("en/delivered", "Your {{ oder_id }}\n")]).unwrap();
        let [.., delivered, _] = all();
        let order_id = OrderId::new("o-1");
        let about = About {
            name: "Ada",
            locale: "en",
            order_id: &order_id,
            currency: None,
        };
        assert!(texts.render(&delivered, &about).is_err());
    }
}
