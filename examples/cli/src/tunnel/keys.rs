//! The text of a specification: `kind,key=value,…`.

use core::net::Ipv4Addr;
use core::ops::RangeInclusive;
use core::str::FromStr;

pub(super) enum WordOr<T> {
    Word,
    Number(T),
}

/// The keys of a specification that nobody has asked for yet.
pub(super) struct Keys<'t> {
    pub(super) kind: &'t str,
    left: Vec<(&'t str, &'t str)>,
    /// The first one that has to be there and is not. A misspelt one may be the reason, so that is told first.
    missing: Option<&'static str>,
}

impl<'t> Keys<'t> {
    pub(super) fn split(text: &'t str) -> Result<Self, String> {
        let mut items = text.split(',');
        let kind = items.next().unwrap_or_default();
        let mut left: Vec<(&str, &str)> = Vec::new();
        for item in items {
            let Some((key, value)) = item.split_once('=') else {
                return Err(format!("'{item}' is not key=value"));
            };
            if key != "inner" && left.iter().any(|&(known, _)| known == key) {
                return Err(format!("'{key}' is given twice"));
            }
            left.push((key, value));
        }
        Ok(Self {
            kind,
            left,
            missing: None,
        })
    }

    pub(super) fn finish(&self) -> Result<(), String> {
        if let Some((key, _)) = self.left.first() {
            return Err(format!("'{}' has no key '{key}'", self.kind));
        }
        self.missing
            .map_or(Ok(()), |key| Err(format!("'{key}' is missing")))
    }

    fn take(&mut self, key: &str) -> Option<&'t str> {
        let index = self.left.iter().position(|&(known, _)| known == key)?;
        Some(self.left.remove(index).1)
    }

    pub(super) fn take_all(&mut self, key: &'static str) -> impl Iterator<Item = &'t str> {
        self.left
            .extract_if(.., move |&mut (known, _)| known == key)
            .map(|(_, value)| value)
    }

    /// An address that has to be there. `stand_in` is used until [`finish`](Self::finish) tells that it is not.
    pub(super) fn address(
        &mut self,
        key: &'static str,
        stand_in: Ipv4Addr,
    ) -> Result<Ipv4Addr, String> {
        let Some(value) = self.take(key) else {
            self.missing.get_or_insert(key);
            return Ok(stand_in);
        };
        value
            .parse()
            .map_err(|_| format!("{key}={value}: expected an IPv4 address"))
    }

    pub(super) fn number<T: Number>(
        &mut self,
        key: &str,
        range: RangeInclusive<T>,
    ) -> Result<Option<T>, String> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        match number(value, &range) {
            Some(number) => Ok(Some(number)),
            None => Err(format!(
                "{key}={value}: expected {} to {}",
                range.start(),
                range.end()
            )),
        }
    }

    /// A number that has to be there. Without it the first one is used until [`finish`](Self::finish) tells.
    pub(super) fn required<T: Number + Copy>(
        &mut self,
        key: &'static str,
        range: RangeInclusive<T>,
    ) -> Result<T, String> {
        let first = *range.start();
        let number = self.number(key, range)?;
        if number.is_none() {
            self.missing.get_or_insert(key);
        }
        Ok(number.unwrap_or(first))
    }

    /// `timestamps=yes|no` or `ts=VALUE:ECHO`.
    pub(super) fn timestamps(&mut self) -> Result<Option<(u32, u32)>, String> {
        let wanted = self.take("timestamps");
        let said = self.take("ts");
        let values = match said {
            None => (0, 0),
            Some(text) => text
                .split_once(':')
                .and_then(|(value, echo)| {
                    let all = 0..=u32::MAX;
                    Some((number(value, &all)?, number(echo, &all)?))
                })
                .ok_or_else(|| format!("ts={text}: expected VALUE:ECHO"))?,
        };
        match (wanted, said) {
            (Some("yes"), _) | (None, Some(_)) => Ok(Some(values)),
            (None | Some("no"), None) => Ok(None),
            (Some("no"), Some(text)) => Err(format!("ts={text}: timestamps=no says otherwise")),
            (Some(other), _) => Err(format!("timestamps={other}: expected yes or no")),
        }
    }

    pub(super) fn word_or_number<T: Number>(
        &mut self,
        key: &str,
        word: &str,
        range: RangeInclusive<T>,
    ) -> Result<Option<WordOr<T>>, String> {
        match self.take(key) {
            None => Ok(None),
            Some(value) if value == word => Ok(Some(WordOr::Word)),
            Some(value) => match number(value, &range) {
                Some(number) => Ok(Some(WordOr::Number(number))),
                None => Err(format!(
                    "{key}={value}: expected {word}, or {} to {}",
                    range.start(),
                    range.end()
                )),
            },
        }
    }

    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &str,
        default: T,
        choices: &[(&str, T)],
    ) -> Result<T, String> {
        let Some(value) = self.take(key) else {
            return Ok(default);
        };
        let found = choices.iter().find(|(name, _)| *name == value);
        found.map(|&(_, choice)| choice).ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            format!("{key}={value}: expected {}", names.join(" or "))
        })
    }
}

pub(super) trait Number: FromStr + PartialOrd + core::fmt::Display {}
impl<T: FromStr + PartialOrd + core::fmt::Display> Number for T {}

/// Digits only: no sign, no space.
pub(super) fn number<T: Number>(text: &str, range: &RangeInclusive<T>) -> Option<T> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|number| range.contains(number))
}
