//! The database itself, by its own catalog: keys, indexes, comments, migrations, tenants.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tokio_postgres::{Client, Config, NoTls, error::SqlState};

use crate::support::server::Server;
use crate::support::{Person, Tenant, unique};

/// What diesel keeps for itself.
const OF_DIESEL: &str = "__diesel_schema_migrations";

#[tokio::test]
async fn every_foreign_key_has_an_index() {
    // An index that begins with the tenant alone would read the whole tenant for one row, so it
    // counts only for keys that are nothing but the tenant.
    let rows = connect(None)
        .await
        .query(
            "SELECT k.conrelid::regclass::text, k.conname::text FROM pg_constraint k
             WHERE k.contype = 'f' AND NOT EXISTS (
               SELECT FROM pg_index i JOIN pg_attribute a
                 ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
               WHERE i.indrelid = k.conrelid AND i.indisvalid AND a.attnum = ANY (k.conkey)
                 AND (a.attname <> 'organization_id' OR cardinality(k.conkey) = 1)
                 AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) LIKE '%IS NOT NULL%')
             ) ORDER BY 1, 2",
            &[],
        )
        .await
        .expect("the catalog");
    let bare: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert!(bare.is_empty(), "foreign keys without an index: {bare:?}");
}

#[tokio::test]
async fn every_foreign_key_between_tenants_rows_holds_the_tenant() {
    // Tables of one tenant refer to each other by keys with the tenant in them, or by a key
    // that lies within one thread.
    let rows = connect(None)
        .await
        .query(
            "SELECT k.conrelid::regclass::text, k.conname::text FROM pg_constraint k
             WHERE k.contype = 'f' AND NOT EXISTS (
               SELECT FROM pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
                 AND a.attname IN ('organization_id', 'thread_id')
             ) AND EXISTS (
               SELECT FROM pg_attribute a WHERE a.attrelid = k.confrelid
                 AND a.attname = 'organization_id' AND NOT a.attisdropped
             )",
            &[],
        )
        .await
        .expect("the catalog");
    let open: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert!(open.is_empty(), "could cross organizations: {open:?}");
}

#[tokio::test]
async fn every_table_has_a_primary_key_and_a_comment() {
    let rows = connect(None)
        .await
        .query(
            "SELECT c.relname::text, obj_description(c.oid, 'pg_class'),
                    EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p')
             FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
             AND c.relname <> $1",
            &[&OF_DIESEL],
        )
        .await
        .expect("the catalog");
    assert!(rows.len() >= 10);
    for row in rows {
        let (table, comment): (String, Option<String>) = (row.get(0), row.get(1));
        assert!(comment.is_some(), "{table} has no comment");
        assert!(row.get::<_, bool>(2), "{table} has no primary key");
    }
}

#[tokio::test]
async fn what_a_columns_name_does_not_say_its_comment_says() {
    // Bytes, and numbers that mean an order or a transaction, say nothing by themselves. A
    // comment on a sibling that names the column counts.
    let rows = connect(None)
        .await
        .query(
            "SELECT c.relname::text, a.attname::text FROM pg_attribute a
             JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
             WHERE c.relnamespace = 'public'::regnamespace AND c.relname <> $1
               AND a.attnum > 0 AND NOT a.attisdropped
               AND (a.atttypid IN ('bytea'::regtype, 'int8'::regtype) OR a.attname IN ('removed_at', 'decided_at'))
               AND NOT EXISTS (
                 SELECT FROM pg_description d WHERE d.objoid = c.oid AND d.objsubid > 0
                 AND (d.objsubid = a.attnum OR d.description LIKE '%' || a.attname || '%')
               )
               -- The key of the log: the table's own comment speaks of it.
               AND NOT (c.relname = 'events' AND a.attname = 'seq')
             ORDER BY 1, 2",
            &[&OF_DIESEL],
        )
        .await
        .expect("the catalog");
    let bare: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert!(bare.is_empty(), "columns without a comment: {bare:?}");
}

