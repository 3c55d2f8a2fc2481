//! Where in a document a value is written.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One step into the document.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// Where a value is written; for one that is not, the nearest thing above it that is.
pub(crate) fn place_of(document: &Spanned<DeTable<'_>>, steps: &[Step<'_>]) -> Range<usize> {
    let mut place = 0..0;
    let mut steps = steps.iter();
    let Some(Step::Key(first)) = steps.next() else { return place };
    let Some((_, mut value)) = document.get_ref().iter().find(|(key, _)| key.get_ref() == first)
    else {
        return place;
    };
    loop {
        place = value.span();
        let below = match (steps.next(), value.get_ref()) {
            (Some(Step::Key(key)), DeValue::Table(table)) => {
                table.iter().find(|(found, _)| found.get_ref() == key).map(|(_, value)| value)
            }
            (Some(Step::Index(index)), DeValue::Array(items)) => items.get(*index),
            _ => None,
        };
        match below {
            Some(found) => value = found,
            None => return place,
        }
    }
}
