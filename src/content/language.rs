//! Languages as BCP 47 names them, and as others do who mean the same.

use std::fmt;

use language_tags::LanguageTag;

/// A tag with everything that it may hold is shorter.
const MAX_TAG: usize = 100;

/// Tags that name no language: undetermined, several, none, without a code of its own.
const NO_LANGUAGE: [&str; 4] = ["und", "mul", "zxx", "mis"];

/// Codes of providers that are no tags.
const CODES: [(&str, &str); 2] = [("pb", "pt-BR"), ("zt", "zh-Hant")];

/// Languages that go by the name of another one as well.
const SAME: [(&str, &str); 3] = [("cmn", "zh"), ("no", "nb"), ("tl", "fil")];

/// Where Chinese is written in traditional characters, unless it is said otherwise.
const TRADITIONAL: [&str; 3] = ["TW", "HK", "MO"];

/// A language, with its script and region if they are named.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Language {
    language: String,
    script: Option<String>,
    region: Option<String>,
}

impl Language {
    /// Reads a BCP 47 tag of which every part is registered, in its canonical form. Variants and
    /// extensions are left aside: nobody translates into them.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_TAG {
            return None;
        }
        let tag = LanguageTag::parse(text).ok()?;
        tag.validate().ok()?;
        let tag = tag.canonicalize().ok()?;
        let language = tag.primary_language();
        // What is of private use, and some tags of old, have no language at their beginning.
        let named = (2..=8).contains(&language.len())
            && language.chars().all(|c| c.is_ascii_alphabetic())
            && !NO_LANGUAGE.contains(&language);
        named.then(|| Self {
            language: language.to_owned(),
            script: tag.script().map(str::to_owned),
            region: tag.region().map(str::to_owned),
        })
    }

    /// Reads what a provider calls a language.
    pub fn of_code(code: &str) -> Option<Self> {
        let lower = code.to_ascii_lowercase();
        let known = CODES.iter().find(|(name, _)| *name == lower);
        Self::parse(known.map_or(code, |(_, tag)| tag))
    }

    /// Which of a provider's codes is this language: the one that says most of the same.
    pub fn among<'c>(&self, codes: &'c [String]) -> Option<&'c str> {
        let known: Vec<(Self, &str)> = codes
            .iter()
            .filter_map(|code| Some((Self::of_code(code)?.full(), code.as_str())))
            .collect();
        let named = |wanted: Self| known.iter().find(|(language, _)| *language == wanted);
        let own = self.clone().full();
        let without = |script: bool, region: bool| Self {
            language: own.language.clone(),
            script: own.script.clone().filter(|_| script),
            region: own.region.clone().filter(|_| region),
        };
        let narrowed = [(true, true), (true, false), (false, true), (false, false)];
        let found = narrowed
            .iter()
            .find_map(|(script, region)| named(without(*script, *region)));
        // Who names no region is content with any.
        let any = || {
            let same = |(language, _): &&(Self, &str)| language.language == own.language;
            let open = self.region.is_none() && own.script.is_none();
            known.iter().find(same).filter(|_| open)
        };
        found.or_else(any).map(|(_, code)| *code)
    }

    /// What to call it where it is not known which languages there are.
    pub fn code(&self) -> &str {
        let full = self.clone().full();
        match (full.language.as_str(), full.script.as_deref()) {
            ("zh", Some("Hant")) => "zh-Hant",
            _ => &self.language,
        }
    }

    /// The same by one name, and with the script that goes without saying: two that are written
    /// differently are not the same to a reader.
    fn full(mut self) -> Self {
        if let Some((_, name)) = SAME.iter().find(|(name, _)| *name == self.language) {
            (*name).clone_into(&mut self.language);
        }
        if self.language == "zh" && self.script.is_none() {
            let region = self.region.as_deref().unwrap_or_default();
            let traditional = TRADITIONAL.contains(&region);
            self.script = Some(if traditional { "Hant" } else { "Hans" }.to_owned());
        }
        self
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.language)?;
        for part in self.script.iter().chain(&self.region) {
            write!(f, "-{part}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(text: &str) -> Option<String> {
        Language::parse(text).map(|language| language.to_string())
    }

    #[test]
    fn a_tag_is_read_in_its_canonical_form() {
        for (given, canonical) in [
            ("de", "de"),
            ("DE", "de"),
            ("pt-br", "pt-BR"),
            ("ZH-hant-tw", "zh-Hant-TW"),
            ("iw", "he"),
            ("en-Latn-US", "en-US"),
            ("es-419", "es-419"),
            ("de-CH-1901-u-co-phonebk", "de-CH"),
        ] {
            assert_eq!(tag(given).as_deref(), Some(canonical), "{given}");
        }
    }

    #[test]
    fn what_names_no_language_is_none() {
        let long = format!("de-x-{}", "abc-".repeat(40));
        for bad in [
            "",
            " ",
            "d",
            "german",
            "xx",
            "de_DE",
            "de-",
            "de-XX-YY",
            "en-XY9",
            "und",
            "mul",
            "x-klingon",
            "i-default",
            "de DE",
            "дe",
            &long,
        ] {
            assert_eq!(tag(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_provider_is_asked_for_what_it_knows() {
        let codes = ["en", "pt", "pt-BR", "zh-Hans", "zh-Hant", "nb", "tl", "sr"];
        let codes = codes.map(str::to_owned);
        for (asked, code) in [
            ("en-GB", Some("en")),
            ("pt", Some("pt")),
            ("pt-PT", Some("pt")),
            ("pt-BR", Some("pt-BR")),
            ("zh", Some("zh-Hans")),
            ("zh-CN", Some("zh-Hans")),
            ("zh-TW", Some("zh-Hant")),
            ("zh-Hant-HK", Some("zh-Hant")),
            ("no-NO", Some("nb")),
            ("cmn-Hant", Some("zh-Hant")),
            ("fil-PH", Some("tl")),
            ("sr-Latn", Some("sr")),
            ("de", None),
        ] {
            let asked = Language::parse(asked).expect("a tag");
            assert_eq!(asked.among(&codes), code, "{asked}");
        }
    }

    #[test]
    fn codes_of_old_are_known_too() {
        let codes = ["zh", "zt", "pb", "iw"].map(str::to_owned);
        for (asked, code) in [
            ("zh-Hant", Some("zt")),
            ("zh-Hans", Some("zh")),
            ("pt-BR", Some("pb")),
            ("pt", Some("pb")),
            ("pt-PT", None),
            ("he", Some("iw")),
        ] {
            let asked = Language::parse(asked).expect("a tag");
            assert_eq!(asked.among(&codes), code, "{asked}");
        }
        let simplified = ["zh".to_owned()];
        let traditional = Language::parse("zh-Hant").expect("a tag");
        assert_eq!(traditional.among(&simplified), None);
        assert_eq!(traditional.code(), "zh-Hant");
        assert_eq!(Language::parse("pt-BR").expect("a tag").code(), "pt");
    }
}
