//! The classic stop screen, read glyph by glyph.
//!
//! It is drawn in a fixed font of 8 pixels a column, without smoothing, so each digit is the same pixels every
//! time: nothing has to be guessed. What is not exactly a known digit is not read. Two fonts are known: the one of
//! Windows XP to 7, and ReactOS's. Their digits were taken from screens that both showed.

use crate::ground::Ground;
use crate::text::{self, Found};

/// Pixels from one column to the next.
const COLUMN: usize = 8;
/// Pixels of a capital letter or a digit.
const TALL: usize = 9;
/// Pixels from one line to the next.
const LINE: usize = 14;
/// Stands for everything that is no digit.
const OTHER: char = ' ';

/// A row of pixels each, the leftmost in the highest bit.
type Glyph = (char, [u8; TALL]);

/// Windows XP to 7.
const WINDOWS: [Glyph; 17] = [
    ('0', [0x18, 0x24, 0x42, 0x42, 0x42, 0x42, 0x42, 0x24, 0x3C]),
    ('1', [0x30, 0xD0, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0xFE]),
    ('2', [0x78, 0x04, 0x04, 0x04, 0x08, 0x10, 0x20, 0x40, 0x7C]),
    ('3', [0x78, 0x04, 0x04, 0x08, 0x30, 0x0C, 0x04, 0x04, 0x78]),
    ('4', [0x08, 0x18, 0x28, 0x28, 0x48, 0x88, 0xFC, 0x08, 0x08]),
    ('5', [0x3C, 0x20, 0x20, 0x38, 0x04, 0x04, 0x04, 0x04, 0x38]),
    ('6', [0x1C, 0x20, 0x40, 0x5C, 0x62, 0x42, 0x42, 0x22, 0x1C]),
    ('7', [0x7E, 0x02, 0x04, 0x08, 0x08, 0x10, 0x10, 0x20, 0x20]),
    ('8', [0x3C, 0x42, 0x42, 0x24, 0x3C, 0x46, 0x42, 0x42, 0x3C]),
    ('9', [0x38, 0x44, 0x42, 0x42, 0x46, 0x3A, 0x02, 0x04, 0x38]),
    ('A', [0x00, 0x18, 0x18, 0x24, 0x24, 0x24, 0x7E, 0x42, 0x81]),
    ('B', [0x00, 0x7C, 0x42, 0x42, 0x7C, 0x42, 0x42, 0x42, 0x7C]),
    ('C', [0x00, 0x3E, 0x40, 0x80, 0x80, 0x80, 0x80, 0x40, 0x3E]),
    ('D', [0x00, 0x78, 0x44, 0x42, 0x42, 0x42, 0x42, 0x44, 0x78]),
    ('E', [0x00, 0x7E, 0x40, 0x40, 0x40, 0x7C, 0x40, 0x40, 0x7E]),
    ('F', [0x00, 0x7E, 0x40, 0x40, 0x40, 0x7C, 0x40, 0x40, 0x40]),
    ('x', [0x00, 0x00, 0x42, 0x24, 0x18, 0x18, 0x18, 0x24, 0x42]),
];

/// ReactOS. A 3 and a 9 were on none of its screens; a number with one of them is not read.
const REACTOS: [Glyph; 15] = [
    ('0', [0x18, 0x24, 0x46, 0x4A, 0x52, 0x62, 0x42, 0x24, 0x18]),
    ('1', [0x10, 0x30, 0x50, 0x10, 0x10, 0x10, 0x10, 0x10, 0x7C]),
    ('2', [0x3C, 0x42, 0x42, 0x02, 0x04, 0x18, 0x20, 0x40, 0x7E]),
    ('4', [0x04, 0x0C, 0x14, 0x24, 0x44, 0x44, 0x7E, 0x04, 0x04]),
    ('5', [0x7E, 0x40, 0x40, 0x5C, 0x62, 0x02, 0x02, 0x42, 0x3C]),
    ('6', [0x1C, 0x20, 0x40, 0x40, 0x5C, 0x62, 0x42, 0x42, 0x3C]),
    ('7', [0x7E, 0x02, 0x04, 0x08, 0x08, 0x10, 0x10, 0x20, 0x20]),
    ('8', [0x3C, 0x42, 0x42, 0x42, 0x3C, 0x42, 0x42, 0x42, 0x3C]),
    ('A', [0x18, 0x24, 0x42, 0x42, 0x42, 0x7E, 0x42, 0x42, 0x42]),
    ('B', [0x78, 0x44, 0x42, 0x44, 0x78, 0x44, 0x42, 0x44, 0x78]),
    ('C', [0x3C, 0x42, 0x40, 0x40, 0x40, 0x40, 0x40, 0x42, 0x3C]),
    ('D', [0x78, 0x44, 0x42, 0x42, 0x42, 0x42, 0x42, 0x44, 0x78]),
    ('E', [0x7E, 0x40, 0x40, 0x40, 0x78, 0x40, 0x40, 0x40, 0x7E]),
    ('F', [0x7E, 0x40, 0x40, 0x40, 0x78, 0x40, 0x40, 0x40, 0x40]),
    ('x', [0x00, 0x00, 0x00, 0x42, 0x24, 0x18, 0x18, 0x24, 0x42]),
];

