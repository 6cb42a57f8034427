//! Flags of `commerce saga`.

use clap::{Args, Subcommand, builder::PossibleValuesParser};
use mainstay_saga::Status;

use super::operator::{Signed, Target};

/// See and act on the runs of sagas: what each order is at, and what it waits for
///
/// Acts write rows, and the order service does the rest, at once or when it is started next. A run
/// is named by its id, or by the id of its order. Give --data, or set `COMMERCE_DATA`, as for `serve`.
///
/// A run is running, undoing (its steps are taken back), broken (it has an answer that it cannot
/// take), completed or undone. At DUE its step is tried again, is undone, or becomes overdue.
#[derive(Args, Debug)]
#[command(after_help = FROM_OVERDUE_TO_ENDED)]
pub(crate) struct SagaArguments {
    #[command(subcommand)]
    pub(crate) command: SagaCommand,
}

const FROM_OVERDUE_TO_ENDED: &str = "\
From overdue to ended:
  commerce saga list --overdue                     which runs wait for too long
  commerce saga list --status broken               which stand still until they are mended
  commerce saga show ID                            what happened, and what is in flight
  commerce dlq list --key ORDER                    whether a message of the order is a dead letter
  commerce saga retry ID --reason TEXT             once its service is mended
  commerce saga skip ID STEP --reason TEXT         if the step was done, or undone, by hand
  commerce verify                                  whether all is well";

#[derive(Subcommand, Debug)]
pub(crate) enum SagaCommand {
    /// Runs, newest first
    List(ListArguments),
    /// What happened to one run
    Show(ShowArguments),
    /// Send again what is in flight, under the same ids; a broken run takes what it has kept
    Retry(OneArguments),
    /// Give a step its result, as if its service had answered
    Skip(SkipArguments),
    /// Undo a run, unless its payment is being captured
    Cancel(OneArguments),
}

#[derive(Args, Debug)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Only those in this status
    #[arg(long, value_name = "STATUS", value_parser = statuses())]
    pub(crate) status: Option<String>,
    /// Only those that wait for longer than they should
    #[arg(long)]
    pub(crate) overdue: bool,
    /// Only those of this order
    #[arg(long, value_name = "ORDER")]
    pub(crate) key: Option<String>,
    /// Only those at this step, such as `AuthorizePayment`
    #[arg(long, value_name = "STEP")]
    pub(crate) step: Option<String>,
    /// Below this run
    #[arg(long, value_name = "RUN")]
    pub(crate) before: Option<String>,
    /// Runs at most
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: u32,
}

fn json(text: &str) -> Result<String, String> {
    let read: Result<serde_json::Value, _> = serde_json::from_str(text);
    read.map(|_| text.to_owned())
        .map_err(|error| format!("it is not JSON: {error}"))
}

fn statuses() -> PossibleValuesParser {
    PossibleValuesParser::new(Status::ALL.map(Status::as_str))
}

#[derive(Args, Debug)]
pub(crate) struct ShowArguments {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Which: its id, or that of its order
    #[arg(value_name = "ID")]
    pub(crate) run: String,
}

/// An act on one run.
#[derive(Args, Debug)]
pub(crate) struct OneArguments {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Which: its id, or that of its order
    #[arg(value_name = "ID")]
    pub(crate) run: String,
    #[command(flatten)]
    pub(crate) signed: Signed,
}

#[derive(Args, Debug)]
pub(crate) struct SkipArguments {
    #[command(flatten)]
    pub(crate) one: OneArguments,
    /// The step in flight, as `show` names it
    #[arg(value_name = "STEP")]
    pub(crate) step: String,
    /// JSON of the answer that its service would have given, as `show` prints it for a completed
    /// run; not needed for a step that is undone
    #[arg(long, value_name = "JSON", default_value = "null", value_parser = json)]
    pub(crate) result: String,
}
