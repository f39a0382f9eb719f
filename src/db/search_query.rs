//! What somebody types into a search box, taken apart so that its last word can be matched by its
//! beginning. Pure functions that follow the grammar of PostgreSQL's `websearch_to_tsquery`.

/// A query in three pieces of the same grammar: `before OR (head AND last)`. Any of them may be
/// empty, which asks for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// What stands before the last `or`.
    pub before: String,
    /// What stands behind it, without the last word.
    pub head: String,
    /// The last word, if somebody may still be typing it.
    pub last: String,
    /// All words that are looked for, with `or` between them: what a highlight marks.
    pub words: String,
}

/// What PostgreSQL takes for nothing between two words.
const IGNORED: [char; 5] = ['!', '&', '|', '(', ')'];

/// A query without what PostgreSQL would take for tags or count too deep: `<` separates words, and
/// of several minus signs before a word one is left.
pub fn tidy(query: &str) -> String {
    let mut tidy = String::with_capacity(query.len());
    // Whether a minus sign here would be an operator, and whether there was one already.
    let (mut before_word, mut negated) = (true, false);
    for character in query.chars() {
        let character = if character == '<' { ' ' } else { character };
        if character == '-' && before_word {
            if negated {
                continue;
            }
            negated = true;
        } else {
            before_word =
                character.is_whitespace() || character == '"' || IGNORED.contains(&character);
            negated &= before_word && character != '"';
        }
        tidy.push(character);
    }
    tidy
}

/// Takes a tidy query apart.
pub fn take_apart(query: &str) -> Typed {
    let tokens = tokens(query);
    // A word is still being typed if nothing is behind it and nothing makes it more than a word.
    let last = tokens.last().filter(|token| {
        token.end == query.len()
            && !token.text.starts_with(['"', '-'])
            && !token.text.contains(IGNORED)
            && token.text.ends_with(char::is_alphanumeric)
    });
    let split = last_or(&tokens);
    let (before, from) = match split {
        Some(or) => (&query[..or.start], or.end),
        None => ("", 0),
    };
    let (head, last) = match last {
        Some(last) => (&query[from..last.start], last.text),
        None => (&query[from..], ""),
    };
    let piece = |text: &str| text.trim().to_owned();
    Typed {
        before: piece(before),
        head: piece(head),
        last: piece(last),
        words: words(&tokens),
    }
}

fn words(tokens: &[Token<'_>]) -> String {
    // What holds an address or a number together, PostgreSQL takes for one word as well.
    let apart = |c: char| !c.is_alphanumeric() && !['\'', '.', '@', '_'].contains(&c);
    let wanted = tokens
        .iter()
        .enumerate()
        // What stands behind a minus is not looked for, be it a word or a phrase.
        .filter(|(index, token)| {
            let before = index.checked_sub(1).and_then(|before| tokens.get(before));
            let negated = before.is_some_and(|before| before.text == "-");
            !negated && !token.text.starts_with('-')
        })
        .flat_map(|(_, token)| token.text.split(apart))
        .filter(|word| word.contains(char::is_alphanumeric) && !word.eq_ignore_ascii_case("or"));
    wanted.collect::<Vec<_>>().join(" or ")
}

/// A word, with what clings to it, or a phrase with its quotes.
#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    text: &'a str,
    start: usize,
    end: usize,
}

fn tokens(query: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = 0;
    while let Some(offset) = query[rest..].find(|c: char| !c.is_whitespace()) {
        let start = rest + offset;
        let behind = &query[start..];
        let length = match behind.strip_prefix('"') {
            // Without its end, a phrase goes on to the end of the query.
            Some(phrase) => phrase.find('"').map(|at| at + 2),
            None => behind.find(|c: char| c.is_whitespace() || c == '"'),
        };
        let end = length.map_or(query.len(), |length| start + length);
        tokens.push(Token {
            text: &query[start..end],
            start,
            end,
        });
        rest = end;
    }
    tokens
}

/// The last `or` that is an operator: one with something on both sides.
fn last_or<'a>(tokens: &[Token<'a>]) -> Option<Token<'a>> {
    let mut found = None;
    // Behind an operand comes an operator, which may be left out; behind `or` comes an operand.
    let mut behind_operand = false;
    for (index, token) in tokens.iter().enumerate() {
        let is_or = token.text.eq_ignore_ascii_case("or");
        if is_or && behind_operand && index + 1 < tokens.len() {
            found = Some(*token);
            behind_operand = false;
        } else if token.text != "-" && !token.text.chars().all(|c| IGNORED.contains(&c)) {
            behind_operand = true;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_is_still_being_typed() {
        for (query, before, head, last) in [
            ("", "", "", ""),
            ("   ", "", "", ""),
            ("fi", "", "", "fi"),
            ("fish and chi", "", "fish and", "chi"),
            ("fish -peas chi", "", "fish -peas", "chi"),
            ("\"fish and chips\" pea", "", "\"fish and chips\"", "pea"),
            ("\"fish\"pea", "", "\"fish\"", "pea"),
            ("well-kno", "", "", "well-kno"),
            ("ça é", "", "ça", "é"),
        ] {
            check(query, before, head, last);
        }
    }

    #[test]
    fn a_word_with_something_behind_it_is_complete() {
        for query in [
            "fish ",
            "fish.",
            "\"fish\"",
            "\"fish chi",
            "-fish",
            "a -fish",
            "a (fish",
            "a&b",
            "a !b",
        ] {
            check(query, "", query.trim(), "");
        }
    }

    #[test]
    fn one_minus_is_enough() {
        for (query, expected) in [
            ("a---b --c", "a---b -c"),
            ("- - (-\"d e\" - -f", "-  (\"d e\" - f"),
            ("a<b", "a b"),
        ] {
            assert_eq!(tidy(query), expected, "{query}");
        }
    }

    #[test]
    fn a_highlight_marks_what_is_looked_for() {
        for (query, words) in [
            ("fish and chi", "fish or and or chi"),
            (
                "\"fish and\" or -peas well-known",
                "fish or and or well or known",
            ),
            ("-\"fish pie\" chips", "chips"),
            ("-fish", ""),
            ("ada@example.com !!", "ada@example.com"),
        ] {
            assert_eq!(take_apart(query).words, words, "{query}");
        }
    }

    #[test]
    fn the_last_or_is_found() {
        for (query, before, head, last) in [
            ("fish or chi", "fish", "", "chi"),
            ("fish OR pea chi", "fish", "pea", "chi"),
            ("a or b or c d", "a or b", "c", "d"),
            ("a or b ", "a", "b", ""),
            ("\"a or b\" c", "", "\"a or b\"", "c"),
            // An `or` with nothing on one of its sides is a word.
            ("fish or", "", "fish", "or"),
            ("or fish", "", "or", "fish"),
            ("a or or b", "a", "or", "b"),
            ("oracle", "", "", "oracle"),
            ("\"a b\"or c", "\"a b\"", "", "c"),
            ("a or \"b c\"", "a", "\"b c\"", ""),
        ] {
            check(query, before, head, last);
        }
    }

    #[track_caller]
    fn check(query: &str, before: &str, head: &str, last: &str) {
        let found = take_apart(query);
        let found = (&*found.before, &*found.head, &*found.last);
        assert_eq!(found, (before, head, last), "{query}");
    }
}
