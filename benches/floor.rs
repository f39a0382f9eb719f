//! The floor: a bare WebSocket server that sends one ready frame per message to whoever joined a
//! channel. Nothing can be delivered by the same parts for less, unless frames are gathered.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{broadcast, mpsc};

use crate::Outcome;
use crate::cpu::Process;
use crate::marks::Mark;
use crate::socket::Socket;

/// How much a socket reads at once.
const READ_BUFFER: usize = 4096;

/// How many frames wait for a slow socket. More are never on their way.
const QUEUE: usize = 1024;

/// Every channel that somebody has joined.
type Channels = Arc<Mutex<HashMap<usize, broadcast::Sender<Utf8Bytes>>>>;

/// A floor in a process of its own. It ends with this value, and with this process.
pub struct Floor {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it uses is looked at from outside.
    pub process: Process,
    orders: mpsc::Sender<String>,
    _child: Child,
}

impl Floor {
    /// Starts one.
    pub async fn start() -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--floor")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let process = Process::new(child.id().ok_or("the floor has ended")?);
        let out = child.stdout.take().ok_or("the floor says nothing")?;
        let line = BufReader::new(out).lines().next_line().await?;
        let address = line.ok_or("the floor says nothing")?.parse()?;
        let mut control = Socket::open(address, "/control").await?;
        let (orders, mut given) = mpsc::channel::<String>(64);
        tokio::task::spawn_local(async move {
            // Ends with the sender in `Floor`.
            while let Some(order) = given.recv().await {
                if control.say(&order).await.is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            address,
            process,
            orders,
            _child: child,
        })
    }

    /// Has it send a frame of so many bytes to everybody in a channel.
    pub async fn send(&self, mark: Mark, channel: usize, length: u64) -> Outcome<()> {
        Ok(self
            .orders
            .send(format!("{channel} {length} {mark}"))
            .await?)
    }
}

/// Is a floor, until whoever started it lets go of its input.
pub fn serve() -> Outcome<()> {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        std::io::stdout().flush()?;
        let app = Router::new()
            .route("/join/{channel}", get(join))
            .route("/control", get(control))
            .route("/echo", get(echo))
            .with_state(Channels::default());
        let listener = listener.tap_io(|tcp| {
            let _ = tcp.set_nodelay(true);
        });
        Ok(axum::serve(listener, app).await?)
    })
}

fn upgrade(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade.read_buffer_size(READ_BUFFER)
}

async fn join(
    State(channels): State<Channels>,
    Path(channel): Path<usize>,
    request: WebSocketUpgrade,
) -> Response {
    upgrade(request).on_upgrade(async move |socket| {
        let frames = {
            let mut channels = channels.lock().unwrap_or_else(PoisonError::into_inner);
            let sender = channels.entry(channel);
            sender
                .or_insert_with(|| broadcast::Sender::new(QUEUE))
                .subscribe()
        };
        deliver(socket, frames).await;
    })
}

async fn deliver(mut socket: WebSocket, mut frames: broadcast::Receiver<Utf8Bytes>) {
    let mut next = Utf8Bytes::from_static("joined");
    loop {
        if socket.send(Message::Text(next)).await.is_err() {
            return;
        }
        next = loop {
            tokio::select! {
                frame = frames.recv() => match frame {
                    Ok(frame) => break frame,
                    // The bench misses its frames and says so.
                    Err(_) => return,
                },
                said = socket.recv() => if !matches!(said, Some(Ok(_))) {
                    return;
                },
            }
        };
    }
}

async fn control(State(channels): State<Channels>, request: WebSocketUpgrade) -> Response {
    upgrade(request).on_upgrade(async move |mut socket| {
        while let Some(Ok(Message::Text(order))) = socket.recv().await {
            let mut words = order.splitn(3, ' ');
            let mut number = || words.next()?.parse::<usize>().ok();
            let (Some(channel), Some(length)) = (number(), number()) else {
                return;
            };
            let mark = words.next().unwrap_or_default();
            let frame: Utf8Bytes = format!("{mark:.<length$}").into();
            let channels = channels.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(sender) = channels.get(&channel) {
                // Nobody there: nobody to send it to.
                let _ = sender.send(frame);
            }
        }
    })
}

async fn echo(request: WebSocketUpgrade) -> Response {
    upgrade(request).on_upgrade(async move |mut socket| {
        while let Some(Ok(message)) = socket.recv().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    })
}
