//! The table as Markdown and as one page of HTML.

use std::collections::BTreeMap;

use timeline::Layer;

use super::table::{Cell, Matrix, Measured};
use crate::html::{Document, document};
use crate::pipeline::markdown_text;
use crate::text::{duration, html};

/// By incident and layer.
type Times = BTreeMap<(String, Layer), Measured>;

/// What stands above the table.
const ABOUT: &str = "Each incident with one layer of the recovery ladder and no other: the layer that brings the \
                     machine back, and boots until then.";

/// For the page of a pipeline's run. `changes` are those since the reference.
pub fn matrix_markdown(matrix: &Matrix, changes: &[String]) -> String {
    let mut text = format!("### loopbreak matrix: {}\n\n{ABOUT}\n\n", matrix.counts());
    if matrix.is_model {
        text += "The image is a model and says nothing about Windows.\n\n";
    }
    for change in changes {
        text += &format!("- {}\n", markdown_text(change));
    }
    if !changes.is_empty() {
        text.push('\n');
    }
    let layers = matrix.layers();
    text += "| incident |";
    text.extend(layers.iter().map(|layer| format!(" {layer} |")));
    text += "\n|---|";
    text.extend(layers.iter().map(|_| "---|"));
    text.push('\n');
    for (incident, cells) in &matrix.incidents {
        text += &format!("| {} |", markdown_text(incident));
        for layer in &layers {
            let cell = cells.get(layer);
            let mark = match cell {
                Some(cell) if cell.saves() => "**",
                _ => "",
            };
            let short = cell.map(|cell| cell.short(*layer)).unwrap_or_default();
            text += &format!(" {mark}{}{mark} |", markdown_text(&short));
        }
        text.push('\n');
    }
    text
}

/// One file of HTML for people: the table, and below it why each cell is so.
pub fn matrix_page(title: &str, matrix: &Matrix, changes: &[String], times: &Times) -> String {
    let layers = matrix.layers();
    let mut body = format!("<p>{}</p>\n", html(ABOUT));
    if !changes.is_empty() {
        body += "<section class=\"case failed\" aria-labelledby=\"changes\">\n\
                 <h2 id=\"changes\">Different from the reference</h2>\n<ul class=\"reasons\">\n";
        body.extend(changes.iter().map(|change| format!("<li>{}</li>\n", html(change))));
        body += "</ul>\n</section>\n";
    }
    body += "<section aria-labelledby=\"table\">\n<h2 id=\"table\">Incidents and layers</h2>\n\
             <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"All incidents\">\n\
             <table>\n<thead><tr><th scope=\"col\">Incident</th>";
    body.extend(layers.iter().map(|layer| format!("<th scope=\"col\">{layer}</th>")));
    body += "</tr></thead>\n<tbody>\n";
    for (row, (incident, cells)) in matrix.incidents.iter().enumerate() {
        body +=
            &format!("<tr><th scope=\"row\"><a href=\"#row-{row}\">{}</a></th>", html(incident));
        for layer in &layers {
            body += &match cells.get(layer) {
                Some(cell) => {
                    format!("<td class=\"{}\">{}</td>", class(cell), html(&cell.short(*layer)))
                }
                None => "<td></td>".to_owned(),
            };
        }
        body += "</tr>\n";
    }
    body += "</tbody>\n</table>\n</div>\n</section>\n";
    for (row, (incident, cells)) in matrix.incidents.iter().enumerate() {
        body += &format!(
            "<section class=\"case\" aria-labelledby=\"row-{row}\">\n<h2 id=\"row-{row}\">{}</h2>\n<dl>\n",
            html(incident)
        );
        for (layer, cell) in cells {
            body += &format!("<dt>{layer}</dt><dd>{}", html(&reading(*layer, cell)));
            if let Some(measured) = times.get(&(incident.clone(), *layer)) {
                body += &html(&format!("; run {}, {}", measured.run, took(measured)));
            }
            body += "</dd>\n";
        }
        body += "</dl>\n</section>\n";
    }
    let counts = format!("<p><b>{}</b></p>\n", html(&matrix.counts()));
    document(&Document { title, counts: &counts, model: matrix.is_model, body: &body })
}

