//! Paths on a volume.

use crate::Reason;

/// Longest path in UTF-16 units that is taken; Windows allows 32767.
const MAX_PATH: usize = 32767;

/// Splits a path at `\` and `/`. Empty parts at the start and the end are dropped.
pub(crate) fn split(path: &str) -> Result<Vec<&str>, Reason> {
    if path.len() > MAX_PATH {
        return Err(Reason::bad_path("it is longer than 32767 characters"));
    }
    let mut parts = Vec::new();
    for part in path.split(['\\', '/']) {
        match part {
            "" => {}
            "." | ".." => return Err(Reason::bad_path("`.` and `..` are not understood here")),
            _ if part.encode_utf16().count() > 255 => {
                return Err(Reason::bad_path("a name has more than 255 characters"));
            }
            _ => parts.push(part),
        }
    }
    Ok(parts)
}

/// Refuses names that Windows could not use (\[MS-FSCC\] 2.1.5).
pub(crate) fn check_new_name(name: &str) -> Result<(), Reason> {
    if name.chars().any(|char| char < ' ' || "\"*:<>?|".contains(char)) {
        return Err(Reason::bad_path(
            "a new name holds one of \" * : < > ? | or a control character",
        ));
    }
    if name.ends_with([' ', '.']) {
        return Err(Reason::bad_path("a new name ends in a space or a full stop"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_separators_and_any_number_of_them() {
        assert_eq!(
            split("\\Windows/System32\\\\drivers\\").unwrap(),
            ["Windows", "System32", "drivers"]
        );
        assert!(split("").unwrap().is_empty());
        assert!(split("/").unwrap().is_empty());
        assert!(split("a/../b").is_err());
        assert!(split(&"x".repeat(256)).is_err());
    }

    #[test]
    fn names_that_windows_refuses() {
        for name in ["a:b", "a*", "what?", "tail ", "tail.", "tab\t"] {
            assert!(check_new_name(name).is_err(), "{name}");
        }
        assert!(check_new_name("C-00000291-00000000-00000032.sys").is_ok());
    }
}
