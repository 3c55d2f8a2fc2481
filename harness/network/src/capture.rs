//! The packet capture: every frame of both directions, also the refused ones.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::{DataLink, PcapError};
use thiserror::Error;

use crate::frame::FRAME_LIMIT;

/// A capture stops growing here, in bytes: what a machine sends must not fill the host's disk.
const LIMIT: u64 = 256 * 1024 * 1024;
/// What a frame takes beside its own bytes: block, options, padding.
const OVERHEAD: u64 = 48;

/// Why the capture could not be written.
#[derive(Debug, Error)]
#[error("cannot write the packet capture {path}; is there space, and is its directory writable?")]
pub struct CaptureError {
    path: PathBuf,
    #[source]
    source: PcapError,
}

/// Which way a frame went, in pcapng's words: seen from the capturing interface, the harness's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the machine.
    Inbound = 1,
    /// To the machine.
    Outbound = 2,
}

/// A capture that is being written.
pub(crate) struct Capture {
    path: PathBuf,
    writer: PcapNgWriter<BufWriter<File>>,
    room: u64,
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Capture({})", self.path.display())
    }
}

impl Capture {
    /// Makes the file, replacing an older one, and writes its head.
    pub(crate) fn create(path: &Path) -> Result<Self, CaptureError> {
        let failed = |source| CaptureError { path: path.to_path_buf(), source };
        let file = File::create(path).map_err(|error| failed(PcapError::IoError(error)))?;
        let mut writer = PcapNgWriter::new(BufWriter::new(file)).map_err(failed)?;
        let interface = InterfaceDescriptionBlock {
            linktype: DataLink::ETHERNET,
            snaplen: FRAME_LIMIT as u32,
            options: vec![
                InterfaceDescriptionOption::IfName(Cow::Borrowed("loopbreak")),
                // Time stamps count nanoseconds; without this option they would count microseconds.
                InterfaceDescriptionOption::IfTsResol(9),
            ],
        };
        writer.write_pcapng_block(interface).map_err(failed)?;
        let mut capture = Self { path: path.to_path_buf(), writer, room: LIMIT };
        capture.flush()?;
        Ok(capture)
    }

    /// Adds one frame, stamped with the host's clock. False where the capture is full.
    pub(crate) fn write(
        &mut self,
        direction: Direction,
        frame: &[u8],
    ) -> Result<bool, CaptureError> {
        let Some(room) = self.room.checked_sub(frame.len() as u64 + OVERHEAD) else {
            return Ok(false);
        };
        self.room = room;
        // A clock before 1970 is a broken host; the frame is worth more than its time.
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let block = EnhancedPacketBlock {
            interface_id: 0,
            timestamp,
            original_len: frame.len() as u32,
            data: Cow::Borrowed(frame),
            options: vec![EnhancedPacketOption::Flags(direction as u32)],
        };
        self.writer
            .write_pcapng_block(block)
            .map(|_| true)
            .map_err(|source| CaptureError { path: self.path.clone(), source })
    }

    /// Hands everything to the file, so that a capture is complete up to here whatever happens next.
    pub(crate) fn flush(&mut self) -> Result<(), CaptureError> {
        self.writer.get_mut().flush().map_err(|error| CaptureError {
            path: self.path.clone(),
            source: PcapError::IoError(error),
        })
    }
}

#[cfg(test)]
mod tests {
    use pcap_file::pcapng::{Block, PcapNgReader};

    use super::*;

    #[test]
    fn frames_come_back_with_direction_and_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.pcapng");
        let mut capture = Capture::create(&path).unwrap();
        capture.write(Direction::Inbound, b"one").unwrap();
        capture.write(Direction::Outbound, b"four").unwrap();
        capture.flush().unwrap();

        let mut reader = PcapNgReader::new(File::open(&path).unwrap()).unwrap();
        let mut seen = Vec::new();
        while let Some(block) = reader.next_block() {
            match block.unwrap() {
                Block::InterfaceDescription(interface) => {
                    assert_eq!(interface.linktype, DataLink::ETHERNET);
                    assert!(interface.options.contains(&InterfaceDescriptionOption::IfTsResol(9)));
                }
                Block::EnhancedPacket(packet) => {
                    let age =
                        SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - packet.timestamp;
                    assert!(age < Duration::from_secs(60), "{age:?}");
                    let [EnhancedPacketOption::Flags(way)] = packet.options[..] else {
                        panic!("{packet:?}");
                    };
                    seen.push((way, packet.data.to_vec()));
                }
                other => panic!("unexpected block {other:?}"),
            }
        }
        assert_eq!(seen, [(1, b"one".to_vec()), (2, b"four".to_vec()),]);
    }

    #[test]
    fn a_full_capture_takes_no_more_and_stays_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.pcapng");
        let mut capture = Capture::create(&path).unwrap();
        capture.room = 200;
        assert!(capture.write(Direction::Inbound, &[0; 100]).unwrap());
        assert!(!capture.write(Direction::Inbound, &[0; 100]).unwrap());
        capture.flush().unwrap();
        let mut reader = PcapNgReader::new(File::open(&path).unwrap()).unwrap();
        let mut packets = 0;
        while let Some(block) = reader.next_block() {
            packets += u32::from(matches!(block.unwrap(), Block::EnhancedPacket(_)));
        }
        assert_eq!(packets, 1);
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = Capture::create(Path::new("/nonexistent/a.pcapng")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/a.pcapng"), "{error}");
    }
}
