//! What a file is: what its first bytes say, whether that fits what was declared, and how it is
//! handed out.
//!
//! Knows formats, never people or places.

use mediatype::MediaType;

use crate::content::file::is_raster;
use crate::error::{Error, FieldError, Result};
use crate::storage::Declared;

/// What is not known.
pub const UNKNOWN: &str = "application/octet-stream";

/// Other names of a type, each with the one that is kept.
const ALIASES: [(&str, &str); 46] = [
    ("application/binary", UNKNOWN),
    ("application/unknown", UNKNOWN),
    ("application/x-binary", UNKNOWN),
    ("application/x-unknown", UNKNOWN),
    ("binary/octet-stream", UNKNOWN),
    ("application/acrobat", "application/pdf"),
    ("application/x-pdf", "application/pdf"),
    ("application/x-gzip", "application/gzip"),
    ("application/x-7z", "application/x-7z-compressed"),
    ("application/x-bzip", "application/x-bzip2"),
    ("application/x-javascript", "text/javascript"),
    ("application/javascript", "text/javascript"),
    ("application/x-json", "application/json"),
    ("text/json", "application/json"),
    ("application/x-rar", "application/vnd.rar"),
    ("application/x-rar-compressed", "application/vnd.rar"),
    ("application/x-rtf", "application/rtf"),
    ("text/rtf", "application/rtf"),
    ("application/x-zip", "application/zip"),
    ("application/x-zip-compressed", "application/zip"),
    ("application/csv", "text/csv"),
    ("application/x-csv", "text/csv"),
    ("text/x-csv", "text/csv"),
    ("application/xml", "text/xml"),
    ("audio/m4a", "audio/mp4"),
    ("audio/x-m4a", "audio/mp4"),
    ("audio/mp3", "audio/mpeg"),
    ("audio/x-mp3", "audio/mpeg"),
    ("audio/mpeg3", "audio/mpeg"),
    ("audio/x-mpeg", "audio/mpeg"),
    ("audio/vnd.wave", "audio/wav"),
    ("audio/wave", "audio/wav"),
    ("audio/x-wav", "audio/wav"),
    ("audio/x-flac", "audio/flac"),
    ("audio/opus", "audio/ogg"),
    ("audio/x-aac", "audio/aac"),
    ("image/jpg", "image/jpeg"),
    ("image/pjpeg", "image/jpeg"),
    ("image/x-png", "image/png"),
    ("image/vnd.mozilla.apng", "image/apng"),
    ("image/x-bmp", "image/bmp"),
    ("image/x-ms-bmp", "image/bmp"),
    ("image/x-icon", "image/vnd.microsoft.icon"),
    ("video/avi", "video/x-msvideo"),
    ("video/msvideo", "video/x-msvideo"),
    ("video/x-m4v", "video/mp4"),
];

/// Types that share their beginning, or are one for the other in practice.
const KIN: [&[&str]; 12] = [
    &["image/png", "image/apng"],
    &[
        "image/heif",
        "image/heic",
        "image/heif-sequence",
        "image/heic-sequence",
        "image/avif",
    ],
    &["image/tiff", "image/x-canon-cr2"],
    &[
        "video/mp4",
        "audio/mp4",
        "video/quicktime",
        "video/3gpp",
        "video/3gpp2",
        "audio/3gpp",
        "audio/3gpp2",
        "audio/aac",
        "application/mp4",
    ],
    &["audio/mpeg", "audio/aac", "audio/aacp"],
    &[
        "video/webm",
        "audio/webm",
        "video/x-matroska",
        "audio/x-matroska",
    ],
    &["audio/ogg", "video/ogg", "application/ogg"],
    &["video/x-ms-wmv", "video/x-ms-asf", "audio/x-ms-wma"],
    &["audio/amr", "audio/3gpp"],
    // Word gives its own type to texts in RTF, Excel to tables of plain text.
    &["application/rtf", "application/msword"],
    &["text/plain", "application/vnd.ms-excel"],
    // A drawing program saves as one of them, and calls it its own.
    &[
        "application/pdf",
        "application/illustrator",
        "application/postscript",
    ],
];

/// Types by which content that does something when it is opened may call itself.
const PROGRAMS: [&str; 16] = [
    "application/vnd.microsoft.portable-executable",
    "application/x-msdownload",
    "application/x-msdos-program",
    "application/x-dosexec",
    "application/x-executable",
    "application/x-elf",
    "application/x-sharedlib",
    "application/x-pie-executable",
    "application/x-mach-binary",
    "application/exe",
    "application/x-exe",
    "application/java",
    "application/java-vm",
    "application/vnd.android.dex",
    "application/vnd.android.dey",
    "application/wasm",
];

