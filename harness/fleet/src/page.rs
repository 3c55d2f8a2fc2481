//! A recommendation as one page of HTML, with the frontier as a drawing.
//!
//! One file without a network and without a script; it reads in the dark, on paper and without the drawing.

use words::escaped;

use crate::LIMITS;
use crate::assumptions::assumptions;
use crate::model::Rollout;
use crate::recommend::{Candidate, Recommendation};
use crate::text::{number, row, time, times};

const STYLE: &str = include_str!("page.css");

/// Room of the drawing, and of its parts.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 60.0;
/// Minutes at which the time axis may have a line.
const TIMES: [u32; 14] =
    [5, 15, 30, 60, 120, 240, 480, 720, 1440, 2880, 5760, 10_080, 20_160, 40_320];

/// The page.
pub fn page(rollout: &Rollout, found: &Recommendation) -> String {
    let title = html(&format!("{}: rings, speed and loss", found.rollout));
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
         <p>{} plans, {} machines, each played {} with each fault. A plan is as fast as {} % of all machines \
         have a good update. Its expected loss is what one update costs if {} of 100 are bad.</p>\n\
         <p class=\"model\">{}</p>\n",
        found.candidates.len(),
        number(f64::from(found.machines)),
        times(found.rounds),
        found.reach * 100.0,
        found.bad * 100.0,
        html(LIMITS),
    );
    text.push_str(&drawing(found));
    text.push_str("<h2>Plans that no other beats</h2>\n");
    text.push_str(&plans(found, |it| it.best));
    text.push_str("<h2>All other plans</h2>\n");
    text.push_str(&plans(found, |it| !it.best));
    text.push_str("<h2>Assumptions</h2>\n<div class=\"scroll\">\n<table>\n<thead><tr>");
    text.push_str("<th>Assumption</th><th>Value</th><th>Source</th></tr></thead>\n<tbody>\n");
    for it in assumptions(rollout) {
        text.push_str(&format!(
            "<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>\n",
            html(&it.path),
            html(&it.value),
            html(it.source.as_deref().unwrap_or("assumption")),
        ));
    }
    text.push_str("</tbody>\n</table>\n</div>\n</body>\n</html>\n");
    text
}

/// The letter of a plan on the frontier, in the drawing and in the table.
fn letter(at: usize) -> String {
    let letter = |at: usize| char::from(b'A' + (at % 26) as u8);
    if at < 26 { letter(at).to_string() } else { format!("{}{}", letter(at / 26 - 1), letter(at)) }
}

fn plans(found: &Recommendation, which: impl Fn(&Candidate) -> bool) -> String {
    let mut text = format!(
        "<div class=\"scroll\">\n<table>\n<thead><tr><th></th><th>Plan</th><th>{} % have it</th>\
         <th>Expected loss ({})</th><th>If bad: broken</th><th>machine-hours</th><th>touches</th></tr></thead>\n\
         <tbody>\n",
        found.reach * 100.0,
        html(&found.unit),
    );
    for (at, candidate) in found.candidates.iter().filter(|it| which(it)).enumerate() {
        let name = if candidate.best { letter(at) } else { String::new() };
        let [plan, cells @ ..] = row(candidate);
        let cells = cells.map(|cell| format!("<td class=\"number\">{}</td>", html(&cell)));
        text.push_str(&format!(
            "<tr><th scope=\"row\">{name}</th><td>{}</td>{}</tr>\n",
            html(&plan),
            cells.join("")
        ));
    }
    text.push_str("</tbody>\n</table>\n</div>\n");
    text
}

/// Where a value lies between two, by its logarithm.
struct Axis {
    least: f64,
    most: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (mut least, mut most) = (f64::INFINITY, 0f64);
        for value in values {
            least = least.min(value);
            most = most.max(value);
        }
        // Some room at both ends, so that no point lies on the frame.
        Self { least: least / 1.3, most: most.max(least * 1.01) * 1.3, from, to }
    }

    fn place(&self, value: f64) -> f64 {
        let part = (value / self.least).ln() / (self.most / self.least).ln();
        self.from + part * (self.to - self.from)
    }

    fn holds(&self, value: f64) -> bool {
        (self.least..=self.most).contains(&value)
    }
}

/// A loss, as the axis has it: nothing lost is drawn as a hundredth.
fn drawn(loss: f64) -> f64 {
    loss.max(0.01)
}

