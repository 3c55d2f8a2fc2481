//! Where things lie on a frame: bars, boxes, rows of glyphs.

use crate::frame::Frame;
use crate::frames;
use crate::ground::{Ground, bin_of, distance, is_neutral_bin, thousandths};

/// A horizontal stripe in one colour that is not the background's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bar {
    pub(crate) top: usize,
    /// First row below it.
    pub(crate) bottom: usize,
    /// How much of the width it fills, in thousandths, text on it not counted.
    pub(crate) width: usize,
    /// White or grey, as a text mode has them.
    pub(crate) is_neutral: bool,
}

/// A rectangle in one colour: a tile, a button, the frame of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Box {
    color: [u8; 3],
    left: usize,
    right: usize,
    top: usize,
    bottom: usize,
}

impl Box {
    fn width(&self) -> usize {
        self.right - self.left
    }

    fn height(&self) -> usize {
        self.bottom - self.top
    }

    /// As wide as high, as a tile of the recovery environment is.
    pub(crate) fn is_tile(&self) -> bool {
        self.width().abs_diff(self.height()) * 8 <= self.width()
    }
}

/// A row of glyphs, or of whatever else has gaps between its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) top: usize,
    pub(crate) bottom: usize,
    pub(crate) left: usize,
    pub(crate) right: usize,
    /// Pieces with an empty column between them.
    pub(crate) glyphs: usize,
    ink: usize,
}

impl Row {
    pub(crate) fn height(&self) -> usize {
        self.bottom - self.top
    }

    pub(crate) fn width(&self) -> usize {
        self.right - self.left
    }

    /// True where it looks like a line of text: several glyphs, each about as wide as high, neither hairlines
    /// nor blocks.
    pub(crate) fn is_text(&self) -> bool {
        let density = thousandths(self.ink, self.width() * self.height());
        (5..=160).contains(&self.height())
            && self.glyphs >= 4
            && self.width() <= self.glyphs * self.height() * 3
            && (40..=700).contains(&density)
    }

    /// True for the sad face: two glyphs (a colon and a parenthesis), each higher than wide.
    pub(crate) fn is_face(&self) -> bool {
        let density = thousandths(self.ink, self.width() * self.height());
        self.glyphs == 2 && self.width() <= self.height() * 3 / 2 && (30..=600).contains(&density)
    }
}

/// Everything that was found.
pub(crate) struct Layout {
    pub(crate) bars: Vec<Bar>,
    /// A tile with a symbol on it is one.
    pub(crate) boxes: Vec<Box>,
    /// Rectangles of thin lines around something, such as the entry that is chosen.
    pub(crate) frames: usize,
    pub(crate) rows: Vec<Row>,
}

impl Layout {
    pub(crate) fn of(frame: &Frame, ground: &Ground) -> Self {
        let mut ink = ground.ink.clone();
        let edges: Vec<usize> = (0..ground.width).filter(|x| is_edge(ground, *x)).collect();
        let bars = bars(frame, ground);
        for bar in &bars {
            ink[bar.top * ground.width..bar.bottom * ground.width].fill(false);
        }
        let boxes = joined(boxes(frame, ground, &ink));
        for shape in &boxes {
            for y in shape.top..shape.bottom {
                ink[y * ground.width + shape.left..y * ground.width + shape.right].fill(false);
            }
        }
        let frames = frames::take_out(&mut ink, ground.width);
        for y in 0..ground.height {
            for x in &edges {
                ink[y * ground.width + x] = false;
            }
        }
        Self { bars, boxes, frames, rows: rows(ground, &ink) }
    }

    pub(crate) fn text(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.is_text())
    }
}

/// A column that is full from top to bottom is the edge of a window or of a screenshot. It would tie all rows
/// into one.
fn is_edge(ground: &Ground, x: usize) -> bool {
    let full = (0..ground.height).filter(|y| ground.ink[y * ground.width + x]).count();
    thousandths(full, ground.height) >= 900
}

/// Stripes over at least two fifths of the width, at least eight pixels high.
fn bars(frame: &Frame, ground: &Ground) -> Vec<Bar> {
    const LEAST: usize = 400;
    let mut found: Vec<(Bar, usize)> = Vec::new();
    let mut open: Option<(Bar, usize)> = None;
    let mut counts = vec![0_usize; 4096];
    for y in 0..ground.height {
        counts.fill(0);
        for pixel in frame.row(y) {
            counts[bin_of(pixel)] += 1;
        }
        counts[bin_of(ground.color)] = 0;
        let (color, count) =
            counts.iter().copied().enumerate().max_by_key(|(_, count)| *count).unwrap_or_default();
        let width = thousandths(count, ground.width);
        match &mut open {
            Some((bar, of)) if width >= LEAST && *of == color => {
                bar.bottom = y + 1;
                bar.width = bar.width.max(width);
            }
            _ => {
                found.extend(open.take());
                if width >= LEAST {
                    let is_neutral = is_neutral_bin(color);
                    open = Some((Bar { top: y, bottom: y + 1, width, is_neutral }, color));
                }
            }
        }
    }
    found.extend(open);
    found.into_iter().map(|(bar, _)| bar).filter(|bar| bar.bottom - bar.top >= 8).collect()
}

