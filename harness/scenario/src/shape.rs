//! The file against the schema: keys, types, words, ranges and formats.
//!
//! Reads just the part of JSON Schema that `schemars` makes of the types in this crate, and says what is
//! wrong in the words of a scenario instead of in those of JSON. What passes here is what serde accepts.

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use words::Span;

use crate::driver::Word;
use crate::problem::Problem;
use crate::sources::Sources;
use words::WindowsPath;

/// Everything in the document that the schema does not allow. `whole` is what the document is called in messages.
pub(crate) fn check(
    sources: &Sources,
    document: &Spanned<DeTable<'_>>,
    schema: &Value,
    whole: &str,
) -> Vec<Problem> {
    let mut checker = Checker { sources, root: schema, whole, problems: Vec::new() };
    checker.table(schema, document.get_ref(), 0..0, "");
    checker.problems
}

struct Checker<'a> {
    sources: &'a Sources,
    root: &'a Value,
    whole: &'a str,
    problems: Vec<Problem>,
}

type Place = std::ops::Range<usize>;

impl<'a> Checker<'a> {
    fn problem(&mut self, at: Place, what: String, expected: String, fix: String) {
        self.problems.push(self.sources.problem(at, what, expected, fix));
    }

    /// Follows references and takes the part of an optional value that is not null.
    fn resolve(&self, mut schema: &'a Value) -> &'a Value {
        // The types of this crate nest a few levels; the bound is against a reference to itself.
        for _ in 0..16 {
            if let Some(reference) = schema["$ref"].as_str() {
                schema = &self.root["$defs"][reference.trim_start_matches("#/$defs/")];
            } else if let Some(choices) = schema["anyOf"].as_array()
                && let Some(choice) = choices.iter().find(|choice| choice["type"] != "null")
            {
                schema = choice;
            } else {
                break;
            }
        }
        schema
    }

    fn value(&mut self, declared: &'a Value, value: &Spanned<DeValue<'_>>, path: &str) {
        let schema = self.resolve(declared);
        if let Some(choices) = schema["oneOf"].as_array() {
            return self.choice(declared, choices, value, path);
        }
        let found = value.get_ref();
        match (kind_of(schema), found) {
            ("object", DeValue::Table(table)) => self.table(schema, table, value.span(), path),
            ("array", DeValue::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.value(&schema["items"], item, &format!("{path}[{}]", index + 1));
                }
            }
            ("string", DeValue::String(text)) => self.text(schema, text, value.span(), path),
            ("integer", DeValue::Integer(number)) => {
                let number = i64::from_str_radix(number.as_str(), number.radix()).ok();
                let (low, high) = range(schema);
                if number.is_none_or(|number| number < low || number > high) {
                    self.problem(
                        value.span(),
                        format!("`{path}` is out of range"),
                        format!("a whole number from {low} to {high}{}", about(declared)),
                        "write a number in that range".to_owned(),
                    );
                }
            }
            ("boolean", DeValue::Boolean(_)) => {}
            (kind, found) => {
                let fix = match (kind, found) {
                    ("string", DeValue::Datetime(date)) => format!("put it in quotes: \"{date}\""),
                    ("string", _) => "put it in quotes".to_owned(),
                    (_, DeValue::String(_)) => "write it without quotes".to_owned(),
                    (kind, _) => format!("write {}", name_of(kind)),
                };
                self.problem(
                    value.span(),
                    format!("`{path}` is {}", name_of_value(found)),
                    format!("{}{}", name_of(kind), about(declared)),
                    fix,
                );
            }
        }
    }

