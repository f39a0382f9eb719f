//! The clients that applications use, each against a real server: `tests/clients` holds their
//! scripts.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use serde_json::json;
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::support::Tenant;
use crate::support::server::Server;

/// What is copied beside the installed packages.
const SCRIPTS: [&str; 10] = [
    ".npmrc",
    "package.json",
    "package-lock.json",
    "support.mjs",
    "graphql-http.mjs",
    "graphql-ws.mjs",
    "graphql-sse.mjs",
    "apollo.mjs",
    "apollo-upload.mjs",
    "urql.mjs",
];

/// Installing takes its time on a new machine, a script takes seconds.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test]
async fn graphql_http_finds_every_audit_passed() {
    passes("graphql-http.mjs").await;
}

#[tokio::test]
async fn graphql_ws_follows_a_thread_through_a_cut() {
    passes("graphql-ws.mjs").await;
}

#[tokio::test]
async fn graphql_sse_follows_a_thread_and_reads_answers() {
    passes("graphql-sse.mjs").await;
}

#[tokio::test]
async fn apollo_persists_batches_and_follows_a_thread_through_a_cut() {
    passes("apollo.mjs").await;
}

#[tokio::test]
async fn apollo_uploads_files_and_sends_them() {
    passes("apollo-upload.mjs").await;
}

#[tokio::test]
async fn urql_asks_by_get_and_follows_a_thread_through_a_cut() {
    passes("urql.mjs").await;
}

/// Runs a script as somebody who takes part in a thread of his own.
async fn passes(script: &str) {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let given = json!({
        "address": Server::get().await.address.to_string(),
        "token": ada.token,
        "user": ada.id,
        "thread": ada.open_thread(json!({})).await,
    });
    let ended = node(installed().await, &[script, &given.to_string()]).await;
    assert!(ended.status.success(), "{script}:\n{}", said(&ended));
}

/// The directory with the scripts and the packages that they need, made once.
async fn installed() -> &'static Path {
    static INSTALLED: OnceCell<PathBuf> = OnceCell::const_new();
    INSTALLED.get_or_init(install).await
}

/// Installs what the lock file names, unless that very lock file is installed already. The source
/// tree is left alone.
async fn install() -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    std::fs::create_dir_all(&to).expect("a directory");
    for name in SCRIPTS {
        std::fs::copy(from.join(name), to.join(name)).expect("it is copied");
    }
    let lock = std::fs::read(to.join("package-lock.json")).expect("the lock file");
    // npm empties node_modules first, so the stamp cannot outlive an installation that broke off.
    let stamp = to.join("node_modules/.installed-lock.json");
    if std::fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return to;
    }
    let options = "ci --no-audit --no-fund --ignore-scripts --prefer-offline --loglevel=error";
    let options: Vec<&str> = options.split(' ').collect();
    let ended = run("npm", &options, &to).await;
    assert!(ended.status.success(), "npm ci:\n{}", said(&ended));
    std::fs::write(&stamp, lock).expect("it is written");
    to
}

async fn node(dir: &Path, arguments: &[&str]) -> Output {
    run("node", arguments, dir).await
}

async fn run(program: &str, arguments: &[&str], dir: &Path) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(dir).kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, command.output()).await;
    match ended.unwrap_or_else(|_| panic!("{program} {} does not end", arguments[0])) {
        Ok(output) => output,
        Err(error) => panic!(
            "{program} cannot be run ({error}): these tests need Node.js 20 or later, with npm"
        ),
    }
}

fn said(output: &Output) -> String {
    let texts = [&output.stdout, &output.stderr];
    texts.map(|text| String::from_utf8_lossy(text)).join("\n")
}
