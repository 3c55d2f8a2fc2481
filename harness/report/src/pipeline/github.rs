//! Annotations of GitHub Actions: a line of standard output each ("Workflow commands for GitHub Actions").

use super::case::{Case, Standing};
use crate::text::{GUEST_TEXT, clean};

/// A line for each case that does not stand, at the place in the scenario that it is about.
pub fn annotations(cases: &[Case]) -> String {
    cases.iter().filter_map(annotation).map(|line| line + "\n").collect()
}

fn annotation(case: &Case) -> Option<String> {
    let level = match case.standing() {
        Standing::Passed => return None,
        Standing::Skipped | Standing::Quarantined => "notice",
        Standing::Failed => "error",
        Standing::Broken => "warning",
    };
    let mut properties = Vec::new();
    if let Some((file, line)) = &case.place {
        properties.push(format!("file={}", property(&file.display().to_string())));
        properties.push(format!("line={line}"));
    }
    let title = format!("{} on {}: {}", case.scenario, case.image, case.verdict());
    properties.push(format!("title={}", property(&clean(&title, 4 * GUEST_TEXT))));
    Some(format!("::{level} {}::{}", properties.join(","), data(&case.lines().join("\n"))))
}

/// GitHub's own escapes (`@actions/core`, `escapeData` and `escapeProperty`).
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::case::examples::one_of_each;

    #[test]
    fn a_line_for_each_that_does_not_stand() {
        let lines = annotations(&one_of_each());
        assert_eq!(lines.lines().count(), 6, "{lines}");
        insta::assert_snapshot!(lines);
    }
}
