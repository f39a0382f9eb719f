//! What is refused, and what must not be.

use super::*;

/// What begins files of these types, as far as it matters.
fn head(kind: &str) -> Vec<u8> {
    let bytes: &[u8] = match kind {
        "png" => b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x03\0\0\0\x02\x08\x02\0\0\0",
        "jpeg" => b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0",
        "gif" => b"GIF89a\x03\0\x02\0\x80\0\0\0\0\0",
        "bmp" => b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0",
        "heic" => b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        "mp4" => b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2",
        "new mp4" => b"\0\0\0\x18ftypzz99\0\0\x02\0zz99iso2",
        "m4a" => b"\0\0\0\x18ftypM4A \0\0\x02\0isomiso2",
        "mov" => b"\0\0\0\x14ftypqt  \0\0\x02\0qt  ",
        "webm" => b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\xf3\x81\x08\x42\x82\x84webm",
        "ogg" => b"OggS\0\x02\0\0\0\0\0\0\0\0\x01\x02\x03\x04",
        "mp3" => b"ID3\x04\0\0\0\0\0\x23TSSE",
        "wav" => b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0",
        "zip" => b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0",
        "ole" => b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0\0\0\0\0\0\0",
        "gzip" => b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
        "pdf" => b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj",
        "plain pdf" => b"%PDF-1.4\n1 0 obj << >> endobj",
        "exe" => b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0",
        "elf" => b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        "text" => b"Dear Ada,\nthe analytical engine weaves.\n",
        "two letters" => b"BM and MZ are letters like II* and ID3.",
        "latin" => b"Caf\xe9 cr\xe8me\n",
        "utf16" => b"\xff\xfeh\0e\0l\0l\0o\0",
        "csv" => b"name;count\nada;1\n",
        "json" => b"{\"a\": [1, 2]}",
        "xml" => b"<?xml version=\"1.0\"?>\n<a/>",
        "svg" => b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>",
        "xml svg" => b"<?xml version=\"1.0\"?><!-- x --><svg viewBox=\"0 0 1 1\"/>",
        "html" => b"<!doctype html> <script>alert(1)</script>",
        "script" => b"#!/bin/sh\nrm -rf /\n",
        "rtf" => b"{\\rtf1\\ansi hello}",
        "noise" => b"\x01\x02\x03\x04\xfe\xfa\0\x07\x13\x37",
        other => panic!("{other}"),
    };
    // Some formats are looked for in more bytes than these.
    match kind {
        "webm" => [bytes, &[0; 300]].concat(),
        _ => bytes.to_vec(),
    }
}

fn judged(declared: &str, content: &str) -> Option<String> {
    let declared = Declared {
        name: "x".to_owned(),
        mime_type: declared.to_owned(),
    };
    judge(&declared, &head(content)).ok()
}

#[test]
fn what_fits_is_kept_as_it_was_declared() {
    for (declared, content) in [
        ("image/png", "png"),
        ("image/apng", "png"),
        ("image/jpeg", "jpeg"),
        ("image/heic", "heic"),
        ("image/heif", "heic"),
        ("video/mp4", "mp4"),
        ("video/mp4", "new mp4"),
        ("audio/mp4", "mp4"),
        ("audio/mp4", "m4a"),
        ("video/quicktime", "mov"),
        ("video/quicktime", "mp4"),
        ("video/3gpp", "mp4"),
        ("video/webm", "webm"),
        ("audio/webm", "webm"),
        ("audio/ogg", "ogg"),
        ("video/ogg", "ogg"),
        ("audio/mpeg", "mp3"),
        ("audio/wav", "wav"),
        ("application/zip", "zip"),
        ("application/java-archive", "zip"),
        ("application/vnd.android.package-archive", "zip"),
        (
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "zip",
        ),
        // With a password.
        (
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "ole",
        ),
        ("application/vnd.oasis.opendocument.text", "zip"),
        ("application/msword", "ole"),
        ("application/msword", "rtf"),
        ("application/vnd.ms-outlook", "ole"),
        ("application/gzip", "gzip"),
        ("application/x-tar", "gzip"),
        ("application/pdf", "pdf"),
        ("application/pdf", "plain pdf"),
        ("application/illustrator", "pdf"),
        ("application/x-msdownload", "exe"),
        ("text/plain", "text"),
        ("text/plain", "two letters"),
        ("text/plain", "latin"),
        ("text/plain", "utf16"),
        ("text/plain", "html"),
        ("text/markdown", "text"),
        ("text/csv", "csv"),
        // What browsers on Windows call a table.
        ("application/vnd.ms-excel", "csv"),
        ("application/json", "json"),
        ("application/ld+json", "json"),
        ("application/x-yaml", "text"),
        ("application/x-sh", "script"),
        ("message/rfc822", "text"),
        ("text/xml", "xml"),
        ("application/atom+xml", "xml"),
        ("image/svg+xml", "svg"),
        ("image/svg+xml", "xml svg"),
        ("text/html", "html"),
        ("application/x-something", "noise"),
        ("video/mp2t", "noise"),
        ("model/stl", "text"),
        ("image/x-portable-pixmap", "text"),
    ] {
        assert_eq!(
            judged(declared, content).as_deref(),
            Some(declared),
            "{content}"
        );
    }
}

