//! Disk files that do not hold all of their disk: cut off in a copy or a download.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use super::source::{DiskFormat, DiskSource, SourceError, field};

/// Where the dynamic header of a VHD lies: behind the copy of the footer.
const VHD_HEADER: u64 = 512;
/// More blocks than a VHD of 2 TiB has.
const VHD_MAX_BLOCKS: u32 = 1 << 21;

/// Refuses a file that ends before its disk does, as far as its own tables tell.
pub(super) fn check(source: &DiskSource) -> Result<(), SourceError> {
    let needed = match source.format {
        DiskFormat::Qcow2 => needed_by_qcow2(source)?,
        DiskFormat::Vmdk => match points_beyond_the_end(source)? {
            true => return Err(refused(source, None)),
            false => None,
        },
        DiskFormat::Vhd => needed_by_vhd(&source.path)
            .map_err(|cause| SourceError::Read { path: source.path.clone(), cause })?,
        // QEMU looks at these itself when it opens them; a raw disk is known by its partitions.
        DiskFormat::Vhdx | DiskFormat::Raw => None,
    };
    match needed {
        Some(needed) if needed > source.file_size => Err(refused(source, Some(needed))),
        _ => Ok(()),
    }
}

fn refused(source: &DiskSource, needed: Option<u64>) -> SourceError {
    let needed =
        needed.map_or_else(|| "more than that".to_owned(), |needed| format!("at least {needed}"));
    SourceError::Refused {
        path: source.path.clone(),
        format: source.format,
        what: format!(
            "it is cut off: it has {} bytes, and by its own tables {needed}; get a whole copy",
            source.file_size
        ),
    }
}

/// What `qemu-img check` says, where it says anything.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Checked {
    image_end_offset: Option<u64>,
    #[serde(default)]
    corruptions: u64,
}

fn checked(source: &DiskSource) -> Result<std::process::Output, SourceError> {
    // The same limits as for `qemu-img info`; nothing is locked, since nothing is written.
    Command::new("sh")
        .args(["-c", "ulimit -v 1048576 && ulimit -t 30 && exec \"$@\"", "sh"])
        .args(["qemu-img", "check", "--force-share", "--output=json", "-f", source.format.driver()])
        .arg(&source.path)
        .output()
        .map_err(SourceError::NoProgram)
}

/// The last cluster that is in use. Where nothing contradicts it, its end may be left out of the file.
fn needed_by_qcow2(source: &DiskSource) -> Result<Option<u64>, SourceError> {
    let output = checked(source)?;
    let said: Option<Checked> = serde_json::from_slice(&output.stdout).ok();
    Ok(said.filter(|said| said.corruptions > 0).and_then(|said| said.image_end_offset))
}

fn points_beyond_the_end(source: &DiskSource) -> Result<bool, SourceError> {
    let output = checked(source)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    Ok(!output.status.success() && said.contains("EOF"))
}

/// The end of the last block of a dynamic VHD ("Virtual Hard Disk Image Format Specification" 1.0, "Dynamic Disk
/// Header", "Block Allocation Table"); `None` of a fixed one, which is its disk and a footer.
fn needed_by_vhd(path: &Path) -> std::io::Result<Option<u64>> {
    let mut file = std::fs::File::open(path)?;
    let mut header = Vec::new();
    file.seek(SeekFrom::Start(VHD_HEADER))?;
    (&mut file).take(1024).read_to_end(&mut header)?;
    if !header.starts_with(b"cxsparse") {
        return Ok(None);
    }
    let table = u64::from_be_bytes(field(&header, 16));
    let blocks = u32::from_be_bytes(field(&header, 28)).min(VHD_MAX_BLOCKS);
    let size = u64::from(u32::from_be_bytes(field(&header, 32)));
    // A bit a sector, in whole sectors, lies before each block.
    let bitmap = (size / 512).div_ceil(8).next_multiple_of(512);
    let mut entries = Vec::new();
    file.seek(SeekFrom::Start(table))?;
    file.take(u64::from(blocks) * 4).read_to_end(&mut entries)?;
    let used = entries.chunks_exact(4).map(|entry| u32::from_be_bytes(field(entry, 0)));
    let last = used.filter(|entry| *entry != u32::MAX).max();
    Ok(last.map(|last| u64::from(last) * 512 + bitmap + size))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with something in each part, in a format, whole and cut off.
    #[test]
    fn a_file_that_ends_too_early_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let raw = folder.path().join("disk.raw");
        let mut bytes: Vec<u8> = (0..8u32 << 20).map(|at| (at >> 9) as u8 | 1).collect();
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        std::fs::write(&raw, &bytes).unwrap();
        for (driver, options) in [
            ("qcow2", ""),
            ("vmdk", "subformat=monolithicSparse"),
            ("vpc", "subformat=dynamic,force_size=on"),
        ] {
            let file = folder.path().join(driver);
            let mut command = Command::new("qemu-img");
            command.args(["convert", "-f", "raw", "-O", driver]);
            if !options.is_empty() {
                command.args(["-o", options]);
            }
            assert!(command.arg(&raw).arg(&file).status().unwrap().success(), "{driver}");
            DiskSource::probe(&file).unwrap();
            let mut whole = std::fs::read(&file).unwrap();
            // A VHD is known by its footer, which a copy that was cut off has in front only.
            whole.truncate(whole.len() / 2 / 512 * 512);
            std::fs::write(&file, &whole).unwrap();
            let error = DiskSource::probe(&file).unwrap_err();
            // Of a VHD that ends before its own tables say QEMU tells it first.
            let told = error.to_string();
            let cut = told.contains("it is cut off") || told.contains("has been truncated");
            assert!(error.is_usage() && cut, "{error}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}
