//! A wire that can go dead without a word.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Forwards to a server. While it is dead, bytes of connections that were there vanish, and nobody is told; connections
/// made afterwards are as good as new.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    deaths: watch::Sender<u32>,
}

impl Proxy {
    pub(super) async fn to(server: (String, u16)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (deaths, told) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect((server.0.as_str(), server.1))
                    .await
                    .unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let born = *told.borrow();
                tokio::spawn(forward(from_client, to_server, born, told.clone()));
                tokio::spawn(forward(from_server, to_client, born, told.clone()));
            }
        });
        Self { address, deaths }
    }

    /// Every connection that is there goes dead.
    pub(super) fn die(&self) {
        self.deaths.send_modify(|deaths| *deaths += 1);
    }
}

async fn forward(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    born: u32,
    told: watch::Receiver<u32>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if *told.borrow() != born {
            // Both ends stay open, for longer than any test.
            tokio::time::sleep(Duration::from_secs(600)).await;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
