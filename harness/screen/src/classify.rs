//! What a frame is.

use timeline::{Certainty, Screen, ScreenKind, ScreenStop, StopCode};

use crate::frame::Frame;
use crate::ground::{Ground, thousandths};
use crate::layout::{Layout, Row};
use crate::{glyphs, qr, text};

/// Evidence for a stop screen of Windows 8 and later.
pub(crate) const FACE: &str = "a sad face above text";

/// What the code on a stop screen of Windows holds.
const STOP_ADDRESS: &str = "windows.com/stopcode";

/// Smaller frames show nothing that could be told apart.
const LEAST: (u32, u32) = (320, 200);

/// Says what a frame shows, and how sure that is.
pub fn classify(frame: &Frame) -> Screen {
    if frame.width() < LEAST.0 || frame.height() < LEAST.1 {
        return screen(ScreenKind::Unknown, Certainty::Sure, ["too small to tell"]);
    }
    let mut ground = Ground::of(frame, None);
    if !ground.ink.contains(&true) {
        return match ground.is_black() {
            true => screen(ScreenKind::Black, Certainty::Sure, ["nothing but black"]),
            false => screen(ScreenKind::Picture, Certainty::Sure, ["nothing but one colour"]),
        };
    }
    // No stop screen, boot screen or recovery environment has a background that it hides.
    if ground.share < 550 {
        if ground.edges_of_recovery {
            return recovery_tool();
        }
        return match ground.reaches_the_edges {
            true => screen(ScreenKind::Desktop, Certainty::Likely, ["colours up to the edges"]),
            false => {
                screen(ScreenKind::Picture, Certainty::Likely, ["no colour is behind the rest"])
            }
        };
    }
    let mut layout = Layout::of(frame, &ground);
    // Looking for a code takes longer than everything else, and only a stop screen with a face has one.
    let code = Seen { ground: &ground, layout: &layout }.face().and_then(|_| qr::find(frame));
    if let Some(code) = &code {
        ground = Ground::of(frame, Some(code.place));
        layout = Layout::of(frame, &ground);
    }
    let mut found = Seen { ground: &ground, layout: &layout }.decide();
    if found.kind.is_stop()
        && ground.is_navy()
        && let Some(read) = glyphs::stop_line(&ground)
    {
        found.certainty = Certainty::Sure;
        found.evidence.push("its stop line, read glyph by glyph".to_owned());
        found.stop = Some(stop(read, None));
    }
    // Whoever imitates a stop screen puts another address there.
    if let Some(code) = code.filter(|code| found.kind.is_stop() && code.text.contains(STOP_ADDRESS))
    {
        let read = text::read_exact(&code.text);
        found.certainty = Certainty::Sure;
        found.evidence.push("a QR code".to_owned());
        found.stop = Some(stop(read, Some(code.text)));
    }
    found
}

fn stop(read: text::Found, qr: Option<String>) -> ScreenStop {
    ScreenStop {
        code: read.code.map(|code| StopCode(u64::from(code))),
        name: read.name.map(str::to_owned),
        parameters: read.parameters,
        module: read.module,
        qr,
    }
}

fn screen<'e>(
    kind: ScreenKind,
    certainty: Certainty,
    evidence: impl IntoIterator<Item = &'e str>,
) -> Screen {
    let evidence = evidence.into_iter().map(str::to_owned).collect();
    Screen { kind, certainty, evidence, stop: None, status: None }
}

/// A tool's window, a command prompt for example, in front of the recovery environment's blue.
fn recovery_tool() -> Screen {
    let evidence = "a window in front of the recovery environment's blue";
    screen(ScreenKind::Recovery, Certainty::Weak, [evidence])
}

struct Seen<'a> {
    ground: &'a Ground,
    layout: &'a Layout,
}

