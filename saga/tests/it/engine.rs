//! The protocol as a pure function.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use mainstay_saga::{
    Attempt, Cancellation, Document, Signature,
    definition::Definition,
    engine::{Input, Reply, Turn, advance},
    saga::Saga,
    state::{Progress, State, Status},
};

use crate::orders::{Authorize, Order, Pay, ReserveStock, Ship};

fn place_order() -> Definition<Order> {
    let mut saga = Saga::new("place-order", 1).deadline(Duration::from_secs(900));
    let _stock = saga.step((), |order: &Order, ()| ReserveStock {
        order: order.id.clone(),
    });
    let _auth = saga.step((), |order, ()| Authorize {
        order: order.id.clone(),
    });
    let (mut saga, _paid) = saga.pivot((), |order, ()| Pay {
        order: order.id.clone(),
    });
    saga.then((), |order, ()| Ship {
        order: order.id.clone(),
    });
    saga.build()
}

/// A run, and the commands that it has sent.
struct Run {
    definition: Definition<Order>,
    state: State,
    sent: Vec<(usize, Attempt)>,
}

impl Run {
    fn new(definition: Definition<Order>) -> Self {
        let state = State::new(definition.shape());
        let mut run = Self {
            definition,
            state,
            sent: Vec::new(),
        };
        run.give(0, &Input::Start);
        run
    }

    fn give(&mut self, seconds: u64, input: &Input) {
        let elapsed = Duration::from_secs(seconds);
        let Turn {
            state, commands, ..
        } = advance(self.definition.shape(), &self.state, elapsed, input);
        self.state = state;
        let commands = commands.iter().map(|sent| (sent.step, sent.attempt));
        self.sent.extend(commands);
    }

    fn done(&mut self, step: usize, attempt: u32) {
        let reply = Reply::Done(document());
        self.reply(step, Attempt::Do(attempt), reply);
    }

    fn refused(&mut self, step: usize, attempt: u32, retry: Option<u64>) {
        let (refusal, retry) = (document(), retry.map(Duration::from_secs));
        let reply = Reply::Refused { refusal, retry };
        self.reply(step, Attempt::Do(attempt), reply);
    }

    fn undone(&mut self, step: usize) {
        self.reply(step, Attempt::Undo, Reply::Undone);
    }

    fn reply(&mut self, step: usize, attempt: Attempt, reply: Reply) {
        let input = Input::Reply {
            step,
            attempt,
            reply,
        };
        self.give(0, &input);
    }

    fn takes_sent(&mut self) -> Vec<(usize, Attempt)> {
        std::mem::take(&mut self.sent)
    }
}

fn document() -> Document {
    Document::new("K", 1, "{}").unwrap()
}

fn ada() -> Signature {
    Signature::new("ada", "a test")
}

#[test]
fn a_run_goes_to_its_end() {
    let mut run = Run::new(place_order());
    for step in 0..4 {
        assert_eq!(run.takes_sent(), [(step, Attempt::Do(1))]);
        run.done(step, 1);
        let state = run.state.clone();
        run.done(step, 1);
        assert_eq!(run.state, state, "a duplicate reply changes nothing");
    }
    assert_eq!(run.takes_sent(), []);
    assert_eq!(run.state.status(), Status::Completed);
    assert_eq!(run.state.wake_in(), None);
}

#[test]
fn a_refusal_undoes_the_steps_before_in_reverse_order() {
    let mut run = Run::new(place_order());
    run.done(0, 1);
    run.done(1, 1);
    run.takes_sent();
    run.refused(2, 1, None);
    assert_eq!(run.takes_sent(), [(1, Attempt::Undo)]);
    run.undone(1);
    assert_eq!(run.takes_sent(), [(0, Attempt::Undo)]);
    run.undone(1);
    assert_eq!(run.takes_sent(), [], "a duplicate");
    run.undone(0);
    assert_eq!(run.state.status(), Status::Undone);
}

#[test]
fn a_timeout_before_the_pivot_undoes_the_step_in_flight_too() {
    let mut run = Run::new(place_order());
    run.done(0, 1);
    run.takes_sent();
    run.give(59, &Input::Timer);
    assert_eq!(run.takes_sent(), []);
    run.give(60, &Input::Timer);
    assert_eq!(run.takes_sent(), [(1, Attempt::Undo)]);
    run.done(1, 1);
    assert_eq!(
        run.takes_sent(),
        [],
        "a late reply to the do counts no more"
    );
    run.undone(1);
    assert_eq!(run.takes_sent(), [(0, Attempt::Undo)]);
}

#[test]
fn from_the_sending_of_the_pivot_on_a_timeout_only_reports() {
    let mut run = Run::new(place_order());
    run.done(0, 1);
    run.done(1, 1);
    run.takes_sent();
    run.give(60, &Input::Timer);
    assert_eq!(run.takes_sent(), []);
    assert!(run.state.is_overdue());
    assert_eq!(run.state.status(), Status::Running);
    run.done(2, 1);
    assert!(!run.state.is_overdue());
    assert_eq!(run.takes_sent(), [(3, Attempt::Do(1))]);
}

