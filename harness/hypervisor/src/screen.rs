//! The display: looked at now and then, kept where it changed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use timeline::{Body, Sink, Source};
use virt::domain::Domain;
use virt::stream::Stream;

use crate::connection::Connection;
use crate::error::HypervisorError;

/// Larger pictures are refused: the guest chooses the resolution.
const MAX_SIDE: u32 = 8192;
/// Bytes of one picture as it comes from the hypervisor.
const MAX_BYTES: usize = 128 << 20;

/// The pictures of one machine.
#[derive(Clone)]
pub(crate) struct Screen(Arc<Inner>);

struct Inner {
    name: String,
    connection: Arc<Connection>,
    domain: Domain,
    sink: Sink,
    evidence: PathBuf,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    digest: Option<blake3::Hash>,
    file: Option<PathBuf>,
    count: u32,
}

/// Pixels of a frame, three bytes each: red, green, blue.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Screen {
    /// Pictures go to `frames/` below `evidence`.
    pub(crate) fn new(
        name: &str,
        connection: Arc<Connection>,
        domain: Domain,
        sink: Sink,
        evidence: &Path,
    ) -> Result<Self, HypervisorError> {
        let directory = evidence.join("frames");
        fs_err::create_dir_all(&directory)
            .map_err(|error| HypervisorError::io("create", &directory, error))?;
        let count = fs_err::read_dir(&directory)
            .map_err(|error| HypervisorError::io("list", &directory, error))?
            .count();
        let last = Last { count: u32::try_from(count).unwrap_or(u32::MAX), ..Last::default() };
        Ok(Self(Arc::new(Inner {
            name: name.to_owned(),
            connection,
            domain,
            sink,
            evidence: evidence.to_owned(),
            last: Mutex::new(last),
        })))
    }

    /// Takes a picture; emits it and writes it down if it differs from the last. Returns the file of
    /// the present picture; `None` while the guest has no display mode.
    pub(crate) async fn take(&self, why: &str) -> Result<Option<PathBuf>, HypervisorError> {
        let inner = Arc::clone(&self.0);
        let why = why.to_owned();
        tokio::task::spawn_blocking(move || inner.take(&why)).await.map_err(|error| {
            HypervisorError::Picture { name: self.0.name.clone(), reason: error.to_string() }
        })?
    }
}

impl Inner {
    fn take(&self, why: &str) -> Result<Option<PathBuf>, HypervisorError> {
        // One at a time, so that numbers and files agree.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let raw = self.download()?;
        let frame = decode(&raw)
            .map_err(|reason| HypervisorError::Picture { name: self.name.clone(), reason })?;
        if frame.width == 0 || frame.height == 0 {
            return Ok(None);
        }
        let digest = frame.digest();
        if last.digest == Some(digest) {
            return Ok(last.file.clone());
        }
        let relative = PathBuf::from(format!("frames/{:05}.png", last.count));
        let path = self.evidence.join(&relative);
        let encoded = encode(&frame)
            .map_err(|reason| HypervisorError::Picture { name: self.name.clone(), reason })?;
        fs_err::write(&path, encoded)
            .map_err(|error| HypervisorError::io("write", &path, error))?;
        last.count += 1;
        last.digest = Some(digest);
        last.file = Some(path.clone());
        self.sink.emit(
            Source::Screen,
            Body::Frame {
                file: relative.to_string_lossy().into_owned(),
                digest: digest.to_hex().to_string(),
                width: frame.width,
                height: frame.height,
                why: why.to_owned(),
            },
        );
        Ok(Some(path))
    }

