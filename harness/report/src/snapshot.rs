//! The `.snap` file format of `insta`: front matter between two `---` lines, then the content.
//!
//! Only what is needed of it: the content is text, and metadata that others wrote is passed over. What is
//! written here is read by `insta` itself (a test does so).

/// Not a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SnapshotError {
    /// The first line is not `---`.
    #[error("the first line is not `---`")]
    NoFrontMatter,
    /// No second `---`.
    #[error("the front matter has no end: a second line `---` is missing")]
    Unfinished,
    /// `snapshot_kind: binary`.
    #[error("it is a binary snapshot; outcomes are text")]
    Binary,
}

/// The content of a snapshot: without line ends at its end, lines ending in LF.
pub(crate) fn content(text: &str) -> Result<String, SnapshotError> {
    let mut lines = text.lines();
    if lines.next().map(str::trim_end) != Some("---") {
        return Err(SnapshotError::NoFrontMatter);
    }
    loop {
        let line = lines.next().ok_or(SnapshotError::Unfinished)?.trim_end();
        if line == "---" {
            break;
        }
        if line.strip_prefix("snapshot_kind:").is_some_and(|kind| kind.trim() == "binary") {
            return Err(SnapshotError::Binary);
        }
    }
    let content: Vec<&str> = lines.collect();
    Ok(normal(&content.join("\n")))
}

/// What two contents are compared by.
pub(crate) fn normal(content: &str) -> String {
    content.trim_end().replace("\r\n", "\n")
}

/// A whole file. Source and expression are single words or paths; they are quoted as YAML where needed.
pub(crate) fn file(source: &str, expression: &str, content: &str) -> String {
    let (source, expression) = (scalar(source), scalar(expression));
    format!("---\nsource: {source}\nexpression: {expression}\n---\n{}\n", normal(content))
}

/// A YAML scalar: plain where it is only made of letters, digits and `/._-`, else double-quoted as JSON,
/// which YAML reads.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    let safe = text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(plain);
    if safe { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let text = file("scenarios/a/scenario.toml", "outcome", "{\n  \"a\": 1\n}\n\n");
        assert_eq!(
            text,
            "---\nsource: scenarios/a/scenario.toml\nexpression: outcome\n---\n{\n  \"a\": 1\n}\n"
        );
        assert_eq!(content(&text).expect("a snapshot"), "{\n  \"a\": 1\n}");
    }

    #[test]
    fn a_name_that_yaml_would_misread_is_quoted() {
        let text = file("a: b", "yes\nno", "x");
        assert!(
            text.starts_with("---\nsource: \"a: b\"\nexpression: \"yes\\nno\"\n---\n"),
            "{text}"
        );
        assert_eq!(content(&text).expect("a snapshot"), "x");
    }

    #[test]
    fn instas_other_metadata_and_line_ends_are_passed_over() {
        let text = "---\r\nsource: a.rs\r\nassertion_line: 3\r\ninfo:\r\n  a: 1\r\n\
                    snapshot_kind: text\r\n---\r\none\r\n---\r\ntwo\r\n";
        assert_eq!(content(text).expect("a snapshot"), "one\n---\ntwo");
    }

    #[test]
    fn what_is_no_snapshot_is_refused() {
        assert_eq!(content(""), Err(SnapshotError::NoFrontMatter));
        assert_eq!(content("{}"), Err(SnapshotError::NoFrontMatter));
        assert_eq!(content("---\nsource: a\n"), Err(SnapshotError::Unfinished));
        assert_eq!(content("---\nsnapshot_kind: binary\n---\n"), Err(SnapshotError::Binary));
    }
}
