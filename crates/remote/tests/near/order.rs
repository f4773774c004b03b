//! News that come before, between and behind the answers, from a server that sends what it is told to.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use larder_resp::Frame;
use larder_store::Command;

use super::{Outcome, open, until_stale, words};

/// Where the news stand among the answers to a near read.
#[derive(Clone, Copy)]
enum News {
    Before,
    Between,
    Behind,
}

const KEY: &[u8] = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n";
const ALL: &[u8] = b">2\r\n$10\r\ninvalidate\r\n_\r\n";

/// A server that answers GET with a value, and sends news with it.
fn serve(news: News, message: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer_all(stream, news, message));
        }
    });
    url
}

fn answer_all(mut stream: TcpStream, news: News, message: &[u8]) {
    let (mut input, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(len @ 1..) = stream.read(&mut chunk) {
        input.extend_from_slice(&chunk[..len]);
        let mut output = Vec::new();
        while let Ok(Some((Frame::Array(request), len))) = Frame::read(&input) {
            input.drain(..len);
            answer(&mut output, &request, news, message);
        }
        if stream.write_all(&output).is_err() {
            return;
        }
    }
}

fn answer(output: &mut Vec<u8>, request: &[Frame], news: News, message: &[u8]) {
    let word = |place: usize| match request.get(place) {
        Some(Frame::Bulk(word)) => String::from_utf8_lossy(word).into_owned(),
        _ => String::new(),
    };
    let mut send = |bytes: &[u8]| output.extend_from_slice(bytes);
    match (word(0).as_str(), word(1).as_str()) {
        ("CLIENT", "CACHING") => {
            if matches!(news, News::Before) {
                send(message);
            }
            send(b"+OK\r\n");
        }
        ("GET", _) => {
            send(b"$3\r\nold\r\n");
            if matches!(news, News::Between) {
                send(message);
            }
        }
        ("PTTL", _) => {
            send(b":-1\r\n");
            if matches!(news, News::Behind) {
                send(message);
            }
        }
        ("HELLO", _) => send(b"%1\r\n+mode\r\n+standalone\r\n"),
        ("ROLE", _) => send(b"*1\r\n+master\r\n"),
        _ => send(b"+OK\r\n"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_overtaken_by_the_news_of_a_change_is_not_kept() -> Outcome {
    for message in [KEY, ALL] {
        for news in [News::Before, News::Between] {
            let near = open(&serve(news, message)).near(super::ROOM);
            for reads in 1..50 {
                assert_eq!(near.run::<String>(words("GET a")).await?, "old");
                let (_, freshness) = near.fresh(words("GET a")).await?;
                assert!(!freshness.is_fresh());
                let stats = near.stats();
                assert_eq!((stats.hits, stats.misses), (0, 2 * reads));
            }
            assert_eq!(near.stats().entries, 0);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_the_news_follow_is_not_kept_for_long() -> Outcome {
    for message in [KEY, ALL] {
        let near = open(&serve(News::Behind, message)).near(super::ROOM);
        for _ in 0..50 {
            let (_, freshness) = near.fresh(words("GET a")).await?;
            until_stale(&freshness).await?;
        }
        assert_eq!(near.stats().entries, 0);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn news_of_another_key_change_nothing() -> Outcome {
    let near = open(&serve(News::Before, KEY)).near(super::ROOM);
    let read = || Command::new("GET").arg("b");
    let (_, freshness) = near.fresh(read()).await?;
    near.call(read()).await?;
    near.call(read()).await?;
    assert!(freshness.is_fresh());
    assert_eq!(near.stats().hits, 1);
    Ok(())
}
