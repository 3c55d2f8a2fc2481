//! The pixels of a display.

use crate::pixmap;

/// Larger pictures are refused: the guest chooses the resolution.
pub(crate) const MAX_SIDE: u32 = 8192;

/// Pixels of a frame, three bytes each: red, green, blue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

/// Bytes that are no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Larger than any display.
    #[error("{width}x{height} is larger than {MAX_SIDE}x{MAX_SIDE}")]
    TooLarge {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
    /// Fewer or more bytes than pixels need.
    #[error("{width}x{height} pixels need {needed} bytes, but there are {found}")]
    Size {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Bytes.
        needed: usize,
        /// Bytes.
        found: usize,
    },
    /// A damaged or unknown picture file.
    #[error("{0}")]
    Format(String),
}

impl Frame {
    /// A frame of `width * height` pixels, three bytes each.
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Result<Self, FrameError> {
        check_size(width, height)?;
        let needed = width as usize * height as usize * 3;
        if rgb.len() != needed {
            return Err(FrameError::Size { width, height, needed, found: rgb.len() });
        }
        Ok(Self { width, height, rgb })
    }

    /// Reads PNG, or binary PPM with 8 bits a channel: what QEMU writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        pixmap::decode(bytes)
    }

    /// As a PNG file.
    pub fn to_png(&self) -> Result<Vec<u8>, FrameError> {
        pixmap::encode(self)
    }

    /// Pixels from left to right.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Pixels from top to bottom.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// `width * height * 3` bytes, row after row.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The pixels of one row. `y` is below the height.
    pub(crate) fn row(&self, y: usize) -> impl ExactSizeIterator<Item = [u8; 3]> {
        let stride = self.width as usize * 3;
        let row = &self.rgb[y * stride..(y + 1) * stride];
        row.chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]])
    }

    pub(crate) fn pixels(&self) -> impl Iterator<Item = [u8; 3]> {
        self.rgb.chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]])
    }
}

pub(crate) fn check_size(width: u32, height: u32) -> Result<(), FrameError> {
    if width > MAX_SIDE || height > MAX_SIDE {
        return Err(FrameError::TooLarge { width, height });
    }
    Ok(())
}
