//! A trend in the terminal, and as one page of HTML.

use timeline::{Micros, Verdict};

use super::series::{DayOfRuns, PointInTime, Series, Trend};
use crate::html::{Document, document};
use crate::text::{GUEST_TEXT, clean, duration, html};

/// The most words on one change; the run's own page has all of them.
const CHANGES: usize = 4;

/// What the pictures show.
const LEGEND: &str = "<p><small>In each picture a bar is a run, the oldest first, as high as it took; the darker part is how \
                      long the machine was away. Green: recovered or unaffected. Red: not. Yellow: otherwise than \
                      expected, or without a verdict.</small></p>\n";

/// For the terminal.
pub fn render_trend(trend: &Trend) -> String {
    let mut text = String::new();
    for series in &trend.series {
        let model = if series.is_model { ", a model, not Windows" } else { "" };
        text += &format!(
            "{} on {}{model}: {}\n",
            clean(&series.scenario, GUEST_TEXT),
            clean(&series.image, GUEST_TEXT),
            span(series)
        );
        text += &format!(
            "  {:<10}  {:>4}  {:<34}  {:>12}  {:>12}\n",
            "day", "runs", "verdicts", "back after", "whole run"
        );
        for day in &series.days {
            text += &format!(
                "  {:<10}  {:>4}  {:<34}  {:>12}  {:>12}\n",
                day.day,
                day.runs,
                verdicts(day),
                shown(day.outage_us),
                shown(day.total_us)
            );
        }
        for point in changed(series) {
            text +=
                &format!("  changed with {} ({}): {}\n", point.run, point.verdict, words(point));
        }
        text.push('\n');
    }
    text
}

fn span(series: &Series) -> String {
    let runs =
        format!("{} run{}", series.runs.len(), if series.runs.len() == 1 { "" } else { "s" });
    match (series.days.first(), series.days.last()) {
        (Some(first), Some(last)) if first.day != last.day => {
            format!("{runs}, {} to {}", first.day, last.day)
        }
        (Some(first), _) => format!("{runs}, {}", first.day),
        (None, _) => runs,
    }
}

