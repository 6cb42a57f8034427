//! All that may happen to a run.
#![expect(clippy::panic, reason = "tests")]

use std::time::Duration;

use mainstay_saga::{
    Definition, Saga,
    check::{Explored, Faults, check_all_interleavings},
};

use crate::orders::{Authorize, Order, Pay, ReserveStock, Ship};

fn reserve(order: &Order, (): ()) -> ReserveStock {
    let order = order.id.clone();
    ReserveStock { order }
}

fn authorize(order: &Order, (): ()) -> Authorize {
    let order = order.id.clone();
    Authorize { order }
}

fn pay(order: &Order, (): ()) -> Pay {
    let order = order.id.clone();
    Pay { order }
}

fn ship(order: &Order, (): ()) -> Ship {
    let order = order.id.clone();
    Ship { order }
}

fn in_order() -> Definition<Order> {
    let mut saga = Saga::new("in-order", 1).deadline(Duration::from_secs(900));
    saga.step((), reserve);
    let (mut saga, _) = saga.pivot((), pay);
    saga.then((), ship);
    saga.build()
}

fn in_parallel() -> Definition<Order> {
    let mut saga = Saga::new("in-parallel", 1);
    saga.parallel(|group| (group.step((), reserve), group.step((), authorize)));
    let (mut saga, _) = saga.pivot((), pay);
    saga.then_parallel(|group| (group.then((), ship), group.then((), ship)));
    saga.build()
}

fn without_pivot() -> Definition<Order> {
    let mut saga = Saga::new("without-pivot", 1);
    saga.step((), reserve);
    saga.step((), authorize);
    saga.build()
}

fn explore(definition: &Definition<Order>, faults: Faults) -> Explored {
    let found = check_all_interleavings(definition, faults);
    let explored = found.unwrap_or_else(|found| panic!("{found}"));
    assert!(
        explored.completed > 0 && explored.undone > 0,
        "{explored:?}"
    );
    explored
}

#[test]
fn every_interleaving_with_two_faults_ends_all_done_or_all_undone_or_is_overdue() {
    for definition in [in_order(), without_pivot(), in_parallel()] {
        let explored = explore(&definition, Faults::all());
        println!("{}: {explored:?}", definition.shape().name);
        assert!(explored.overdue > 0, "{explored:?}");
    }
}

#[test]
fn without_faults_nothing_is_overdue() {
    for definition in [in_order(), without_pivot(), in_parallel()] {
        assert_eq!(explore(&definition, Faults::none()).overdue, 0);
    }
}

#[test]
fn a_participant_that_breaks_the_law_has_a_readable_counterexample() {
    let faults = Faults::all().forgetful();
    let found = check_all_interleavings(&in_order(), faults).unwrap_err();
    let expected = "\
the run is undone, but ReserveStock is done:
  1. the run starts
  2. the time of ReserveStock is over; the saga goes back
  3. the participant gets the undo of ReserveStock, before its turn: undone
  4. the participant gets ReserveStock: done
  5. the saga learns that the undo of ReserveStock is undone; the run is undone
the saga's view: ReserveStock: undone, Pay: not begun, Ship: not begun";
    assert_eq!(found.to_string(), expected);
}

#[test]
fn a_definition_is_a_mermaid_diagram() {
    let expected = "\
flowchart LR
  start([in-parallel v1])
  subgraph group0 [in parallel]
  s0[\"ReserveStock\"]
  s1[\"Authorize\"]
  end
  s2{{\"Pay<br>pivot\"}}
  subgraph group2 [in parallel]
  s3[\"Ship\"]
  s4[\"Ship-2\"]
  end
  start --> s0 & s1
  s0 & s1 --> s2
  s2 --> s3 & s4
  s3 & s4 --> done([done])
  u0[/ReleaseStock/]
  s0 -. undo .-> u0
  u1[/Void/]
  s1 -. undo .-> u1
  u0 & u1 -.-> undone([undone])
";
    assert_eq!(in_parallel().mermaid(), expected);
}
