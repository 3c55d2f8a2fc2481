//! Names and patterns of files, compared as Windows compares them.

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
}
