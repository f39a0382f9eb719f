//! Files, and how actors upload them.

use bobbin::ids::AttachmentId;
use serde_json::{Value, json};

use super::{Actor, Answer, merge};

/// What tests look at in an attachment.
pub const ATTACHMENT: &str = "__typename id createdAt message { id }
    file { name mimeType size uploadStatus url urlExpiresAt }
    ... on ImageAttachment { width height }
    ... on AnnotationAttachment { textContent location }";

/// A file at a client.
#[derive(Debug, Clone)]
pub struct File {
    pub name: String,
    pub mime_type: String,
    pub bytes: Vec<u8>,
}

impl File {
    pub fn new(name: &str, mime_type: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.to_owned(),
            mime_type: mime_type.to_owned(),
            bytes: bytes.into(),
        }
    }

    /// A text that says its name.
    pub fn text(name: &str) -> Self {
        Self::new(name, "text/plain", format!("This is {name}.\n"))
    }

    /// The same under another name.
    pub fn called(self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..self
        }
    }

    /// A picture of so many pixels.
    pub fn png(name: &str, width: u32, height: u32) -> Self {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        bytes.extend(width.to_be_bytes());
        bytes.extend(height.to_be_bytes());
        bytes.extend(b"\x08\x02\0\0\0\0\0\0\0\0\0\0\0IEND\xaeB`\x82");
        Self::new(name, "image/png", bytes)
    }
}

impl Actor {
    /// Uploads a file by a multipart request, whatever comes of it: paths begin with `/attachment`.
    pub async fn upload(&self, file: &File, input: Value) -> Answer {
        let mut full = json!({ "file": null });
        merge(&mut full, input);
        let query = format!(
            "mutation($input: UploadAttachmentInput!) {{ uploadAttachment(input: $input) {{ attachment {{ {ATTACHMENT} }} }} }}"
        );
        let operations = json!({ "query": query, "variables": { "input": full } });
        let map = json!({ "0": ["variables.input.file"] });
        const BOUNDARY: &str = "a-boundary-of-the-tests";
        let mut body = Vec::new();
        for (name, value) in [("operations", &operations), ("map", &map)] {
            body.extend(format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").bytes());
        }
        // As browsers write a name.
        let name = file
            .name
            .replace('\r', "%0D")
            .replace('\n', "%0A")
            .replace('"', "%22");
        body.extend(
            format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"0\"; filename=\"{name}\"\r\nContent-Type: {}\r\n\r\n",
                file.mime_type
            )
            .bytes(),
        );
        body.extend(&file.bytes);
        body.extend(format!("\r\n--{BOUNDARY}--\r\n").bytes());
        let mut request = self
            .server
            .http
            .post(self.server.url("/graphql"))
            .header(
                "content-type",
                format!("multipart/form-data; boundary=\"{BOUNDARY}\""),
            )
            .body(body);
        request = match &self.authorization {
            Some(authorization) => request.header("authorization", authorization),
            None => request.header("apollo-require-preflight", "true"),
        };
        let response = request.send().await.expect("the server answers");
        let status = response.status().as_u16();
        let body = response.json().await.expect("the answer is JSON");
        Answer::new(status, body).under("uploadAttachment")
    }

    /// Uploads a text of that name, and answers its id.
    pub async fn uploaded(&self, name: &str) -> String {
        self.upload(&File::text(name), json!({}))
            .await
            .text("/attachment/id")
    }

    /// Begins to upload a file by itself, whatever comes of it.
    pub async fn begin_upload(&self, file: &File, input: Value) -> Answer {
        let mut full = json!({
            "name": file.name, "mimeType": file.mime_type, "size": file.bytes.len(),
        });
        merge(&mut full, input);
        let selection =
            format!("attachment {{ {ATTACHMENT} }} uploadUrl uploadMethod uploadHeaders expiresAt");
        self.mutate("createUpload", full, &selection).await
    }

    /// Begins to upload a text of that name, and answers the id of what is awaited.
    pub async fn awaited(&self, name: &str, input: Value) -> String {
        self.begin_upload(&File::text(name), input)
            .await
            .text("/attachment/id")
    }

    /// Sends the bytes to where an upload that was begun says; the status of the answer.
    pub async fn put(&self, begun: &Answer, bytes: Vec<u8>) -> u16 {
        assert_eq!(begun.text("/uploadMethod"), "PUT");
        let mut request = self.server.http.put(begun.text("/uploadUrl")).body(bytes);
        for (name, value) in begun.at("/uploadHeaders").as_object().expect("headers") {
            request = request.header(name, value.as_str().expect("a text"));
        }
        request.send().await.expect("an answer").status().as_u16()
    }

    /// Says that a file has come, or will not come, whatever comes of that.
    pub async fn complete(&self, attachment: &str, cancelled: bool) -> Answer {
        let input = json!({ "attachmentId": attachment, "cancelled": cancelled });
        self.mutate(
            "completeUpload",
            input,
            &format!("attachment {{ {ATTACHMENT} }}"),
        )
        .await
    }

    /// Takes a file off its message, whatever comes of it.
    pub async fn take_off(&self, attachment: &str) -> Answer {
        let input = json!({ "attachmentId": attachment });
        let selection =
            format!("removedAttachmentId message {{ id attachments {{ {ATTACHMENT} }} }}");
        self.mutate("removeAttachment", input, &selection).await
    }

    /// An attachment by its id; null if there is none for this actor.
    pub async fn attachment(&self, id: &str) -> Value {
        let query = format!(
            "query($id: ID!) {{ node(id: $id) {{ ... on Attachment {{ {ATTACHMENT} }} }} }}"
        );
        self.run(&query, json!({ "id": id })).await.at("/node")
    }

    /// Fetches what is at a file's address, without a credential: the status, and the body.
    pub async fn fetch(&self, url: &str) -> (u16, Vec<u8>) {
        let answer = self.server.http.get(url).send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.bytes().await.expect("a body").to_vec())
    }

    /// Whether the bytes of an attachment that came with the call are in the storage.
    pub async fn keeps(&self, attachment: &str) -> bool {
        let id: AttachmentId = attachment.parse().expect("an id");
        self.server.app.storage().get(id.uuid(), 0..1).await.is_ok()
    }
}
