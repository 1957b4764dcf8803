//! A table of a TOML file whose keys are taken one by one.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::place::{Place, Placed, Wrong};
use crate::values::NumberOr;

/// Where the lines of a text begin.
pub(crate) struct Lines {
    ends: Vec<usize>,
}

impl Lines {
    pub(crate) fn of(text: &str) -> Self {
        Self {
            ends: text.match_indices('\n').map(|(at, _)| at).collect(),
        }
    }

    pub(crate) fn place(&self, byte: usize) -> Place {
        let before = self.ends.partition_point(|end| *end < byte);
        Place::Line(before.saturating_add(1))
    }
}

/// A list, and its items.
pub(crate) type Texts = Placed<Vec<Placed<String>>>;

pub(crate) struct Table<'t> {
    keys: DeTable<'t>,
    name: &'static str,
    place: Place,
    lines: &'t Lines,
    /// Where the text begins that was parsed.
    begin: usize,
}

impl<'t> Table<'t> {
    pub(crate) fn new(
        table: Spanned<DeTable<'t>>,
        name: &'static str,
        lines: &'t Lines,
        begin: usize,
    ) -> Self {
        Self {
            place: lines.place(begin.saturating_add(table.span().start)),
            keys: table.into_inner(),
            name,
            lines,
            begin,
        }
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.keys.contains_key(key)
    }

    fn place_of(&self, byte: usize) -> Place {
        self.lines.place(self.begin.saturating_add(byte))
    }

    pub(crate) const fn place(&self) -> Place {
        self.place
    }

    /// The first key that is none of these is wrong.
    pub(crate) fn known(&self, known: &[&str]) -> Result<(), Wrong> {
        let unknown = self
            .keys
            .keys()
            .filter(|key| !known.contains(&key.get_ref().as_ref()))
            .min_by_key(|key| key.span().start);
        unknown.map_or(Ok(()), |key| {
            Err(Wrong::new(
                self.place_of(key.span().start),
                format!(
                    "'{}' is unknown in {}: known are {}",
                    key.get_ref().escape_debug(),
                    self.name,
                    known.join(", ")
                ),
            ))
        })
    }

    fn take(&mut self, key: &str) -> Option<Placed<DeValue<'t>>> {
        let value = self.keys.remove(key)?;
        let place = self.place_of(value.span().start);
        Some(Placed::new(value.into_inner(), place))
    }

    pub(crate) fn text(&mut self, key: &str) -> Result<Option<Placed<String>>, Wrong> {
        self.taken(key, "a string in quotes", text)
    }

    pub(crate) fn integer(&mut self, key: &str) -> Result<Option<Placed<i64>>, Wrong> {
        self.taken(key, "a whole number without quotes", integer)
    }

    pub(crate) fn boolean(&mut self, key: &str) -> Result<Option<bool>, Wrong> {
        let value = self.taken(key, "true or false", DeValue::as_bool)?;
        Ok(value.map(|value| value.value))
    }

    pub(crate) fn number_or_word(
        &mut self,
        key: &str,
        expected: &str,
    ) -> Result<Option<Placed<NumberOr>>, Wrong> {
        self.taken(key, expected, |value| {
            integer(value)
                .map(NumberOr::Number)
                .or_else(|| text(value).map(NumberOr::Word))
        })
    }

    /// A list of strings, each at its own place.
    pub(crate) fn texts(&mut self, key: &str) -> Result<Option<Texts>, Wrong> {
        const EXPECTED: &str = "a list of strings, as in [\"...\"]";
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        let DeValue::Array(items) = value.value else {
            return Err(mistyped(key, &value, EXPECTED));
        };
        let items = items.into_iter().map(|item| {
            let place = self.place_of(item.span().start);
            let item = Placed::new(item.into_inner(), place);
            match text(&item.value) {
                Some(text) => Ok(Placed::new(text, place)),
                None => Err(mistyped(key, &item, EXPECTED)),
            }
        });
        let items = items.collect::<Result<_, _>>()?;
        Ok(Some(Placed::new(items, value.place)))
    }

    pub(crate) fn table(&mut self, key: &str, name: &'static str) -> Result<Option<Self>, Wrong> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        match value.value {
            DeValue::Table(keys) => Ok(Some(self.sub_table(keys, name, value.place))),
            _ => Err(mistyped(key, &value, &format!("a table, {name}, once"))),
        }
    }

    pub(crate) fn tables(&mut self, key: &str, name: &'static str) -> Result<Vec<Self>, Wrong> {
        let Some(value) = self.take(key) else {
            return Ok(Vec::new());
        };
        let expected = format!("tables, each below {name}");
        let DeValue::Array(items) = value.value else {
            return Err(mistyped(key, &value, &expected));
        };
        let items = items.into_iter().map(|item| {
            let place = self.place_of(item.span().start);
            match item.into_inner() {
                DeValue::Table(keys) => Ok(self.sub_table(keys, name, place)),
                other => Err(mistyped(key, &Placed::new(other, place), &expected)),
            }
        });
        items.collect()
    }

    const fn sub_table(&self, keys: DeTable<'t>, name: &'static str, place: Place) -> Self {
        Self {
            keys,
            name,
            place,
            lines: self.lines,
            begin: self.begin,
        }
    }

    fn taken<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&DeValue<'t>) -> Option<T>,
    ) -> Result<Option<Placed<T>>, Wrong> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        match read(&value.value) {
            Some(read) => Ok(Some(Placed::new(read, value.place))),
            None => Err(mistyped(key, &value, expected)),
        }
    }
}

fn text(value: &DeValue<'_>) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A number of more than 64 bits is out of every range, like the largest one.
fn integer(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    let digits = number.as_str();
    let furthest = if digits.starts_with('-') {
        i64::MIN
    } else {
        i64::MAX
    };
    Some(i64::from_str_radix(digits, number.radix()).unwrap_or(furthest))
}

fn mistyped(key: &str, value: &Placed<DeValue<'_>>, expected: &str) -> Wrong {
    Wrong::new(
        value.place,
        format!(
            "{key} is of the wrong type, {}: write {expected}",
            value.value.type_str()
        ),
    )
}
