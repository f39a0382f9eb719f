//! In which language words are searched: a text search configuration of PostgreSQL.

use std::io::Write;
use std::str::FromStr;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::Text;

/// Words as they are, not stemmed.
const PLAIN: &str = "simple";

/// What BCP 47 calls a language, and what PostgreSQL 15 calls the configuration that knows it.
const STEMMED: [(&str, &str); 30] = [
    ("ar", "arabic"),
    ("ca", "catalan"),
    ("da", "danish"),
    ("de", "german"),
    ("el", "greek"),
    ("en", "english"),
    ("es", "spanish"),
    ("eu", "basque"),
    ("fi", "finnish"),
    ("fr", "french"),
    ("ga", "irish"),
    ("hi", "hindi"),
    ("hu", "hungarian"),
    ("hy", "armenian"),
    ("id", "indonesian"),
    ("it", "italian"),
    ("lt", "lithuanian"),
    ("nb", "norwegian"),
    ("ne", "nepali"),
    ("nl", "dutch"),
    ("nn", "norwegian"),
    ("no", "norwegian"),
    ("pt", "portuguese"),
    ("ro", "romanian"),
    ("ru", "russian"),
    ("sr", "serbian"),
    ("sv", "swedish"),
    ("ta", "tamil"),
    ("tr", "turkish"),
    ("yi", "yiddish"),
];

/// A language whose words PostgreSQL stems, or none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, AsExpression, FromSqlRow)]
#[diesel(sql_type = Text)]
pub struct SearchLanguage(&'static str);

impl SearchLanguage {
    /// Of somebody who writes in a language, by its BCP 47 tag: `pt-BR` is Portuguese. The words
    /// of a language that PostgreSQL does not know are taken as they are.
    pub fn of(tag: &str) -> Self {
        let primary = tag.trim().split(['-', '_']).next().unwrap_or_default();
        let known = |(name, _): &&(&str, &str)| name.eq_ignore_ascii_case(primary);
        Self(STEMMED.iter().find(known).map_or(PLAIN, |(_, own)| own))
    }

    /// The name of the configuration.
    pub fn as_str(self) -> &'static str {
        self.0
    }

    fn stored(name: &str) -> Option<Self> {
        let mut known = STEMMED.iter().map(|(_, own)| *own).chain([PLAIN]);
        known.find(|own| *own == name).map(Self)
    }
}

impl Default for SearchLanguage {
    fn default() -> Self {
        Self(PLAIN)
    }
}

impl FromStr for SearchLanguage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::of(text);
        if found.0 != PLAIN || text == PLAIN {
            return Ok(found);
        }
        let known: Vec<&str> = STEMMED.iter().map(|(name, _)| *name).collect();
        Err(format!("{PLAIN}, or one of {}", known.join(", ")))
    }
}

impl ToSql<Text, Pg> for SearchLanguage {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(self.0.as_bytes())?;
        Ok(IsNull::No)
    }
}

impl FromSql<Text, Pg> for SearchLanguage {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let name = std::str::from_utf8(value.as_bytes())?;
        Self::stored(name).ok_or_else(|| format!("{name} is no search language").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primary_subtag_decides() {
        for (tag, configuration) in [
            ("en", "english"),
            ("en-US", "english"),
            ("PT-br", "portuguese"),
            ("pt_BR", "portuguese"),
            ("zh-Hant", "simple"),
            ("english", "simple"),
            ("", "simple"),
        ] {
            assert_eq!(SearchLanguage::of(tag).as_str(), configuration, "{tag}");
        }
    }

    #[test]
    fn a_setting_names_a_language_that_is_known() {
        for good in ["simple", "en", "pt-BR"] {
            assert!(good.parse::<SearchLanguage>().is_ok(), "{good}");
        }
        for bad in ["", "english", "zh", "Simple"] {
            assert!(bad.parse::<SearchLanguage>().is_err(), "{bad}");
        }
    }
}
