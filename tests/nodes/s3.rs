//! A server that speaks S3 and checks its signatures, over a real socket.

use std::path::PathBuf;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::support::unique;

const BUCKET: &str = "files";
const KEY_ID: &str = "bobbin";
const SECRET: &str = "swordfish";

/// The server; it ends with the test.
pub struct S3 {
    /// Where it is reached.
    pub endpoint: String,
    directory: PathBuf,
}

impl S3 {
    pub async fn start() -> Self {
        let directory = std::env::temp_dir().join(unique("bobbin-s3"));
        std::fs::create_dir_all(directory.join(BUCKET)).expect("a bucket");
        let files = FileSystem::new(&directory).expect("a directory");
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(KEY_ID, SECRET));
        let service = service.build();
        let answer = async move |request: Request| {
            let request = request.map(s3s::Body::http_body_unsync);
            match service.call(request).await {
                Ok(response) => response.map(Body::new).into_response(),
                Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().fallback(answer);
        tokio::spawn(async { axum::serve(listener, router).await });
        Self {
            endpoint: format!("http://{address}"),
            directory,
        }
    }

    /// Has a server keep its files here.
    pub fn settings(&self, command: &mut Command) {
        command
            .env("BOBBIN_STORAGE_URL", format!("s3://{BUCKET}/a/prefix"))
            .env("AWS_ENDPOINT", &self.endpoint)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", SECRET);
    }

    /// The names of the objects in one of the storage's places.
    pub fn objects(&self, place: &str) -> Vec<String> {
        let directory = self.directory.join(BUCKET).join("a/prefix").join(place);
        let Ok(entries) = std::fs::read_dir(directory) else {
            return Vec::new();
        };
        entries
            .map(|entry| entry.expect("an entry").file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
