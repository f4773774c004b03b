//! A server that says whatever a test wants, byte for byte.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use larder_resp::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// A server on a free port of 127.0.0.1. It ends when this is dropped, with all its connections.
pub(crate) struct Stub {
    port: u16,
    counts: Arc<Counts>,
    accepting: AbortHandle,
}

#[derive(Default)]
struct Counts {
    connections: AtomicUsize,
    requests: AtomicUsize,
}

impl Stub {
    /// A server that does this with each connection; the first is number 0.
    pub(crate) async fn start<F>(serve: impl Fn(Peer) -> F + Send + 'static) -> Stub
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let counts = Arc::<Counts>::default();
        let counting = Arc::clone(&counts);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(Peer {
                    number: counting.connections.fetch_add(1, Ordering::SeqCst),
                    stream,
                    read: Vec::new(),
                    counts: Arc::clone(&counting),
                }));
            }
        });
        Stub {
            port,
            counts,
            accepting: accepting.abort_handle(),
        }
    }

    /// A server that greets whoever comes, and gives each request this answer; with none it is silent.
    pub(crate) async fn answering(
        answer: impl Fn(&[String]) -> Option<String> + Send + Sync + 'static,
    ) -> Stub {
        let answer = Arc::new(answer);
        Stub::start(move |mut peer| {
            let answer = Arc::clone(&answer);
            async move {
                while let Some(words) = peer.request().await {
                    if let Some(answer) = answer(&words) {
                        peer.say(answer).await;
                    }
                }
            }
        })
        .await
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// How many connections were made to it.
    pub(crate) fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::SeqCst)
    }

    /// How many requests it has read, greetings left aside.
    pub(crate) fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// One connection, as the server sees it.
pub(crate) struct Peer {
    pub(crate) number: usize,
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
    counts: Arc<Counts>,
}

impl Peer {
    /// The next request that is no greeting. `None` when the client has gone.
    pub(crate) async fn request(&mut self) -> Option<Vec<String>> {
        loop {
            let words = self.any_request().await?;
            match greeting(&words) {
                Some(answer) => self.say(answer).await,
                None => {
                    self.counts.requests.fetch_add(1, Ordering::SeqCst);
                    return Some(words);
                }
            }
        }
    }

    /// Answers what a connection begins with, and reads no further than a chunk.
    pub(crate) async fn greet(&mut self) {
        for _ in 0..GREETINGS {
            if let Some(answer) = self.any_request().await.as_deref().and_then(greeting) {
                self.say(answer).await;
            }
        }
    }

    /// The next request, be it a greeting.
    pub(crate) async fn any_request(&mut self) -> Option<Vec<String>> {
        loop {
            if let Ok(Some((Frame::Array(words), len))) = Frame::read(&self.read) {
                self.read.drain(..len);
                let text = |word| match word {
                    Frame::Bulk(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                    _ => String::new(),
                };
                return Some(words.into_iter().map(text).collect());
            }
            let mut chunk = vec![0; 64 * 1024];
            match self.stream.read(&mut chunk).await {
                Ok(len @ 1..) => self.read.extend_from_slice(&chunk[..len]),
                _ => return None,
            }
        }
    }

    /// Says this, to whoever may have gone.
    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Says nothing more, and waits until the client goes.
    pub(crate) async fn be_silent(&mut self) {
        while self.any_request().await.is_some() {}
    }
}

/// What a server in this mode says when it is greeted.
pub(crate) fn hello(mode: &str, role: &str) -> String {
    format!(
        "%4\r\n+server\r\n+redis\r\n+version\r\n+7.2.0\r\n+mode\r\n+{mode}\r\n+role\r\n+{role}\r\n"
    )
}

/// HELLO, and two words about the client.
const GREETINGS: usize = 3;

/// The usual answer to what a connection begins with.
fn greeting(words: &[String]) -> Option<String> {
    match words[0].as_str() {
        "HELLO" => Some(hello("standalone", "master")),
        "CLIENT" | "READONLY" | "SELECT" => Some("+OK\r\n".to_owned()),
        _ => None,
    }
}

/// A string, as an answer.
pub(crate) fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// What ECHO answers, and PING.
pub(crate) fn echo(words: &[String]) -> String {
    bulk(words.get(1).map_or("PONG", String::as_str))
}