fn took(measured: &Measured) -> String {
    match measured.outage_us {
        Some(outage) => format!("back after {} on this host", duration(outage)),
        None => format!("{} on this host", duration(measured.total_us)),
    }
}

/// A cell in a sentence.
fn reading(layer: Layer, cell: &Cell) -> String {
    let mut text = cell.short(layer);
    if let Cell::NotApplicable { .. } = cell {
        text = "not applicable".to_owned();
    }
    if let Cell::Ran { touch: Some(touch), .. } = cell {
        text += &format!(", touch: {touch}");
    }
    if let Cell::Ran { data_intact: Some(false), .. } = cell {
        text += ", the user's data is lost";
    }
    let why = cell.why();
    if why.is_empty() { text } else { format!("{text}: {why}") }
}

fn class(cell: &Cell) -> &'static str {
    match cell {
        Cell::Ran { .. } if cell.saves() => "saved",
        Cell::Ran { .. } => "lost",
        Cell::NotApplicable { .. } => "none",
        Cell::Failed { .. } => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use timeline::{Micros, Touch, Verdict};
    use words::ImageLine;

    use super::*;

    fn example() -> (Matrix, Times) {
        let line: ImageLine = "understudy".parse().unwrap();
        let mut matrix = Matrix::new("understudy", line, true);
        let saved = Cell::Ran {
            verdict: Verdict::Recovered,
            by: Some(Layer::HostRepair),
            touch: Some(Touch::Host),
            boots: 4,
            data_intact: Some(true),
            why: "healthy after 2 failed boots".to_owned(),
        };
        let lost = Cell::Ran {
            verdict: Verdict::StuckInRecovery,
            by: None,
            touch: None,
            boots: 3,
            data_intact: Some(true),
            why: "<b>\u{1b}[2Jwaits".to_owned(),
        };
        matrix.put("kb1", Layer::HostRepair, saved);
        matrix.put("kb1", Layer::AutomaticRepair, lost.clone());
        matrix.put("kb1", Layer::Rollback, Cell::NotApplicable { why: "no checkpoint".to_owned() });
        matrix.put("kb2", Layer::HostRepair, Cell::Failed { why: "no space".to_owned() });
        matrix.put("kb2", Layer::AutomaticRepair, lost);
        let measured = Measured {
            run: "20260101-000000-abcdef".to_owned(),
            outage_us: Some(Micros::new(12_000_000)),
            total_us: Micros::new(20_000_000),
        };
        (matrix, Times::from([(("kb1".to_owned(), Layer::HostRepair), measured)]))
    }

    #[test]
    fn the_table_in_a_terminal_and_in_markdown() {
        let (matrix, _) = example();
        insta::assert_snapshot!(matrix.table() + "\n" + &matrix.counts());
        let changes = ["safe-mode no longer saves kb*".to_owned()];
        insta::assert_snapshot!(matrix_markdown(&matrix, &changes));
    }

    #[test]
    fn the_page_links_each_incident_and_text_of_a_guest_stays_text() {
        let (matrix, times) = example();
        let page = matrix_page("loopbreak <1>", &matrix, &["one".to_owned()], &times);
        assert!(!page.contains('\u{1b}') && !page.contains("<b>\\x1b"), "{page}");
        assert!(page.contains("&lt;b&gt;\\x1b[2Jwaits"), "{page}");
        assert!(page.contains("run 20260101-000000-abcdef, back after 12.0 s on this host"));
        for row in ["row-0", "row-1"] {
            assert!(page.contains(&format!("href=\"#{row}\"")));
            assert!(page.contains(&format!("id=\"{row}\"")));
        }
        assert!(page.contains("What passes on it says nothing about Windows"));
    }
}