#[tokio::test]
async fn the_programs_tables_are_those_of_the_database() {
    let program = declared();
    let client = connect(None).await;
    let columns = client
        .query(
            "SELECT c.relname::text, a.attname::text, t.typname::text, a.attnotnull
             FROM pg_attribute a
             JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
             JOIN pg_type t ON t.oid = a.atttypid
             WHERE c.relnamespace = 'public'::regnamespace AND c.relname <> $1
               AND a.attnum > 0 AND NOT a.attisdropped
             ORDER BY c.relname, a.attnum",
            &[&OF_DIESEL],
        )
        .await
        .expect("the catalog");
    let keys = client
        .query(
            "SELECT c.relname::text, a.attname::text FROM pg_constraint k
             JOIN pg_class c ON c.oid = k.conrelid
             CROSS JOIN LATERAL unnest(k.conkey) WITH ORDINALITY AS p (attnum, place)
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.attnum
             WHERE k.contype = 'p' AND c.relnamespace = 'public'::regnamespace AND c.relname <> $1
             ORDER BY c.relname, p.place",
            &[&OF_DIESEL],
        )
        .await
        .expect("the catalog");
    let mut database: BTreeMap<String, Table> = BTreeMap::new();
    for row in columns {
        let column = (row.get(1), row.get(2), row.get(3));
        let table: String = row.get(0);
        database.entry(table).or_default().columns.push(column);
    }
    for row in keys {
        let (table, column): (String, String) = (row.get(0), row.get(1));
        database.entry(table).or_default().key.push(column);
    }
    let names = |tables: &BTreeMap<String, Table>| tables.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&program), names(&database));
    for (name, table) in &program {
        assert_eq!(table, &database[name], "{name}: run `diesel print-schema`");
    }
}

#[tokio::test]
async fn going_down_undoes_going_up() {
    let name = unique("down").replace('-', "_");
    let server = connect(None).await;
    server
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .await
        .expect("a database of its own");
    let client = connect(Some(&name)).await;
    let migrations = migrations();
    for migration in &migrations {
        run(&client, migration, "up.sql").await;
    }
    assert!(left(&client).await.len() > 10, "going up makes something");
    for migration in migrations.iter().rev() {
        run(&client, migration, "down.sql").await;
    }
    assert_eq!(left(&client).await, Vec::<String>::new());
    // What went down goes up again.
    for migration in &migrations {
        run(&client, migration, "up.sql").await;
    }
    drop(client);
    server
        .batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)"))
        .await
        .expect("it is gone");
}

#[tokio::test]
async fn a_migration_is_named_after_its_day_and_what_it_does() {
    for migration in migrations() {
        let name = migration.file_name().expect("a name").to_string_lossy();
        let (date, verb) = name
            .split_once('_')
            .unwrap_or_else(|| panic!("{name}: YYYY-MM-DD-HHMMSS_verb_noun"));
        let digits: Vec<usize> = date.split('-').map(str::len).collect();
        let numeric = date.chars().all(|c| c.is_ascii_digit() || c == '-');
        assert!(numeric && digits == [4, 2, 2, 6], "{name}");
        assert!(verb.split('_').count() >= 2, "{name}");
        for file in ["up.sql", "down.sql"] {
            assert!(migration.join(file).is_file(), "{name} has no {file}");
        }
    }
}

