//! Empty volumes, made by `fstool`.

use super::NtfsFormat;
use super::engine::{Engine, LOG_FILE, ROOT, VOLUME};
use super::name::FileName;
use super::record::{kind, u16_at};
use crate::{BlockDevice, Reason, Stream};
use std::io::{self, Read, Seek, SeekFrom, Write};

/// Volumes below this have no room for what NTFS itself needs.
const MIN_SIZE: u64 = 8 << 20;

pub(super) fn format(device: &mut dyn BlockDevice, options: &NtfsFormat) -> Result<(), Reason> {
    if device.len() < MIN_SIZE {
        return Err(Reason::Unsupported("volumes of less than 8 MiB".to_owned()));
    }
    if options.label.encode_utf16().count() > 32 {
        return Err(Reason::bad_path("a label has at most 32 characters"));
    }
    let mut settings = fstool::fs::ntfs::format::FormatOpts::default();
    settings.volume_label.clone_from(&options.label);
    settings.volume_serial = options.serial;
    let mut adapter = Adapter(Stream::new(device));
    let tool_error = |error: fstool::Error| Reason::Damaged(error.to_string());
    let mut volume = fstool::fs::ntfs::Ntfs::format(&mut adapter, &settings).map_err(tool_error)?;
    volume.flush(&mut adapter).map_err(tool_error)
}

/// Bytes of the log. What `fstool` makes is too small for other systems, which want at least 50
/// pages of 4 KiB.
const LOG_SIZE: u64 = 2 << 20;

impl Engine {
    /// The root of a volume has an entry for itself, which `fstool` leaves out and `ntfs-3g` misses.
    pub(super) fn enter_root(&mut self) -> Result<(), Reason> {
        let mut root = self.inode(ROOT)?;
        let name = root
            .attributes()
            .find(|one| one.kind() == kind::FILE_NAME)
            .map(|one| FileName::parse(one.value()))
            .ok_or_else(|| Reason::Damaged("the root has no name".to_owned()))??;
        let reference = root.base.reference();
        self.insert_name(&mut root, reference, &name)
    }

    /// Gives a fresh volume a log of the usual size. As `mkntfs` does, it is filled with ones,
    /// which stands for a log that was never used.
    pub(super) fn make_log(&mut self) -> Result<(), Reason> {
        let mut inode = self.inode(LOG_FILE)?;
        let mut blank = io::repeat(0xff);
        self.replace_data(&mut inode, &mut blank, LOG_SIZE)
    }

    /// Sets the flag that makes Windows check the volume.
    pub(super) fn set_dirty_flag(&mut self) -> Result<(), Reason> {
        let mut inode = self.inode(VOLUME)?;
        for record in inode.records_mut() {
            if let Some(information) = record.find_mut(kind::VOLUME_INFORMATION, &[]) {
                let mut value = information.value().to_vec();
                if value.len() >= 12 {
                    let flags = u16_at(&value, 10) | 1;
                    value[10..12].copy_from_slice(&flags.to_le_bytes());
                    information.set_value(&value);
                }
            }
        }
        self.write_inode(&mut inode)
    }
}

/// A device as `fstool` wants one.
struct Adapter<'a>(Stream<&'a mut dyn BlockDevice>);

impl Read for Adapter<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Adapter<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Seek for Adapter<'_> {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        self.0.seek(target)
    }
}

impl fstool::block::BlockDevice for Adapter<'_> {
    fn block_size(&self) -> u32 {
        512
    }

    fn total_size(&self) -> u64 {
        self.0.device().len()
    }

    fn sync(&mut self) -> fstool::Result<()> {
        Ok(self.0.flush()?)
    }
}
