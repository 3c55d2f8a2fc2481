//! QR codes. Windows draws them light on dark since Windows 10 1607, which no reader expects.

use crate::frame::Frame;

/// More would fill the event record with what the guest chose.
const LONGEST: usize = 200;

/// A QR code that was read.
pub(crate) struct QrCode {
    pub(crate) text: String,
    /// With its quiet zone: left, top, right, bottom.
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
        let mut picture = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| {
            luma[y * width + x] ^ flip
        });
        picture.detect_grids().into_iter().find_map(|grid| {
            let (_, text) = grid.decode().ok()?;
            let text: String = text.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
            let clamp = |value: i32, most: usize| usize::try_from(value).unwrap_or(0).min(most);
            let xs = grid.bounds.iter().map(|point| point.x);
            let ys = grid.bounds.iter().map(|point| point.y);
            let (left, right) = (xs.clone().min()?, xs.max()?);
            let (top, bottom) = (ys.clone().min()?, ys.max()?);
            // Four modules of quiet zone around at least 21.
            let quiet = right.saturating_sub(left).max(0) / 5 + 1;
            let place = [
                clamp(left.saturating_sub(quiet), width),
                clamp(top.saturating_sub(quiet), height),
                clamp(right.saturating_add(quiet), width),
                clamp(bottom.saturating_add(quiet), height),
            ];
            Some(QrCode { text, place })
        })
    })
}
