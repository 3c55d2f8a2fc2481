//! From a frame to what its text says, with a reader of text in between.

use crate::frame::Frame;
use crate::ground::Ground;
use crate::text::{Found, read};
use timeline::{Certainty, Screen, ScreenKind, StopCode};

/// Empty pixels around the picture: a reader overlooks letters at the very edge.
const MARGIN: usize = 24;
/// A text mode's letters are too small for a reader; up to this height they are made three times larger.
const SMALL: usize = 620;

/// The frame as a reader of text wants it: dark letters on light ground, large, with a margin. A binary
/// PGM file.
pub fn for_reading(frame: &Frame) -> Vec<u8> {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let ground = Ground::of(frame, None);
    let light = |[red, green, blue]: [u8; 3]| {
        ((u32::from(red) * 299 + u32::from(green) * 587 + u32::from(blue) * 114) / 1000) as u8
    };
    let base = light(ground.color);
    // Every pixel by how far it is from the background, so that it matters neither which of the two is
    // the lighter one nor which colour they have.
    let grey: Vec<u8> = frame
        .pixels()
        .map(|pixel| 255 - light(pixel).abs_diff(base).saturating_mul(255 / (255 - base).max(64)))
        .collect();
    let scale = if height <= SMALL { 3 } else { 1 };
    let (wide, high) = (width * scale + 2 * MARGIN, height * scale + 2 * MARGIN);
    let mut out = format!("P5\n{wide} {high}\n255\n").into_bytes();
    let at = |x: usize, y: usize| u32::from(grey[y * width + x]);
    for y in 0..high {
        for x in 0..wide {
            let inside = (x.checked_sub(MARGIN), y.checked_sub(MARGIN));
            let value = match inside {
                (Some(x), Some(y)) if x < width * scale && y < height * scale => {
                    smooth(x, y, scale, width, height, at)
                }
                _ => 255,
            };
            out.push(value);
        }
    }
    out
}

/// Bilinear, so that enlarged letters have no stairs.
fn smooth(
    x: usize,
    y: usize,
    scale: usize,
    width: usize,
    height: usize,
    at: impl Fn(usize, usize) -> u32,
) -> u8 {
    let (left, top) = (x / scale, y / scale);
    let (right, bottom) = ((left + 1).min(width - 1), (top + 1).min(height - 1));
    let (dx, dy) = ((x % scale) as u32, (y % scale) as u32);
    let n = scale as u32;
    let upper = at(left, top) * (n - dx) + at(right, top) * dx;
    let lower = at(left, bottom) * (n - dx) + at(right, bottom) * dx;
    ((upper * (n - dy) + lower * dy) / (n * n)) as u8
}

/// What is known of a frame once its text was read. A stop code makes a stop screen sure; a page of text
/// without one makes it doubtful, except where it has a face or a QR code to show; and a status of the boot
/// manager tells its error from the recovery environment.
#[must_use]
pub fn with_text(mut screen: Screen, text: &str) -> Screen {
    let found = read(text);
    let letters = text.chars().filter(|c| c.is_ascii_alphanumeric()).count();
    match screen.kind {
        kind if kind.is_stop() => {
            if found.is_stop() {
                screen.certainty = Certainty::Sure;
                screen.evidence.push("its text has a stop code".to_owned());
                take(&mut screen, found);
            } else if let Some(doubt) = found.doubt {
                screen.evidence.push(doubt);
            } else if letters > 60 && screen.certainty == Certainty::Likely && !has_face(&screen) {
                screen.certainty = Certainty::Weak;
                screen.evidence.push("its text has no stop code".to_owned());
            }
        }
        ScreenKind::BootError | ScreenKind::Recovery => {
            if let Some(status) = found.status {
                screen.kind = ScreenKind::BootError;
                screen.certainty = Certainty::Sure;
                screen.status = Some(StopCode(u64::from(status)));
                screen.evidence.push(format!("its text has the status 0x{status:08X}"));
            }
        }
        _ => {}
    }
    screen
}

fn has_face(screen: &Screen) -> bool {
    screen.evidence.iter().any(|evidence| evidence == crate::classify::FACE)
}

fn take(screen: &mut Screen, found: Found) {
    let stop = screen.stop.get_or_insert_default();
    if let Some(doubt) = found.doubt {
        screen.evidence.push(doubt);
    }
    // A QR code has a check sum, and glyphs are exactly what they are; a reader has neither.
    if let (Some(known), Some(code)) = (stop.code, found.code)
        && known.0 != u64::from(code)
    {
        screen.evidence.push(format!("a reader of text took its stop code for 0x{code:X}"));
        return;
    }
    stop.code = stop.code.or(found.code.map(|code| StopCode(u64::from(code))));
    stop.name = stop.name.take().or_else(|| found.name.map(str::to_owned));
    stop.parameters = stop.parameters.or(found.parameters);
    stop.module = stop.module.take().or(found.module);
}
