//! A WebSocket client that costs little: it finds the frames in what comes, and copies nothing
//! that it does not have to. It trusts the server to keep to the protocol.

use std::cell::RefCell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::ops::Range;
use std::pin::Pin;
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use crate::Outcome;

const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// How much is read at once.
const STRETCH: usize = 64 * 1024;

thread_local! {
    /// All sockets are on one thread and read in turn: one buffer is enough for all.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; STRETCH]);
}

/// An open one.
pub struct Socket {
    stream: TcpStream,
    /// The beginning of a frame that has not come whole.
    rest: Vec<u8>,
}

/// A frame's place in what has come.
struct Frame {
    kind: u8,
    payload: Range<usize>,
}

impl Socket {
    /// Opens one.
    pub async fn open(address: SocketAddr, path: &str) -> Outcome<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        loop {
            if stream.read_buf(&mut head).await? == 0 {
                return Err("a socket was closed before it was open".into());
            }
            if let Some(end) = memchr::memmem::find(&head, b"\r\n\r\n") {
                if !head.starts_with(b"HTTP/1.1 101") {
                    return Err(String::from_utf8_lossy(&head).into());
                }
                let rest = head.split_off(end + 4);
                return Ok(Self { stream, rest });
            }
        }
    }

    /// Says something.
    pub async fn say(&mut self, text: &str) -> Outcome<()> {
        self.write(TEXT, text.as_bytes()).await
    }

    /// Takes what has come, waiting for something to come; hands out each text.
    pub async fn hear(&mut self, mut take: impl FnMut(&[u8])) -> Outcome<()> {
        let mut pongs = Vec::new();
        let mut closed = None;
        let mut each = |kind: u8, payload: &[u8]| match kind {
            TEXT => take(payload),
            PING => pongs.push(payload.to_vec()),
            CLOSE => closed = Some(String::from_utf8_lossy(payload.get(2..).unwrap_or(b"")).into()),
            _ => {}
        };
        let (stream, rest) = (&mut self.stream, &mut self.rest);
        // What came with the answer to the upgrade is not announced again.
        let used = whole(rest, &mut each);
        rest.drain(..used);
        if used > 0 {
            return Ok(());
        }
        poll_fn(|cx| {
            BUFFER.with_borrow_mut(|buffer| {
                let mut read = ReadBuf::new(buffer);
                match Pin::new(&mut *stream).poll_read(cx, &mut read) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
                    Poll::Ready(Ok(())) if read.filled().is_empty() => {
                        Poll::Ready(Err("the server has closed a socket".into()))
                    }
                    Poll::Ready(Ok(())) => {
                        split(rest, read.filled(), &mut each);
                        Poll::Ready(Outcome::Ok(()))
                    }
                }
            })
        })
        .await?;
        if let Some(reason) = closed {
            let reason: String = reason;
            return Err(format!("the server has closed a socket: {reason}").into());
        }
        for payload in pongs {
            self.write(PONG, &payload).await?;
        }
        Ok(())
    }

    /// A client masks what it sends; with zeros, which change nothing.
    async fn write(&mut self, kind: u8, payload: &[u8]) -> Outcome<()> {
        let mut frame = vec![0x80 | kind];
        match u16::try_from(payload.len())? {
            short @ 0..=125 => frame.push(0x80 | u8::try_from(short)?),
            long => {
                frame.push(0x80 | 126);
                frame.extend(long.to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        Ok(self.stream.write_all(&frame).await?)
    }
}

/// Hands out each whole frame of what has come; the beginning of the next one is kept.
fn split(rest: &mut Vec<u8>, come: &[u8], mut take: impl FnMut(u8, &[u8])) {
    if rest.is_empty() {
        let used = whole(come, &mut take);
        rest.extend_from_slice(&come[used..]);
    } else {
        rest.extend_from_slice(come);
        let used = whole(rest, &mut take);
        rest.drain(..used);
    }
    if rest.is_empty() {
        // Thousands of sockets do not each keep what their largest frame took.
        *rest = Vec::new();
    }
}

fn whole(bytes: &[u8], mut take: impl FnMut(u8, &[u8])) -> usize {
    let mut used = 0;
    while let Some(frame) = frame(&bytes[used..]) {
        let payload = used + frame.payload.start..used + frame.payload.end;
        used = payload.end;
        take(frame.kind, &bytes[payload]);
    }
    used
}

/// The first frame, if it is there as a whole.
fn frame(bytes: &[u8]) -> Option<Frame> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (start, length) = match second & 0x7F {
        126 => (
            4,
            u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into(),
        ),
        127 => {
            let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
            (10, usize::try_from(length).ok()?)
        }
        short => (2, usize::from(short)),
    };
    let payload = start..start + length;
    (payload.end <= bytes.len()).then_some(Frame {
        kind: first & 0x0F,
        payload,
    })
}
