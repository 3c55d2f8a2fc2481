//! Picture files: PNG, and PPM where QEMU was built without libpng.

use crate::frame::{Frame, FrameError, check_size};

pub(crate) fn decode(bytes: &[u8]) -> Result<Frame, FrameError> {
    if bytes.starts_with(b"\x89PNG") { decode_png(bytes) } else { decode_ppm(bytes) }
}

fn broken(error: impl ToString) -> FrameError {
    FrameError::Format(error.to_string())
}

fn decode_png(bytes: &[u8]) -> Result<Frame, FrameError> {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(broken)?;
    let (width, height) = (reader.info().width, reader.info().height);
    check_size(width, height)?;
    let size = reader.output_buffer_size().ok_or_else(|| broken("its size overflows"))?;
    let mut pixels = vec![0; size];
    let info = reader.next_frame(&mut pixels).map_err(broken)?;
    pixels.truncate(info.buffer_size());
    let rgb = match info.color_type {
        png::ColorType::Rgb => pixels,
        png::ColorType::Rgba => {
            pixels.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
        }
        png::ColorType::Grayscale => pixels.iter().flat_map(|grey| [*grey; 3]).collect(),
        other => {
            return Err(broken(format!("PNG colour type {other:?} is not what QEMU writes")));
        }
    };
    Frame::new(width, height, rgb)
}

/// `P6 <width> <height> 255 <pixels>`, white space between, as QEMU writes it.
fn decode_ppm(bytes: &[u8]) -> Result<Frame, FrameError> {
    let mut at = 0;
    let mut word = || -> Option<&[u8]> {
        while bytes.get(at)?.is_ascii_whitespace() {
            at += 1;
        }
        let start = at;
        while !bytes.get(at)?.is_ascii_whitespace() {
            at += 1;
        }
        Some(&bytes[start..at])
    };
    let header = [word(), word(), word(), word()];
    let [Some(b"P6"), Some(width), Some(height), Some(b"255")] = header else {
        return Err(broken("it is neither PNG nor PPM"));
    };
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<u32>().ok();
    let (width, height) =
        number(width).zip(number(height)).ok_or_else(|| broken("its PPM header is damaged"))?;
    check_size(width, height)?;
    let length = width as usize * height as usize * 3;
    let rgb = bytes.get(at + 1..).and_then(|rest| rest.get(..length));
    Frame::new(width, height, rgb.ok_or_else(|| broken("it is cut short"))?.to_vec())
}

pub(crate) fn encode(frame: &Frame) -> Result<Vec<u8>, FrameError> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, frame.width(), frame.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header().map_err(broken)?;
    writer.write_image_data(frame.rgb()).map_err(broken)?;
    writer.finish().map_err(broken)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn two_pixels() -> Frame {
        Frame::new(2, 1, vec![0, 0, 128, 255, 255, 255]).unwrap()
    }

    #[test]
    fn both_formats_give_the_same_pixels() {
        let ppm = b"P6\n2 1\n255\n\x00\x00\x80\xFF\xFF\xFF";
        assert_eq!(decode(ppm).unwrap(), two_pixels());
        assert_eq!(decode(&encode(&two_pixels()).unwrap()).unwrap(), two_pixels());
    }

    #[test]
    fn damaged_pictures_are_refused() {
        for bytes in [&b"P6 2 1 255 \x00"[..], b"P6 99999 1 255 ", b"P6 2", b"", b"\x89PNG\r\n"] {
            assert!(decode(bytes).is_err());
        }
        assert!(Frame::new(2, 2, vec![0; 11]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
            let _ = decode(&[b"P6 ", bytes.as_slice()].concat());
        }
    }
}
