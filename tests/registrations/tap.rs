//! The way to a server, which can be closed and opened: what a restart looks like from here.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A place on loopback that passes everything on to a server.
pub(crate) struct Tap {
    /// Where it listens.
    pub(crate) port: u16,
    server: Arc<str>,
    /// How many bytes of the server's may still pass.
    left: Arc<AtomicI64>,
    open: Option<(watch::Sender<()>, JoinHandle<()>)>,
}

impl Tap {
    /// Opens a way to `server`, a host with its port.
    pub(crate) async fn new(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let left = Arc::new(AtomicI64::new(i64::MAX));
        let mut tap = Self { port, server: server.into(), left, open: None };
        tap.listen(listener);
        tap
    }

    fn listen(&mut self, listener: TcpListener) {
        let (stop, stopped) = watch::channel(());
        let (server, left) = (Arc::clone(&self.server), Arc::clone(&self.left));
        let task = tokio::spawn(async move {
            let mut closed = stopped.clone();
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap().0,
                    _ = closed.changed() => return,
                };
                let (server, mut cut, left) = (Arc::clone(&server), stopped.clone(), Arc::clone(&left));
                tokio::spawn(async move {
                    let far = TcpStream::connect(&*server).await.unwrap();
                    let ((mut asked, near), (answered, mut far)) = (accepted.into_split(), far.into_split());
                    tokio::select! {
                        _ = copy(&mut asked, &mut far) => (),
                        () = pass(answered, near, &left) => (),
                        _ = cut.changed() => (),
                    }
                });
            }
        });
        self.open = Some((stop, task));
    }

    /// Lets so many bytes of the server's pass, and then cuts every connection that it speaks on.
    pub(crate) fn close_after(&self, bytes: i64) {
        self.left.store(bytes, Ordering::Relaxed);
    }

    /// Lets everything pass again.
    pub(crate) fn pass_all(&self) {
        self.left.store(i64::MAX, Ordering::Relaxed);
    }

    /// Cuts every connection and refuses new ones.
    pub(crate) async fn close(&mut self) {
        if let Some((stop, task)) = self.open.take() {
            drop(stop);
            task.await.unwrap();
        }
    }

    /// Lets connections through again.
    pub(crate) async fn reopen(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        self.listen(listener);
    }
}

/// Passes on what the server says, as long as bytes are left.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, left: &AtomicI64) {
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let before = left.fetch_sub(i64::try_from(length).unwrap(), Ordering::Relaxed);
        if before < 0 || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
