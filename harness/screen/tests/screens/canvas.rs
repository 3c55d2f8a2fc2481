//! Pictures that a test draws.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};
use screen::Frame;

pub(crate) type Rgb = [u8; 3];
pub(crate) const BLACK: Rgb = [0; 3];
pub(crate) const WHITE: Rgb = [255; 3];
pub(crate) const GREY: Rgb = [170; 3];
pub(crate) const NAVY: Rgb = [0, 0, 128];
pub(crate) const BLUE: Rgb = [0, 120, 215];

pub(crate) struct Canvas {
    pub(crate) width: usize,
    pub(crate) height: usize,
    rgb: Vec<u8>,
}

impl Canvas {
    pub(crate) fn new(width: usize, height: usize, color: Rgb) -> Self {
        Self { width, height, rgb: color.repeat(width * height) }
    }

    pub(crate) fn frame(self) -> Frame {
        Frame::new(self.width as u32, self.height as u32, self.rgb).unwrap()
    }

    pub(crate) fn rect(
        mut self,
        x: usize,
        y: usize,
        width: usize,
        height: usize,
        color: Rgb,
    ) -> Self {
        for row in y..(y + height).min(self.height) {
            for column in x..(x + width).min(self.width) {
                self.put(column, row, color, 255);
            }
        }
        self
    }

    pub(crate) fn disc(mut self, x: usize, y: usize, radius: usize, color: Rgb) -> Self {
        for dy in 0..=2 * radius {
            for dx in 0..=2 * radius {
                let (a, b) = (dx.abs_diff(radius), dy.abs_diff(radius));
                if a * a + b * b <= radius * radius {
                    self.put(x + dx - radius, y + dy - radius, color, 255);
                }
            }
        }
        self
    }

    /// Text of about `size` pixels, the left end of its line at `x`, `y`.
    pub(crate) fn text(mut self, x: usize, y: usize, size: usize, color: Rgb, text: &str) -> Self {
        let (raster, scale) = match size {
            0..=20 => (RasterHeight::Size16, 1),
            21..=28 => (RasterHeight::Size24, 1),
            29..=40 => (RasterHeight::Size32, 1),
            larger => (RasterHeight::Size32, larger / 32),
        };
        let advance = get_raster_width(FontWeight::Regular, raster) * scale;
        for (index, c) in text.chars().enumerate() {
            let Some(glyph) = get_raster(c, FontWeight::Regular, raster) else { continue };
            for (row, line) in glyph.rows().enumerate() {
                for (column, strength) in line.iter().enumerate() {
                    for at in 0..scale * scale {
                        let px = x + index * advance + column * scale + at % scale;
                        self.put(px, y + row * scale + at / scale, color, *strength);
                    }
                }
            }
        }
        self
    }

    pub(crate) fn centered(self, y: usize, size: usize, color: Rgb, text: &str) -> Self {
        let raster = match size {
            0..=20 => RasterHeight::Size16,
            21..=28 => RasterHeight::Size24,
            _ => RasterHeight::Size32,
        };
        let scale = if size > 40 { size / 32 } else { 1 };
        let wide = get_raster_width(FontWeight::Regular, raster) * scale * text.len();
        let x = (self.width - wide.min(self.width)) / 2;
        self.text(x, y, size, color, text)
    }

    /// Dark or light squares, one line of `#` and `.` a row, with a quiet zone in the other colour.
    pub(crate) fn matrix(
        mut self,
        x: usize,
        y: usize,
        cell: usize,
        ink: Rgb,
        ground: Rgb,
        rows: &[&str],
    ) -> Self {
        let side = (rows.len() + 8) * cell;
        self = self.rect(x, y, side, side, ground);
        for (row, line) in rows.iter().enumerate() {
            for (column, c) in line.chars().enumerate() {
                if c == '#' {
                    self =
                        self.rect(x + (column + 4) * cell, y + (row + 4) * cell, cell, cell, ink);
                }
            }
        }
        self
    }

    fn put(&mut self, x: usize, y: usize, color: Rgb, strength: u8) {
        if x >= self.width || y >= self.height {
            return;
        }
        let at = (y * self.width + x) * 3;
        for (pixel, new) in self.rgb[at..at + 3].iter_mut().zip(color) {
            let strength = u32::from(strength);
            *pixel =
                ((u32::from(*pixel) * (255 - strength) + u32::from(new) * strength) / 255) as u8;
        }
    }
}
