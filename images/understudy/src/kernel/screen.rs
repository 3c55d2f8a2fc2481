//! Pictures of text on the display: the stop screen, and what boot manager and recovery environment
//! show.
//!
//! A [`Picture`] is a background and lines of text; [`Picture::render`] turns it into pixels, and
//! [`Screen`] puts those on the framebuffer. Tests render without a screen.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster};

/// A colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rgb(pub u8, pub u8, pub u8);

impl Rgb {
    /// Black: the stop screen since Windows 11 24H2 (windows-facts.md 2).
    pub const BLACK: Self = Self(0, 0, 0);
    /// White.
    pub const WHITE: Self = Self(255, 255, 255);
    /// Light grey, for what matters less; readable on black and on blue.
    pub const LIGHT_GREY: Self = Self(200, 200, 200);
    /// The blue of the recovery environment and of older stop screens.
    pub const BLUE: Self = Self(0, 103, 184);
}

/// Size of a line of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// 16 pixels.
    Small,
    /// 24 pixels.
    Normal,
    /// 32 pixels.
    Large,
    /// 64 pixels.
    Headline,
}

impl Size {
    fn font(self) -> (RasterHeight, usize) {
        match self {
            Self::Small => (RasterHeight::Size16, 1),
            Self::Normal => (RasterHeight::Size24, 1),
            Self::Large => (RasterHeight::Size32, 1),
            Self::Headline => (RasterHeight::Size32, 2),
        }
    }

    fn height(self) -> usize {
        let (raster, scale) = self.font();
        raster.val() * scale
    }
}

/// One line of text. Where it is wider than the picture, it goes on in the next line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// ASCII; anything else is shown as `?`.
    pub text: String,
    /// Height of the characters.
    pub size: Size,
    /// Colour of the characters.
    pub color: Rgb,
}

impl Line {
    /// A white line.
    pub fn new(text: impl Into<String>, size: Size) -> Self {
        Self { text: text.into(), size, color: Rgb::WHITE }
    }

    /// The same in another colour.
    pub fn color(mut self, color: Rgb) -> Self {
        self.color = color;
        self
    }
}

/// A screen full of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Behind everything.
    pub background: Rgb,
    /// From the upper third downwards, left-aligned.
    pub lines: Vec<Line>,
    /// At the bottom left, upwards from the edge in reading order.
    pub bottom: Vec<Line>,
    /// Small, in the lower right corner.
    pub corner: String,
}

/// What every picture of the understudy says in its corner.
pub const CORNER: &str = "loopbreak understudy - a model, not Windows";

impl Picture {
    /// Lines on a background, with the understudy's name in the corner.
    pub fn new(background: Rgb, lines: Vec<Line>) -> Self {
        Self { background, lines, bottom: Vec::new(), corner: CORNER.to_owned() }
    }

    /// Draws it.
    pub fn render(&self, width: usize, height: usize) -> Canvas {
        let mut canvas = Canvas::new(width, height, self.background);
        let left = width / 12;
        let room = width.saturating_sub(left * 2);
        let mut y = height / 5;
        for line in &self.lines {
            y = canvas.paragraph(line, left, y, room);
        }
        let corner = Line::new(self.corner.clone(), Size::Small).color(Rgb::LIGHT_GREY);
        let corner_width = text_width(&corner.text, corner.size);
        let corner_y = height.saturating_sub(Size::Small.height() + 8);
        canvas.text(&corner, width.saturating_sub(corner_width + 12), corner_y);
        let total: usize = self.bottom.iter().map(|line| line_height(line.size)).sum();
        let mut y = corner_y.saturating_sub(total + height / 20);
        for line in &self.bottom {
            y = canvas.paragraph(line, left, y, room);
        }
        canvas
    }
}

fn line_height(size: Size) -> usize {
    size.height() + size.height() / 4
}

fn advance(size: Size) -> usize {
    let (raster, scale) = size.font();
    noto_sans_mono_bitmap::get_raster_width(FontWeight::Regular, raster) * scale
}

fn text_width(text: &str, size: Size) -> usize {
    text.chars().count() * advance(size)
}

/// Pixels, three bytes each (red, green, blue), row after row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canvas {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// `width * height * 3` bytes.
    pub pixels: Vec<u8>,
}

