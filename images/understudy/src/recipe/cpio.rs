//! An initramfs archive ("newc" format, kernel documentation `initramfs buffer format`), the same
//! bytes for the same contents: no owners, no times, numbered nodes.

use std::collections::BTreeSet;

/// An archive that is being written.
#[derive(Debug, Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    nodes: u32,
    directories: BTreeSet<String>,
}

/// `S_IFDIR` and `S_IFREG`, `S_IFCHR`.
const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

impl Archive {
    /// A directory, once. Those above it must have been added.
    pub(super) fn directory(&mut self, path: &str) {
        if self.directories.insert(path.to_owned()) {
            self.entry(path, DIRECTORY | 0o755, &[], (0, 0));
        }
    }

    /// Every directory above `path`.
    pub(super) fn directories_above(&mut self, path: &str) {
        for (end, _) in path.match_indices('/') {
            self.directory(&path[..end]);
        }
    }

    /// A file with these permissions.
    pub(super) fn file(&mut self, path: &str, permissions: u32, data: &[u8]) {
        self.entry(path, FILE | permissions, data, (0, 0));
    }

    /// A character device node.
    pub(super) fn character_device(&mut self, path: &str, major: u32, minor: u32) {
        self.entry(path, CHARACTER_DEVICE | 0o600, &[], (major, minor));
    }

    /// The archive, ended.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[], (0, 0));
        while !self.bytes.len().is_multiple_of(512) {
            self.bytes.push(0);
        }
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, data: &[u8], device: (u32, u32)) {
        self.nodes += 1;
        let links = if mode & DIRECTORY == DIRECTORY { 2 } else { 1 };
        self.bytes.extend_from_slice(b"070701");
        let size = u32::try_from(data.len()).expect("an initramfs file is far below 4 GiB");
        let name_size = u32::try_from(path.len() + 1).expect("a path is short");
        // Node, mode, owner, group, links, time, size, device of the file system (2), device (2),
        // size of the name, checksum (unused).
        for field in
            [self.nodes, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name_size, 0]
        {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(data);
        self.pad();
    }

    fn pad(&mut self) {
        while !self.bytes.len().is_multiple_of(4) {
            self.bytes.push(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Archive;

    #[test]
    fn an_archive_is_laid_out_as_the_kernel_reads_it() {
        let mut archive = Archive::default();
        archive.directory("dev");
        let once = archive.bytes.len();
        archive.directories_above("dev/console");
        assert_eq!(archive.bytes.len(), once, "a directory is written once");
        archive.file("init", 0o755, b"program");
        let bytes = archive.finish();
        assert_eq!(&bytes[..6], b"070701");
        assert_eq!(&bytes[110..114], b"dev\0");
        assert_eq!(&bytes[116..122], b"070701");
        assert!(bytes.windows(7).any(|window| window == b"program"));
        assert!(bytes.windows(11).any(|window| window == b"TRAILER!!!\0"));
        assert_eq!(bytes.len() % 512, 0);
    }
}
