//! The rules for single texts: each answers with the fault that it finds. They only look.

use regex::{Regex, RegexBuilder};

const MAX_EMAIL: usize = 320;
const MAX_PATTERN: usize = 1_000;
const MAX_URL: usize = 2048;

/// Most memory of a compiled pattern, in bytes. The time that a match takes grows with it.
const MAX_COMPILED: usize = 64 * 1024;

/// A text of some length that may be empty.
pub fn text(text: &str, most: usize) -> Option<String> {
    if text.chars().count() > most {
        Some(format!("must be at most {most} characters"))
    } else if text.contains('\0') {
        // PostgreSQL has no texts with this character.
        Some("must not contain the character U+0000".to_owned())
    } else {
        None
    }
}

/// An address that a reader's browser may open.
pub fn url(text: &str) -> Option<String> {
    let web = text.starts_with("https://") || text.starts_with("http://");
    if text.len() > MAX_URL {
        Some(format!("must be at most {MAX_URL} bytes"))
    } else if !web || text.chars().any(strange) {
        Some("must be an http or https URL".to_owned())
    } else {
        None
    }
}

/// A page of a web site: an address, or a path on it. No other scheme, since it may be opened.
pub fn page(text: &str) -> Option<String> {
    let scheme = text.split_once(':').map(|(scheme, _)| scheme);
    let named = |scheme: &&str| {
        scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    match scheme.filter(named) {
        Some(scheme)
            if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") =>
        {
            None
        }
        Some(_) => Some("must be an http or https URL, or a path".to_owned()),
        None => None,
    }
}

/// An e-mail address, as far as its shape tells.
pub fn email(text: &str) -> Option<String> {
    let parts = text
        .split_once('@')
        .filter(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
    let wrong = parts.is_none() || text.chars().count() > MAX_EMAIL || text.chars().any(strange);
    wrong.then(|| "must be an e-mail address".to_owned())
}

/// A pattern that a whole value must match, as the `pattern` of an HTML field; `None`: it is not
/// one that this server can run in linear time.
pub fn pattern(text: &str) -> Option<Regex> {
    if text.chars().count() > MAX_PATTERN {
        return None;
    }
    let text = as_browsers_read(text);
    let compile = |pattern: &str| {
        RegexBuilder::new(pattern)
            .size_limit(MAX_COMPILED)
            .dfa_size_limit(MAX_COMPILED)
            .build()
            .ok()
    };
    // By itself first: `a)|(b` is a pattern only between the parentheses.
    compile(&text)?;
    compile(&format!(r"\A(?:{text})\z"))
}

fn strange(c: char) -> bool {
    c.is_control() || c.is_whitespace()
}

/// The pattern with `\d`, `\w` and `\b` as browsers take them: for ASCII alone. What a browser
/// refuses must not pass here, and the compiled classes stay small.
fn as_browsers_read(pattern: &str) -> String {
    let mut read = String::with_capacity(pattern.len());
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            read.push(c);
            continue;
        }
        match rest.next() {
            Some('d') => read.push_str("[0-9]"),
            Some('D') => read.push_str("[^0-9]"),
            Some('w') => read.push_str("[0-9A-Za-z_]"),
            Some('W') => read.push_str("[^0-9A-Za-z_]"),
            Some('b') => read.push_str(r"(?-u:\b)"),
            Some('B') => read.push_str(r"(?-u:\B)"),
            next => {
                read.push(c);
                read.extend(next);
            }
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(rule: &str, text: &str) -> bool {
        pattern(rule)
            .unwrap_or_else(|| panic!("{rule} is no pattern"))
            .is_match(text)
    }

    #[test]
    fn a_pattern_matches_the_whole_value() {
        assert!(matches("[a-z]+", "abc"));
        assert!(!matches("[a-z]+", "abc1"));
        assert!(!matches("[a-z]+", "abc\n"));
        assert!(matches("a|ab", "ab"));
        assert!(!matches("a|b", "xb"));
        assert!(matches(r"^\+?[\d -]{5,}$", "+49 30-1234"));
    }

    #[test]
    fn a_pattern_takes_digits_and_letters_as_browsers_do() {
        assert!(matches(r"\d{3}", "123"));
        assert!(!matches(r"\d{3}", "١٢٣"));
        assert!(!matches(r"\w+", "é"));
        assert!(matches(r"[^\d]+", "é"));
        assert!(matches(r"\\d", r"\d"));
        assert!(matches(r"\bnew\b.*", "new"));
        assert!(matches(r"\p{L}+", "é"));
    }

    #[test]
    fn what_cannot_run_in_linear_time_is_no_pattern() {
        for bad in [
            "[",
            "a)|(b",
            "(?=a)b",
            r"(a)\1",
            r"\",
            "((a{999}){999}){999}",
            &"a".repeat(1_001),
        ] {
            assert!(pattern(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn only_web_addresses_are_urls() {
        for bad in [
            "",
            "javascript:alert(1)",
            "//a.example",
            "http://a b",
            "a.example",
        ] {
            assert!(url(bad).is_some(), "{bad}");
        }
        assert_eq!(url("https://example.com/a?b"), None);
    }
}
