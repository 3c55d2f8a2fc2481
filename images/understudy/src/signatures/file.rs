//! A driver's file as a signature sees it (Microsoft: "Windows Authenticode Portable Executable Signature
//! Format"; "PE Format", "The attribute certificate table").

use sha2::{Digest as _, Sha256};

/// An Authenticode digest (SHA-256).
pub(crate) type Digest = [u8; 32];

/// Of the optional header: where the checksum and the directories lie, and how many directories there are.
const CHECKSUM: usize = 64;
const PE32_PLUS: u16 = 0x20B;
const DIRECTORY_COUNT: usize = 108;
const DIRECTORIES: usize = 112;
/// The directory of the attribute certificate table. Its address is an offset in the file.
const SECURITY: usize = 4;
/// `WIN_CERTIFICATE`: length, revision, type.
const CERTIFICATE_HEADER: usize = 8;
/// Revision 2.0, PKCS #7 SignedData.
const REVISION_AND_TYPE: [u8; 4] = [0x00, 0x02, 0x02, 0x00];

/// What a file shows of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parts<'f> {
    /// Of all but the checksum and the signature.
    pub(crate) digest: Digest,
    /// The embedded PKCS #7, perhaps with zeroes behind it.
    pub(crate) signature: Option<&'f [u8]>,
}

impl<'f> Parts<'f> {
    /// Reads a file. The reason why it cannot be is for the log.
    ///
    /// The digest is over the whole file, with zeroes up to a multiple of eight bytes. By the book it is
    /// over the headers and each section, which is the same where no bytes lie between them; where some
    /// do, nothing may be changed in them either. By sections a file whose sections lie over each other could
    /// keep bytes out of the digest, or have the same ones counted ten thousand times.
    pub(crate) fn read(file: &'f [u8]) -> Result<Self, &'static str> {
        let headers = number(file, 0x3C).ok_or("its headers are cut off")?;
        let optional = headers.checked_add(24).ok_or("its headers lie outside")?;
        let magic = optional.checked_add(2).and_then(|end| file.get(optional..end));
        if magic != Some(&PE32_PLUS.to_le_bytes()) {
            return Err("its optional header is not PE32+");
        }
        let checksum = optional + CHECKSUM;
        let behind_checksum = file.get(checksum + 4..).ok_or("its headers are cut off")?;
        let mut hasher = Sha256::new();
        hasher.update(&file[..checksum]);
        let count = number(file, optional + DIRECTORY_COUNT).ok_or("its headers are cut off")?;
        if count <= SECURITY {
            hasher.update(behind_checksum);
            pad(&mut hasher, file.len());
            return Ok(Self { digest: hasher.finalize().into(), signature: None });
        }
        let entry = optional + DIRECTORIES + SECURITY * 8;
        let (start, size) = number(file, entry)
            .zip(number(file, entry + 4))
            .ok_or("its directories are cut off")?;
        hasher.update(&file[checksum + 4..entry]);
        if size == 0 {
            hasher.update(&file[entry + 8..]);
            pad(&mut hasher, file.len());
            return Ok(Self { digest: hasher.finalize().into(), signature: None });
        }
        let signed = file.get(entry + 8..start).ok_or("its certificate table lies outside")?;
        if start % 8 != 0 || start.checked_add(size) != Some(file.len()) {
            return Err("its certificate table is not what the file ends with");
        }
        hasher.update(signed);
        Ok(Self {
            digest: hasher.finalize().into(),
            signature: Some(first_certificate(&file[start..])?),
        })
    }
}

/// The first certificate of the table; those behind it do not count.
fn first_certificate(table: &[u8]) -> Result<&[u8], &'static str> {
    let length = number(table, 0).ok_or("its certificate table is cut off")?;
    let certificate = table.get(..length).ok_or("its certificate is cut off")?;
    if certificate.get(4..CERTIFICATE_HEADER) != Some(&REVISION_AND_TYPE) {
        return Err("its certificate is no PKCS #7");
    }
    Ok(&certificate[CERTIFICATE_HEADER..])
}

fn pad(hasher: &mut Sha256, length: usize) {
    hasher.update(&[0; 8][..length.next_multiple_of(8) - length]);
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let field = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes([field[0], field[1], field[2], field[3]]) as usize)
}