impl Canvas {
    fn new(width: usize, height: usize, color: Rgb) -> Self {
        Self { width, height, pixels: [color.0, color.1, color.2].repeat(width * height) }
    }

    /// Blends a colour over a pixel; `strength` 255 replaces it. Outside the picture: nothing.
    fn blend(&mut self, x: usize, y: usize, color: Rgb, strength: u8) {
        if x >= self.width || y >= self.height {
            return;
        }
        let at = (y * self.width + x) * 3;
        let strength = u32::from(strength);
        for (pixel, new) in self.pixels[at..at + 3].iter_mut().zip([color.0, color.1, color.2]) {
            let mixed = u32::from(*pixel) * (255 - strength) + u32::from(new) * strength;
            *pixel = (mixed / 255) as u8;
        }
    }

    fn text(&mut self, line: &Line, mut x: usize, y: usize) {
        let (raster, scale) = line.size.font();
        for c in line.text.chars() {
            let glyph = get_raster(c, FontWeight::Regular, raster)
                .or_else(|| get_raster('?', FontWeight::Regular, raster));
            for (row, pixels) in glyph.iter().flat_map(|glyph| glyph.rows().enumerate()) {
                for (column, strength) in pixels.iter().enumerate() {
                    for at in 0..scale * scale {
                        let (dx, dy) = (at % scale, at / scale);
                        let place = (x + column * scale + dx, y + row * scale + dy);
                        self.blend(place.0, place.1, line.color, *strength);
                    }
                }
            }
            x += advance(line.size);
        }
    }

    /// Draws a line, broken between words where it is too wide. Returns where the next one begins.
    fn paragraph(&mut self, line: &Line, x: usize, mut y: usize, room: usize) -> usize {
        let most = (room / advance(line.size)).max(1);
        let mut rest = line.text.as_str();
        loop {
            let fits = rest.char_indices().nth(most).map_or(rest.len(), |(at, _)| at);
            let cut =
                if fits == rest.len() { fits } else { rest[..fits].rfind(' ').unwrap_or(fits) };
            let cut = if cut == 0 { fits } else { cut };
            let piece = Line { text: rest[..cut].to_owned(), ..line.clone() };
            self.text(&piece, x, y);
            y += line_height(line.size);
            rest = rest[cut..].trim_start();
            if rest.is_empty() {
                return y;
            }
        }
    }

    /// As a binary PPM file.
    pub fn to_ppm(&self) -> Vec<u8> {
        let mut bytes = format!("P6\n{} {}\n255\n", self.width, self.height).into_bytes();
        bytes.extend_from_slice(&self.pixels);
        bytes
    }
}

/// Where a colour lies in a framebuffer's pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Channel {
    offset: u32,
    length: u32,
}

/// How a framebuffer stores pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Format {
    width: usize,
    height: usize,
    bytes_per_row: usize,
    bytes_per_pixel: usize,
    channels: [Channel; 3],
}

impl Format {
    fn encode(&self, canvas: &Canvas) -> Vec<u8> {
        let mut bytes = vec![0; self.bytes_per_row * self.height];
        for (at, pixel) in canvas.pixels.chunks_exact(3).enumerate() {
            let (x, y) = (at % canvas.width, at / canvas.width);
            let mut value = 0_u32;
            for (channel, part) in self.channels.iter().zip(pixel) {
                let part = u32::from(*part) >> 8_u32.saturating_sub(channel.length);
                value |= part.checked_shl(channel.offset).unwrap_or(0);
            }
            let to = y * self.bytes_per_row + x * self.bytes_per_pixel;
            bytes[to..to + self.bytes_per_pixel]
                .copy_from_slice(&value.to_le_bytes()[..self.bytes_per_pixel]);
        }
        bytes
    }
}

/// The display.
#[derive(Debug)]
pub struct Screen {
    framebuffer: File,
    format: Format,
}

impl Screen {
    /// Opens the framebuffer `/dev/fb0` and takes it away from the text console.
    pub fn open() -> io::Result<Self> {
        let framebuffer = File::options().read(true).write(true).open("/dev/fb0")?;
        let format = query(&framebuffer)?;
        // Without a console to take it from, nothing else draws either.
        if let Ok(console) = File::options().read(true).write(true).open("/dev/tty0") {
            graphics_mode(&console);
        }
        Ok(Self { framebuffer, format })
    }