    fn table(&mut self, schema: &'a Value, table: &DeTable<'_>, at: Place, path: &str) {
        let declared = schema["properties"].as_object();
        let within = if path.is_empty() { self.whole.to_owned() } else { format!("`{path}`") };
        // Written otherwise: that is told, and not that they are missing, too.
        let mut misspelled: Vec<&str> = Vec::new();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let below = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            if let Some(schema) = declared.and_then(|declared| declared.get(name)) {
                self.value(schema, value, &below);
            } else if schema["additionalProperties"].is_object() {
                self.value(&schema["additionalProperties"], value, &below);
            } else {
                let known: Vec<&str> = declared
                    .into_iter()
                    .flatten()
                    .map(|(known, _)| known.as_str())
                    .filter(|known| !table.keys().any(|key| key.get_ref() == known))
                    .collect();
                let fix = match nearest(name, &known) {
                    Some(known) => {
                        misspelled.push(known);
                        format!("did you mean `{known}`?")
                    }
                    None => "remove it".to_owned(),
                };
                let expected = match known.as_slice() {
                    [] => "no further key".to_owned(),
                    known => one_of(known),
                };
                self.problem(
                    key.span(),
                    format!("unknown key `{name}` in {within}"),
                    expected,
                    fix,
                );
            }
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let is_there = table.keys().any(|key| key.get_ref() == name);
            if !is_there && !misspelled.contains(&name) {
                let property = &schema["properties"][name];
                let example = match kind_of(self.resolve(property)) {
                    "object" if path.is_empty() => format!("`[{name}]` and its keys"),
                    "string" => format!("`{name} = \"…\"`"),
                    _ => format!("`{name} = …`"),
                };
                self.problem(
                    at.clone(),
                    format!("{within} has no `{name}`"),
                    format!("`{name}`{}", about(property)),
                    format!("add {example}"),
                );
            }
        }
    }

    /// One of several shapes: plain words, tables told apart by a word in them, or a table whose only
    /// key is the word.
    fn choice(
        &mut self,
        declared: &'a Value,
        choices: &'a [Value],
        value: &Spanned<DeValue<'_>>,
        path: &str,
    ) {
        let words: Vec<&str> =
            choices.iter().filter_map(|choice| choice["const"].as_str()).collect();
        let tables: Vec<&'a Value> =
            choices.iter().filter(|choice| choice["type"] == "object").collect();
        match value.get_ref() {
            DeValue::String(word) if words.contains(&word.as_ref()) => {}
            DeValue::Table(table) if !tables.is_empty() => {
                if let Some(tag) = tag_of(tables[0]) {
                    return self.tagged(&tables, tag, table, value.span(), path);
                }
                let keyed = table.keys().next().and_then(|key| {
                    tables
                        .iter()
                        .find(|choice| choice["properties"].get(key.get_ref().as_ref()).is_some())
                });
                match keyed {
                    Some(choice) => self.table(choice, table, value.span(), path),
                    None => {
                        let known = keys_of(&tables);
                        let (at, what, fix) = match table.keys().next() {
                            Some(key) => (
                                key.span(),
                                format!("unknown key `{}` in `{path}`", key.get_ref()),
                                did_you_mean(key.get_ref(), &known),
                            ),
                            None => (
                                value.span(),
                                format!("`{path}` is empty"),
                                format!("add `{}`", known[0]),
                            ),
                        };
                        self.problem(at, what, one_of(&known), fix);
                    }
                }
            }
            other => {
                let keys = keys_of(&tables);
                let mut expected = one_of(&words);
                if !keys.is_empty() {
                    let or = if words.is_empty() { "" } else { ", or " };
                    expected = format!("{expected}{or}a table with {}", one_of(&keys));
                }
                let (what, fix) = match other {
                    DeValue::String(word) => {
                        let known: Vec<&str> = words.iter().chain(&keys).copied().collect();
                        (format!("`{path}` cannot be `{word}`"), did_you_mean(word, &known))
                    }
                    other => (
                        format!("`{path}` is {}", name_of_value(other)),
                        "write one of these".to_owned(),
                    ),
                };
                let expected = format!("{expected}{}", about(declared));
                self.problem(value.span(), what, expected, fix);
            }
        }
    }

    /// A table whose shape depends on the word under `tag`.
    fn tagged(
        &mut self,
        choices: &[&'a Value],
        tag: &str,
        table: &DeTable<'_>,
        at: Place,
        path: &str,
    ) {
        let words: Vec<&str> = choices
            .iter()
            .filter_map(|choice| choice["properties"][tag]["const"].as_str())
            .collect();
        let Some((_, value)) = table.iter().find(|(key, _)| key.get_ref() == tag) else {
            return self.problem(
                at,
                format!("`{path}` has no `{tag}`"),
                format!("`{tag}`: {}", one_of(&words)),
                format!("add `{tag} = \"{}\"`", words[0]),
            );
        };
        let found = value.get_ref().as_str();
        let choice =
            choices.iter().find(|choice| choice["properties"][tag]["const"].as_str() == found);
        match (choice, found) {
            (Some(choice), Some(_)) => self.table(choice, table, at, path),
            (_, found) => {
                let fix = match found {
                    Some(word) => did_you_mean(word, &words),
                    None => "write one of these words in quotes".to_owned(),
                };
                let what = match found {
                    Some(word) => format!("`{path}.{tag}` cannot be `{word}`"),
                    None => format!("`{path}.{tag}` is {}", name_of_value(value.get_ref())),
                };
                self.problem(value.span(), what, one_of(&words), fix);
            }
        }
    }

    fn text(&mut self, schema: &Value, text: &str, at: Place, path: &str) {
        let wrong = match schema["format"].as_str() {
            Some("span") => text.parse::<Span>().err().map(|what| {
                (what, "a length of time", "write a number with its unit, as \"40m\" or \"2m 30s\"")
            }),
            Some("windows-path") => text.parse::<WindowsPath>().err().map(|what| {
                (
                    what,
                    "an absolute Windows path",
                    "write it in full and in single quotes, as 'C:\\…'",
                )
            }),
            Some("word") => text.parse::<Word>().err().map(|what| {
                (what, "a number of 64 bits as text", "write it as \"0xffff840500000074\" or \"7\"")
            }),
            Some("date-time") => text.parse::<jiff::Timestamp>().err().map(|_| {
                let what = format!("`{text}` is not a time");
                (what, "a time in UTC or with an offset", "write it as \"2024-07-19T04:09:00Z\"")
            }),
            Some("date") => text.parse::<jiff::civil::Date>().err().map(|_| {
                let what = format!("`{text}` is not a day");
                (what, "a day", "write it as \"2024-07-19\"")
            }),
            _ if text.trim().is_empty() && schema["minLength"].as_u64() == Some(1) => {
                Some(("it is empty".to_owned(), "a text", "write something"))
            }
            _ => None,
        };
        if let Some((what, expected, fix)) = wrong {
            self.problem(at, format!("`{path}`: {what}"), expected.to_owned(), fix.to_owned());
        }
    }
}

