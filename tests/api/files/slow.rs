//! Files that come slowly, and what happens meanwhile.

use std::io;
use std::path::PathBuf;

use futures_util::stream;
use reqwest::{Body, RequestBuilder};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::support::files::File;
use crate::support::server::Server;
use crate::support::socket::eventually;
use crate::support::{Actor, Person, Tenant, unique};

/// Half of a file: enough for something of it to be written.
const HALF: usize = 300_000;

/// Ada, at a server that keeps its files in a directory of its own.
struct Slow {
    tenant: Tenant,
    person: Person,
    ada: Actor,
    server: &'static Server,
    directory: PathBuf,
}

/// A request whose body comes as the test gives it.
struct Sending {
    give: mpsc::Sender<Vec<u8>>,
    answer: JoinHandle<(u16, String)>,
}

impl Slow {
    async fn new() -> Self {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(unique("slow"));
        let url = format!("file://{}", directory.display());
        let tenant = Tenant::new().await;
        let person = tenant.member("ada").await;
        let server = Server::other(&["--storage-url", &url]).await;
        Self {
            ada: person.actor().at(server),
            server,
            tenant,
            person,
            directory,
        }
    }

    fn names(&self, place: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.join(place));
        let entries = entries.into_iter().flatten();
        let name = |entry: io::Result<std::fs::DirEntry>| {
            let name = entry.expect("an entry").file_name();
            name.to_string_lossy().into_owned()
        };
        entries.map(name).collect()
    }

    /// Waits until something is being written, and answers under which key.
    async fn written(&self, place: &str) -> String {
        eventually("its bytes are written", async || {
            !self.names(place).is_empty()
        })
        .await;
        let name = self.names(place).remove(0);
        let (key, _) = name.split_once('#').expect("it is not whole yet");
        key.to_owned()
    }

    /// Sends a file with the call, but for its second half.
    async fn upload(&self) -> Sending {
        let query = "mutation($input: UploadAttachmentInput!) { uploadAttachment(input: $input) {
            attachment { id } } }";
        let operations = json!({ "query": query, "variables": { "input": { "file": null } } });
        let head = format!(
            "--here\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n{operations}\r\n\
             --here\r\nContent-Disposition: form-data; name=\"map\"\r\n\r\n\
             {{\"0\": [\"variables.input.file\"]}}\r\n\
             --here\r\nContent-Disposition: form-data; name=\"0\"; filename=\"slow\"\r\n\r\n"
        );
        let server = self.server;
        let request = server
            .http
            .post(server.url("/graphql"))
            .header("authorization", self.ada.authorization())
            .header("content-type", "multipart/form-data; boundary=here");
        let sending = Sending::of(request);
        sending.give(head.into_bytes()).await;
        sending.give(half()).await;
        sending
    }

    /// Begins to put a file of two halves, and puts the first one.
    async fn put(&self) -> (String, String, Sending) {
        let file = File::new("slow", "application/x-slow", [half(), half()].concat());
        let begun = self.ada.begin_upload(&file, json!({})).await;
        let to = begun.text("/uploadUrl");
        let sending = Sending::of(self.server.http.put(&to));
        sending.give(half()).await;
        (begun.text("/attachment/id"), to, sending)
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Sending {
    fn of(request: RequestBuilder) -> Self {
        let (give, take) = mpsc::channel(1);
        let bytes = stream::unfold(take, async |mut take: mpsc::Receiver<Vec<u8>>| {
            Some((Ok::<_, io::Error>(take.recv().await?), take))
        });
        let request = request.body(Body::wrap_stream(bytes));
        let answer = tokio::spawn(async move {
            let answer = request.send().await.expect("an answer");
            let status = answer.status().as_u16();
            (status, answer.text().await.expect("a body"))
        });
        Self { give, answer }
    }

    async fn give(&self, bytes: Vec<u8>) {
        self.give.send(bytes).await.expect("it is taken");
    }

    /// Ends the body, and waits for the answer.
    async fn answer(self) -> (u16, String) {
        drop(self.give);
        self.answer.await.expect("an answer")
    }
}

fn half() -> Vec<u8> {
    vec![b'x'; HALF]
}

/// Ends a file that comes with the call; what the call answers.
async fn ended(sending: Sending) -> Value {
    sending.give(half()).await;
    sending.give(b"\r\n--here--\r\n".to_vec()).await;
    let (_, body) = sending.answer().await;
    serde_json::from_str(&body).expect("JSON")
}

#[tokio::test]
async fn a_slow_request_has_the_rights_that_its_sender_has_in_the_end() {
    let slow = Slow::new().await;
    let sending = slow.upload().await;
    slow.written("files").await;
    let done = ended(sending).await;
    assert!(done.get("errors").is_none(), "{done}");
    let whole = slow.names("files");

    let sending = slow.upload().await;
    eventually("its bytes are written", async || {
        slow.names("files").len() > whole.len()
    })
    .await;
    let out = json!({
        "organizationId": slow.tenant.id, "userId": slow.person.id, "role": null,
    });
    let admin = slow.tenant.admin("ann").await;
    admin.mutate("setMembership", out, "role").await.at("");
    let done = ended(sending).await;
    assert!(
        done["errors"][0]["extensions"]["code"].is_string(),
        "{done}"
    );
}

#[tokio::test]
async fn nobody_claims_a_file_that_is_being_removed() {
    let slow = Slow::new().await;
    let sending = slow.upload().await;
    let key = slow.written("files").await;
    let sql = Server::get().await.sql().await;
    let taken = "UPDATE unused_files SET removing = true WHERE id = $1::text::uuid";
    assert_eq!(sql.execute(taken, &[&key]).await.expect("a row"), 1);
    let done = ended(sending).await;
    assert_eq!(
        done["errors"][0]["extensions"]["code"], "CONFLICT",
        "{done}"
    );
}

#[tokio::test]
async fn nothing_stays_of_what_comes_after_its_upload_was_cancelled() {
    let slow = Slow::new().await;
    let (id, _, sending) = slow.put().await;
    slow.written("uploads").await;
    slow.ada.complete(&id, true).await.at("/attachment/id");
    sending.give(half()).await;
    let (status, body) = sending.answer().await;
    assert_eq!(status, 409, "{body}");
    assert!(slow.names("uploads").is_empty());
}

#[tokio::test]
async fn a_file_comes_by_one_request_at_a_time() {
    let slow = Slow::new().await;
    let (id, to, sending) = slow.put().await;
    slow.written("uploads").await;
    let second = slow.server.http.put(&to);
    let second = second.body([half(), half()].concat()).send().await;
    assert_eq!(second.expect("an answer").status(), 409);
    sending.give(half()).await;
    assert_eq!(sending.answer().await.0, 204);
    // Who says so several times at once is answered the same.
    let complete = async || slow.ada.complete(&id, false).await;
    let (one, two, three) = tokio::join!(complete(), complete(), complete());
    for done in [one, two, three] {
        assert_eq!(done.text("/attachment/file/uploadStatus"), "UPLOADED");
        let (status, bytes) = slow.ada.fetch(&done.text("/attachment/file/url")).await;
        assert!(status == 200 && bytes == [half(), half()].concat());
    }
    assert!(slow.names("uploads").is_empty());
}