/// Types whose content always begins as `found` knows it: what begins otherwise is not that.
const SIGNED: [&str; 22] = [
    "application/gzip",
    "application/pdf",
    "application/vnd.rar",
    "application/wasm",
    "application/x-7z-compressed",
    "application/x-xz",
    "application/zip",
    "application/zstd",
    "audio/ogg",
    "audio/wav",
    "image/apng",
    "image/avif",
    "image/bmp",
    "image/gif",
    "image/heic",
    "image/jpeg",
    "image/png",
    "image/tiff",
    "image/webp",
    "video/mp4",
    "video/webm",
    "video/x-matroska",
];

/// Containers: what is in them says what they are, and only their maker knows it.
const CONTAINERS: [&str; 13] = [
    "application/zip",
    "application/gzip",
    "application/x-bzip2",
    "application/vnd.bzip3",
    "application/x-xz",
    "application/zstd",
    "application/x-lz4",
    "application/x-lzip",
    "application/x-7z-compressed",
    "application/x-tar",
    "application/x-ole-storage",
    "application/vnd.sqlite3",
    "application/vnd.ms-cab-compressed",
];

/// Formats of pictures, sounds and the like that are written as text.
const WRITTEN: [&str; 9] = [
    "image/x-xbitmap",
    "image/x-xpixmap",
    "image/x-portable-anymap",
    "image/x-portable-bitmap",
    "image/x-portable-graymap",
    "image/x-portable-pixmap",
    "audio/mpegurl",
    "audio/x-mpegurl",
    "audio/x-scpls",
];

/// What browsers show without running anything of it.
const SHOWN: [&str; 24] = [
    "application/pdf",
    "audio/aac",
    "audio/flac",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/webm",
    "image/apng",
    "image/avif",
    "image/bmp",
    "image/gif",
    "image/heic",
    "image/heif",
    "image/jpeg",
    "image/png",
    "image/tiff",
    "image/webp",
    "text/plain",
    "video/3gpp",
    "video/mp4",
    "video/ogg",
    "video/quicktime",
    "video/webm",
];