#[tokio::test]
async fn no_row_can_cross_organizations() {
    let (here, there) = (Inside::new().await, Inside::new().await);
    let client = connect(None).await;
    // Each of them puts somebody ($2) or something of an organization into a thread ($1), once
    // with the tenant of the one, once with that of the other.
    for tenant in ["t.organization_id", "u.organization_id"] {
        let people =
            "FROM threads t, (SELECT u.id, m.organization_id FROM users u JOIN memberships m
            ON m.user_id = u.id WHERE u.external_id = $2) u WHERE t.external_id = $1";
        let statements = [
            format!(
                "INSERT INTO participants (thread_id, user_id, organization_id, joined_at)
                 SELECT t.id, u.id, {tenant}, now() {people}"
            ),
            format!(
                "INSERT INTO messages (id, organization_id, thread_id, seq, place_at, place_seq,
                   sender_id, body, plaintext, status, created_at, sent_at)
                 SELECT gen_random_uuid(), {tenant}, t.id, 1000, now(), 1000, u.id, 'x', 'x',
                   'SENT', now(), now() {people}"
            ),
            format!(
                "INSERT INTO reactions (organization_id, message_id, user_id, emoji, created_at)
                 SELECT {tenant}, m.id, u.id, 'x', now() {}",
                people.replace("WHERE t.", "JOIN messages m ON true WHERE m.thread_id = t.id AND t.")
            ),
            format!(
                "INSERT INTO watermarks (thread_id, user_id, organization_id, place_at, place_seq, moved_at, xid)
                 SELECT t.id, u.id, {tenant}, now(), 1, now(), 1 {people}"
            ),
            format!(
                "INSERT INTO hidden_threads (thread_id, user_id, organization_id, hidden_at)
                 SELECT t.id, u.id, {tenant}, now() {people}"
            ),
            format!(
                "INSERT INTO revisions (organization_id, message_id, number, editor_id, replaced_at, body, plaintext)
                 SELECT {tenant}, m.id, 1, u.id, now(), 'x', 'x' {}",
                people.replace("WHERE t.", "JOIN messages m ON true WHERE m.thread_id = t.id AND t.")
            ),
            format!(
                "INSERT INTO translations (organization_id, message_id, language, target, source_hash, body, provider, created_at)
                 SELECT u.organization_id, m.id, 'de', 'de', '', 'x', 'x', now() {}",
                people.replace("WHERE t.", "JOIN messages m ON true WHERE m.thread_id = t.id AND t.")
            ),
            format!(
                "INSERT INTO translation_claims (organization_id, message_id, target, source_hash, holder, held_until)
                 SELECT u.organization_id, m.id, 'de', '', u.id, now() {}",
                people.replace("WHERE t.", "JOIN messages m ON true WHERE m.thread_id = t.id AND t.")
            ),
            format!(
                "INSERT INTO attachments (id, object_id, organization_id, uploader_id, message_id, place, kind, status,
                   name, mime_type, size, created_at)
                 SELECT gen_random_uuid(), gen_random_uuid(), {tenant}, u.id, m.id, 1, 'FILE', 'UPLOADED', 'x', 'text/plain', 1, now() {}",
                people.replace("WHERE t.", "JOIN messages m ON true WHERE m.thread_id = t.id AND t.")
            ),
            format!(
                "INSERT INTO threads (id, organization_id, number, subject, access, creator_id,
                   clock_at, created_at, updated_at)
                 SELECT gen_random_uuid(), {}, 1000, 'x', 'AGENTS', u.id, now(), now(), now() {people}",
                // With the creator's own tenant nothing would cross.
                "t.organization_id"
            ),
        ];
        for statement in statements {
            let (thread, own, foreign) = (&here.thread, &here.person, &there.person);
            assert_eq!(
                attempt(&client, &statement, thread, &own.external_id).await,
                Ok(1),
                "{statement}"
            );
            assert_eq!(
                attempt(&client, &statement, thread, &foreign.external_id).await,
                Err(SqlState::FOREIGN_KEY_VIOLATION),
                "{statement}"
            );
        }
    }
}

#[tokio::test]
async fn no_message_quotes_one_of_another_thread() {
    let here = Inside::new().await;
    let name = unique("thread");
    let other = here.person.open_thread(json!({ "externalId": name })).await;
    here.person.say(&other, "Elsewhere").await;
    let client = connect(None).await;
    let statement = "UPDATE messages SET reply_to_id = q.id
        FROM messages q, threads t, threads o
        WHERE messages.thread_id = t.id AND t.external_id = $1
          AND q.thread_id = o.id AND o.external_id = $2 AND q.id <> messages.id";
    assert_eq!(
        attempt(&client, statement, &here.thread, &name).await,
        Err(SqlState::FOREIGN_KEY_VIOLATION)
    );
}

/// A person of a tenant of their own with a thread and a message.
struct Inside {
    person: Person,
    /// The thread's externalId.
    thread: String,
}

impl Inside {
    async fn new() -> Self {
        let tenant = Tenant::new().await;
        let (person, opener) = (tenant.member("ada").await, tenant.member("bob").await);
        let thread = unique("thread");
        let id = opener.open_thread(json!({ "externalId": thread })).await;
        opener.say(&id, "Hello").await;
        Self { person, thread }
    }
}

