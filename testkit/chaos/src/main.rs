//! A process of the chaos tests: a writer, a relay, a worker or a service, until its input ends.
#![expect(clippy::print_stdout, reason = "its summary is for whoever started it")]

use std::{error::Error, io::Read as _, time::Duration};

use clap::Parser;
use mainstay_chaos::role::{Keyed, Relay, Replayer, Worker, Writer};
use tokio_util::sync::CancellationToken;

/// How long a role may take to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Plays a role until its standard input ends, finishes its work and prints a summary in JSON.
#[derive(Parser)]
enum Role {
    /// Makes entries and enqueues events about them.
    Writer(Writer),
    /// Publishes what was enqueued.
    Relay(Relay),
    /// Makes the effects of what was published.
    Worker(Worker),
    /// Replays what workers could not handle.
    Replayer(Replayer),
    /// Answers requests that carry idempotency keys.
    Keyed(Keyed),
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let role = Role::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_max_level(tracing::Level::INFO)
        .init();
    let shutdown = CancellationToken::new();
    // A thread of its own, since the runtime would wait for its own. The input ends with the parent.
    let told = shutdown.clone();
    std::thread::spawn(move || {
        drop(std::io::stdin().read_to_end(&mut Vec::new()));
        told.cancel();
    });
    let overdue = shutdown.clone();
    let playing = async {
        match role {
            Role::Writer(writer) => writer.run(shutdown).await,
            Role::Relay(relay) => relay.run(shutdown).await,
            Role::Worker(worker) => worker.run(shutdown).await,
            Role::Replayer(replayer) => replayer.run(shutdown).await,
            Role::Keyed(service) => service.run(shutdown).await,
        }
    };
    let summary = tokio::select! {
        summary = playing => summary?,
        // The parent may have taken the server along, and a writer would ask for it for ever.
        () = async { overdue.cancelled().await; tokio::time::sleep(PATIENCE).await } => {
            return Err("told to end, and did not".into());
        }
    };
    println!("{summary}");
    Ok(())
}
