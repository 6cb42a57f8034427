//! A connection that breaks between a commit and its answer.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// What becomes of the commits that are to be lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lost {
    /// The server got it, the client never hears of it.
    Answer,
    /// The server did not get it either.
    Commit,
}

/// Hands everything on, but for some commits.
pub(super) struct Proxy {
    port: u16,
    /// How many commits pass before one is lost; 0 = none is lost any more.
    countdown: Arc<AtomicUsize>,
    lost: Arc<AtomicUsize>,
}

impl Proxy {
    /// Before the server at this host and port.
    pub(super) async fn before(host: String, port: u16, what: Lost) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            countdown: Arc::default(),
            lost: Arc::default(),
        };
        let (countdown, lost) = (Arc::clone(&proxy.countdown), Arc::clone(&proxy.lost));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect((host.as_str(), port)).await.unwrap();
                let (countdown, lost) = (Arc::clone(&countdown), Arc::clone(&lost));
                tokio::spawn(async move {
                    if relay(client, server, &countdown, what).await {
                        lost.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        proxy
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// From now on every `number`th commit is lost.
    pub(super) fn lose_the(&self, number: usize) {
        self.countdown.store(number, Ordering::SeqCst);
    }

    pub(super) fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }
}

/// Until one of the two hangs up, or a commit is lost: then says so.
async fn relay(
    mut client: TcpStream,
    mut server: TcpStream,
    countdown: &AtomicUsize,
    what: Lost,
) -> bool {
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return false };
                let request = &asked[..length];
                let commits = request.windows(7).any(|bytes| bytes == b"COMMIT\0");
                let order = Ordering::SeqCst;
                let hit = commits && countdown.fetch_update(order, order, |left| left.checked_sub(1)) == Ok(1);
                if hit && what == Lost::Commit {
                    return true;
                }
                if server.write_all(request).await.is_err() {
                    return false;
                }
                if hit {
                    // The server's answer shows that it has committed.
                    return server.read(&mut answered).await.is_ok_and(|length| length > 0);
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return false };
                if client.write_all(&answered[..length]).await.is_err() {
                    return false;
                }
            }
        }
    }
}
