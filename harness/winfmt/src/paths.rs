//! Windows paths and file name patterns, as both sides of the harness use them.

/// A path on a Windows volume, split: `C:\a\b` is drive `C`, components `a` and `b`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowsPath {
    /// The drive letter, upper case; none for a path that begins at a volume's root.
    pub drive: Option<char>,
    /// The names below the root. `.` and empty names are left out.
    pub components: Vec<String>,
}

/// A text is not an absolute Windows path that stays on its volume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// `C:file` means "relative to the current directory of C:", which no offline volume has.
    #[error("`{path}` is relative to a drive's current directory; write `{drive}:\\…`")]
    DriveRelative {
        /// The path as given.
        path: String,
        /// The drive letter.
        drive: char,
    },
    /// `..` could leave the volume.
    #[error("`{path}` contains `..`; write the path without it")]
    ParentReference {
        /// The path as given.
        path: String,
    },
    /// A character that no Windows file name holds.
    #[error("`{path}` contains `{character}`, which no Windows file name can hold")]
    BadCharacter {
        /// The path as given.
        path: String,
        /// The character.
        character: char,
    },
}

impl WindowsPath {
    /// Splits an absolute path. `/` counts as `\`; `\??\` and `\\?\` prefixes are taken off; a path
    /// without a drive counts from the root of the volume. Wildcards `*` and `?` are kept in names.
    pub fn parse(path: &str) -> Result<Self, PathError> {
        let mut rest = path;
        for prefix in ["\\??\\", "\\\\?\\"] {
            rest = rest.strip_prefix(prefix).unwrap_or(rest);
        }
        let mut drive = None;
        let mut chars = rest.chars();
        if let (Some(letter), Some(':')) = (chars.next(), chars.next())
            && letter.is_ascii_alphabetic()
        {
            let letter = letter.to_ascii_uppercase();
            rest = chars.as_str();
            if !rest.is_empty() && !rest.starts_with(['\\', '/']) {
                return Err(PathError::DriveRelative { path: path.to_owned(), drive: letter });
            }
            drive = Some(letter);
        }
        let mut components = Vec::new();
        for name in rest.split(['\\', '/']) {
            match name {
                "" | "." => {}
                ".." => return Err(PathError::ParentReference { path: path.to_owned() }),
                _ => {
                    let bad = |c: &char| matches!(c, ':' | '"' | '<' | '>' | '|') || *c < ' ';
                    if let Some(character) = name.chars().find(bad) {
                        let path = path.to_owned();
                        return Err(PathError::BadCharacter { path, character });
                    }
                    components.push(name.to_owned());
                }
            }
        }
        Ok(Self { drive, components })
    }

    /// The last component, if there is one.
    pub fn file_name(&self) -> Option<&str> {
        self.components.last().map(String::as_str)
    }

    /// The path without its last component.
    pub fn parent(&self) -> Option<Self> {
        let (_, parents) = self.components.split_last()?;
        Some(Self { drive: self.drive, components: parents.to_vec() })
    }
}

impl std::fmt::Display for WindowsPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(drive) = self.drive {
            write!(f, "{drive}:")?;
        }
        if self.components.is_empty() {
            return f.write_str("\\");
        }
        for component in &self.components {
            write!(f, "\\{component}")?;
        }
        Ok(())
    }
}

/// Whether a file name matches a pattern of `*` (any run) and `?` (any one character), ignoring case,
/// as `del C-00000291*.sys` would. `*.*` matches every name, also one without a dot, as in Windows.
pub fn glob_matches(pattern: &str, name: &str) -> bool {
    if pattern == "*.*" {
        return true;
    }
    let pattern: Vec<char> = pattern.chars().map(fold).collect();
    let name: Vec<char> = name.chars().map(fold).collect();
    let (mut p, mut n) = (0, 0);
    // Where the last `*` stood, and how much of the name it has swallowed: one step back is enough,
    // so the cost is at most the product of the lengths.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == '?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, swallowed)) => {
                    star = Some((at, swallowed + 1));
                    p = at + 1;
                    n = swallowed + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

/// Whether two file or key names are the same to Windows.
pub fn same_name(left: &str, right: &str) -> bool {
    left.chars().map(fold).eq(right.chars().map(fold))
}

/// Whether a name contains a wildcard.
pub fn has_wildcard(name: &str) -> bool {
    name.contains(['*', '?'])
}

fn fold(c: char) -> char {
    let mut units = [0; 2];
    match *c.encode_utf16(&mut units) {
        [unit] => char::from_u32(u32::from(crate::hive::upcase(unit))).unwrap_or(c),
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_channel_file_pattern() {
        let pattern = "C-00000291*.sys";
        assert!(glob_matches(pattern, "C-00000291-00000000-00000032.sys"));
        assert!(glob_matches(pattern, "c-00000291.SYS"));
        assert!(!glob_matches(pattern, "C-00000292-00000000-00000032.sys"));
        assert!(!glob_matches(pattern, "C-00000291-00000000-00000032.sys.bak"));
        assert!(!glob_matches(pattern, "xC-00000291.sys"));
        assert!(glob_matches("*.*", "README"));
        assert!(glob_matches("?a*b?", "xaaabbby"));
        assert!(!glob_matches("", "x"));
        assert!(glob_matches("", ""));
        assert!(glob_matches("ÄRGER*", "ärger"));
    }

    #[test]
    fn a_pattern_of_stars_does_not_explode() {
        let name = "a".repeat(20_000);
        assert!(!glob_matches(&"*a".repeat(40).replace("*a*a", "*a"), &format!("{name}b")));
    }

    #[test]
    fn paths_split_and_join() {
        let path = WindowsPath::parse(r"c:\Windows\System32/drivers\.\csagent.sys").unwrap();
        assert_eq!(path.drive, Some('C'));
        assert_eq!(path.components, ["Windows", "System32", "drivers", "csagent.sys"]);
        assert_eq!(path.to_string(), r"C:\Windows\System32\drivers\csagent.sys");
        assert_eq!(path.file_name(), Some("csagent.sys"));
        assert_eq!(path.parent().unwrap().to_string(), r"C:\Windows\System32\drivers");
        assert_eq!(WindowsPath::parse(r"\??\C:\x").unwrap().to_string(), r"C:\x");
        assert_eq!(WindowsPath::parse("C:").unwrap().to_string(), "C:\\");
        assert_eq!(WindowsPath::parse(r"\EFI\Boot").unwrap().drive, None);
    }

    #[test]
    fn paths_that_could_surprise_are_refused() {
        assert!(matches!(
            WindowsPath::parse("C:x"),
            Err(PathError::DriveRelative { drive: 'C', .. })
        ));
        assert!(matches!(WindowsPath::parse(r"C:\a\..\b"), Err(PathError::ParentReference { .. })));
        assert!(matches!(
            WindowsPath::parse("C:\\a:stream"),
            Err(PathError::BadCharacter { character: ':', .. })
        ));
    }
}