fn kind_of(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(kind) => kind,
        // An optional value: its type or null.
        Value::Array(kinds) => {
            kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("")
        }
        _ => "",
    }
}

fn name_of(kind: &str) -> &'static str {
    match kind {
        "object" => "a table",
        "array" => "a list",
        "string" => "a text",
        "integer" => "a whole number",
        "boolean" => "`true` or `false`",
        _ => "something else",
    }
}

fn name_of_value(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "`true` or `false`",
        DeValue::Datetime(_) => "a TOML date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// What the documentation says about a key.
fn about(schema: &Value) -> String {
    match schema["description"].as_str() {
        Some(text) => format!(": {}", text.replace('\n', " ")),
        None => String::new(),
    }
}

fn range(schema: &Value) -> (i64, i64) {
    let type_limit = match schema["format"].as_str() {
        Some("uint16") => i64::from(u16::MAX),
        Some("uint32") => i64::from(u32::MAX),
        _ => i64::MAX,
    };
    (schema["minimum"].as_i64().unwrap_or(0), schema["maximum"].as_i64().unwrap_or(type_limit))
}

/// The key by whose word this table is told from others.
fn tag_of(choice: &Value) -> Option<&str> {
    let properties = choice["properties"].as_object()?;
    properties
        .iter()
        .find(|(_, property)| property["const"].is_string())
        .map(|(key, _)| key.as_str())
}

fn keys_of<'v>(tables: &[&'v Value]) -> Vec<&'v str> {
    tables
        .iter()
        .filter_map(|choice| choice["properties"].as_object())
        .flat_map(|properties| properties.keys().map(String::as_str))
        .collect()
}

fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [word] => format!("`{word}`"),
        words => format!("one of `{}`", words.join("`, `")),
    }
}

fn did_you_mean(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(known) => format!("did you mean `{known}`?"),
        None => "write one of these".to_owned(),
    }
}

/// The known word that `word` most probably was meant to be.
fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let (distance, found) = known
        .iter()
        .map(|known| (distance(&word.to_lowercase().replace('_', "-"), known), *known))
        .min()?;
    (distance <= word.chars().count().max(3) / 3).then_some(found)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows = vec![vec![0; to.len() + 1]; from.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=from.len() {
        for j in 1..=to.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[from.len()][to.len()]
}
