//! Frames that were recorded, frames that Windows drew, and frames that only look like them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod canvas;
mod near_misses;
mod recorded;
mod stops;

use proptest::prelude::*;
use screen::{Frame, classify, for_reading};

/// A frame that says what it is and why, where an assertion fails.
pub(crate) fn told(frame: &Frame) -> (screen::ScreenKind, screen::Certainty, String) {
    let seen = classify(frame);
    (seen.kind, seen.certainty, seen.evidence.join("; "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_pixels_of_any_size_are_safe(
        width in 0_u32..700,
        height in 0_u32..500,
        ground in any::<[u8; 3]>(),
        noise in proptest::collection::vec((any::<u32>(), any::<[u8; 3]>()), 0..200),
    ) {
        let pixels = width as usize * height as usize;
        let mut rgb = ground.repeat(pixels);
        for (at, color) in noise {
            if pixels > 0 {
                // Stripes of up to 64 pixels, so that rows, bars and boxes come about.
                let from = at as usize % pixels;
                let to = (from + at as usize % 64).min(pixels);
                for pixel in rgb[from * 3..to * 3].chunks_exact_mut(3) {
                    pixel.copy_from_slice(&color);
                }
            }
        }
        let frame = Frame::new(width, height, rgb).unwrap();
        let seen = classify(&frame);
        prop_assert_eq!(&seen, &classify(&frame));
        let _ = for_reading(&frame);
    }
}