fn drawing(found: &Recommendation) -> String {
    let points: Vec<(f64, f64, &Candidate)> = found
        .candidates
        .iter()
        .filter_map(|it| Some((f64::from(it.minutes?.max(1)), drawn(it.expected_loss), it)))
        .collect();
    if points.is_empty() {
        return "<p>No plan brought a good update to enough machines within the horizon.</p>\n"
            .to_owned();
    }
    let across = Axis::new(points.iter().map(|point| point.0), LEFT, WIDTH - RIGHT);
    let up = Axis::new(points.iter().map(|point| point.1), HEIGHT - BOTTOM, TOP);
    let mut text = format!(
        "<figure>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Expected loss of each plan against \
         the time until a good update is everywhere; the plans that no other beats are joined by a line\">\n"
    );
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    for minutes in TIMES.into_iter().filter(|minutes| across.holds(f64::from(*minutes))) {
        let x = across.place(f64::from(minutes));
        text.push_str(&format!(
            "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\
             <text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
            bottom + 20.0,
            short(minutes),
        ));
    }
    for power in -2..=15 {
        let loss = 10f64.powi(power);
        if up.holds(loss) {
            let y = up.place(loss);
            text.push_str(&format!(
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>\
                 <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
                LEFT - 8.0,
                y + 4.0,
                if loss < 1.0 { format!("{loss}") } else { number(loss) },
            ));
        }
    }
    text.push_str(&format!(
        "<text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">Time until {} % have a good update</text>\n\
         <text class=\"axis\" transform=\"translate(16 {:.1}) rotate(-90)\" text-anchor=\"middle\">Expected loss of an \
         update, {}</text>\n",
        (LEFT + right) / 2.0,
        HEIGHT - 12.0,
        found.reach * 100.0,
        (TOP + bottom) / 2.0,
        html(&found.unit),
    ));
    // Between two plans of the frontier the faster one is the best that there is: a stair.
    let mut path = String::new();
    for (minutes, loss, _) in points.iter().filter(|point| point.2.best) {
        let (x, y) = (across.place(*minutes), up.place(*loss));
        path.push_str(&if path.is_empty() {
            format!("M{x:.1} {y:.1}")
        } else {
            format!("H{x:.1}V{y:.1}")
        });
    }
    text.push_str(&format!("<path class=\"frontier\" d=\"{path}H{right}\"/>\n"));
    // The plans that count come last, so that no other covers them.
    let mut drawn: Vec<_> = points.iter().collect();
    drawn.sort_by_key(|point| point.2.best);
    let mut labels: Vec<(f64, f64)> =
        points.iter().map(|it| (across.place(it.0), up.place(it.1))).collect();
    let mut best = 0;
    for (minutes, loss, candidate) in drawn {
        let (x, y) = (across.place(*minutes), up.place(*loss));
        let about = format!(
            "{}: {}, {} {}",
            candidate.plan.name,
            time(candidate.minutes.unwrap_or_default()),
            number(candidate.expected_loss),
            found.unit
        );
        let (class, radius) = if candidate.best { ("best", 6) } else { ("other", 4) };
        text.push_str(&format!(
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"><title>{}</title></circle>\n",
            html(&about)
        ));
        if candidate.best {
            let at = free_place((x, y), &labels);
            text.push_str(&format!(
                "<text class=\"letter\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
                at.0,
                at.1 + 5.0,
                letter(best)
            ));
            labels.push(at);
            best += 1;
        }
    }
    text.push_str(
        "</svg>\n<figcaption>Each point is a plan. Those with a letter are beaten by none: none is as fast and loses \
         less. Both axes are logarithmic.</figcaption>\n</figure>\n",
    );
    text
}

/// A place for the letter of a point: beside it, and away from all points and letters so far.
fn free_place(point: (f64, f64), taken: &[(f64, f64)]) -> (f64, f64) {
    let distance = |place: (f64, f64)| {
        let all = taken.iter().map(|it| (it.0 - place.0).hypot(it.1 - place.1));
        all.fold(f64::INFINITY, f64::min)
    };
    let mut best = point;
    for radius in [15.0, 22.0, 30.0] {
        for step in 0..12 {
            // From the upper right on.
            let angle =
                std::f64::consts::TAU * f64::from(step) / 12.0 - std::f64::consts::FRAC_PI_4;
            let place = (point.0 + radius * angle.cos(), point.1 + radius * angle.sin());
            if distance(place) >= 13.0 {
                return place;
            }
            if distance(place) > distance(best) {
                best = place;
            }
        }
    }
    best
}

/// A time for the axis.
fn short(minutes: u32) -> String {
    match minutes {
        0..60 => format!("{minutes} min"),
        60..1440 => format!("{} h", minutes / 60),
        _ => format!("{} d", minutes / 1440),
    }
}

/// Text of a file, for people and for HTML.
fn html(text: &str) -> String {
    let mut out = String::new();
    for c in escaped(text).to_string().chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::load;
    use crate::recommend::recommend;

    #[test]
    fn the_page_is_well_formed_and_shows_every_plan() {
        let text = crate::PRESETS[0].text;
        let set = |path: &str, value: &str| (path.to_owned(), value.to_owned());
        let changes = [
            set("fleet.machines", "3000"),
            set("name", "a <b> & \u{202e}c"),
            set("search.first", "[0.01, 0.1]"),
            set("search.growth", "[10.0]"),
            set("search.wait", "['15m', '4h']"),
        ];
        let rollout = load("july", text, &changes).unwrap();
        let found = recommend(&rollout, 1, 1).unwrap();
        let page = page(&rollout, &found);
        let strict = page.replacen("<!doctype html>\n", "", 1);
        let document = roxmltree::Document::parse(&strict).unwrap();
        let count = |name: &str| document.descendants().filter(|it| it.has_tag_name(name)).count();
        assert_eq!(found.candidates.len(), 5);
        assert_eq!(
            count("circle"),
            found.candidates.iter().filter(|it| it.minutes.is_some()).count()
        );
        assert!(count("circle") >= 4 && count("path") == 1);
        assert!(page.contains("a &lt;b&gt; &amp; \\u{202e}c") && !page.contains('\u{202e}'));
        // Nothing is fetched from anywhere, and no number went wrong.
        assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("NaN"));
    }
}
