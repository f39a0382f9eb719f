//! Nodes that are joined over TLS.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::cluster::{Nats, Node};
use crate::support::server::Server;
use crate::support::{Tenant, unique};
use crate::{names, set_typing};

/// What openssl is told: a certificate for this machine, which certifies nothing else.
const REQUEST: &str = "[req]
prompt = no
distinguished_name = name
x509_extensions = more
[name]
CN = bobbin-test
[more]
basicConstraints = critical,CA:FALSE
subjectAltName = IP:127.0.0.1
";

/// The files of a certificate and its key, in a directory that goes with this.
struct Identity(PathBuf);

impl Identity {
    fn new() -> Self {
        let directory = std::env::temp_dir().join(unique("bobbin-tls"));
        std::fs::create_dir_all(&directory).expect("a directory");
        std::fs::write(directory.join("request"), REQUEST).expect("a file");
        let made = Command::new("openssl")
            .args("req -x509 -newkey rsa:2048 -nodes -days 2 -config request".split(' '))
            .args("-keyout key.pem -out certificate.pem".split(' '))
            .current_dir(&directory)
            .output();
        let made = made.expect("openssl is installed");
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{said}");
        Self(directory)
    }

    fn certificate(&self) -> PathBuf {
        self.0.join("certificate.pem")
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A node that trusts a certificate.
async fn node(nats: &Nats, trusts: &Path) -> Node {
    let database = &Server::get().await.database_url;
    Node::with(database, |command| {
        command.env("BOBBIN_NATS_URL", nats.url());
        command.env("SSL_CERT_FILE", trusts);
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_tell_each_other_over_tls_if_they_trust_the_certificate() {
    let (identity, other) = (Identity::new(), Identity::new());
    let files = [identity.certificate(), identity.0.join("key.pem")];
    let mut nats = Nats::with_identity(files);
    nats.start().await;
    let one = node(&nats, &identity.certificate()).await;
    let two = node(&nats, &identity.certificate()).await;
    for node in [&one, &two] {
        node.answers_ready(200, "ready\n").await;
    }
    let tenant = Tenant::new().await;
    let (ada, bob) = (tenant.member("ada").await, tenant.member("bob").await);
    let thread = ada.open_thread(json!({ "participantIds": [bob.id] })).await;
    let mut events = ada.at(one.server).follow_thread(&thread, None).await;
    // This does not go by the database.
    set_typing(&bob.at(two.server), &thread, true).await;
    assert_eq!(names(&events.event().await), ["bob"]);
    let stranger = node(&nats, &other.certificate()).await;
    stranger.answers_ready(503, "the bus is away\n").await;
}
