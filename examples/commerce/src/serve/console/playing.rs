//! The scenarios of `commerce demo` in this process, one at a time.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use clap::ValueEnum as _;
use commerce_chassis::{Caller, Problem};
use serde::Serialize;

use super::{Console, Why, acts::Entry, busy, operator, work};
use crate::{
    cli::Scenario,
    client::Client,
    demo::{self, Beside, Stage, Story},
};

/// The scenario that is played, or the latest one.
#[derive(Default)]
pub(super) struct Playing(Mutex<Shown>);

#[derive(Clone, Default, Serialize)]
struct Shown {
    running: bool,
    scenario: String,
    lines: Vec<String>,
    /// Whether every expectation held; none = it has not ended.
    held: Option<bool>,
    failure: Option<String>,
}

/// A scenario to choose.
#[derive(Serialize)]
struct Choice {
    name: String,
    what: String,
}

#[derive(Serialize)]
struct Scenarios {
    scenarios: Vec<Choice>,
    played: Shown,
}

pub(super) fn router() -> Router<Console> {
    Router::new()
        .route("/console/scenarios", get(show))
        .route("/console/scenarios/{name}", post(start))
}

/// A client of the services of this process, who plays the customers.
pub(super) fn client(services: &Router) -> Client {
    Client::here(services.clone(), Caller::operator("scenario"))
}

impl Playing {
    fn change<T>(&self, change: impl FnOnce(&mut Shown) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the stage for a scenario, unless one is played.
    fn begin(&self, name: &str) -> bool {
        self.change(|shown| {
            let begins = !shown.running;
            if begins {
                *shown = Shown {
                    running: true,
                    scenario: name.to_owned(),
                    ..Shown::default()
                };
            }
            begins
        })
    }
}

async fn show(State(console): State<Console>) -> Json<Scenarios> {
    let all = Scenario::value_variants().iter();
    let choices = all.filter_map(|scenario| {
        let value = scenario.to_possible_value()?;
        Some(Choice {
            name: value.get_name().to_owned(),
            what: value
                .get_help()
                .map(ToString::to_string)
                .unwrap_or_default(),
        })
    });
    Json(Scenarios {
        scenarios: choices.collect(),
        played: console.playing.change(|shown| shown.clone()),
    })
}

async fn start(
    State(console): State<Console>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(Why { reason }): Json<Why>,
) -> Result<StatusCode, Problem> {
    let scenario = Scenario::from_str(&name, false)
        .map_err(|_| Problem::not_found(format!("there is no scenario {name:?}")))?;
    let operator = operator(&console.insight, &headers)?;
    let act = Entry::new(operator, "play a scenario", name.clone(), reason)?;
    let playing = Arc::clone(&console.playing);
    if !playing.begin(&name) {
        return Err(busy("a scenario is played: wait for its end"));
    }
    if let Err(problem) = console.acts.record(&act) {
        playing.change(|shown| *shown = Shown::default());
        return Err(problem);
    }
    let heard = Arc::clone(&playing);
    let play = async move || {
        let told = Story::told_to(Box::new(move |line| {
            heard.change(|shown| shown.lines.push(line.to_owned()));
            Ok(())
        }));
        let stage = Stage::open(
            console.client,
            Beside::Here(Box::new(console.storage)),
            told,
        )
        .await?;
        demo::play(stage, scenario).await
    };
    work::start(play, console.closing, move |played| {
        playing.change(|shown| {
            shown.running = false;
            match played {
                Ok(held) => shown.held = Some(held),
                Err(failure) => shown.failure = Some(failure.to_string()),
            }
        });
    });
    Ok(StatusCode::ACCEPTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_scenario_is_played_at_a_time() {
        let playing = Playing::default();
        assert!(playing.begin("poison"));
        assert!(!playing.begin("happy-path"));
        assert_eq!(playing.change(|shown| shown.scenario.clone()), "poison");
        playing.change(|shown| shown.running = false);
        assert!(playing.begin("happy-path"));
    }
}