/// The stop line: code and parameters, all digits of them. `None` where it is not there, or where a single digit
/// of it is not one of a known font.
pub(crate) fn stop_line(ground: &Ground) -> Option<Found> {
    let rows = ground.height.checked_sub(TALL)?;
    (0..=rows).find_map(|top| {
        (0..COLUMN).find_map(|left| {
            [&WINDOWS[..], &REACTOS[..]].into_iter().find_map(|font| {
                let line = row(ground, font, left, top);
                if !line.contains("0x") {
                    return None;
                }
                // A long line goes on in the next at the first column, in the middle of a number.
                let line = line + &row(ground, font, left, top + LINE);
                let found = text::read(&line);
                (found.code.is_some() && found.parameters.is_some()).then_some(found)
            })
        })
    })
}

/// The digits on a row of cells.
fn row(ground: &Ground, font: &[Glyph], left: usize, top: usize) -> String {
    if top + TALL > ground.height {
        return String::new();
    }
    let whole = (left..).step_by(COLUMN).take_while(|at| at + COLUMN <= ground.width);
    whole
        .map(|at| {
            let seen = cell(ground, at, top);
            font.iter().find(|(_, glyph)| *glyph == seen).map_or(OTHER, |(digit, _)| *digit)
        })
        .collect()
}

fn cell(ground: &Ground, left: usize, top: usize) -> [u8; TALL] {
    std::array::from_fn(|down| {
        let from = (top + down) * ground.width + left;
        ground.ink[from..from + COLUMN].iter().fold(0, |row, ink| row << 1 | u8::from(*ink))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page with one text, from a column and a line of pixels on.
    fn page(font: &[Glyph], lines: &[&str], left: usize, top: usize) -> Ground {
        let (width, height) = (641, 480);
        let mut ink = vec![false; width * height];
        for (number, line) in lines.iter().enumerate() {
            for (column, letter) in line.chars().enumerate() {
                let Some((_, glyph)) = font.iter().find(|(own, _)| *own == letter) else {
                    continue;
                };
                for (down, bits) in glyph.iter().enumerate() {
                    for right in (0..COLUMN).filter(|right| bits & (0x80 >> right) != 0) {
                        let x = left + column * COLUMN + right;
                        ink[(top + number * LINE + down) * width + x] = true;
                    }
                }
            }
        }
        Ground {
            width,
            height,
            color: [0, 0, 128],
            share: 900,
            ink,
            monochrome: 1000,
            reaches_the_edges: true,
            edges_of_recovery: false,
            has_pointer: false,
        }
    }

    #[test]
    fn each_digit_of_both_fonts_is_read() {
        let lines = ["*** STOP: 0x0000007E (0xC0000005,0xF6FF1284,0xA75E2B2C,0x0000000D)"];
        for (font, left, top) in [(&WINDOWS[..], 0, 309), (&REACTOS[..], 3, 296)] {
            let found = stop_line(&page(font, &lines, left, top)).unwrap();
            assert_eq!(found.code, Some(0x7E));
            let parameters = [0xC000_0005, 0xF6FF_1284, 0xA75E_2B2C, 0xD];
            assert_eq!(found.parameters, Some(parameters));
        }
        let lines = [
            "*** STOP: 0x0000003B (0x00000000C0000005,0xFFFFF80001049596,0xFFFFFADF8EF6F240,0",
            "x0000000000000000)",
        ];
        let found = stop_line(&page(&WINDOWS, &lines, 1, 302)).unwrap();
        let parameters = [0xC000_0005, 0xFFFF_F800_0104_9596, 0xFFFF_FADF_8EF6_F240, 0];
        assert_eq!((found.code, found.parameters), (Some(0x3B), Some(parameters)));
    }

    #[test]
    fn one_pixel_more_is_no_digit() {
        let lines = ["*** STOP: 0x0000007E (0xC0000005,0xF6FF1284,0xA75E2B2C,0x0000000D)"];
        let mut page = page(&WINDOWS, &lines, 0, 309);
        let at = (309 + 4) * page.width + 12 * COLUMN + 4;
        page.ink[at] = !page.ink[at];
        assert_eq!(stop_line(&page), None);
        // The page ends in the middle of the line.
        page.height = 315;
        page.ink.truncate(page.width * page.height);
        assert_eq!(stop_line(&page), None);
    }
}
