//! References to rows of the log as one number: the shard in the high bits, the position in the low ones.
//!
//! The log's only index begins with the shard, so a row is found by both. With one shard, the number is
//! the position.

use crate::store::RowRef;

/// The schema limits positions to these bits.
const POSITION_BITS: u32 = 47;

pub(super) const fn in_log(shard: i32, position: i64) -> RowRef {
    RowRef::Log(((shard as i64) << POSITION_BITS) | position)
}

/// The shard and the position in such a number.
pub(super) fn shard_and_position(number: i64) -> (i32, i64) {
    let shard = i32::try_from(number >> POSITION_BITS).unwrap_or(i32::MAX);
    (shard, number & ((1 << POSITION_BITS) - 1))
}

/// The positions of those rows that are in the log. No two shards share one.
pub(super) fn log_positions(row_refs: &[RowRef]) -> Vec<i64> {
    let in_log = row_refs.iter().filter_map(|at| at.in_log());
    in_log.map(|number| shard_and_position(number).1).collect()
}

/// Runs of such numbers as three columns: shard, first position, last position. No run crosses the end
/// of a shard.
pub(super) fn columns(runs: &[(i64, i64)]) -> (Vec<i32>, Vec<i64>, Vec<i64>) {
    let mut columns = (Vec::new(), Vec::new(), Vec::new());
    for (first, last) in runs {
        let (shard, first) = shard_and_position(*first);
        columns.0.push(shard);
        columns.1.push(first);
        columns.2.push(shard_and_position(*last).1);
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql_rows::{position, runs};

    #[test]
    fn a_number_holds_every_shard_and_position() {
        let last = (1 << POSITION_BITS) - 1;
        for (shard, at) in [(0, 1), (0, last), (65_535, 1), (65_535, last)] {
            let number = position(in_log(shard, at));
            assert!(number > 0);
            assert_eq!(shard_and_position(number), (shard, at));
        }
        assert_eq!(in_log(0, 7), RowRef::Log(7));
    }

    #[test]
    fn runs_stay_within_their_shard() {
        let numbers = [(0, 4), (3, 5), (0, 3), (3, 4), (3, 7)];
        let numbers = numbers.map(|(shard, at)| position(in_log(shard, at)));
        let expected = (vec![0, 3, 3], vec![3, 4, 7], vec![4, 5, 7]);
        assert_eq!(columns(&runs(numbers.to_vec())), expected);
    }
}
