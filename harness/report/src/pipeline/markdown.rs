//! A summary in Markdown, for the page of a pipeline's run (GitHub's step summary, a merge request's comment).

use super::case::{Case, Standing};
use crate::text::html;

/// Characters that a step summary may have: GitHub takes 1 MiB a step. Text of a guest is bounded long before.
const PAGE_LIMIT: usize = 4000;

/// All cases: what failed first, in words, then the table of all.
pub fn markdown(cases: &[Case]) -> String {
    let count = |standing| cases.iter().filter(|case| case.standing() == standing).count();
    let (failed, broken) = (count(Standing::Failed), count(Standing::Broken));
    let mut text = format!("### loopbreak: {} passed", count(Standing::Passed));
    for (number, word) in [
        (failed, "failed"),
        (broken, "without a verdict on the product"),
        (count(Standing::Quarantined), "failed in quarantine"),
        (count(Standing::Skipped), "not run"),
    ] {
        if number > 0 {
            text.push_str(&format!(", {number} {word}"));
        }
    }
    text.push_str("\n\n");
    if cases.iter().any(|case| case.summary().is_some_and(|summary| summary.image.is_model)) {
        text.push_str("An image that is a model says nothing about Windows.\n\n");
    }
    for case in
        cases.iter().filter(|case| !matches!(case.standing(), Standing::Passed | Standing::Skipped))
    {
        text.push_str(&section(case));
    }
    text.push_str("| | scenario | image | verdict | course |\n|---|---|---|---|---|\n");
    for case in cases {
        let model = case.summary().is_some_and(|summary| summary.image.is_model);
        text.push_str(&format!(
            "| {} | {} | {}{} | {} | {} |\n",
            word(case.standing()),
            escaped(&case.scenario),
            escaped(&case.image),
            if model { " (a model)" } else { "" },
            escaped(&case.verdict()),
            escaped(&case.course().unwrap_or_default()),
        ));
    }
    text
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Passed => "passed",
        Standing::Skipped => "not run",
        Standing::Quarantined => "in quarantine",
        Standing::Failed => "**failed**",
        Standing::Broken => "**no verdict**",
    }
}

fn section(case: &Case) -> String {
    let mut text = format!("#### {} on {}\n\n", escaped(&case.scenario), escaped(&case.image));
    for reason in case.lines() {
        text.push_str(&format!("- {}\n", escaped(&reason)));
    }
    text.push_str(&format!("\nAgain: `{}`\n\n", case.again().replace('`', "")));
    let page: String = case.page().chars().take(PAGE_LIMIT).collect();
    if !page.is_empty() {
        // A line that begins with `<pre>` begins a block that only `</pre>` ends: not an empty line, and no text of a
        // guest (CommonMark, "HTML blocks").
        text.push_str(&format!(
            "<details><summary>Timeline</summary>\n\n<pre>\n{}</pre>\n\n</details>\n\n",
            html(&page)
        ));
    }
    text
}

/// Text that Markdown shows as it is: one line, without meaning.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '@' | '!' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push_str(&winfmt::escaped(c).to_string()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::case::examples::one_of_each;

    #[test]
    fn one_of_each_standing() {
        insta::assert_snapshot!(markdown(&one_of_each()));
    }

    #[test]
    fn text_from_outside_stays_text() {
        assert_eq!(escaped("a|b <c> `d` @e [f](g)\n"), r"a\|b &lt;c&gt; \`d\` \@e \[f\](g)\x0a");
    }
}