impl Seen<'_> {
    fn decide(&self) -> Screen {
        let ground = self.ground;
        let face = self.face();
        let colored = ground.is_bright_blue() || ground.is_green();
        if let Some(face) = face
            && (colored || ground.is_black())
            && self.is_plain()
            && self.layout.text().any(|row| row.top >= face.bottom)
        {
            let kind = if ground.is_black() { ScreenKind::BlackStop } else { ScreenKind::BlueStop };
            return screen(kind, Certainty::Likely, [FACE]);
        }
        if ground.is_navy() {
            return self.navy();
        }
        if ground.is_bright_blue() {
            return self.blue();
        }
        if ground.is_black() {
            return self.black();
        }
        self.text_or_picture()
    }

    /// Letters in white or grey, and nothing else.
    fn is_plain(&self) -> bool {
        self.ground.monochrome >= 900 && self.layout.bars.is_empty() && self.layout.boxes.is_empty()
    }

    fn face(&self) -> Option<&Row> {
        let face = self.layout.rows.iter().find(|row| row.is_face())?;
        // Not the largest: a QR code and the text beside it may look like one large row.
        let mut heights: Vec<usize> = self.layout.text().map(Row::height).collect();
        heights.sort_unstable();
        let usual = *heights.get(heights.len() / 2)?;
        (face.height() * 20 >= self.ground.height
            && face.height() >= usual * 3 / 2
            && face.top < self.ground.height / 2)
            .then_some(face)
    }

    /// The classic stop screen is a page of white text on (0, 0, 128) from the left edge; the installer of
    /// the text mode has bars, a desktop has colours.
    fn navy(&self) -> Screen {
        let rows: Vec<&Row> = self.layout.text().collect();
        if !self.layout.bars.is_empty() || !self.layout.boxes.is_empty() {
            return self.text_or_picture();
        }
        let left = rows.iter().map(|row| row.left).min().unwrap_or(0);
        let near = self.ground.width / 40;
        let aligned = rows.iter().filter(|row| row.left - left <= near).count();
        let others = self.layout.rows.len() - rows.len();
        if !self.is_plain() || rows.is_empty() || left > self.ground.width / 8 {
            return self.text_or_picture();
        }
        let of_one_size = {
            let mut heights: Vec<usize> = rows.iter().map(|row| row.height()).collect();
            heights.sort_unstable();
            let median = heights[heights.len() / 2];
            heights.iter().all(|height| *height <= median * 2)
        };
        let fits = aligned * 3 >= rows.len() * 2 && of_one_size && others <= 1 + rows.len() / 4;
        match rows.len() {
            _ if !fits => self.text_or_picture(),
            0..=3 => {
                screen(ScreenKind::BlueStop, Certainty::Weak, ["some white lines on navy blue"])
            }
            _ => screen(
                ScreenKind::BlueStop,
                Certainty::Likely,
                ["a page of white text on navy blue, from the left edge, without bars or boxes"],
            ),
        }
    }

    /// Boot manager and recovery environment since Windows 8: a headline at the left, and below it tiles,
    /// buttons or smaller text. A desktop has colours and a task bar; the page of an update is centred.
    fn blue(&self) -> Screen {
        let rows: Vec<&Row> = self.layout.text().collect();
        let wide_bars = self.layout.bars.iter().filter(|bar| bar.width >= 900).count();
        let Some((headline, rest)) = rows.split_first() else { return self.text_or_picture() };
        // Not the highest: lines of two columns of tiles may lie so that they look like one.
        let mut heights: Vec<usize> = rest.iter().map(|row| row.height()).collect();
        heights.sort_unstable();
        let body = heights.get(heights.len() / 2).copied().unwrap_or(0);
        let near = self.ground.width / 40;
        let below: Vec<&&Row> =
            rest.iter().filter(|row| row.left.abs_diff(headline.left) <= near).collect();
        let is_headline = headline.left < self.ground.width * 2 / 5
            && headline.top < self.ground.height / 2
            && headline.height() * 4 >= body * 5
            && headline.height() * 40 >= self.ground.height;
        if wide_bars > 0 || !is_headline {
            return self.text_or_picture();
        }
        let frames = self.layout.frames;
        let framed = if frames == 0 { "" } else { ", one entry framed" };
        let boxes = self.layout.boxes.len();
        let tiles = self.layout.boxes.iter().filter(|shape| shape.is_tile()).count();
        // Buttons and fields for text are on the pages of the first start and of a log-on, too.
        if boxes >= 1 && tiles == 0 && !self.ground.edges_of_recovery {
            return self.text_or_picture();
        }
        if boxes >= 1 {
            let many = tiles >= 2 || (tiles == 1 && frames == 1);
            let certainty = if many { Certainty::Likely } else { Certainty::Weak };
            let evidence = format!("a headline and tiles on blue: {boxes}, square {tiles}{framed}");
            return screen(ScreenKind::Recovery, certainty, [&*evidence]);
        }
        // Error pages have nothing to choose.
        if frames == 1 && !below.is_empty() {
            let evidence = format!("a headline and a list on blue: {} lines{framed}", rest.len());
            return screen(ScreenKind::Recovery, Certainty::Likely, [&*evidence]);
        }
        if self.ground.monochrome < 900 || below.is_empty() {
            return self.text_or_picture();
        }
        match below.len() {
            1..=3 => screen(
                ScreenKind::Recovery,
                Certainty::Likely,
                ["a headline and a few lines of text on blue"],
            ),
            _ => screen(
                ScreenKind::BootError,
                Certainty::Likely,
                ["a headline and a page of text on blue"],
            ),
        }
    }

    fn black(&self) -> Screen {
        let ground = self.ground;
        let bars = &self.layout.bars;
        let wide = bars.iter().filter(|bar| bar.width >= 600 && bar.is_neutral);
        let at_top = wide.clone().any(|bar| bar.top < ground.height / 8);
        let at_bottom = wide.clone().any(|bar| bar.bottom > ground.height * 7 / 8);
        let between = bars
            .iter()
            .filter(|bar| bar.top >= ground.height / 8 && bar.bottom <= ground.height * 7 / 8)
            .count();
        if at_top && at_bottom && self.layout.text().count() >= 2 {
            return match between {
                0 if self.has_cursor() => screen(
                    ScreenKind::BootMenu,
                    Certainty::Likely,
                    ["a line with a cursor, between a bar at the top and one at the bottom"],
                ),
                0 => screen(
                    ScreenKind::BootError,
                    Certainty::Likely,
                    ["text between a bar at the top and one at the bottom"],
                ),
                _ => screen(
                    ScreenKind::BootMenu,
                    Certainty::Likely,
                    ["a list with one line marked, between a bar at the top and one at the bottom"],
                ),
            };
        }
        if let Some(evidence) = self.unexpected_restart() {
            return screen(ScreenKind::BlackStop, Certainty::Likely, [evidence]);
        }
        self.text_or_picture()
    }

    /// A block as high as its row and at most as wide: nowhere but where options are typed.
    fn has_cursor(&self) -> bool {
        let ground = self.ground;
        self.layout.rows.iter().any(|row| {
            let full = |x: usize| (row.top..row.bottom).all(|y| ground.ink[y * ground.width + x]);
            let mut run = 0;
            let mut widest = 0;
            for x in row.left..row.right {
                run = if full(x) { run + 1 } else { 0 };
                widest = widest.max(run);
            }
            widest * 4 >= row.height() && widest <= row.height()
        })
    }

    /// The stop screen of Windows 11 24H2: some large lines in the upper half, much room, and a few
    /// smaller lines (code and module) in the last third, below each other or centred alike.
    fn unexpected_restart(&self) -> Option<&'static str> {
        let height = self.ground.height;
        let rows: Vec<&Row> = self.layout.text().collect();
        if !self.is_plain() || self.layout.rows.len() > rows.len() + 1 || rows.len() > 10 {
            return None;
        }
        let (gap, split) = rows
            .windows(2)
            .enumerate()
            .map(|(index, pair)| (pair[1].top - pair[0].bottom, index + 1))
            .max()?;
        let (upper, lower) = rows.split_at(split);
        let (first, last) = (upper.first()?, lower.first()?);
        let large = upper.iter().map(|row| row.height()).max()?;
        let small = lower.iter().map(|row| row.height()).max()?;
        // Code and module stand under the large lines, or all of it is centred.
        let near = self.ground.width / 40;
        let center = |row: &Row| (row.left + row.right) / 2;
        let middle = self.ground.width / 2;
        let aligned = |row: &&&Row| {
            row.left.abs_diff(first.left) <= near
                || (center(row).abs_diff(middle) <= near && center(first).abs_diff(middle) <= near)
        };
        let fits = first.top * 20 >= height
            && upper.iter().all(|row| row.top < height * 2 / 3)
            && gap * 7 >= height
            && last.top * 3 >= height * 2
            && large * 5 >= small * 7
            && large * 40 >= height
            && lower.iter().any(|row| aligned(&row))
            && upper.iter().all(|row| aligned(&row));
        fits.then_some("large lines above, small ones in the last third, white on black")
    }

    /// Several lines of text and little else, or not.
    fn text_or_picture(&self) -> Screen {
        let page = self.ground.is_bright_blue() && self.ground.share >= 850;
        if self.ground.edges_of_recovery && !page {
            return recovery_tool();
        }
        let text = self.layout.text().count();
        let all = self.layout.rows.len();
        let few_colors = self.ground.monochrome >= 900;
        let bars = self.layout.bars.len();
        // Text modes, and pages such as that of an update at work, have one colour behind, letters of a few
        // others, and nobody to point at anything.
        if self.ground.reaches_the_edges && !self.ground.is_navy() {
            if self.ground.has_pointer {
                return screen(ScreenKind::Desktop, Certainty::Likely, ["a mouse pointer"]);
            }
            if !few_colors {
                return screen(ScreenKind::Desktop, Certainty::Likely, ["colours up to the edges"]);
            }
        }
        if text >= 1 && (few_colors || bars > 0) && thousandths(text, all) >= 600 {
            return screen(ScreenKind::Text, Certainty::Likely, ["lines of text"]);
        }
        screen(ScreenKind::Picture, Certainty::Likely, ["neither text alone nor a known page"])
    }
}
