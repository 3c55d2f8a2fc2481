//! One scenario out of several texts, and several scenarios out of one text.
//!
//! A file that `extends` another is laid over it: tables are merged key by key; entries of two lists of
//! tables are the same where they have the same `name`, `id` or `path`, and then merged, else the list
//! grows; everything else is replaced. Each `[[variant]]` is laid over the whole in the same way and makes
//! a scenario of its own.

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::problem::Problem;
use crate::rules::is_name;
use crate::sources::{EXTENDS, Sources};

/// The key under which variants lie.
pub(crate) const VARIANT: &str = "variant";
/// What a variant cannot have of its own. Its `name` is the variant's.
pub(crate) const NOT_IN_A_VARIANT: [&str; 3] = ["format", EXTENDS, VARIANT];
/// By which of their keys entries of a list are told apart.
const IDENTITIES: [&str; 3] = ["name", "id", "path"];

/// A complete document, and the variant that it is.
pub(crate) type Complete<'i> = (Option<String>, Spanned<DeTable<'i>>);

/// The documents that the files make, one for each variant. Where there is no variant, one without a name.
pub(crate) fn complete(sources: &Sources) -> Result<Vec<Complete<'_>>, Vec<Problem>> {
    let mut files = sources.documents()?.into_iter().rev();
    let Some(base) = files.next() else { return Ok(Vec::new()) };
    let whole = files.fold(base, |base, over| {
        let span = over.span();
        Spanned::new(span, merged(base.into_inner(), over.into_inner()))
    });
    let span = whole.span();
    let mut whole = whole.into_inner();
    // Where nothing was read for it, it is a key like any that is not known.
    if sources.are_several() {
        whole.remove(EXTENDS);
    }
    let Some(variants) = whole.remove(VARIANT) else {
        return Ok(vec![(None, Spanned::new(span, whole))]);
    };
    let place = variants.span();
    let wrong = |place, what: String, expected: &str, fix: &str| {
        Err(vec![sources.problem(place, what, expected, fix)])
    };
    let DeValue::Array(variants) = variants.into_inner() else {
        let expected = "a list of tables";
        return wrong(place, "`variant` is not a list".to_owned(), expected, "write `[[variant]]`");
    };
    let mut complete: Vec<Complete<'_>> = Vec::new();
    for variant in variants {
        let place = variant.span();
        let DeValue::Table(mut variant) = variant.into_inner() else {
            let what = "a variant is not a table".to_owned();
            return wrong(place, what, "a table", "write `[[variant]]`");
        };
        let Some(name) = variant.remove("name") else {
            let what = "a variant has no name".to_owned();
            return wrong(place, what, "`name`", "add `name = \"host-repair\"`, or what fits");
        };
        let named = name.get_ref().as_str().filter(|name| is_name(name)).map(str::to_owned);
        let Some(named) = named else {
            let what = "this cannot be a variant's name".to_owned();
            let expected = "lower-case letters, digits and single hyphens";
            return wrong(name.span(), what, expected, "write another name");
        };
        if complete.iter().any(|(known, _)| known.as_ref() == Some(&named)) {
            let what = format!("there are two variants called `{named}`");
            return wrong(name.span(), what, "a name that is used once", "rename one of them");
        }
        for key in NOT_IN_A_VARIANT {
            if let Some((key, _)) = variant.get_key_value(key) {
                let what = format!("`{}` is not a key of a variant", key.get_ref());
                let expected = "a key of the scenario, but for `format`, `extends` and `variant`";
                return wrong(key.span(), what, expected, "remove it");
            }
        }
        let document = Spanned::new(place, merged(whole.clone(), variant));
        complete.push((Some(named), document));
    }
    Ok(complete)
}

/// `base` with `over` laid over it.
fn merged<'i>(mut base: DeTable<'i>, over: DeTable<'i>) -> DeTable<'i> {
    for (key, value) in over {
        // With its key: a problem with it is one of the file that wrote it last.
        let value = match base.remove_entry(key.get_ref().as_ref()) {
            Some((_, below)) => laid_over(below, value),
            None => value,
        };
        base.insert(key, value);
    }
    base
}

fn laid_over<'i>(base: Spanned<DeValue<'i>>, over: Spanned<DeValue<'i>>) -> Spanned<DeValue<'i>> {
    let place = over.span();
    let value = match (base.into_inner(), over.into_inner()) {
        (DeValue::Table(base), DeValue::Table(over)) => DeValue::Table(merged(base, over)),
        (DeValue::Array(base), DeValue::Array(over)) if of_tables(&base) && of_tables(&over) => {
            DeValue::Array(joined(base, over))
        }
        (_, over) => over,
    };
    Spanned::new(place, value)
}

fn of_tables(list: &DeArray<'_>) -> bool {
    list.iter().all(|entry| entry.get_ref().is_table())
}

fn joined<'i>(base: DeArray<'i>, over: DeArray<'i>) -> DeArray<'i> {
    let mut list: Vec<_> = base.into_iter().collect();
    for entry in over {
        let known = identity(&entry).and_then(|identity| {
            list.iter().position(|known| self::identity(known).is_some_and(|k| k == identity))
        });
        match known {
            Some(at) => {
                let below = list.remove(at);
                list.insert(at, laid_over(below, entry));
            }
            None => list.push(entry),
        }
    }
    list.into_iter().collect()
}

fn identity<'v>(entry: &'v Spanned<DeValue<'_>>) -> Option<(&'static str, &'v str)> {
    let table = entry.get_ref().as_table()?;
    IDENTITIES.into_iter().find_map(|key| Some((key, table.get(key)?.get_ref().as_str()?)))
}