    fn download(&self) -> Result<Vec<u8>, HypervisorError> {
        let failed = |error: virt::error::Error| HypervisorError::Libvirt {
            action: "take a picture of",
            object: self.name.clone(),
            message: error.message().to_owned(),
        };
        let stream = Stream::new(&self.connection.connect, 0).map_err(failed)?;
        self.domain.screenshot(&stream, 0, 0).map_err(failed)?;
        let mut bytes = Vec::new();
        let mut chunk = vec![0_u8; 64 * 1024];
        loop {
            match stream.recv(&mut chunk).map_err(failed)? {
                0 => break,
                count => bytes.extend_from_slice(&chunk[..count]),
            }
            if bytes.len() > MAX_BYTES {
                return Err(HypervisorError::Picture {
                    name: self.name.clone(),
                    reason: format!("it has more than {MAX_BYTES} bytes"),
                });
            }
        }
        stream.finish().map_err(failed)?;
        Ok(bytes)
    }
}

impl Frame {
    fn digest(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.width.to_le_bytes());
        hasher.update(&self.height.to_le_bytes());
        hasher.update(&self.rgb);
        hasher.finalize()
    }
}

/// QEMU gives PNG, or PPM where it was built without libpng.
fn decode(bytes: &[u8]) -> Result<Frame, String> {
    if bytes.starts_with(b"\x89PNG") { decode_png(bytes) } else { decode_ppm(bytes) }
}

fn decode_png(bytes: &[u8]) -> Result<Frame, String> {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(|error| error.to_string())?;
    let (width, height) = (reader.info().width, reader.info().height);
    check_size(width, height)?;
    let size = reader.output_buffer_size().ok_or("its size overflows")?;
    let mut pixels = vec![0; size];
    let info = reader.next_frame(&mut pixels).map_err(|error| error.to_string())?;
    pixels.truncate(info.buffer_size());
    let rgb = match info.color_type {
        png::ColorType::Rgb => pixels,
        png::ColorType::Rgba => {
            pixels.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
        }
        png::ColorType::Grayscale => pixels.iter().flat_map(|grey| [*grey; 3]).collect(),
        other => return Err(format!("PNG colour type {other:?} is not what QEMU writes")),
    };
    Ok(Frame { width, height, rgb })
}

/// `P6 <width> <height> 255 <pixels>`, white space between, as QEMU writes it.
fn decode_ppm(bytes: &[u8]) -> Result<Frame, String> {
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
        return Err("it is neither PNG nor PPM".to_owned());
    };
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<u32>().ok();
    let (width, height) = number(width).zip(number(height)).ok_or("its PPM header is damaged")?;
    check_size(width, height)?;
    let length = width as usize * height as usize * 3;
    let rgb = bytes.get(at + 1..).and_then(|rest| rest.get(..length));
    Ok(Frame { width, height, rgb: rgb.ok_or("it is cut short")?.to_vec() })
}

fn check_size(width: u32, height: u32) -> Result<(), String> {
    if width > MAX_SIDE || height > MAX_SIDE {
        return Err(format!("{width}x{height} is larger than {MAX_SIDE}x{MAX_SIDE}"));
    }
    Ok(())
}

fn encode(frame: &Frame) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, frame.width, frame.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header().map_err(|error| error.to_string())?;
    writer.write_image_data(&frame.rgb).map_err(|error| error.to_string())?;
    writer.finish().map_err(|error| error.to_string())?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn two_pixels() -> Frame {
        Frame { width: 2, height: 1, rgb: vec![0, 0, 128, 255, 255, 255] }
    }

    #[test]
    fn both_formats_give_the_same_pixels() {
        let ppm = b"P6\n2 1\n255\n\x00\x00\x80\xFF\xFF\xFF";
        assert_eq!(decode(ppm).unwrap(), two_pixels());
        assert_eq!(decode(&encode(&two_pixels()).unwrap()).unwrap(), two_pixels());
    }

    #[test]
    fn the_digest_knows_the_shape() {
        let upright = Frame { width: 1, height: 2, rgb: two_pixels().rgb };
        assert_ne!(upright.digest(), two_pixels().digest());
    }

    #[test]
    fn damaged_pictures_are_refused() {
        for bytes in [&b"P6 2 1 255 \x00"[..], b"P6 99999 1 255 ", b"P6 2", b"", b"\x89PNG\r\n"] {
            assert!(decode(bytes).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
            let _ = decode(&[b"P6 ", bytes.as_slice()].concat());
        }
    }
}
