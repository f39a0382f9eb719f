//! The server's settings, and how its processes can be told from those of other servers.
//!
//! They are given on the command line, where they win over the cluster's configuration files.

use std::path::Path;

use super::Site;

/// What the processes of a cluster are called in lists of processes.
pub fn name(socket: &Path) -> String {
    socket
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// How a server's command line says where its socket is.
pub fn socket(socket: &Path) -> String {
    format!("unix_socket_directories={}", socket.display())
}

/// Every setting that differs from PostgreSQL's default.
pub fn all(site: &Site, socket: &Path) -> Vec<String> {
    let mut settings = vec![
        self::socket(socket),
        format!("cluster_name={}", name(socket)),
    ];
    let common = [
        "listen_addresses=",
        "port=5432",
        "unix_socket_permissions=0700",
        "timezone=UTC",
        "log_timezone=UTC",
        "jit=off",
        "shared_buffers=128MB",
        "dynamic_shared_memory_type=mmap",
        "logging_collector=off",
        "log_destination=stderr",
        "log_checkpoints=off",
    ];
    let durable = [
        "fsync=on",
        "synchronous_commit=on",
        "full_page_writes=on",
        "max_connections=100",
    ];
    // Every test may have a pool of its own.
    let fast = [
        "fsync=off",
        "synchronous_commit=off",
        "full_page_writes=off",
        "autovacuum=off",
        "wal_level=minimal",
        "max_wal_senders=0",
        "max_connections=300",
    ];
    let chosen: &[&str] = if site.throwaway { &fast } else { &durable };
    settings.extend(
        common
            .iter()
            .chain(chosen)
            .map(|setting| (*setting).to_owned()),
    );
    settings
}
