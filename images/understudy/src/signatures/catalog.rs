//! The catalog of the files that came with the image.
//!
//! Windows' own drivers have no signature in them: catalogs below `CatRoot` list their digests, and
//! Microsoft signs the catalogs. Here it is a list of the model's own, a text that nobody signed: one line
//! a file, with its Authenticode digest (SHA-256) in hex, two spaces, and its path, which is there for
//! whoever reads the list. Lines that begin otherwise are left out.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::file::{Digest, Parts};

/// The folder of the catalogs that Windows' driver checks use.
pub(crate) const FOLDER: &str =
    "\\Windows\\System32\\CatRoot\\{F750E6C3-38EE-11D1-85E5-00C04FC295EE}";
/// The list in it.
pub(crate) const FILE: &str = "understudy.txt";
/// A list that is longer is cut; the image's own has some thousand bytes.
const LIMIT: usize = 1 << 20;

/// The list's text for files that are there, each with its path. One that is no image is left out.
pub(crate) fn write<'f>(files: impl IntoIterator<Item = (&'f str, &'f [u8])>) -> String {
    let mut text = String::from(
        "# Drivers that came with the loopbreak understudy. A list of the model's own, no Windows catalog.\r\n",
    );
    for (path, file) in files {
        if let Ok(parts) = Parts::read(file) {
            for byte in parts.digest {
                let _ = write!(text, "{byte:02x}");
            }
            let _ = write!(text, "  {path}\r\n");
        }
    }
    text
}

/// The digests of a list.
pub(crate) fn read(text: &[u8]) -> HashSet<Digest> {
    text[..text.len().min(LIMIT)].split(|byte| *byte == b'\n').filter_map(digest).collect()
}

/// The digest that a line begins with.
fn digest(line: &[u8]) -> Option<Digest> {
    let (digits, rest) = line.split_at_checked(64)?;
    if !rest.starts_with(b"  ") {
        return None;
    }
    let mut digest = Digest::default();
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = [pair[0], pair[1]].map(|digit| char::from(digit).to_digit(16));
        *byte = (high? << 4 | low?) as u8;
    }
    Some(digest)
}
