//! A wire between a client and a server, that does to both what wires do.

use std::{
    io,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// What becomes of a commit that is to be lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "the server got it or it did not")]
pub enum Lost {
    /// The server got it, the client never hears of it.
    Answer,
    /// The server did not get it either.
    Commit,
}

/// Carries connections to a server, byte by byte, until something is done to it. Connections that are made afterwards are as
/// good as new. All of them go with the value.
///
/// It sees a commit in the `COMMIT` of PostgreSQL's simple protocol, and only where nothing is encrypted.
#[derive(Debug)]
pub struct Wire {
    port: u16,
    faults: Arc<Faults>,
    carrying: JoinHandle<()>,
}

#[derive(Default, Debug)]
struct Faults {
    /// How often everything was cut.
    cuts: watch::Sender<u64>,
    /// How often everything fell silent.
    silences: watch::Sender<u64>,
    open: AtomicUsize,
    /// What is lost next, and how many commits from now.
    next_loss: Mutex<Option<(Lost, usize)>>,
    lost: AtomicUsize,
}

impl Wire {
    /// A wire to the server at this host and port, in a runtime.
    pub async fn to(host: &str, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let faults = Arc::new(Faults::default());
        Ok(Self {
            port: listener.local_addr()?.port(),
            carrying: tokio::spawn(accept(listener, host.to_owned(), port, Arc::clone(&faults))),
            faults,
        })
    }

    /// Its near end: a port of 127.0.0.1.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Breaks every connection that is there, one half with a reset and the other with an end. Answers with how many there were.
    #[must_use = "a cut through nothing shows nothing"]
    pub fn cut(&self) -> usize {
        let open = self.faults.open.load(Ordering::SeqCst);
        self.faults.cuts.send_modify(|cuts| *cuts += 1);
        open
    }

    /// Connections that are there fall silent: bytes vanish, and nobody is told.
    pub fn fall_silent(&self) {
        self.faults.silences.send_modify(|silences| *silences += 1);
    }

    /// Loses one commit, the `nth` from now, and breaks its connection.
    pub fn lose(&self, what: Lost, nth: usize) {
        *self.faults.next_loss() = Some((what, nth));
    }

    /// How many commits were lost so far.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.faults.lost.load(Ordering::SeqCst)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

impl Faults {
    fn next_loss(&self) -> std::sync::MutexGuard<'_, Option<(Lost, usize)>> {
        self.next_loss
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this commit is the one to be lost, and how.
    fn strikes(&self, request: &[u8]) -> Option<Lost> {
        if !request.windows(7).any(|bytes| bytes == b"COMMIT\0") {
            return None;
        }
        let mut next = self.next_loss();
        let (what, nth) = (*next)?;
        if nth > 1 {
            *next = Some((what, nth - 1));
            return None;
        }
        *next = None;
        Some(what)
    }
}

/// Connections end with this future.
async fn accept(listener: TcpListener, host: String, port: u16, faults: Arc<Faults>) {
    let mut connections = JoinSet::new();
    for number in 0_u64.. {
        let Ok((client, _)) = listener.accept().await else {
            return;
        };
        // Whatever happens from now on concerns this connection.
        let faults = Arc::clone(&faults);
        let (cuts, silences) = (faults.cuts.subscribe(), faults.silences.subscribe());
        let host = host.clone();
        connections.spawn(async move {
            // A server that is away looks like this from behind a wire.
            let Ok(server) = TcpStream::connect((&*host, port)).await else {
                return;
            };
            if number.is_multiple_of(2) {
                // Its end is a reset. Where this cannot be had, an end is a fault as well.
                drop(client.set_zero_linger());
            }
            faults.open.fetch_add(1, Ordering::SeqCst);
            // An end that hung up by itself and one that broke are the same to the other one.
            drop(carry(client, server, &faults, cuts, silences).await);
            faults.open.fetch_sub(1, Ordering::SeqCst);
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Until one of the two hangs up, or the wire breaks.
async fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    faults: &Faults,
    mut cuts: watch::Receiver<u64>,
    mut silences: watch::Receiver<u64>,
) -> io::Result<()> {
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            biased;
            _ = cuts.changed() => return Ok(()),
            _ = silences.changed() => {
                // Both ends stay open.
                _ = cuts.changed().await;
                return Ok(());
            }
            read = client.read(&mut asked) => {
                let length = read?;
                let request = asked.get(..length).unwrap_or_default();
                if request.is_empty() {
                    return Ok(());
                }
                let struck = faults.strikes(request);
                if struck == Some(Lost::Commit) {
                    faults.lost.fetch_add(1, Ordering::SeqCst);
                    return Ok(());
                }
                server.write_all(request).await?;
                if struck == Some(Lost::Answer) {
                    // The answer shows that it has committed.
                    if server.read(&mut answered).await? > 0 {
                        faults.lost.fetch_add(1, Ordering::SeqCst);
                    }
                    return Ok(());
                }
            }
            read = server.read(&mut answered) => {
                let length = read?;
                let answer = answered.get(..length).unwrap_or_default();
                if answer.is_empty() {
                    return Ok(());
                }
                client.write_all(answer).await?;
            }
        }
    }
}