/// Rectangles that are wider than any glyph's stroke and at least ten rows high without interruption.
fn boxes(frame: &Frame, ground: &Ground, ink: &[bool]) -> Vec<Box> {
    const MOST: usize = 256;
    const HIGH: usize = 10;
    let least = (ground.width / 25).max(24);
    let mut open: Vec<Box> = Vec::new();
    let mut found = Vec::new();
    for y in 0..ground.height {
        let mut runs = Vec::new();
        let mut run: Option<(usize, [u8; 3])> = None;
        let row = &ink[y * ground.width..(y + 1) * ground.width];
        for (x, pixel) in frame.row(y).enumerate().chain([(ground.width, [0; 3])]) {
            let inked = row.get(x).copied().unwrap_or(false);
            if let Some((from, color)) = run
                && (!inked || distance(pixel, color) > 8)
            {
                if x - from >= least && runs.len() < MOST {
                    runs.push((from, x, color));
                }
                run = None;
            }
            if inked && run.is_none() {
                run = Some((x, pixel));
            }
        }
        let (mut still, ended): (Vec<_>, Vec<_>) = open.drain(..).partition(|shape: &Box| {
            runs.iter().any(|(left, right, color)| same(shape, *left, *right, *color))
        });
        found.extend(ended);
        for shape in &mut still {
            shape.bottom = y + 1;
        }
        for (left, right, color) in runs {
            let known = still.iter().any(|shape| same(shape, left, right, color));
            if !known && still.len() < MOST {
                still.push(Box { color, left, right, top: y, bottom: y + 1 });
            }
        }
        open = still;
        if found.len() > MOST {
            found.retain(|shape| shape.bottom - shape.top >= HIGH);
            found.truncate(MOST);
        }
    }
    found.extend(open);
    found.retain(|shape| shape.bottom - shape.top >= HIGH);
    found
}

fn same(shape: &Box, left: usize, right: usize, color: [u8; 3]) -> bool {
    shape.left.abs_diff(left) <= 2
        && shape.right.abs_diff(right) <= 2
        && distance(shape.color, color) <= 8
}

/// A symbol on a tile cuts it into the stripe above and the one below: they are one box again where together they are
/// about as high as wide.
fn joined(mut boxes: Vec<Box>) -> Vec<Box> {
    boxes.sort_unstable_by_key(|shape| (shape.left, shape.top));
    let mut joined: Vec<Box> = Vec::new();
    for shape in boxes {
        let above = joined.iter_mut().rev().take(8).find(|above| {
            same(above, shape.left, shape.right, shape.color)
                && shape.top >= above.bottom
                && (shape.bottom - above.top) * 8 <= shape.width() * 9
        });
        match above {
            Some(above) => above.bottom = shape.bottom,
            None => joined.push(shape),
        }
    }
    joined
}

/// Bands of rows with something on them, cut where nothing is.
fn rows(ground: &Ground, ink: &[bool]) -> Vec<Row> {
    let line = |y: usize| &ink[y * ground.width..(y + 1) * ground.width];
    let mut rows = Vec::new();
    let mut top = None;
    for y in 0..=ground.height {
        let inked = y < ground.height && line(y).contains(&true);
        match (top, inked) {
            (None, true) => top = Some(y),
            (Some(from), false) => {
                rows.extend(row(ground, from, y, line));
                top = None;
            }
            _ => {}
        }
    }
    rows
}

fn row<'i>(
    ground: &Ground,
    top: usize,
    bottom: usize,
    line: impl Fn(usize) -> &'i [bool],
) -> Option<Row> {
    let mut columns = vec![false; ground.width];
    let mut ink = 0;
    for y in top..bottom {
        for (column, inked) in columns.iter_mut().zip(line(y)) {
            *column |= inked;
            ink += usize::from(*inked);
        }
    }
    let left = columns.iter().position(|column| *column)?;
    let right = columns.iter().rposition(|column| *column)? + 1;
    let glyphs = columns
        .iter()
        .zip([&false].into_iter().chain(&columns))
        .filter(|(now, before)| **now && !**before)
        .count();
    Some(Row { top, bottom, left, right, glyphs, ink })
}
