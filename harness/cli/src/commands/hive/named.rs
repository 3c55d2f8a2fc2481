//! Which key or value a command line means.
//!
//! A name may hold what nobody can type, or what no command line can hold (NUL). Such a name is shown escaped, and
//! what is shown can be typed: an escape that is not itself a part of the path means the character. What is typed is
//! taken as it stands first, so that a key `x00` is found below a key `a` although `a\x00` could be one name.

use winfmt::hive::{Hive, HiveError, Key, KeyPath, Name};

/// The path that a text names in this hive: of all ways to read it the one that leads farthest, and of those the one
/// that takes it as it stands.
pub(super) fn key_path(hive: &Hive, text: &str) -> Result<KeyPath, HiveError> {
    if !text.contains("\\x") && !text.contains("\\u{") {
        return Ok(KeyPath::from(text));
    }
    let typed = KeyPath::from(text);
    let Some(meant) = hive.in_control_set(&typed)? else {
        return Ok(KeyPath::from(read(&hive.root()?, text)?.names));
    };
    let (Some(set), Some((_, rest))) = (meant.names().first(), split(text)) else {
        return Ok(typed);
    };
    // As it was typed: who says it prints what it means.
    let mut names: Vec<Name> = typed.names().iter().take(1).cloned().collect();
    match hive.root()?.subkey(set)? {
        Some(set) => names.extend(read(&set, rest)?.names),
        None => return Ok(typed),
    }
    Ok(KeyPath::from(names))
}

/// The name of the value that a text names: as it stands if there is one of that name, else as it is shown.
pub(super) fn value_name(key: &Key<'_>, text: &str) -> Result<Name, HiveError> {
    let typed = Name::from(text);
    if !text.contains('\\') || key.value(&typed)?.is_some() {
        return Ok(typed);
    }
    let mut names = key.values()?.into_iter().map(|value| value.name);
    Ok(names.find(|name| name.to_string() == text).unwrap_or(typed))
}

/// A way to read a text below a key.
struct Reading {
    names: Vec<Name>,
    /// How many of the names are there.
    found: usize,
    /// Whether all are.
    whole: bool,
}

fn read(key: &Key<'_>, text: &str) -> Result<Reading, HiveError> {
    let Some((first, rest)) = split(text) else {
        return Ok(Reading { names: Vec::new(), found: 0, whole: true });
    };
    let mut best = Reading { names: KeyPath::from(text).names().to_vec(), found: 0, whole: false };
    let mut consider = |subkey: &Key<'_>, rest: &str| -> Result<bool, HiveError> {
        let mut below = read(subkey, rest)?;
        if below.whole || below.found + 1 > best.found {
            below.names.insert(0, subkey.name().clone());
            best = Reading { found: below.found + 1, ..below };
        }
        Ok(best.whole)
    };
    if let Some(subkey) = key.subkey(first)?
        && consider(&subkey, rest)?
    {
        return Ok(best);
    }
    // A leading backslash may part names, or begin an escape.
    let leading = text.len() - text.trim_start_matches('\\').len();
    for subkey in key.subkeys()? {
        let shown = subkey.name().to_string();
        if !shown.contains('\\') {
            continue;
        }
        for text in (0..=leading).filter_map(|skipped| text.get(skipped..)) {
            let rest = text.strip_prefix(&shown);
            if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with('\\'))
                && consider(&subkey, rest)?
            {
                return Ok(best);
            }
        }
    }
    Ok(best)
}

/// The first name of a path, and the rest.
fn split(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches('\\');
    (!text.is_empty()).then(|| text.split_once('\\').unwrap_or((text, "")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use winfmt::hive::Data;

    fn hive() -> Hive {
        let mut hive = Hive::create("ROOT").unwrap();
        let odd = KeyPath::from(vec![Name::from("ev\u{1b}[31mil"), Name::from("rtl\u{202e}")]);
        hive.set_value(&odd, "v\u{7}", &Data::dword(1)).unwrap();
        hive.set_value(&odd, r"C:\x07", &Data::dword(2)).unwrap();
        hive.create_key(r"a\x1b\below").unwrap();
        hive.create_key(KeyPath::from(vec![Name::from("a\u{1b}")])).unwrap();
        hive.create_key(KeyPath::from(vec![Name::from_units(vec![0xd800, 0x41])])).unwrap();
        hive.set_value("Select", "Current", &Data::dword(1)).unwrap();
        let below = Name::from("nul\u{b}key");
        hive.create_key(KeyPath::from(vec!["ControlSet001".into(), below, "end".into()])).unwrap();
        hive
    }

    fn meant(text: &str) -> Vec<Name> {
        key_path(&hive(), text).unwrap().names().to_vec()
    }

    #[test]
    fn what_is_shown_names_the_key() {
        let hive = hive();
        let mut pending = vec![(KeyPath::default(), hive.root().unwrap())];
        while let Some((path, key)) = pending.pop() {
            let read = key_path(&hive, &path.to_string()).unwrap();
            assert_eq!(read, path, "{path}");
            for value in key.values().unwrap() {
                assert_eq!(value_name(&key, &value.name.to_string()).unwrap(), value.name);
            }
            for subkey in key.subkeys().unwrap() {
                // Shown alike: what is typed is taken as it stands.
                if subkey.name().text() != "a\u{1b}" {
                    pending.push((path.join(subkey.name()), subkey));
                }
            }
        }
    }

    #[test]
    fn what_is_typed_is_taken_as_it_stands_first() {
        assert_eq!(meant(r"a\x1b"), [Name::from("a"), Name::from("x1b")]);
        assert_eq!(meant(r"a\x1b\below").len(), 3);
        assert_eq!(meant(r"\Select\"), [Name::from("Select")]);
        assert_eq!(meant(r"new\x1b\u{202e}").len(), 3, "a key that is to be made");
    }

    #[test]
    fn a_new_key_may_lie_below_an_odd_one() {
        let path = meant(r"EV\x1b[31mil\new\x86");
        assert_eq!(
            path,
            ["EV", "x1b[31mil", "new", "x86"].map(Name::from),
            "case counts in escapes"
        );
        let path = meant(r"ev\x1b[31mil\new\x86");
        assert_eq!(path, ["ev\u{1b}[31mil", "new", "x86"].map(Name::from));
    }

    #[test]
    fn a_name_may_begin_with_an_escape() {
        let mut hive = hive();
        let names = vec![Name::from("\u{1b}[2J"), Name::from("\u{202e}x"), Name::from("\u{7}")];
        hive.create_key(KeyPath::from(names.clone())).unwrap();
        for text in [r"\x1b[2J\\u{202e}x\\x07", r"\\x1b[2J\\u{202e}x\\x07\"] {
            assert_eq!(key_path(&hive, text).unwrap().names(), names, "{text}");
        }
    }

    #[test]
    fn the_current_control_set_may_have_them_too() {
        let path = key_path(&hive(), r"CurrentControlSet\nul\x0bkey\end").unwrap();
        assert_eq!(path.names()[1], Name::from("nul\u{b}key"));
        assert_eq!(path.names().len(), 3);
    }
}
