//! Names that records repeat.

use crate::{InvalidName, Kind, Source, Topic};

/// The names of one portion of records, each made once.
///
/// The next portion has names of its own. If portions shared them, the polling thread and the
/// consumer's would count references to them at once, and each would wait for the other.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) topics: Known<Topic>,
    pub(super) sources: Known<Source>,
    pub(super) kinds: Known<Kind>,
}

/// As many as are looked through for each record.
const MOST: usize = 8;

/// Producers choose names: it remembers a few.
#[derive(Debug)]
pub(super) struct Known<N>(Vec<N>);

impl<N> Known<N>
where
    N: AsRef<str> + Clone + for<'t> TryFrom<&'t str, Error = InvalidName>,
{
    pub(super) fn name(&mut self, text: &str) -> Result<N, InvalidName> {
        if let Some(known) = self.0.iter().find(|known| known.as_ref() == text) {
            return Ok(known.clone());
        }
        let made = N::try_from(text)?;
        if self.0.len() < MOST {
            self.0.push(made.clone());
        }
        Ok(made)
    }
}

impl<N> Default for Known<N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_once_and_no_producer_fills_the_memory_with_names() {
        let mut kinds = Known::<Kind>::default();
        let [one, again] = [(); 2].map(|()| kinds.name("Placed").unwrap());
        assert!(std::ptr::eq(one.as_str(), again.as_str()));
        for number in 0..MOST * 2 {
            let text = number.to_string();
            assert_eq!(kinds.name(&text).unwrap().as_str(), text);
        }
        assert_eq!(kinds.0.len(), MOST);
        kinds.name("").unwrap_err();
    }
}
