//! A set of rows for one statement. One statement per row is some twenty times slower.

use std::fmt::Write as _;

/// Rows to bind to one statement as two parameters: a JSON array of arrays of numbers, and one blob of
/// texts and bytes.
///
/// A text or byte string takes two numbers of its row: where it starts in the blob, as `substr`
/// counts, and its length; a length of -1 stands for NULL. JSON alone would have to escape texts and
/// cannot carry bytes.
#[derive(Default, Debug)]
pub(super) struct RowSet {
    rows: String,
    blob: Vec<u8>,
}

/// A row that is being written; made by [`RowSet::begin`].
#[derive(Debug)]
pub(super) struct NewRow<'a> {
    set: &'a mut RowSet,
    first: bool,
}

impl RowSet {
    /// Begins the next row.
    pub(super) fn begin(&mut self) -> NewRow<'_> {
        self.rows
            .push_str(if self.rows.is_empty() { "[[" } else { "],[" });
        NewRow {
            set: self,
            first: true,
        }
    }

    /// Whether there is no row.
    pub(super) const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The two parameters.
    pub(super) fn finish(mut self) -> (String, Vec<u8>) {
        self.rows
            .push_str(if self.rows.is_empty() { "[]" } else { "]]" });
        (self.rows, self.blob)
    }
}

impl NewRow<'_> {
    /// Adds a number.
    pub(super) fn number(&mut self, number: impl Into<i64>) -> &mut Self {
        self.put(number.into());
        self
    }

    /// Adds a text or byte string, or NULL.
    pub(super) fn bytes(&mut self, bytes: Option<&[u8]>) -> &mut Self {
        let start = i64::try_from(self.set.blob.len() + 1).unwrap_or(i64::MAX);
        self.put(start);
        self.put(bytes.map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap_or(i64::MAX)));
        self.set.blob.extend_from_slice(bytes.unwrap_or_default());
        self
    }

    fn put(&mut self, number: i64) {
        if !std::mem::take(&mut self.first) {
            self.set.rows.push(',');
        }
        // Writing to a String cannot fail.
        let _ = write!(self.set.rows, "{number}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_say_where_their_bytes_are() {
        let mut rows = RowSet::default();
        assert!(rows.is_empty());
        rows.begin().number(7).bytes(Some(b"ab"));
        rows.begin().number(8).bytes(None).bytes(Some(b""));
        let expected = ("[[7,1,2],[8,3,-1,3,0]]".to_owned(), b"ab".to_vec());
        assert_eq!(rows.finish(), expected);
    }
}
