//! Serves the counters to whoever scrapes them: HTTP/1.1, one page, one answer a connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Weak;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::node::Inner;

/// Who scrapes is one or two servers; more connections than this at once wait to be accepted.
const MOST_CONNECTIONS: usize = 8;
/// From the first byte asked to the last one answered. Prometheus gives up after 10 s.
const WITHIN: Duration = Duration::from_secs(5);
/// Bytes of a request's head. Prometheus sends some 300; proxies add their own.
const MOST_HEAD: usize = 8 << 10;
/// Header lines of a request.
const MOST_HEADERS: usize = 64;
/// Before the next try, where no connection can be accepted (for want of file descriptors, most often).
const PAUSE: Duration = Duration::from_secs(1);

/// A socket that is bound and serves nobody yet: that it cannot be had is told before the node starts.
pub(crate) struct Socket(TcpListener);

/// The endpoint: its task ends with it.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) at: SocketAddr,
    task: AbortHandle,
}

impl Socket {
    pub(crate) async fn bind(at: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(at).await.map(Self)
    }

    /// Serves the node's counters from now on; the node is not kept by it.
    pub(crate) fn serve(self, node: Weak<Inner>) -> io::Result<Endpoint> {
        let at = self.0.local_addr()?;
        tracing::info!(name: "talkie.metrics.served", %at, "metrics at http://{at}/metrics");
        let task = tokio::spawn(accept(self.0, node)).abort_handle();
        Ok(Endpoint { at, task })
    }
}

impl Endpoint {
    /// Ends it and every answer under way.
    pub(crate) fn close(&self) {
        self.task.abort();
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.close();
    }
}

async fn accept(listener: TcpListener, node: Weak<Inner>) {
    let mut answers = JoinSet::new();
    loop {
        while answers.len() >= MOST_CONNECTIONS {
            answers.join_next().await;
        }
        while answers.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let node = Weak::clone(&node);
                answers.spawn(async move {
                    // Whoever is slow, or speaks something else, is left alone with it.
                    let _ = tokio::time::timeout(WITHIN, answer(stream, &node)).await;
                });
            }
            Err(error) => {
                tracing::debug!(name: "talkie.metrics.unserved", "cannot accept a scrape: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn answer(mut stream: TcpStream, node: &Weak<Inner>) -> io::Result<()> {
    let mut head = Vec::with_capacity(1 << 10);
    let asked = loop {
        match parse(&head) {
            Asked::Unfinished if head.len() < MOST_HEAD => {}
            asked => break asked,
        }
        let room = (MOST_HEAD - head.len()) as u64;
        if (&mut stream).take(room).read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    };
    let (status, page) = match (asked, node.upgrade()) {
        (Asked::Metrics { .. }, Some(node)) => ("200 OK", node.metrics().to_prometheus()),
        (Asked::Metrics { .. }, None) => ("503 Service Unavailable", "the node has left\n".to_owned()),
        (Asked::Elsewhere, _) => ("404 Not Found", "the metrics are at /metrics\n".to_owned()),
        (Asked::Otherwise, _) => ("405 Method Not Allowed", "GET is what is served\n".to_owned()),
        (Asked::Malformed | Asked::Unfinished, _) => ("400 Bad Request", "that is no request\n".to_owned()),
    };
    let kind = "Content-Type: text/plain; version=0.0.4; charset=utf-8";
    let length = page.len();
    let head = format!(
        "HTTP/1.1 {status}\r\n{kind}\r\nContent-Length: {length}\r\nAllow: GET, HEAD\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    if asked != (Asked::Metrics { body: false }) {
        stream.write_all(page.as_bytes()).await?;
    }
    stream.shutdown().await
}

/// What a request's head asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The page, or for HEAD what stands before it.
    Metrics {
        body: bool,
    },
    Elsewhere,
    Otherwise,
    Malformed,
    /// More is to come.
    Unfinished,
}

pub(crate) fn parse(head: &[u8]) -> Asked {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Asked::Unfinished,
        Err(_) => return Asked::Malformed,
    }
    let path = request.path.unwrap_or_default().split('?').next();
    match (request.method, path) {
        (Some("GET"), Some("/metrics")) => Asked::Metrics { body: true },
        (Some("HEAD"), Some("/metrics")) => Asked::Metrics { body: false },
        (Some("GET" | "HEAD"), _) => Asked::Elsewhere,
        _ => Asked::Otherwise,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_what_it_says() {
        let of = |head: &str| parse(head.as_bytes());
        assert_eq!(of("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"), Asked::Metrics { body: true });
        assert_eq!(of("GET /metrics?x=1 HTTP/1.0\r\n\r\n"), Asked::Metrics { body: true });
        assert_eq!(of("HEAD /metrics HTTP/1.1\r\n\r\n"), Asked::Metrics { body: false });
        assert_eq!(of("GET / HTTP/1.1\r\n\r\n"), Asked::Elsewhere);
        assert_eq!(of("POST /metrics HTTP/1.1\r\n\r\n"), Asked::Otherwise);
        assert_eq!(of("GET /metrics HTTP/1.1\r\nHost"), Asked::Unfinished);
        assert_eq!(of(""), Asked::Unfinished);
        assert_eq!(of("\u{16}\u{3}\u{1} hello over TLS"), Asked::Malformed);
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MOST_HEADERS + 1));
        assert_eq!(of(&many), Asked::Malformed);
    }
}
