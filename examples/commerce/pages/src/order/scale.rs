//! Where a moment is drawn, and in which row a label has room: pure.

use std::collections::BTreeSet;

/// Width of a character, in the units of the picture.
const CHARACTER: f64 = 6.6;
/// Between a shape and its label, and between two items of a row.
const GAP: f64 = 6.0;

/// Maps times to places. A pause is drawn as long as its square root, so that milliseconds are seen
/// beside minutes.
#[derive(Debug)]
pub(crate) struct Scale {
    /// Times in ascending order, and their places.
    places: Vec<(i64, f64)>,
}

impl Scale {
    /// Spreads the instants from `left` to `right`.
    pub(crate) fn new(instants: BTreeSet<i64>, left: f64, right: f64) -> Self {
        let mut places: Vec<(i64, f64)> = Vec::new();
        for at in instants {
            let x = places
                .last()
                .map_or(0.0, |(before, x)| x + root(at - before));
            places.push((at, x));
        }
        let length = places.last().map_or(0.0, |(_, x)| *x);
        let factor = if length > 0.0 {
            (right - left) / length
        } else {
            0.0
        };
        for (_, x) in &mut places {
            *x = x.mul_add(factor, left);
        }
        Self { places }
    }

    /// The place of an instant that the scale was made of.
    pub(crate) fn x(&self, at: i64) -> f64 {
        let found = self.places.binary_search_by_key(&at, |(time, _)| *time);
        let index = found.unwrap_or_else(|next| next.saturating_sub(1));
        self.places.get(index).map_or(0.0, |(_, x)| *x)
    }

    /// Instants that are at least `distance` apart, with their places: the marks of the axis.
    pub(crate) fn marks(&self, distance: f64) -> Vec<(i64, f64)> {
        let mut marks: Vec<(i64, f64)> = Vec::new();
        for (at, x) in &self.places {
            if marks.last().is_none_or(|(_, last)| x - last >= distance) {
                marks.push((*at, *x));
            }
        }
        marks
    }
}

#[expect(clippy::cast_precision_loss, reason = "a picture needs few digits")]
fn root(micros: i64) -> f64 {
    (micros.max(0) as f64).sqrt()
}

/// From where to where something is drawn.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Shape {
    pub(crate) from: f64,
    pub(crate) until: f64,
    /// Whether a label can stand in it.
    pub(crate) is_solid: bool,
}

/// Where the label of a shape stands.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Label {
    pub(crate) x: f64,
    /// Whether the text ends at `x`.
    pub(crate) ends_there: bool,
}

/// A shape with its label, in a row of its lane.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Placed {
    pub(crate) row: usize,
    pub(crate) label: Label,
}

/// Gives shapes rows, so that no label covers another. From left to right.
#[derive(Default, Debug)]
pub(crate) struct Rows {
    /// Taken stretches of each row.
    taken: Vec<Vec<(f64, f64)>>,
}

impl Rows {
    /// Places a shape with a label of so many characters, left of `right`.
    pub(crate) fn place(&mut self, shape: Shape, characters: usize, right: f64) -> Placed {
        let Shape {
            from,
            until,
            is_solid,
        } = shape;
        let width = width(characters);
        let (label, span) = if is_solid && until - from >= width + GAP {
            let x = from + GAP / 2.0;
            (
                Label {
                    x,
                    ends_there: false,
                },
                (from, until),
            )
        } else if until + GAP + width <= right {
            let x = until + GAP;
            (
                Label {
                    x,
                    ends_there: false,
                },
                (from, x + width),
            )
        } else {
            let x = from - GAP;
            (
                Label {
                    x,
                    ends_there: true,
                },
                (x - width, until),
            )
        };
        let is_free = |row: &Vec<(f64, f64)>| {
            row.iter()
                .all(|(a, b)| span.1 + GAP <= *a || *b + GAP <= span.0)
        };
        let row = self
            .taken
            .iter()
            .position(is_free)
            .unwrap_or(self.taken.len());
        if row == self.taken.len() {
            self.taken.push(Vec::new());
        }
        self.taken[row].push(span);
        Placed { row, label }
    }

    /// Rows so far.
    pub(crate) fn len(&self) -> usize {
        self.taken.len()
    }
}

#[expect(clippy::cast_precision_loss, reason = "labels are short")]
fn width(characters: usize) -> f64 {
    characters as f64 * CHARACTER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_to_the_right_and_short_pauses_are_seen() {
        let scale = Scale::new([0, 10_000, 20_000, 60_000_000].into(), 100.0, 900.0);
        let xs = [0, 10_000, 20_000, 60_000_000].map(|at| scale.x(at));
        assert!(xs.is_sorted(), "{xs:?}");
        assert_eq!((xs[0], xs[3]), (100.0, 900.0));
        assert!(xs[1] - xs[0] > 5.0, "{xs:?}");
        let marks = scale.marks(60.0);
        assert_eq!(marks.len(), 2, "{marks:?}");
    }

    #[test]
    fn labels_do_not_cover_each_other() {
        let mut rows = Rows::default();
        let shape = |from, until| Shape {
            from,
            until,
            is_solid: true,
        };
        let first = rows.place(shape(0.0, 3.0), 10, 500.0);
        let near = rows.place(shape(10.0, 13.0), 10, 500.0);
        let far = rows.place(shape(100.0, 103.0), 10, 500.0);
        assert_eq!((first.row, near.row, far.row), (0, 1, 0));
        let last = rows.place(shape(490.0, 493.0), 10, 500.0);
        assert!(last.label.ends_there, "there is no room on its right");
        let wide = rows.place(shape(0.0, 400.0), 10, 500.0);
        assert!(wide.label.x < 10.0, "it stands in the bar");
        let is_solid = false;
        let gaps = rows.place(
            Shape {
                is_solid,
                ..shape(0.0, 400.0)
            },
            10,
            500.0,
        );
        assert!(gaps.label.x > 400.0, "it stands behind the last attempt");
    }
}