fn verdicts(day: &DayOfRuns) -> String {
    let one = |(verdict, count): &(Verdict, usize)| match day.verdicts.len() {
        1 => verdict.to_string(),
        _ => format!("{count} {verdict}"),
    };
    day.verdicts.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn shown(time: Option<Micros>) -> String {
    time.map_or_else(|| "-".to_owned(), duration)
}

fn changed(series: &Series) -> impl Iterator<Item = &PointInTime> {
    series.runs.iter().filter(|point| !point.changes.is_empty())
}

fn words(point: &PointInTime) -> String {
    let mut words: Vec<String> =
        point.changes.iter().take(CHANGES).map(|change| clean(change, 4 * GUEST_TEXT)).collect();
    let more = point.changes.len().saturating_sub(CHANGES);
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    words.join("; ")
}

/// One file of HTML: an overview, and each series with its picture, its days and what changed.
pub fn trend_page(title: &str, trend: &Trend) -> String {
    let mut body = String::from(
        "<section aria-labelledby=\"overview\">\n<h2 id=\"overview\">Scenarios</h2>\n\
         <p class=\"filter\" hidden><label>Show only <input type=\"search\" id=\"filter\" \
         placeholder=\"part of a name, image or verdict\"></label> <span id=\"shown\" role=\"status\"></span></p>\n\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"All scenarios\">\n<table id=\"cases\">\n<thead><tr>",
    );
    for column in
        ["Scenario", "Image", "Runs", "Last verdict", "Last change", "Back after", "Whole run"]
    {
        body += &format!("<th scope=\"col\">{column}</th>");
    }
    body += "</tr></thead>\n<tbody>\n";
    for (number, series) in trend.series.iter().enumerate() {
        let last = series.runs.last();
        let day = series.days.last();
        let time = |time: Option<Micros>| {
            format!("<td data-order=\"{}\">{}</td>", time.map_or(0, Micros::get), shown(time))
        };
        body += &format!(
            "<tr><td><a href=\"#case-{number}\">{}</a></td><td>{}</td><td data-order=\"{runs}\">{runs}</td><td>{}</td><td>{}</td>{}{}</tr>\n",
            html(&clean(&series.scenario, GUEST_TEXT)),
            image(series),
            last.map(|run| run.verdict.to_string()).unwrap_or_default(),
            changed(series).last().map(|run| run.day.clone()).unwrap_or_else(|| "none".to_owned()),
            time(day.and_then(|day| day.outage_us)),
            time(day.and_then(|day| day.total_us)),
            runs = series.runs.len(),
        );
    }
    body += "</tbody>\n</table>\n</div>\n</section>\n";
    body += LEGEND;
    for (number, series) in trend.series.iter().enumerate() {
        body += &section(number, series);
    }
    let runs: usize = trend.series.iter().map(|series| series.runs.len()).sum();
    let counts = format!("<p><b>{runs}</b> runs of <b>{}</b> scenarios</p>\n", trend.series.len());
    let model = trend.series.iter().any(|series| series.is_model);
    document(&Document { title, counts: &counts, model, body: &body })
}

fn image(series: &Series) -> String {
    let model = if series.is_model { " <small>a model</small>" } else { "" };
    format!("{}{model}", html(&clean(&series.image, GUEST_TEXT)))
}

fn section(number: usize, series: &Series) -> String {
    let mut text = format!(
        "<section class=\"case\" aria-labelledby=\"case-{number}\">\n<h2 id=\"case-{number}\">{} <small>on {}</small></h2>\n<p>{}</p>\n",
        html(&clean(&series.scenario, GUEST_TEXT)),
        image(series),
        html(&span(series))
    );
    text += &picture(series);
    if changed(series).next().is_some() {
        text += "<ul class=\"reasons\">\n";
        for point in changed(series) {
            text += &format!(
                "<li><b>{}</b> {}: {} <small>(run {})</small></li>\n",
                html(&point.day),
                point.verdict,
                html(&words(point)),
                html(&point.run)
            );
        }
        text += "</ul>\n";
    }
    text += "<details open><summary>By day</summary>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Days\">\n<table>\n<thead><tr>";
    for column in ["Day", "Runs", "Verdicts", "Back after", "Whole run"] {
        text += &format!("<th scope=\"col\">{column}</th>");
    }
    text += "</tr></thead>\n<tbody>\n";
    for day in series.days.iter().rev() {
        text += &format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            html(&day.day),
            day.runs,
            verdicts(day),
            shown(day.outage_us),
            shown(day.total_us)
        );
    }
    text + "</tbody>\n</table>\n</div>\n</details>\n</section>\n"
}

/// Height of a picture's field, in units of its view box.
const HEIGHT: f64 = 100.0;
/// Width of one run in it, at most so many units in all.
const STEP: f64 = 12.0;

/// Each run as a bar as high as it took, in the colour of its verdict; what a machine was away is the darker part.
fn picture(series: &Series) -> String {
    let longest = series.runs.iter().map(|run| run.total_us.get()).max().unwrap_or(1).max(1) as f64;
    let width = STEP * series.runs.len().max(20) as f64;
    let mut text = format!(
        "<svg class=\"trend\" viewBox=\"0 0 {width} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{} runs; the longest took {}. The table below has the numbers.\">\n",
        series.runs.len(),
        duration(Micros::new(longest as u64))
    );
    for (number, run) in series.runs.iter().enumerate() {
        let left = number as f64 * STEP + 1.0;
        let class = match run.verdict {
            Verdict::Recovered | Verdict::Unaffected => "good",
            Verdict::RecoveredOtherwise | Verdict::Infrastructure => "odd",
            Verdict::Looping | Verdict::StuckInRecovery | Verdict::Hung | Verdict::DataLost => {
                "bad"
            }
        };
        let bar = |time: Micros, opacity: &str| {
            let high = (time.get() as f64 / longest * HEIGHT).max(1.0);
            format!(
                "<rect x=\"{left:.0}\" y=\"{:.1}\" width=\"{:.0}\" height=\"{high:.1}\"{opacity}/>",
                HEIGHT - high,
                STEP - 2.0
            )
        };
        text += &format!(
            "<g class=\"{class}\"><title>{}: {}, {}{}</title>{}{}</g>\n",
            html(&run.run),
            run.verdict,
            duration(run.total_us),
            run.outage_us
                .map(|outage| format!(", back after {}", duration(outage)))
                .unwrap_or_default(),
            bar(run.total_us, " fill-opacity=\"0.45\""),
            run.outage_us.map(|outage| bar(outage, "")).unwrap_or_default()
        );
    }
    text + "</svg>\n"
}
