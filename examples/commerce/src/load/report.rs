//! The report, as a table or as JSON.

use std::{collections::BTreeMap, fmt::Write as _, io::Write as _, time::Duration};

use serde::Serialize;

use super::{Answer, Ending, Latency, latency::Percentiles, reads::Reads};
use crate::{cli::LoadArguments, error::Failure};

#[derive(Debug)]
pub(crate) struct Report {
    asked: u32,
    rate: u32,
    took: Duration,
    answers: BTreeMap<String, u32>,
    latency: Latency,
    endings: BTreeMap<String, u32>,
    to_terminal: Latency,
    accepted: u32,
    terminal: u32,
    reads: Vec<Reads>,
}

/// Reads of one kind.
#[derive(Serialize)]
struct ReadsJson<'a> {
    what: &'a str,
    rate: u32,
    reads: u32,
    answered_by_status: &'a BTreeMap<String, u32>,
    latency: Option<Percentiles>,
}

#[derive(Serialize)]
struct Json<'a> {
    orders: u32,
    rate: u32,
    seconds: f64,
    answered_by_status: &'a BTreeMap<String, u32>,
    latency: Option<Percentiles>,
    accepted: u32,
    orders_by_status: &'a BTreeMap<String, u32>,
    /// None = no order ended.
    time_to_terminal: Option<Percentiles>,
    reads: Vec<ReadsJson<'a>>,
}

impl Report {
    pub(crate) fn new(arguments: &LoadArguments, took: Duration) -> Self {
        Self {
            asked: arguments.orders,
            rate: arguments.rate,
            took,
            answers: BTreeMap::new(),
            latency: Latency::new(),
            endings: BTreeMap::new(),
            to_terminal: Latency::new(),
            accepted: 0,
            terminal: 0,
            reads: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, reads: Reads) {
        self.reads.push(reads);
    }

    pub(crate) fn count(&mut self, answer: &Answer) {
        *self.answers.entry(answer.outcome.clone()).or_default() += 1;
        self.latency.record(answer.latency);
        self.accepted += u32::from(answer.order_id.is_some());
    }

    pub(crate) fn end(&mut self, ending: &Ending) {
        *self.endings.entry(ending.status.clone()).or_default() += 1;
        if let Some(took) = ending.took {
            self.to_terminal.record(took);
            self.terminal += 1;
        }
    }

    /// Whether every order was accepted and has ended, and every read was answered.
    pub(crate) fn is_good(&self) -> bool {
        self.accepted == self.asked
            && self.terminal == self.accepted
            && self.reads.iter().all(Reads::is_good)
    }

    pub(crate) fn print(&self, json: bool) -> Result<(), Failure> {
        let text = if json { self.json()? } else { self.table() };
        std::io::stdout()
            .write_all(text.as_bytes())
            .map_err(|error| Failure::new("the report cannot be written", &error))
    }

    fn json(&self) -> Result<String, Failure> {
        let json = Json {
            orders: self.asked,
            rate: self.rate,
            seconds: self.took.as_secs_f64(),
            answered_by_status: &self.answers,
            latency: self.latency.percentiles(),
            accepted: self.accepted,
            orders_by_status: &self.endings,
            time_to_terminal: self.to_terminal.percentiles(),
            reads: self.reads.iter().map(Self::reads).collect(),
        };
        let text = serde_json::to_string(&json)
            .map_err(|error| Failure::new("the report cannot be written", &error))?;
        Ok(text + "\n")
    }

    fn reads(reads: &Reads) -> ReadsJson<'_> {
        ReadsJson {
            what: reads.name,
            rate: reads.rate,
            reads: reads.asked,
            answered_by_status: &reads.answers,
            latency: reads.latency.percentiles(),
        }
    }

    fn table(&self) -> String {
        let mut text = String::new();
        let seconds = self.took.as_secs_f64();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "\n{} orders at {}/s in {seconds:.1} s ({:.1}/s answered)",
            self.asked,
            self.rate,
            f64::from(self.asked) / seconds
        );
        for (status, count) in &self.answers {
            let _ = writeln!(text, "  answered {status:<20} {count:>8}");
        }
        if let Some(percentiles) = self.latency.percentiles() {
            row(&mut text, "latency", percentiles);
        }
        for (status, count) in &self.endings {
            let _ = writeln!(text, "  order {status:<23} {count:>8}");
        }
        if let Some(percentiles) = self.to_terminal.percentiles() {
            row(&mut text, "time to terminal", percentiles);
        } else {
            let _ = writeln!(text, "  time to terminal   not measured: no order ended");
        }
        for reads in &self.reads {
            let _ = writeln!(text, "{} {} at {}/s", reads.asked, reads.name, reads.rate);
            for (status, count) in &reads.answers {
                let _ = writeln!(text, "  answered {status:<20} {count:>8}");
            }
            if let Some(percentiles) = reads.latency.percentiles() {
                row(&mut text, "latency", percentiles);
            }
        }
        text
    }
}

fn row(text: &mut String, name: &str, percentiles: Percentiles) {
    let Percentiles {
        p50_ms,
        p99_ms,
        p999_ms,
        max_ms,
    } = percentiles;
    let _ = writeln!(
        text,
        "  {name:<18} p50 {p50_ms:>9.1} ms   p99 {p99_ms:>9.1} ms   p99.9 {p999_ms:>9.1} ms   max {max_ms:>9.1} ms"
    );
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    /// A report of one answered request.
    fn report(order_id: Option<&str>) -> Report {
        let cli = Cli::parse_from(["commerce", "load", "--orders", "1"]);
        let Some(Command::Load(arguments)) = cli.command else {
            panic!("not the command: {cli:?}");
        };
        let mut report = Report::new(&arguments, Duration::from_secs(1));
        report.count(&Answer {
            outcome: "503".to_owned(),
            latency: Duration::from_millis(3),
            order_id: order_id.map(str::to_owned),
        });
        report
    }

    #[test]
    fn a_report_without_ended_orders_has_no_percentiles_of_them() {
        let report = report(None);
        let table = report.table();
        assert!(!table.contains(" 0.0 ms"), "{table}");
        assert!(table.contains("not measured: no order ended"), "{table}");
        let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert!(json["time_to_terminal"].is_null(), "{json:#}");
        assert!(json["latency"]["p50_ms"].is_number(), "{json:#}");
    }

    #[test]
    fn an_order_that_ended_has_percentiles() {
        let mut report = report(Some("o"));
        report.end(&Ending {
            status: "completed".to_owned(),
            reason: String::new(),
            took: Some(Duration::from_millis(20)),
        });
        let table = report.table();
        assert!(table.contains("time to terminal   p50"), "{table}");
    }
}
