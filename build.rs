//! Builds the browser's files into `OUT_DIR` and lists them in `web_assets.rs` for `http::pages`.
//!
//! Never writes into the source tree, and never fails a build: without Node.js or a registry the
//! page itself says how to get it.

use std::{
    env,
    ffi::OsStr,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// What the bundle is made of, under `web/`.
const INPUTS: [&str; 5] = [
    ".npmrc",
    "bundle.mjs",
    "package-lock.json",
    "package.json",
    "src",
];

const SKIP: &str = "BOBBIN_SKIP_WEB";

enum Failure {
    /// The tool is not on PATH.
    Missing(&'static str),
    /// A tool ran and failed, or a file could not be written.
    Failed(String),
}

fn main() {
    println!("cargo::rerun-if-env-changed={SKIP}");
    for input in INPUTS {
        println!("cargo::rerun-if-changed=web/{input}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let names = if env::var_os(SKIP).is_some_and(|value| value == "1") {
        Vec::new()
    } else {
        bundle(&out.join("web")).unwrap_or_else(|failure| {
            warn(&failure);
            watch(&failure, &out);
            Vec::new()
        })
    };
    fs::write(out.join("web_assets.rs"), listing(&names)).expect("OUT_DIR is writable");
}

/// Bundles a copy of `web/` in `dir`; returns the names of the files in its `dist`.
fn bundle(dir: &Path) -> Result<Vec<String>, Failure> {
    run("node", &["--version"], Path::new("."))?;
    fs::create_dir_all(dir)?;
    for input in INPUTS {
        copy(&Path::new("web").join(input), &dir.join(input))?;
    }
    install(dir)?;
    run("node", &["bundle.mjs"], dir)?;

    let mut names = Vec::new();
    for entry in fs::read_dir(dir.join("dist"))? {
        let path = entry?.path();
        // Each file has its compressed copy beside it.
        if path.extension() != Some(OsStr::new("gz")) {
            names.extend(
                path.file_name()
                    .map(|name| name.to_string_lossy().into_owned()),
            );
        }
    }
    names.sort();
    Ok(names)
}

/// Installs what the lock file names, unless that very lock file is installed already.
fn install(dir: &Path) -> Result<(), Failure> {
    let lock = fs::read(dir.join("package-lock.json"))?;
    // npm empties node_modules first, so the stamp cannot outlive an installation that broke off.
    let stamp = dir.join("node_modules/.installed-lock.json");
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    // esbuild's binary is an optional package, so a user's `omit=optional` must not hold; one retry
    // and short timeouts, because an offline build must go on soon.
    let options = "ci --no-audit --no-fund --ignore-scripts --include=optional --prefer-offline \
                   --loglevel=error --fetch-retries=1 --fetch-retry-mintimeout=1000 \
                   --fetch-timeout=60000";
    run(npm, &options.split_whitespace().collect::<Vec<_>>(), dir)?;
    fs::write(&stamp, lock)?;
    Ok(())
}

fn run(program: &'static str, arguments: &[&str], dir: &Path) -> Result<(), Failure> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .output()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Failure::Missing(program),
            _ => Failure::Failed(format!("{program}: {error}")),
        })?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let command = format!("{program} {} ended with {}", arguments[0], output.status);
    Err(Failure::Failed(format!("{command}\n{}", errors.trim())))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return fs::copy(from, to).map(drop);
    }
    // A file that was renamed must not stay behind under its old name.
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

fn warn(failure: &Failure) {
    let why = match failure {
        Failure::Missing(tool) => format!("{tool} is not installed"),
        Failure::Failed(text) => text.clone(),
    };
    println!("cargo::warning=/graphiql is built without the explorer, everything else works");
    for line in why.lines().filter(|line| !line.trim().is_empty()).take(5) {
        println!("cargo::warning=  {line}");
    }
    println!("cargo::warning=  install Node.js 20 or later and build again; {SKIP}=1 skips this");
}

/// Makes cargo run this script again when the next attempt may succeed.
fn watch(failure: &Failure, out: &Path) {
    match failure {
        // Only where a program can appear: without a change there every build stays as quick as usual.
        Failure::Missing(_) => {
            println!("cargo::rerun-if-env-changed=PATH");
            let path = env::var_os("PATH").unwrap_or_default();
            for dir in env::split_paths(&path) {
                let holds_programs = dir.ends_with("bin") || dir.ends_with("shims");
                if dir.is_absolute() && dir.is_dir() && holds_programs {
                    println!("cargo::rerun-if-changed={}", dir.display());
                }
            }
        }
        // A registry's return cannot be watched; a path that never exists means each build.
        Failure::Failed(_) => {
            println!("cargo::rerun-if-changed={}", out.join("never").display());
        }
    }
}

/// A Rust expression: the slice of assets that `http::pages` includes.
fn listing(names: &[String]) -> String {
    let mut text = String::from("&[\n");
    for name in names {
        let mime = match Path::new(name).extension().and_then(OsStr::to_str) {
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "application/octet-stream",
        };
        let bytes = |suffix: &str| {
            format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/web/dist/{name}{suffix}\"))")
        };
        let (plain, gzip) = (bytes(""), bytes(".gz"));
        // Names carry the hash of the content, which makes them good ETags, one per encoding.
        writeln!(
            text,
            "    Asset {{ name: {name:?}, mime: {mime:?}, \
             plain: Body {{ etag: \"\\\"{name}\\\"\", bytes: {plain} }}, \
             gzip: Body {{ etag: \"\\\"{name}.gz\\\"\", bytes: {gzip} }} }},"
        )
        .expect("a String takes every write");
    }
    text.push(']');
    text
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}
