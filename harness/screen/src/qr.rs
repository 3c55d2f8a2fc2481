//! QR codes. Windows draws them light on dark since Windows 10 1607, which no reader expects.

use crate::frame::Frame;

/// More would fill the event record with what the guest chose.
const LONGEST: usize = 200;

/// A QR code that was read.
pub(crate) struct QrCode {
    pub(crate) text: String,
    /// Left, top, right, bottom.
    pub(crate) place: [usize; 4],
}

/// Finds the first one, in either polarity.
pub(crate) fn find(frame: &Frame) -> Option<QrCode> {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    if width < 21 || height < 21 {
        return None;
    }
    let luma: Vec<u8> = frame
        .pixels()
        .map(|[red, green, blue]| {
            let sum = u32::from(red) * 299 + u32::from(green) * 587 + u32::from(blue) * 114;
            (sum / 1000) as u8
        })
        .collect();
    [255, 0].into_iter().find_map(|flip| {
        let mut picture =
            rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| luma[y * width + x] ^ flip);
        picture.detect_grids().into_iter().find_map(|grid| {
            let (_, text) = grid.decode().ok()?;
            let text: String = text.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
            let clamp = |value: i32, most: usize| usize::try_from(value).unwrap_or(0).min(most);
            let xs = grid.bounds.iter().map(|point| point.x);
            let ys = grid.bounds.iter().map(|point| point.y);
            let place = [
                clamp(xs.clone().min()?, width),
                clamp(ys.clone().min()?, height),
                clamp(xs.max()?.saturating_add(1), width),
                clamp(ys.max()?.saturating_add(1), height),
            ];
            Some(QrCode { text, place })
        })
    })
}
