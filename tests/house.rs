//! The rules of the house, checked on the text of the sources: directions between the layers,
//! sizes, words that must not appear.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of more lines than this wants to be two.
const MOST_LINES: usize = 500;

/// What diesel writes, not we.
const GENERATED: &str = "db/schema.rs";

/// What a layer must not use: its own name or file, then the beginnings of forbidden paths, and
/// those among them that are allowed all the same.
const DIRECTIONS: [(&str, &[&str], &[&str]); 14] = [
    // What all others rest on rests on nothing of theirs.
    (
        "ids",
        &["http", "graphql", "actions", "db", "live", "app"],
        &[],
    ),
    (
        "error",
        &["http", "graphql", "actions", "db", "live", "app"],
        &[],
    ),
    (
        "config",
        &["http", "graphql", "actions", "live", "app"],
        &[],
    ),
    (
        "translation",
        &["http", "fanout", "graphql", "actions", "db", "live", "app"],
        &[],
    ),
    (
        "webhook",
        &["http", "graphql", "actions", "db", "live", "app", "auth"],
        &[],
    ),
    ("event", &["http", "graphql", "actions", "live", "app"], &[]),
    (
        "db",
        &["http", "delivery", "graphql", "actions", "live", "app"],
        &[],
    ),
    (
        "storage",
        &["http", "graphql", "actions", "db", "live", "app", "auth"],
        &[],
    ),
    (
        "actions",
        &["http", "delivery", "fanout", "graphql", "live"],
        &["live::bus"],
    ),
    (
        "live",
        &["http", "delivery", "fanout", "graphql", "actions"],
        &[],
    ),
    ("graphql", &["http", "delivery", "fanout"], &[]),
    ("fanout", &["http", "delivery", "actions"], &[]),
    ("delivery", &["http"], &[]),
    (
        "content",
        &["http", "graphql", "actions", "live", "app", "auth"],
        &[],
    ),
];

/// Who speaks SQL: the layer for it, and the types that it stores or that tell of its failures.
const SQL: [&str; 3] = ["db/", "ids.rs", "error.rs"];

/// The one trait of diesel-async that writes outside `db` need: whoever makes a change opens its
/// transaction.
const TRANSACTION: &str = "use diesel_async::AsyncConnection;";

/// Who knows the GraphQL library.
const GRAPHQL: [&str; 4] = ["graphql/", "http/", "fanout", "error.rs"];

/// Modules of these names hold what has found no noun.
const NAMELESS: [&str; 6] = [
    "utils",
    "util",
    "helpers",
    "services",
    "repositories",
    "managers",
];

struct Source {
    /// Its path under `src`.
    path: String,
    text: String,
}

impl Source {
    /// Its lines outside comments, and outside the tests at its end.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .take_while(|line| *line != "#[cfg(test)]")
            .enumerate()
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
            .map(|(index, line)| (index + 1, line))
    }

    /// The module at the root that it belongs to.
    fn layer(&self) -> &str {
        let top = self.path.split('/').next().expect("a path");
        top.trim_end_matches(".rs")
    }

    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path.starts_with(place))
    }
}

#[test]
fn layers_use_only_what_is_below_them() {
    let mut found = Vec::new();
    for source in sources() {
        let Some((_, forbidden, allowed)) = DIRECTIONS
            .iter()
            .find(|(layer, ..)| *layer == source.layer())
        else {
            continue;
        };
        for (line, path) in crate_paths(&source) {
            let under = |top: &&str| path == *top || path.starts_with(&format!("{top}::"));
            if forbidden.iter().any(under) && !allowed.iter().any(under) {
                found.push(format!("src/{}:{line} uses crate::{path}", source.path));
            }
        }
    }
    assert_none(&found, "a layer uses one above it");
}

#[test]
fn every_layer_of_the_rule_exists() {
    let sources = sources();
    // A renamed layer must not slip out of the rule.
    for (layer, ..) in DIRECTIONS {
        assert!(
            sources.iter().any(|source| source.layer() == layer),
            "there is no src/{layer}: change DIRECTIONS"
        );
    }
}

#[test]
fn only_the_database_layer_speaks_sql() {
    let mut found = Vec::new();
    for source in sources() {
        if source.is_in(&SQL) {
            continue;
        }
        let opens_transactions = source.layer() == "actions" || source.path == "demo.rs";
        for (line, text) in source.code() {
            if text.contains("diesel") && !(opens_transactions && text == TRANSACTION) {
                found.push(format!("src/{}:{line} {}", source.path, text.trim()));
            }
        }
    }
    assert_none(&found, "diesel is for src/db");
}

#[test]
fn only_the_upper_layers_know_the_graphql_library() {
    let mut found = Vec::new();
    for source in sources() {
        if source.is_in(&GRAPHQL) {
            continue;
        }
        for (line, text) in source.code() {
            if text.contains("async_graphql") {
                found.push(format!("src/{}:{line} {}", source.path, text.trim()));
            }
        }
    }
    assert_none(&found, "async_graphql is for src/graphql and src/http");
}

#[test]
fn every_module_is_named_after_a_noun() {
    let mut found = Vec::new();
    for source in sources() {
        let path = source.path.trim_end_matches(".rs");
        if path.split('/').any(|part| NAMELESS.contains(&part)) {
            found.push(format!("src/{}", source.path));
        }
    }
    assert_none(&found, "a module is named after what has no name");
}

