//! A wire between a client and a server, which breaks as networks do.

use std::{
    io,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// What becomes of a commit that is to be lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lost {
    /// The server got it, the client never hears of it.
    Answer,
    /// The server did not get it either.
    Commit,
}

/// Carries connections to a server until they are broken; later ones are sound. All go with the value.
/// It knows a commit by the `COMMIT` of PostgreSQL's simple protocol, without encryption.
#[derive(Debug)]
pub struct Wire {
    port: u16,
    faults: Arc<Faults>,
    carrying: JoinHandle<()>,
}

#[derive(Default, Debug)]
struct Faults {
    breaks: watch::Sender<Breaks>,
    /// What is lost next, and how many commits from now.
    next_loss: Mutex<Option<(Lost, usize)>>,
    lost: AtomicUsize,
    round_trips: AtomicUsize,
    commits: AtomicUsize,
}

/// How often everything was cut, or fell silent.
#[derive(Default, Debug)]
struct Breaks {
    cuts: u64,
    silences: u64,
}

impl Wire {
    /// A wire to the server at this host and port, in a runtime.
    pub async fn to(host: &str, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (server, faults) = ((host.to_owned(), port), Arc::new(Faults::default()));
        Ok(Self {
            port: listener.local_addr()?.port(),
            carrying: tokio::spawn(accept(listener, server, Arc::clone(&faults))),
            faults,
        })
    }

    /// Its near end: a port of 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Breaks every open connection, by turns with a reset and with an end. Answers how many.
    #[must_use = "a cut through nothing shows nothing"]
    pub fn cut(&self) -> usize {
        let open = self.faults.breaks.receiver_count();
        self.faults.breaks.send_modify(|breaks| breaks.cuts += 1);
        open
    }

    /// Connections that are there fall silent: bytes vanish, and nobody is told.
    pub fn fall_silent(&self) {
        (self.faults.breaks).send_modify(|breaks| breaks.silences += 1);
    }

    /// Loses one commit, the `nth` from now, and breaks its connection.
    pub fn lose(&self, what: Lost, nth: usize) {
        *self.faults.next_loss.lock() = Some((what, nth));
    }

    /// How many commits were lost so far.
    pub fn lost(&self) -> usize {
        self.faults.lost.load(Ordering::SeqCst)
    }
}

impl Wire {
    /// How often a client has begun to ask since it was last answered, over all connections: the round trips, those of logins
    /// included.
    pub fn round_trips(&self) -> usize {
        self.faults.round_trips.load(Ordering::SeqCst)
    }

    /// How many commits have come by.
    pub fn commits(&self) -> usize {
        self.faults.commits.load(Ordering::SeqCst)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

impl Faults {
    /// Whether this is the commit to be lost, and how.
    fn loses(&self, request: &[u8]) -> Option<Lost> {
        if !request.windows(7).any(|bytes| bytes == b"COMMIT\0") {
            return None;
        }
        self.commits.fetch_add(1, Ordering::SeqCst);
        let mut next = self.next_loss.lock();
        let (what, nth) = next.take()?;
        if nth > 1 {
            *next = Some((what, nth - 1));
            return None;
        }
        Some(what)
    }
}

/// Connections end with this future.
async fn accept(listener: TcpListener, server: (String, u16), faults: Arc<Faults>) {
    let mut connections = JoinSet::new();
    for number in 0_u64.. {
        let Ok((client, _)) = listener.accept().await else {
            return;
        };
        // What happens from now on concerns this connection.
        let breaks = faults.breaks.subscribe();
        let (faults, server) = (Arc::clone(&faults), server.clone());
        connections.spawn(async move {
            // A server that is away looks like this from behind a wire.
            let Ok(server) = TcpStream::connect(server).await else {
                return;
            };
            if number.is_multiple_of(2) {
                // Its end is a reset. Where this cannot be had, an end is a fault as well.
                drop(client.set_zero_linger());
            }
            // An end that hung up by itself and one that broke are the same to the other one.
            drop(carry(client, server, &faults, breaks).await);
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Until one of the two hangs up, or the wire breaks.
async fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    faults: &Faults,
    mut breaks: watch::Receiver<Breaks>,
) -> io::Result<()> {
    let cuts = breaks.borrow().cuts;
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut is_waiting = false;
    loop {
        tokio::select! {
            biased;
            _ = breaks.changed() => {
                // In silence both ends stay open.
                drop(breaks.wait_for(|now| now.cuts > cuts).await);
                return Ok(());
            }
            read = client.read(&mut asked) => {
                let request = asked.get(..read?).unwrap_or_default();
                if request.is_empty() {
                    return Ok(());
                }
                if !std::mem::replace(&mut is_waiting, true) {
                    faults.round_trips.fetch_add(1, Ordering::SeqCst);
                }
                let struck = faults.loses(request);
                if struck != Some(Lost::Commit) {
                    server.write_all(request).await?;
                }
                // The answer shows that it has committed.
                if struck == Some(Lost::Commit)
                    || struck == Some(Lost::Answer) && server.read(&mut answered).await? > 0
                {
                    faults.lost.fetch_add(1, Ordering::SeqCst);
                }
                if struck.is_some() {
                    return Ok(());
                }
            }
            read = server.read(&mut answered) => {
                let answer = answered.get(..read?).unwrap_or_default();
                if answer.is_empty() {
                    return Ok(());
                }
                is_waiting = false;
                client.write_all(answer).await?;
            }
        }
    }
}