    /// Shows a picture in place of what was there.
    pub fn show(&self, picture: &Picture) -> io::Result<()> {
        let canvas = picture.render(self.format.width, self.format.height);
        self.framebuffer.write_all_at(&self.format.encode(&canvas), 0)
    }
}

#[expect(unsafe_code, reason = "ioctl has no safe wrapper")]
fn query(framebuffer: &File) -> io::Result<Format> {
    use std::os::fd::AsRawFd;
    const FBIOGET_VSCREENINFO: libc::c_ulong = 0x4600;
    const FBIOGET_FSCREENINFO: libc::c_ulong = 0x4602;
    let mut variable = [0_u32; 64];
    let mut fixed = [0_u32; 32];
    // SAFETY: both structures (160 and 80 bytes) fit into the arrays.
    let failed = unsafe {
        let file = framebuffer.as_raw_fd();
        // The type of the request differs between C libraries.
        libc::ioctl(file, FBIOGET_VSCREENINFO as _, variable.as_mut_ptr()) != 0
            || libc::ioctl(file, FBIOGET_FSCREENINFO as _, fixed.as_mut_ptr()) != 0
    };
    if failed {
        return Err(io::Error::last_os_error());
    }
    // fb_var_screeninfo: xres, yres, …, bits_per_pixel at 6, red at 8, green at 11, blue at 14.
    // fb_fix_screeninfo: line_length at byte 48.
    let channel = |at: usize| Channel { offset: variable[at], length: variable[at + 1] };
    let format = Format {
        width: variable[0] as usize,
        height: variable[1] as usize,
        bytes_per_row: fixed[12] as usize,
        bytes_per_pixel: variable[6] as usize / 8,
        channels: [channel(8), channel(11), channel(14)],
    };
    let plausible = (2..=4).contains(&format.bytes_per_pixel)
        && (1..=16_384).contains(&format.width)
        && (1..=16_384).contains(&format.height)
        && format.bytes_per_row >= format.width * format.bytes_per_pixel
        && format.bytes_per_row <= 1 << 20;
    if plausible {
        Ok(format)
    } else {
        Err(io::Error::new(io::ErrorKind::Unsupported, format!("framebuffer of {format:?}")))
    }
}

#[expect(unsafe_code, reason = "ioctl has no safe wrapper")]
fn graphics_mode(console: &File) {
    use std::os::fd::AsRawFd;
    const KDSETMODE: libc::c_ulong = 0x4B3A;
    const KD_GRAPHICS: libc::c_ulong = 1;
    // SAFETY: takes a number, no pointer.
    unsafe { libc::ioctl(console.as_raw_fd(), KDSETMODE as _, KD_GRAPHICS) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_render_at_any_size() {
        let picture = Picture {
            bottom: vec![Line::new("Stop code: X", Size::Normal)],
            ..Picture::new(Rgb::BLUE, vec![Line::new("word ".repeat(80), Size::Headline)])
        };
        for (width, height) in [(1, 1), (64, 48), (640, 480), (1280, 800)] {
            let canvas = picture.render(width, height);
            assert_eq!(canvas.pixels.len(), width * height * 3);
            assert!(canvas.to_ppm().starts_with(b"P6\n"));
        }
        let canvas = picture.render(1280, 800);
        assert_eq!(canvas.pixels[..3], [0, 103, 184]);
        assert!(canvas.pixels.chunks_exact(3).any(|pixel| pixel == [255, 255, 255]));
    }

    #[test]
    fn pixels_are_encoded_as_the_framebuffer_wants_them() {
        let canvas = Canvas { width: 2, height: 1, pixels: vec![255, 0, 0, 0, 128, 255] };
        let channel = |offset, length| Channel { offset, length };
        let wide = Format {
            width: 2,
            height: 1,
            bytes_per_row: 12,
            bytes_per_pixel: 4,
            channels: [channel(16, 8), channel(8, 8), channel(0, 8)],
        };
        assert_eq!(wide.encode(&canvas), [0, 0, 255, 0, 255, 128, 0, 0, 0, 0, 0, 0]);
        let narrow = Format {
            bytes_per_row: 4,
            bytes_per_pixel: 2,
            channels: [channel(11, 5), channel(5, 6), channel(0, 5)],
            ..wide
        };
        assert_eq!(narrow.encode(&canvas), [0, 0xF8, 0x1F, 0x04]);
    }
}