/// A table as diesel writes it: its columns with type and whether they are never null.
#[derive(Debug, Default, PartialEq)]
struct Table {
    key: Vec<String>,
    columns: Vec<(String, String, bool)>,
}

/// The tables that `src/db/schema.rs` declares.
fn declared() -> BTreeMap<String, Table> {
    let text = fs::read_to_string(root().join("src/db/schema.rs")).expect("a source");
    let mut tables = BTreeMap::new();
    for part in text.split("diesel::table! {").skip(1) {
        let part = part.split("\n}").next().expect("a table ends");
        let (head, body) = part.split_once(") {").expect("a table has columns");
        // Types of its own are imported above its name.
        let head = head.trim().lines().last().expect("a table has a name");
        let (name, key) = head.trim().split_once(" (").expect("a table has a key");
        let mut table = Table {
            key: key.split(", ").map(str::to_owned).collect(),
            columns: Vec::new(),
        };
        let mut renamed = None;
        for line in body.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("#[sql_name = \"") {
                renamed = Some(name.trim_end_matches("\"]").to_owned());
            } else if let Some((column, kind)) = line.split_once(" -> ") {
                let kind = kind.trim_end_matches(',');
                let nullable = kind
                    .strip_prefix("Nullable<")
                    .and_then(|kind| kind.strip_suffix('>'));
                // PostgreSQL's name of an array's type.
                let array = kind
                    .strip_prefix("Array<Nullable<")
                    .and_then(|kind| kind.strip_suffix(">>"));
                let array = array.map(|kind| format!("_{kind}"));
                let name = array.as_deref().or(nullable).unwrap_or(kind);
                table.columns.push((
                    renamed.take().unwrap_or_else(|| column.to_owned()),
                    name.to_lowercase(),
                    nullable.is_none(),
                ));
            }
        }
        tables.insert(name.to_owned(), table);
    }
    tables
}

/// The directories of the migrations, the first one first.
fn migrations() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("migrations")).expect("a directory");
    let mut dirs: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .collect();
    dirs.sort();
    assert!(!dirs.is_empty());
    dirs
}

async fn run(client: &Client, migration: &Path, file: &str) {
    let path = migration.join(file);
    let statements = fs::read_to_string(&path).expect("a migration");
    if let Err(error) = client.batch_execute(&statements).await {
        panic!("{}: {error:?}", path.display());
    }
}

/// What there is in a database besides what PostgreSQL brings.
async fn left(client: &Client) -> Vec<String> {
    let rows = client
        .query(
            "SELECT 'relation ' || relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
             UNION ALL
             SELECT 'type ' || typname FROM pg_type WHERE typnamespace = 'public'::regnamespace
             UNION ALL
             SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
             UNION ALL
             SELECT 'operator ' || oprname FROM pg_operator WHERE oprnamespace = 'public'::regnamespace
             UNION ALL
             SELECT 'text search ' || cfgname FROM pg_ts_config WHERE cfgnamespace = 'public'::regnamespace
             UNION ALL
             SELECT 'schema ' || nspname FROM pg_namespace
             WHERE nspname <> 'public' AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
             UNION ALL
             SELECT 'extension ' || extname FROM pg_extension WHERE extname <> 'plpgsql'
             ORDER BY 1",
            &[],
        )
        .await
        .expect("the catalog");
    rows.iter().map(|row| row.get(0)).collect()
}

/// Executes a statement in a transaction that leaves nothing: how many rows, or which failure.
async fn attempt(client: &Client, statement: &str, a: &str, b: &str) -> Result<u64, SqlState> {
    client.batch_execute("BEGIN").await.expect("a transaction");
    let done = client.execute(statement, &[&a, &b]).await;
    client.batch_execute("ROLLBACK").await.expect("its end");
    done.map_err(|error| match error.code() {
        Some(code) => code.clone(),
        None => panic!("{error:?}"),
    })
}

/// A connection to the server's database, or to another one beside it.
async fn connect(database: Option<&str>) -> Client {
    let url = &Server::get().await.database_url;
    let mut config: Config = url.parse().expect("an address");
    if let Some(database) = database {
        config.dbname(database);
    }
    let (client, connection) = config.connect(NoTls).await.expect("PostgreSQL answers");
    tokio::spawn(connection);
    client
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
