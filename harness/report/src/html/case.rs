//! A case's part of the page.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{boots, class, word};
use crate::pipeline::{Case, Ran, Standing};
use crate::text::{self, GUEST_TEXT, clean, html};

/// The image's name, marked where it is a model.
pub(super) fn image(case: &Case) -> String {
    let model = case.summary().is_some_and(|summary| summary.image.is_model);
    let name = html(&clean(&case.image, GUEST_TEXT));
    if model { format!("{name} <small>(a model)</small>") } else { name }
}

pub(super) fn section(number: usize, case: &Case) -> String {
    let standing = case.standing();
    let mut text = format!(
        "<section class=\"case {class}\" aria-labelledby=\"case-{number}\">\n\
         <h2 id=\"case-{number}\">{scenario}</h2>\n<p class=\"verdict\"><span class=\"tag\">{word}</span> {verdict} \
         on {image}</p>\n",
        class = class(standing),
        scenario = html(&case.scenario),
        word = word(standing),
        verdict = html(&case.verdict()),
        image = image(case),
    );
    let reasons = case.lines();
    if !reasons.is_empty() {
        text.push_str("<ul class=\"reasons\">\n");
        for reason in reasons {
            text.push_str(&format!("<li>{}</li>\n", html(&reason)));
        }
        text.push_str("</ul>\n");
    }
    if let Some(ran) = case.ran() {
        text.push_str(&run(number, case, ran));
    }
    text.push_str("</section>\n");
    text
}

fn run(number: usize, case: &Case, ran: &Ran) -> String {
    let Ran { summary, derived, diff, pictures } = ran;
    let mut text = format!("<p>{}</p>\n", html(&clean(&summary.because, 4 * GUEST_TEXT)));
    if let Some(beginning) = &derived.timeline.beginning {
        text.push_str(&format!("<p class=\"model\">{}</p>\n", html(&text::beginning(beginning))));
    }
    text.push_str(&boots::picture(derived));
    if !pictures.is_empty() {
        text.push_str("<div class=\"frames\">\n");
        for picture in pictures {
            let title = html(&format!("{}, boot {}", picture.title, picture.boot));
            text.push_str(&format!(
                "<figure><img loading=\"lazy\" alt=\"{title}\" src=\"data:image/png;base64,{}\">\
                 <figcaption>{title}</figcaption></figure>\n",
                BASE64.encode(&picture.png)
            ));
        }
        text.push_str("</div>\n");
    }
    if let Some(diff) = diff {
        text.push_str(&folded("The outcome against its reference", &lines_of(diff), true));
    }
    text.push_str(&folded(
        "Boots",
        &boots::table(number, derived),
        case.standing() == Standing::Failed,
    ));
    let page = format!(
        "<pre tabindex=\"0\" aria-label=\"Timeline as text\">{}</pre>\n",
        html(&case.page())
    );
    text.push_str(&folded("Timeline as text", &page, false));
    text.push_str(&folded("Measurements", &measurements(ran), false));
    text.push_str(&format!(
        "<p>Again: <code>{}</code></p>\n<p>Record: <code>{}</code></p>\n",
        html(&case.again()),
        html(&clean(&summary.run_directory, 260))
    ));
    text
}

fn folded(title: &str, content: &str, open: bool) -> String {
    let open = if open { " open" } else { "" };
    format!("<details{open}><summary>{title}</summary>\n{content}</details>\n")
}

/// A unified diff, with each line's sign as its colour.
fn lines_of(diff: &str) -> String {
    let mut text = String::from(
        "<pre class=\"diff\" tabindex=\"0\" aria-label=\"Difference from the reference\">",
    );
    for line in diff.lines() {
        let line = clean(line, 400);
        let line = html(&line);
        match line.as_bytes().first() {
            Some(b'-') => text.push_str(&format!("<del>{line}</del>\n")),
            Some(b'+') => text.push_str(&format!("<ins>{line}</ins>\n")),
            _ => text.push_str(&format!("{line}\n")),
        }
    }
    text.push_str("</pre>\n");
    text
}

fn measurements(ran: &Ran) -> String {
    let measured = &ran.summary.measurements;
    let mut text = String::from("<dl>\n");
    let mut row = |term: &str, value: String| {
        text.push_str(&format!("<dt>{term}</dt><dd>{value}</dd>\n"));
    };
    row("whole run", text::duration(measured.total_us));
    if let Some(outage) = measured.outage_us {
        row("from the fault to a healthy machine", text::duration(outage));
    }
    row("waiting without an event", text::duration(measured.idle_us));
    row("events", measured.events.to_string());
    text.push_str("</dl>\n");
    text
}