/// What the beginning of a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Readable text; what kind of one, as far as it says.
    Text(&'static str),
    /// Something that holds other things.
    Container(&'static str),
    /// A program.
    Program(&'static str),
    /// One format.
    Format(&'static str),
    /// Nothing.
    Nothing,
}

/// The media type to keep of a file whose content begins with `head`.
///
/// What the client declares counts where the content may be that; what the content says counts
/// where nothing is declared. Where they contradict each other it fails, naming both.
pub fn judge(declared: &Declared, head: &[u8]) -> Result<String> {
    let said = essence(&declared.mime_type);
    let found = find(head);
    fitting(&said, found, head).ok_or_else(|| {
        Error::UnsupportedMediaType(FieldError {
            path: "file".to_owned(),
            message: format!(
                "{} is declared as {said}, but its content is {}",
                declared.name,
                found.mime_type()
            ),
        })
    })
}

/// A media type without parameters, in small letters and by its usual name; what is none is
/// unknown.
pub fn essence(text: &str) -> String {
    let essence = MediaType::parse(text).map(|kind| kind.essence().to_string());
    let essence = essence.unwrap_or_default().to_ascii_lowercase();
    let alias = ALIASES.iter().find(|(alias, _)| *alias == essence);
    match alias {
        Some((_, kept)) => (*kept).to_owned(),
        None if essence.is_empty() => UNKNOWN.to_owned(),
        None => essence,
    }
}

/// Whether it may be shown in a browser's window: nothing of it runs there.
pub fn is_shown(mime_type: &str) -> bool {
    SHOWN.contains(&mime_type)
}

/// The media type to hand it out with. What is not shown is bytes to be saved: no browser makes
/// anything else of it.
pub fn served(mime_type: &str) -> &str {
    match mime_type {
        "text/plain" => "text/plain; charset=utf-8",
        shown if is_shown(shown) => shown,
        _ => UNKNOWN,
    }
}

/// The width and height of an image, if its beginning says so.
pub fn pixels(mime_type: &str, head: &[u8]) -> Option<(i32, i32)> {
    let size = is_raster(mime_type).then(|| imagesize::blob_size(head).ok());
    let size = size.flatten()?;
    let side = |pixels: usize| i32::try_from(pixels).ok().filter(|pixels| *pixels > 0);
    Some((side(size.width)?, side(size.height)?))
}

fn fitting(said: &str, found: Found, head: &[u8]) -> Option<String> {
    let kind = found.mime_type();
    if said == UNKNOWN {
        return Some(kind.to_owned());
    }
    let group = |group: &&[&str]| group.contains(&said) && group.contains(&kind);
    if said == kind || KIN.iter().any(group) {
        return Some(said.to_owned());
    }
    if let Found::Program(_) = found {
        return PROGRAMS.contains(&said).then(|| said.to_owned());
    }
    if PROGRAMS.contains(&said) && found != Found::Nothing {
        // No harm, but no program either.
        return Some(kind.to_owned());
    }
    if said == "application/zip" && is_packed(kind) {
        return Some(said.to_owned());
    }
    let contains = matches!(found, Found::Container(_));
    if SIGNED.contains(&said) || (is_packed(said) && !contains) {
        return None;
    }
    let (major, minor) = said.split_once('/').unwrap_or((said, ""));
    match found {
        Found::Text(_) if said == "video/mp2t" => Some("text/plain".to_owned()), // TypeScript
        Found::Text(_) if minor.starts_with("svg") => mentions_svg(head).then(|| said.to_owned()),
        Found::Text(_) => {
            let readable = matches!(major, "text" | "application" | "message" | "model");
            (readable || WRITTEN.contains(&said)).then(|| said.to_owned())
        }
        Found::Container(_) => {
            let holds = matches!(major, "application" | "model" | "font" | "chemical");
            (holds || minor == "openraster").then(|| said.to_owned())
        }
        Found::Format(_) => {
            // What it is says more than a type that we do not know.
            let near = major == "application" || kind.split('/').next() == Some(major);
            (near && !minor.starts_with("svg")).then(|| kind.to_owned())
        }
        Found::Nothing if major == "text" => Some(UNKNOWN.to_owned()),
        Found::Nothing => Some(said.to_owned()),
        Found::Program(_) => None,
    }
}

impl Found {
    fn mime_type(self) -> &'static str {
        match self {
            Self::Text(kind) | Self::Container(kind) | Self::Program(kind) | Self::Format(kind) => {
                kind
            }
            Self::Nothing => UNKNOWN,
        }
    }
}

fn find(head: &[u8]) -> Found {
    // Before the signatures: some of them are two letters.
    if is_text(head) {
        return text(head);
    }
    if let Some(found) = infer::get(head) {
        let kind = found.mime_type();
        let kept = ALIASES.iter().find(|(alias, _)| *alias == kind);
        let kind = kept.map_or(kind, |(_, kept)| *kept);
        return match kind {
            UNKNOWN => Found::Nothing,
            kind if PROGRAMS.contains(&kind) => Found::Program(kind),
            kind if CONTAINERS.contains(&kind) || is_packed(kind) || is_compound(kind) => {
                Found::Container(kind)
            }
            kind if kind.starts_with("text/") => text(head),
            kind => Found::Format(kind),
        };
    }
    if head.get(4..8) == Some(b"ftyp") {
        // Of a brand that is not known: new ones come with every camera.
        return Found::Format("video/mp4");
    }
    if head.iter().any(|byte| is_binary(*byte)) {
        return Found::Nothing;
    }
    text(head)
}

/// Documents that are ZIP archives.
fn is_packed(kind: &str) -> bool {
    const BEGINNINGS: [&str; 4] = [
        "application/epub+zip",
        "application/vnd.oasis.opendocument",
        "application/vnd.openxmlformats",
        "image/openraster",
    ];
    let flat = kind.ends_with("-flat-xml");
    !flat && BEGINNINGS.iter().any(|start| kind.starts_with(start))
}

/// Documents in the container of older office programs.
fn is_compound(kind: &str) -> bool {
    let excel_and_others =
        kind.starts_with("application/vnd.ms-") && kind != "application/vnd.ms-photo";
    kind == "application/msword" || excel_and_others
}

fn text(head: &[u8]) -> Found {
    if head.starts_with(b"%PDF-") {
        return Found::Format("application/pdf");
    }
    if head.starts_with(b"{\\rtf") {
        return Found::Text("application/rtf");
    }
    let is_markup = head.trim_ascii_start().starts_with(b"<");
    Found::Text(if infer::is_mime(head, "text/html") {
        "text/html"
    } else if is_markup && mentions_svg(head) {
        "image/svg+xml"
    } else if infer::is_mime(head, "text/xml") {
        "text/xml"
    } else {
        "text/plain"
    })
}

/// Whether it is text in UTF-8, or says that it is text in UTF-16.
fn is_text(head: &[u8]) -> bool {
    let utf16 = [[0xff, 0xfe], [0xfe, 0xff]];
    if utf16.iter().any(|mark| head.starts_with(mark)) {
        return true;
    }
    let readable = match std::str::from_utf8(head) {
        Ok(_) => true,
        // The last character may go on behind the head.
        Err(error) => error.error_len().is_none() && head.len() - error.valid_up_to() < 4,
    };
    readable && !head.iter().any(|byte| is_binary(*byte))
}

/// Whether a byte stands in no text (WHATWG MIME Sniffing, "binary data byte").
fn is_binary(byte: u8) -> bool {
    matches!(byte, 0x00..=0x08 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f)
}

fn mentions_svg(head: &[u8]) -> bool {
    head.windows(4)
        .any(|four| four.eq_ignore_ascii_case(b"<svg"))
}

#[cfg(test)]
mod tests;