#[test]
fn what_is_something_else_is_refused() {
    for (declared, content) in [
        ("image/png", "exe"),
        ("image/png", "elf"),
        ("image/png", "jpeg"),
        ("image/png", "text"),
        ("image/png", "html"),
        ("image/png", "noise"),
        ("image/png", "zip"),
        ("image/gif", "html"),
        ("image/jpeg", "svg"),
        ("image/svg+xml", "text"),
        ("image/svg+xml", "png"),
        ("text/plain", "exe"),
        ("text/plain", "png"),
        ("application/zip", "exe"),
        ("application/x-something", "exe"),
        ("application/pdf", "html"),
        ("application/pdf", "zip"),
        ("application/gzip", "zip"),
        (
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "text",
        ),
        ("application/vnd.oasis.opendocument.text", "png"),
        ("audio/mpeg", "png"),
        ("audio/mpeg", "text"),
        ("video/mp4", "text"),
        ("video/mp4", "noise"),
        ("video/webm", "mp4"),
    ] {
        assert_eq!(judged(declared, content), None, "{declared} {content}");
    }
}

#[test]
fn what_is_not_declared_is_what_it_is() {
    for (content, expected) in [
        ("png", "image/png"),
        ("jpeg", "image/jpeg"),
        ("mp4", "video/mp4"),
        ("exe", "application/vnd.microsoft.portable-executable"),
        ("zip", "application/zip"),
        ("text", "text/plain"),
        ("html", "text/html"),
        ("svg", "image/svg+xml"),
        ("xml", "text/xml"),
        ("plain pdf", "application/pdf"),
        ("noise", UNKNOWN),
    ] {
        for declared in [UNKNOWN, "", "nonsense", "binary/octet-stream"] {
            assert_eq!(
                judged(declared, content).as_deref(),
                Some(expected),
                "{declared}"
            );
        }
    }
}

#[test]
fn another_name_of_a_type_is_the_type() {
    for (declared, content, expected) in [
        ("image/jpg", "jpeg", "image/jpeg"),
        ("IMAGE/PNG; x=y", "png", "image/png"),
        ("text/plain; charset=utf-8", "text", "text/plain"),
        ("application/x-zip-compressed", "zip", "application/zip"),
        ("audio/x-m4a", "m4a", "audio/mp4"),
        // A type that nobody knows, of what everybody knows.
        ("image/x-camera", "jpeg", "image/jpeg"),
        ("application/x-picture", "png", "image/png"),
        // TypeScript, as browsers call it.
        ("video/mp2t", "text", "text/plain"),
        ("text/plain", "noise", UNKNOWN),
    ] {
        assert_eq!(
            judged(declared, content).as_deref(),
            Some(expected),
            "{declared}"
        );
    }
}

#[test]
fn a_refusal_names_both_types_and_the_file() {
    let declared = Declared {
        name: "cat.png".to_owned(),
        mime_type: "image/png".to_owned(),
    };
    let Err(Error::UnsupportedMediaType(field)) = judge(&declared, &head("exe")) else {
        panic!("it is refused");
    };
    for named in ["cat.png", "image/png", "portable-executable"] {
        assert!(field.message.contains(named), "{}", field.message);
    }
}

#[test]
fn nothing_that_runs_is_shown() {
    for active in [
        "text/html",
        "image/svg+xml",
        "text/xml",
        "application/xhtml+xml",
        "text/javascript",
        "text/css",
        "application/x-shockwave-flash",
        UNKNOWN,
    ] {
        assert!(!is_shown(active));
        assert_eq!(served(active), UNKNOWN);
    }
    assert_eq!(served("image/png"), "image/png");
    assert_eq!(served("text/plain"), "text/plain; charset=utf-8");
}

#[test]
fn an_image_has_a_width_and_a_height() {
    assert_eq!(pixels("image/png", &head("png")), Some((3, 2)));
    assert_eq!(pixels("image/gif", &head("gif")), Some((3, 2)));
    // Its size stands behind what was kept.
    assert_eq!(pixels("image/jpeg", &head("jpeg")), None);
    assert_eq!(pixels("text/plain", &head("png")), None);
}

#[test]
fn a_character_that_goes_on_behind_the_head_is_text() {
    let text = "é".repeat(10);
    assert_eq!(find(&text.as_bytes()[..19]), Found::Text("text/plain"));
}