#[test]
fn a_refusal_for_now_is_tried_again_by_the_timer_with_the_next_attempt() {
    let mut run = Run::new(place_order());
    run.done(0, 1);
    run.takes_sent();
    run.refused(1, 1, Some(5));
    assert_eq!(run.state.wake_in(), Some(Duration::from_secs(5)));
    run.give(4, &Input::Timer);
    assert_eq!(run.takes_sent(), []);
    run.give(5, &Input::Timer);
    assert_eq!(run.takes_sent(), [(1, Attempt::Do(2))]);
    run.done(1, 1);
    assert_eq!(run.takes_sent(), [], "the answer of an earlier attempt");
    run.done(1, 2);
    assert_eq!(run.takes_sent(), [(2, Attempt::Do(1))]);
}

#[test]
fn the_deadline_undoes_before_the_pivot_and_reports_behind_it() {
    let mut run = Run::new(place_order());
    run.give(900, &Input::Timer);
    assert_eq!(run.state.status(), Status::Undoing);

    let mut run = Run::new(place_order());
    for step in 0..3 {
        run.done(step, 1);
    }
    run.give(900, &Input::Timer);
    assert_eq!(run.state.status(), Status::Running);
    assert!(run.state.is_overdue());
}

#[test]
fn cancel_is_a_refusal_at_the_next_safe_point() {
    let cancellation = |run: &Run| Cancellation::of(run.definition.shape(), &run.state);
    let mut run = Run::new(place_order());
    run.done(0, 1);
    assert_eq!(cancellation(&run), Cancellation::Accepted);
    run.give(0, &Input::Cancel(ada()));
    assert_eq!(run.state.status(), Status::Undoing);
    assert_eq!(cancellation(&run), Cancellation::Undoing);

    let mut run = Run::new(place_order());
    run.done(0, 1);
    run.done(1, 1);
    assert_eq!(cancellation(&run), Cancellation::Undecided);
    run.give(0, &Input::Cancel(ada()));
    assert_eq!(run.state.status(), Status::Running);
    let mut refused = Run {
        sent: Vec::new(),
        ..run
    };
    refused.refused(2, 1, Some(5));
    assert_eq!(
        refused.state.status(),
        Status::Undoing,
        "no further attempt of the pivot"
    );
    assert_eq!(refused.takes_sent(), [(1, Attempt::Undo)]);

    let mut run = Run::new(place_order());
    for step in 0..3 {
        run.done(step, 1);
    }
    assert_eq!(cancellation(&run), Cancellation::TooLate);
    run.done(3, 1);
    assert_eq!(cancellation(&run), Cancellation::Not(Status::Completed));
}

#[test]
fn a_group_waits_for_all_and_is_undone_with_what_is_in_flight() {
    let definition = || {
        let mut saga = Saga::new("grouped", 1);
        saga.parallel(|group| {
            let stock = group.step((), |order: &Order, ()| ReserveStock {
                order: order.id.clone(),
            });
            let auth = group.step((), |order, ()| Authorize {
                order: order.id.clone(),
            });
            (stock, auth)
        });
        let (saga, _) = saga.pivot((), |order, ()| Pay {
            order: order.id.clone(),
        });
        saga.build()
    };
    let mut run = Run::new(definition());
    assert_eq!(run.takes_sent(), [(0, Attempt::Do(1)), (1, Attempt::Do(1))]);
    run.done(1, 1);
    assert_eq!(run.takes_sent(), []);
    run.done(0, 1);
    assert_eq!(run.takes_sent(), [(2, Attempt::Do(1))]);

    let mut run = Run::new(definition());
    run.takes_sent();
    run.refused(1, 1, None);
    assert_eq!(
        run.takes_sent(),
        [(0, Attempt::Undo)],
        "its outcome is unknown"
    );
    run.undone(0);
    assert_eq!(run.state.status(), Status::Undone);
}

#[test]
fn an_operator_asks_again_and_skips() {
    let mut run = Run::new(place_order());
    run.takes_sent();
    let (step, by) = (0, ada());
    run.give(0, &Input::Retry { step, by });
    assert_eq!(run.takes_sent(), [(0, Attempt::Do(1))], "under the same id");
    let by = ada();
    let result = document();
    run.give(0, &Input::Skip { step, result, by });
    assert_eq!(run.state.steps[0].progress, Progress::Done);
    assert_eq!(run.takes_sent(), [(1, Attempt::Do(1))]);
}

#[test]
fn what_is_stored_is_read_again() {
    let mut run = Run::new(place_order());
    let precise = r#"{"units":25000000000000000001}"#;
    let reply = Reply::Done(Document::new("StockReserved", 1, precise).unwrap());
    run.reply(0, Attempt::Do(1), reply);
    run.give(0, &Input::Cancel(ada()));
    let stored = serde_json::to_string(&run.state).unwrap();
    let read: State = serde_json::from_str(&stored).unwrap();
    assert_eq!(read, run.state);
    let result = read.steps[0].result.as_ref().unwrap();
    assert_eq!(result.json(), precise, "with all digits");
}