#[test]
fn no_file_is_longer_than_500_lines() {
    let mut found = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > MOST_LINES && source.path != GENERATED {
            found.push(format!("src/{}: {lines} lines", source.path));
        }
    }
    assert_none(&found, "a file wants to be two");
}

#[test]
fn nothing_is_unwrapped() {
    let mut found = Vec::new();
    for source in sources() {
        for (line, text) in source.code() {
            if text.contains(".unwrap()") {
                found.push(format!("src/{}:{line} {}", source.path, text.trim()));
            }
        }
    }
    assert_none(&found, "use expect(\"why it holds\"), or an error");
}

#[test]
fn every_module_says_what_it_is_for() {
    let mut found = Vec::new();
    for source in sources() {
        if !source.text.starts_with("//! ") && source.path != GENERATED {
            found.push(format!("src/{}", source.path));
        }
    }
    assert_none(&found, "a module opens with `//!`");
}

#[test]
fn no_file_names_a_registry_or_somebodys_machine() {
    // Written in parts, so that this file does not hold them.
    let words = [
        concat!("/ho", "me/"),
        concat!("/Us", "ers/"),
        concat!("/ro", "ot/"),
        concat!("/wo", "rk/"),
        concat!("C:", "\\\\"),
        concat!("arti", "factory"),
        concat!("npm", "js.org"),
        concat!("npm", "js.com"),
        concat!("jf", "rog"),
        concat!("pypi", ".org"),
        concat!("static.", "crates.io"),
        concat!("index.", "crates.io"),
    ];
    // Where a package manager for Linux keeps PostgreSQL on every machine.
    let known = concat!("/ho", "me/linuxbrew/.linuxbrew/");
    // The index that cargo itself stands for; a mirror would show its own name here.
    let index = "registry+https://github.com/rust-lang/crates.io-index";
    let mut found = Vec::new();
    for path in tracked() {
        let Ok(text) = fs::read_to_string(root().join(&path)) else {
            continue; // Not a text.
        };
        for (number, line) in text.lines().enumerate() {
            let shown = line.replace(known, "").replace(index, "");
            let named = words.iter().any(|word| shown.contains(word));
            let mirrored = path == Path::new("Cargo.lock") && shown.contains("://");
            if named || mirrored {
                found.push(format!("{}:{} {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    assert_none(&found, "this belongs to one machine");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every source of the program, by path.
fn sources() -> Vec<Source> {
    let src = root().join("src");
    let mut paths = Vec::new();
    walk(&src, &mut paths);
    paths.retain(|path| path.extension().is_some_and(|end| end == "rs"));
    paths.sort();
    assert!(!paths.is_empty());
    let read = |path: PathBuf| Source {
        text: fs::read_to_string(&path).expect("a source is a text"),
        path: path
            .strip_prefix(&src)
            .expect("it is in src")
            .to_string_lossy()
            .replace('\\', "/"),
    };
    paths.into_iter().map(read).collect()
}

/// The files under version control; without git, every file that a build has not made.
fn tracked() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output();
    let listed = match listed {
        Ok(output) if output.status.success() && !output.stdout.is_empty() => output.stdout,
        _ => {
            let mut paths = Vec::new();
            walk(root(), &mut paths);
            let inside = |path: PathBuf| path.strip_prefix(root()).map(Path::to_owned).ok();
            return paths.into_iter().filter_map(inside).collect();
        }
    };
    let names = String::from_utf8(listed).expect("names are UTF-8");
    let names = names.split('\0').filter(|name| !name.is_empty());
    names.map(PathBuf::from).collect()
}

fn walk(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if ["target", "node_modules", "dist", ".git", ".bobbin"].contains(&name.as_ref()) {
            continue;
        }
        if path.is_dir() {
            walk(&path, into);
        } else {
            into.push(path);
        }
    }
}

/// The paths that begin with `crate::`, each with its line. An import of several names at once
/// counts as all of them.
fn crate_paths(source: &Source) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    for (line, text) in source.code() {
        for (at, found) in text.match_indices("crate::") {
            let rest = &text[at + found.len()..];
            if let Some(names) = rest.strip_prefix('{') {
                // Names in braces are split at the commas; rustfmt keeps short lists on one line.
                let names = names.trim_end_matches(['}', ';']).split(',');
                paths.extend(names.map(|name| (line, name.trim().to_owned())));
                continue;
            }
            let of_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let end = rest.find(|c: char| !of_path(c)).unwrap_or(rest.len());
            let path = rest[..end].trim_end_matches(':');
            match rest[end..].strip_prefix('{') {
                Some(names) if path.split("::").count() == 1 => {
                    let names = names.trim_end_matches(['}', ';']).split(',');
                    paths.extend(names.map(|name| (line, format!("{path}::{}", name.trim()))));
                }
                _ => paths.push((line, path.to_owned())),
            }
        }
        // A wider list would go over several lines and be seen in part only.
        assert!(
            !text.contains("use crate::{") || text.contains('}'),
            "src/{}:{line}: import each module on its own line",
            source.path
        );
    }
    paths
}

#[track_caller]
fn assert_none(found: &[String], what: &str) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}
