//! The division of partitions among the members of a group: balanced, with few moves.

use std::collections::BTreeMap;

/// Divides `partitions` (each with its present owner) among `members`.
///
/// Pure and deterministic: every member computes the same result from the same table. Each member
/// gets the floor or the ceiling of the mean. A partition moves only if its owner has too many or
/// is gone.
pub(crate) fn balance<P: Ord + Clone, M: Ord + Clone>(
    partitions: &BTreeMap<P, Option<M>>,
    members: &[M],
) -> BTreeMap<P, M> {
    if members.is_empty() {
        return BTreeMap::new();
    }
    let mut owned: BTreeMap<&M, usize> = members.iter().map(|member| (member, 0)).collect();
    for owner in partitions.values().flatten() {
        if let Some(count) = owned.get_mut(owner) {
            *count += 1;
        }
    }
    // Members that hold most get the larger shares: that moves the fewest partitions.
    let mut by_holding: Vec<(&M, usize)> = owned.into_iter().collect();
    by_holding.sort_by(|(a, a_owns), (b, b_owns)| b_owns.cmp(a_owns).then(a.cmp(b)));
    let (floor, larger_shares) = (
        partitions.len() / members.len(),
        partitions.len() % members.len(),
    );
    let mut room: BTreeMap<&M, usize> = by_holding
        .iter()
        .enumerate()
        .map(|(rank, (member, _))| (*member, floor + usize::from(rank < larger_shares)))
        .collect();

    let mut target = BTreeMap::new();
    for (partition, owner) in partitions {
        if let Some(owner) = owner
            && let Some(left) = room.get_mut(owner)
            && *left > 0
        {
            *left -= 1;
            target.insert(partition.clone(), owner.clone());
        }
    }
    let mut free = room
        .into_iter()
        .flat_map(|(member, left)| std::iter::repeat_n(member, left));
    for partition in partitions.keys() {
        if !target.contains_key(partition)
            && let Some(member) = free.next()
        {
            target.insert(partition.clone(), member.clone());
        }
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_partition_has_one_owner_and_shares_differ_by_one(
            owners in proptest::collection::vec(proptest::option::of(0..6u8), 0..20), members in proptest::collection::btree_set(0..6u8, 1..6),
        ) {
            let partitions: BTreeMap<usize, Option<u8>> = owners.into_iter().enumerate().collect();
            let members: Vec<u8> = members.into_iter().collect();
            let target = balance(&partitions, &members);
            prop_assert_eq!(target.len(), partitions.len());
            let shares: Vec<usize> = members.iter().map(|m| target.values().filter(|o| *o == m).count()).collect();
            prop_assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
        }

        #[test]
        fn a_balanced_group_keeps_everything(members in 1..6u8, partitions in 0..20u8) {
            let members: Vec<u8> = (0..members).collect();
            let none: BTreeMap<u8, Option<u8>> = (0..partitions).map(|p| (p, None)).collect();
            let first = balance(&none, &members);
            let again = balance(&first.iter().map(|(p, m)| (*p, Some(*m))).collect(), &members);
            prop_assert_eq!(first, again);
        }
    }
}
