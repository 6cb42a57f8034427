//! What a client searches for. Pure.

use commerce_chassis::{Problem, utoipa};
use serde::Deserialize;

use crate::http::{clip, invalid};

/// Words of a search at most.
pub(crate) const MOST_WORDS: usize = 4;
const LONGEST_TEXT: usize = 100;
const MOST_ITEMS: u32 = 100;
const ITEMS: u32 = 20;

/// The parameters of `GET /api/v1/products`, as they come.
#[derive(Clone, Default, Deserialize, utoipa::IntoParams, Debug)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Parameters {
    /// Words that the name, the SKU or the category contains, all of them.
    q: String,
    /// A category.
    category: String,
    /// `sku` or `popular`.
    sort: Option<String>,
    /// Where the page begins: `next` of the page before.
    page: String,
    /// Products of a page at most.
    limit: Option<u32>,
}

/// The order of a list.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Sort {
    /// By SKU.
    Sku,
    /// What was sold most comes first.
    Popular,
}

/// A search that can be answered. Two clients who mean the same have the same one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Query {
    /// In lower case.
    pub(crate) words: Vec<String>,
    /// Empty = all.
    pub(crate) category: String,
    pub(crate) sort: Sort,
    pub(crate) after: Place,
    pub(crate) limit: u32,
}

/// A place in a list: behind this product.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Place {
    pub(crate) sold: i64,
    pub(crate) sku: String,
}

impl Place {
    /// Before all products.
    const START: Self = Self {
        sold: i64::MAX,
        sku: String::new(),
    };

    /// Reads [`text`](Self::text).
    fn read(text: &str, sort: Sort) -> Option<Self> {
        let (sold, sku) = match sort {
            Sort::Sku => (i64::MAX, text),
            Sort::Popular => {
                let (sold, sku) = text.split_once('.')?;
                (sold.parse().ok()?, sku)
            }
        };
        Some(Self {
            sold,
            sku: sku.to_owned(),
        })
    }

    /// The parameter `page` of the list behind it.
    pub(crate) fn text(&self, sort: Sort) -> String {
        match sort {
            Sort::Sku => self.sku.clone(),
            Sort::Popular => format!("{}.{}", self.sold, self.sku),
        }
    }
}

impl Query {
    pub(crate) fn read(parameters: &Parameters) -> Result<Self, Problem> {
        let wrong =
            |detail: String| invalid("invalid-query", "The list cannot be asked for so", detail);
        let Parameters {
            q,
            category,
            sort,
            page,
            limit,
        } = parameters;
        for (name, text) in [("q", q), ("category", category), ("page", page)] {
            let too_long = text.chars().count() > LONGEST_TEXT;
            if too_long || text.chars().any(char::is_control) {
                let wanted = format!("{name}: at most {LONGEST_TEXT} printable characters");
                return Err(wrong(wanted));
            }
        }
        let words = q.split_whitespace().map(str::to_lowercase);
        let words: Vec<String> = words.collect();
        if words.len() > MOST_WORDS {
            return Err(wrong(format!("q: at most {MOST_WORDS} words")));
        }
        let sort = match sort.as_deref() {
            None | Some("sku") => Sort::Sku,
            Some("popular") => Sort::Popular,
            Some(other) => {
                let detail = format!("sort: {:?} is neither sku nor popular", clip(other));
                return Err(wrong(detail));
            }
        };
        let after = if page.is_empty() {
            Place::START
        } else {
            let place = Place::read(page, sort);
            place.ok_or_else(|| wrong("page: send `next` of the page before".to_owned()))?
        };
        let limit = limit.unwrap_or(ITEMS);
        if !(1..=MOST_ITEMS).contains(&limit) {
            return Err(wrong(format!("limit: 1 to {MOST_ITEMS}")));
        }
        Ok(Self {
            words,
            category: category.clone(),
            sort,
            after,
            limit,
        })
    }

    /// Patterns for `LIKE … ESCAPE '\'`, one for each word that a search may have.
    pub(crate) fn patterns(&self) -> [String; MOST_WORDS] {
        let word = |place: usize| self.words.get(place).map_or("", String::as_str);
        std::array::from_fn(|place| format!("%{}%", escaped(word(place))))
    }
}

fn escaped(word: &str) -> String {
    let mut escaped = String::with_capacity(word.len());
    for character in word.chars() {
        if matches!(character, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters() -> Parameters {
        Parameters::default()
    }

    #[test]
    fn a_search_is_normalised() {
        let asked = Parameters {
            q: "  Oak   BOARD ".to_owned(),
            ..parameters()
        };
        let query = Query::read(&asked).unwrap();
        assert_eq!(query.words, ["oak", "board"]);
        assert_eq!((query.limit, query.sort), (ITEMS, Sort::Sku));
        assert_eq!(query.patterns(), ["%oak%", "%board%", "%%", "%%"]);
        assert_eq!(escaped(r"5%_\"), r"5\%\_\\");
    }

    #[test]
    fn a_place_reads_back() {
        let place = Place {
            sold: 12,
            sku: "SKU-001".to_owned(),
        };
        let read = Place::read(&place.text(Sort::Popular), Sort::Popular);
        assert_eq!(read.as_ref(), Some(&place));
        let read = Place::read(&place.text(Sort::Sku), Sort::Sku).unwrap();
        assert_eq!(read.sku, place.sku);
    }

    #[test]
    fn what_cannot_be_answered_is_refused() {
        let text = |text: &str| text.to_owned();
        let words = Parameters {
            q: text("a b c d e"),
            ..parameters()
        };
        let long = Parameters {
            q: "a".repeat(101),
            ..parameters()
        };
        let nul = Parameters {
            category: text("a\0"),
            ..parameters()
        };
        let sort = Parameters {
            sort: Some(text("price")),
            ..parameters()
        };
        let none = Parameters {
            limit: Some(0),
            ..parameters()
        };
        let many = Parameters {
            limit: Some(101),
            ..parameters()
        };
        let page = Parameters {
            page: text("SKU-001"),
            sort: Some(text("popular")),
            ..parameters()
        };
        for asked in [words, long, nul, sort, none, many, page] {
            assert!(Query::read(&asked).is_err(), "{asked:?}");
        }
    }
}
