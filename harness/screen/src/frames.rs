//! Rectangles of thin lines.

/// Thicker lines are boxes.
const THICK: usize = 6;
/// Most lines that are looked at.
const MOST: usize = 256;

/// A horizontal line: from, to (exclusive), and its rows.
#[derive(Clone, Copy)]
struct Line {
    left: usize,
    right: usize,
    top: usize,
    bottom: usize,
}

/// Takes the outlines of all rectangles out of `ink`, and says how many there were. What they surround stays: their
/// sides would tie all of it into one row.
pub(crate) fn take_out(ink: &mut [bool], width: usize) -> usize {
    let lines = lines(ink, width);
    let mut count = 0;
    let mut taken = vec![false; lines.len()];
    for (at, upper) in lines.iter().enumerate() {
        if taken[at] {
            continue;
        }
        let lower = lines.iter().enumerate().skip(at + 1).find(|(other, lower)| {
            !taken[*other]
                && lower.left.abs_diff(upper.left) <= 1
                && lower.right.abs_diff(upper.right) <= 1
                && lower.top > upper.bottom + THICK
                && has_sides(ink, width, upper, lower)
        });
        let Some((other, lower)) = lower else { continue };
        taken[at] = true;
        taken[other] = true;
        count += 1;
        let thick = upper.bottom - upper.top;
        for y in upper.top..lower.bottom {
            let edge = y < upper.bottom || y >= lower.top;
            for x in upper.left..upper.right {
                if edge || x < upper.left + thick || x + thick >= upper.right {
                    ink[y * width + x] = false;
                }
            }
        }
    }
    count
}

/// Lines at both sides, with room beside them: no rectangle in one colour.
fn has_sides(ink: &[bool], width: usize, upper: &Line, lower: &Line) -> bool {
    let thick = upper.bottom - upper.top;
    let column = |x: usize| (upper.bottom..lower.top).filter(|y| ink[y * width + x]).count();
    let (height, beside) = (lower.top - upper.bottom, thick + 1);
    [(upper.left, upper.left + beside), (upper.right - 1, upper.right - 1 - beside)]
        .into_iter()
        .all(|(side, inside)| column(side) == height && column(inside) * 5 <= height)
}

/// Lines over a twentieth of the width at least, from top to bottom.
fn lines(ink: &[bool], width: usize) -> Vec<Line> {
    let least = (width / 20).max(24);
    let mut found: Vec<Line> = Vec::new();
    let mut open: Vec<Line> = Vec::new();
    for (y, row) in ink.chunks_exact(width.max(1)).enumerate() {
        let mut runs = Vec::new();
        let mut from = None;
        for (x, inked) in row.iter().copied().chain([false]).enumerate() {
            match (from, inked) {
                (None, true) => from = Some(x),
                (Some(left), false) => {
                    if x - left >= least && runs.len() < MOST {
                        runs.push((left, x));
                    }
                    from = None;
                }
                _ => {}
            }
        }
        let (mut still, ended): (Vec<Line>, Vec<Line>) =
            open.drain(..).partition(|line| runs.contains(&(line.left, line.right)));
        found.extend(ended);
        for line in &mut still {
            line.bottom = y + 1;
        }
        for (left, right) in runs {
            let known = still.iter().any(|line| (line.left, line.right) == (left, right));
            if !known && still.len() < MOST {
                still.push(Line { left, right, top: y, bottom: y + 1 });
            }
        }
        open = still;
    }
    found.extend(open);
    found.retain(|line| line.bottom - line.top <= THICK);
    found.sort_unstable_by_key(|line| (line.top, line.left));
    found.truncate(MOST);
    found
}
