//! One page of HTML for people: an overview of all cases, and each with its boots, its pictures and what differs.
//!
//! It is one file without a network: styles, script and pictures are in it. It reads without the script, by keyboard,
//! on a phone and in the dark. Text that came from a guest is escaped twice: for people ([`crate::text::clean`]) and
//! for HTML; nothing of a guest is ever in the script, whose hash the page's own policy pins.

mod boots;
mod case;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

use crate::pipeline::{Case, Standing};
use crate::text::html;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A page: what stands on top of it, and what it is about.
pub(crate) struct Document<'a> {
    /// What was run, when, where; not escaped yet.
    pub(crate) title: &'a str,
    /// What it came to, in numbers; HTML.
    pub(crate) counts: &'a str,
    /// An image in it is a model.
    pub(crate) model: bool,
    /// HTML.
    pub(crate) body: &'a str,
}

/// The page as a whole.
pub(crate) fn document(document: &Document<'_>) -> String {
    let Document { title, counts, model, body } = document;
    let hash = |text: &str| BASE64.encode(Sha256::digest(text.as_bytes()));
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; \
         style-src 'unsafe-inline'; script-src 'sha256-{}'\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n{counts}",
        hash(SCRIPT),
        title = html(title),
    );
    if *model {
        text.push_str(
            "<p class=\"model\">An image marked “a model” is a stand-in of loopbreak’s own. \
             What passes on it says nothing about Windows.</p>\n",
        );
    }
    text.push_str(&format!(
        "</header>\n<main>\n{body}</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    ));
    text
}

/// The page of some runs.
pub fn page(title: &str, cases: &[Case]) -> String {
    let count = |standing| cases.iter().filter(|case| case.standing() == standing).count();
    let model = cases.iter().any(|case| case.summary().is_some_and(|it| it.image.is_model));
    let mut counts = String::from("<ul class=\"counts\">\n");
    for (standing, words) in [
        (Standing::Failed, "failed"),
        (Standing::Broken, "without a verdict on the product"),
        (Standing::Passed, "passed"),
        (Standing::Quarantined, "failed in quarantine"),
        (Standing::Skipped, "not run"),
    ] {
        let number = count(standing);
        if number > 0 {
            counts.push_str(&format!(
                "<li class=\"{}\"><b>{number}</b> {words}</li>\n",
                class(standing)
            ));
        }
    }
    counts.push_str("</ul>\n");
    let mut body = overview(cases);
    for (number, one) in cases.iter().enumerate() {
        body.push_str(&case::section(number, one));
    }
    document(&Document { title, counts: &counts, model, body: &body })
}

fn overview(cases: &[Case]) -> String {
    let mut text = String::from(
        "<section aria-labelledby=\"overview\">\n<h2 id=\"overview\">Scenarios</h2>\n\
         <p class=\"filter\" hidden><label>Show only <input type=\"search\" id=\"filter\" \
         placeholder=\"part of a name, image or verdict\"></label> <span id=\"shown\" role=\"status\"></span></p>\n\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"All scenarios\">\n<table id=\"cases\">\n<thead><tr>",
    );
    for column in ["Result", "Scenario", "Image", "Verdict", "What changed or failed", "Time"] {
        text.push_str(&format!("<th scope=\"col\">{column}</th>"));
    }
    text.push_str("</tr></thead>\n<tbody>\n");
    for (number, case) in cases.iter().enumerate() {
        let reasons = case.reasons();
        let more = reasons.len().saturating_sub(1);
        let more = if more > 0 { format!(" <i>and {more} more</i>") } else { String::new() };
        let took = case.summary().map(|it| it.measurements.total_us);
        text.push_str(&format!(
            "<tr class=\"{class}\"><td data-order=\"{order}\">{word}</td><td><a href=\"#case-{number}\">{scenario}</a></td>\
             <td>{image}</td><td>{verdict}</td><td>{reason}{more}</td><td data-order=\"{us}\">{took}</td></tr>\n",
            class = class(case.standing()),
            order = case.standing() as u8,
            word = word(case.standing()),
            scenario = html(&case.scenario),
            image = case::image(case),
            verdict = html(&case.verdict()),
            reason = html(reasons.first().map_or("", String::as_str)),
            us = took.map_or(0, timeline::Micros::get),
            took = took.map(crate::text::duration).unwrap_or_default(),
        ));
    }
    text.push_str("</tbody>\n</table>\n</div>\n</section>\n");
    text
}

fn class(standing: Standing) -> &'static str {
    match standing {
        Standing::Passed => "passed",
        Standing::Skipped | Standing::Quarantined => "skipped",
        Standing::Failed => "failed",
        Standing::Broken => "broken",
    }
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Passed => "passed",
        Standing::Skipped => "not run",
        Standing::Quarantined => "in quarantine",
        Standing::Failed => "failed",
        Standing::Broken => "no verdict",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::examples::one_of_each;

    #[test]
    fn the_page_is_well_formed_and_holds_what_it_is_about() {
        let page = page("loopbreak <1>", &one_of_each());
        // What a strict reader of XML takes, a browser reads as it was meant.
        let strict = page
            .replacen("<!doctype html>\n", "", 1)
            .replace(" hidden>", " hidden=\"\">")
            .replace(" open>", " open=\"\">");
        let strict: String = strict
            .lines()
            .map(|line| {
                let void = ["<meta ", "<input ", "<img "].iter().any(|tag| line.contains(tag));
                if void { close_void(line) } else { line.to_owned() }
            })
            .map(|line| line + "\n")
            .collect();
        // Script and style are text of their own kind.
        let strict = strict.replace(&close_all(SCRIPT), "").replace(&close_all(STYLE), "");
        let document =
            roxmltree::Document::parse(&strict).unwrap_or_else(|error| panic!("{error}\n{strict}"));
        let of = |name: &str| document.descendants().filter(|it| it.has_tag_name(name)).count();
        assert_eq!(of("tr"), 1 + 7 + 4 * (1 + 4), "the overview, and the boots of four runs");
        assert_eq!(of("img"), 4);
        assert!(!page.contains('\u{1b}') && page.contains("win&lt;11&gt;"), "{page}");
        for link in document.descendants().filter_map(|it| it.attribute("href")) {
            let target = link.trim_start_matches('#');
            assert!(document.descendants().any(|it| it.attribute("id") == Some(target)), "{link}");
        }
    }

    /// The same with each element that HTML does not close closed.
    fn close_void(line: &str) -> String {
        let mut out = String::new();
        let mut rest = line;
        while let Some(at) =
            ["<meta ", "<input ", "<img "].iter().filter_map(|tag| rest.find(tag)).min()
        {
            let end = at + rest[at..].find('>').unwrap_or(0);
            out.push_str(&rest[..end]);
            out.push_str("/>");
            rest = &rest[end + 1..];
        }
        out + rest
    }

    fn close_all(text: &str) -> String {
        text.lines().map(|line| line.to_owned() + "\n").collect::<String>().trim_end().to_owned()
    }

    #[test]
    fn the_policy_pins_the_script() {
        let page = page("t", &[]);
        let hash = BASE64.encode(Sha256::digest(SCRIPT.as_bytes()));
        assert!(page.contains(&format!("script-src 'sha256-{hash}'")));
        assert!(page.contains(&format!("<script>{SCRIPT}</script>")));
        assert!(!SCRIPT.contains("</script") && !STYLE.contains("</style"));
    }
}
