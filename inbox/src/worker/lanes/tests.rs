//! Random runs of the scheduler against its guarantees.

use std::{collections::HashMap, time::Duration};

use super::*;
use proptest::prelude::*;

fn at(millis: u64) -> Monotonic {
    Monotonic::from_origin(Duration::from_millis(millis))
}

#[test]
fn a_message_that_runs_alone_runs_alone() {
    let mut lanes = Lanes::new();
    for offset in 0..4i64 {
        let mut item = Item::new(offset, ());
        item.at_most = if offset == 2 { 1 } else { usize::MAX };
        lanes.push(Slot(0), Some(offset.to_be_bytes().into()), item);
    }
    let sizes: Vec<usize> = (0..3).map(|_| lanes.take(10, at(0)).len()).collect();
    assert_eq!(sizes, [3, 1, 0]);
}

#[test]
fn a_message_that_waits_holds_up_its_key_and_no_other() {
    let mut lanes = Lanes::new();
    for offset in 0..4i64 {
        lanes.push(
            Slot(0),
            Some((offset % 2).to_be_bytes().into()),
            Item::new(offset, ()),
        );
    }
    let mut batch = lanes.take(10, at(0));
    let mut even = batch.remove(0);
    even.items[0].hold = Hold::Until(at(5));
    let odd = batch.remove(0);
    lanes.give_back(even);
    lanes.finish(odd.lane);
    assert!(lanes.take(10, at(4)).is_empty());
    assert_eq!(lanes.next_wake(), Some(at(5)));
    let offsets: Vec<i64> = lanes.take(10, at(5))[0]
        .items
        .iter()
        .map(|i| i.offset)
        .collect();
    assert_eq!(offsets, [0, 2]);
}

#[derive(Clone, Debug)]
enum Act {
    Push(u8, bool),
    Take(usize),
    Finish(proptest::sample::Index),
    GiveBack(
        proptest::sample::Index,
        proptest::sample::Index,
        usize,
        Option<u64>,
    ),
    Forget(u8),
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    use proptest::sample::Index;
    prop_oneof![
        4 => (any::<u8>(), any::<bool>()).prop_map(|(key, keyed)| Act::Push(key, keyed)),
        3 => (1..6usize).prop_map(Act::Take),
        3 => any::<Index>().prop_map(Act::Finish),
        2 => (any::<Index>(), any::<Index>(), 1..4usize, proptest::option::of(1..20u64))
            .prop_map(|(flight, item, at_most, hold)| Act::GiveBack(flight, item, at_most, hold)),
        1 => (0..2u8).prop_map(Act::Forget),
        2 => (1..10u64).prop_map(Act::Wait),
    ]
}

proptest! {
    #[test]
    fn each_key_is_serial_and_in_order_and_no_message_is_lost(acts in proptest::collection::vec(act(), 0..120)) {
        let mut lanes: Lanes<Vec<u8>> = Lanes::new();
        let mut flights: Vec<Vec<Portion<Vec<u8>>>> = Vec::new();
        let (mut now, mut offset) = (0, 0i64);
        // Messages that must still come, in order per slot and key; a message without a key is a
        // key of its own.
        let mut slots = [Slot(0), Slot(1)];
        let mut owed: HashMap<(Slot, Vec<u8>), Vec<i64>> = HashMap::new();
        let mut next_slot = 2;
        for act in acts {
            match act {
                Act::Push(key, keyed) => {
                    let slot = slots[usize::from(key % 2)];
                    let name = if keyed { vec![key % 5] } else { offset.to_be_bytes().to_vec() };
                    lanes.push(slot, keyed.then(|| name[..].into()), Item::new(offset, name.clone()));
                    owed.entry((slot, name)).or_default().push(offset);
                    offset += 1;
                }
                Act::Take(limit) => {
                    let batch = lanes.take(limit, at(now));
                    let size: usize = batch.iter().map(|p| p.items.len()).sum();
                    for portion in &batch {
                        let key = (portion.slot, portion.items[0].delivery.clone());
                        let offsets: Vec<i64> = portion.items.iter().map(|i| i.offset).collect();
                        prop_assert_eq!(&offsets[..], &owed[&key][..offsets.len()], "{:?} out of order", key);
                        prop_assert!(!flights.iter().flatten().any(|p| p.lane == portion.lane), "two at a time");
                        for item in &portion.items {
                            prop_assert!(item.is_due(at(now)) && size <= item.at_most && size <= limit);
                        }
                    }
                    if !batch.is_empty() {
                        flights.push(batch);
                    }
                }
                Act::Finish(flight) if !flights.is_empty() => {
                    for portion in flights.swap_remove(flight.index(flights.len())) {
                        if let Some(owed) = owed.get_mut(&(portion.slot, portion.items[0].delivery.clone())) {
                            owed.drain(..portion.items.len());
                        }
                        lanes.finish(portion.lane);
                    }
                }
                Act::GiveBack(flight, item, at_most, hold) if !flights.is_empty() => {
                    let mut flight = flights.swap_remove(flight.index(flights.len()));
                    let count: usize = flight.iter().map(|p| p.items.len()).sum();
                    if let Some(item) = flight.iter_mut().flat_map(|p| &mut p.items).nth(item.index(count)) {
                        item.at_most = at_most;
                        item.hold = hold.map_or(Hold::None, |millis| Hold::Until(at(now + millis)));
                    }
                    for portion in flight {
                        lanes.give_back(portion);
                    }
                }
                Act::Forget(which) => {
                    let slot = slots[usize::from(which)];
                    lanes.forget(slot);
                    owed.retain(|(s, _), _| *s != slot);
                    slots[usize::from(which)] = Slot(next_slot);
                    next_slot += 1;
                }
                Act::Wait(millis) => now += millis,
                Act::Finish(_) | Act::GiveBack(..) => {}
            }
        }
        // All of them come once every running portion has ended and all delays are over.
        for portion in flights.into_iter().flatten() {
            lanes.give_back(portion);
        }
        now += 1_000;
        loop {
            let batch = lanes.take(7, at(now));
            if batch.is_empty() {
                break;
            }
            for portion in batch {
                let owed = owed.get_mut(&(portion.slot, portion.items[0].delivery.clone())).unwrap();
                for item in &portion.items {
                    prop_assert_eq!(owed.remove(0), item.offset);
                }
                lanes.finish(portion.lane);
            }
        }
        prop_assert!(owed.values().all(Vec::is_empty), "left behind: {owed:?}");
        prop_assert!(lanes.by_id.is_empty() && lanes.delayed.is_empty());
    }
}
