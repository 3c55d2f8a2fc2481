//! The boot sector: the geometry of a volume.

use crate::Reason;

/// What the boot sector says, checked against the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Bytes of a cluster.
    pub(crate) cluster: u64,
    /// Bytes of a file record.
    pub(crate) record: usize,
    /// Bytes of an index block of directories.
    pub(crate) index_block: usize,
    /// Clusters of the volume.
    pub(crate) clusters: u64,
    /// First cluster of `$MFT`.
    pub(crate) mft: u64,
    /// First cluster of `$MFTMirr`.
    pub(crate) mirror: u64,
    /// Volume serial number.
    pub(crate) serial: u64,
}

/// Largest cluster of NTFS: 2 MiB since Windows 10 1709.
const MAX_CLUSTER: u64 = 2 << 20;

fn damaged(what: &str) -> Reason {
    Reason::Damaged(format!("boot sector: {what}"))
}

/// A size that is a count of `unit` where positive, and a power of two of bytes where negative.
fn coded_size(code: u8, unit: u64) -> Option<u64> {
    let signed = code as i8;
    if signed > 0 {
        unit.checked_mul(u64::from(code))
    } else {
        1u64.checked_shl(u32::from(signed.unsigned_abs()))
    }
}

/// Sectors of a cluster: a count up to 0x80, above it a negative power of two.
fn sectors_per_cluster(code: u8) -> Option<u64> {
    match code {
        1..=0x80 if code.is_power_of_two() => Some(u64::from(code)),
        0xf4..=0xff => Some(1 << (256 - u32::from(code))),
        _ => None,
    }
}

/// Bytes of a cluster by a boot sector of NTFS.
pub(crate) fn cluster_size(boot: &[u8; 512]) -> Option<u64> {
    let sector = u64::from(u16::from_le_bytes([boot[0x0b], boot[0x0c]]));
    Some(sector * sectors_per_cluster(boot[0x0d])?).filter(|&size| size > 0)
}

impl Geometry {
    pub(crate) fn parse(boot: &[u8; 512], device: u64) -> Result<Self, Reason> {
        if &boot[3..11] != b"NTFS    " {
            return Err(damaged("no NTFS signature"));
        }
        let sector = u64::from(u16::from_le_bytes([boot[0x0b], boot[0x0c]]));
        if !matches!(sector, 512 | 1024 | 2048 | 4096) {
            return Err(damaged("impossible sector size"));
        }
        let per_cluster =
            sectors_per_cluster(boot[0x0d]).ok_or_else(|| damaged("impossible cluster size"))?;
        let number = |at: usize| {
            u64::from_le_bytes(boot[at..at + 8].try_into().expect("eight bytes of a fixed array"))
        };
        let cluster = sector * per_cluster;
        let sectors = number(0x28);
        let geometry = Self {
            cluster,
            record: coded_size(boot[0x40], cluster)
                .filter(|size| size.is_power_of_two() && (512..=16384).contains(size))
                .ok_or_else(|| damaged("impossible size of file records"))?
                as usize,
            index_block: coded_size(boot[0x44], cluster)
                .filter(|size| size.is_power_of_two() && (512..=65536).contains(size))
                .ok_or_else(|| damaged("impossible size of index blocks"))?
                as usize,
            clusters: sectors / per_cluster,
            mft: number(0x30),
            mirror: number(0x38),
            serial: number(0x48),
        };
        if cluster > MAX_CLUSTER {
            return Err(damaged("clusters larger than 2 MiB"));
        }
        if sectors.checked_mul(sector).is_none_or(|bytes| bytes > device) {
            return Err(damaged("the volume is larger than its partition"));
        }
        if geometry.mft >= geometry.clusters || geometry.mirror >= geometry.clusters {
            return Err(damaged("$MFT lies outside of the volume"));
        }
        Ok(geometry)
    }

    /// Bytes that one step of the virtual cluster numbers of a directory index stands for
    /// (with clusters larger than an index block it is 512).
    pub(crate) fn index_unit(&self, block: usize) -> u64 {
        if self.cluster <= block as u64 { self.cluster } else { 512 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot() -> [u8; 512] {
        let mut boot = [0; 512];
        boot[3..11].copy_from_slice(b"NTFS    ");
        boot[0x0b..0x0d].copy_from_slice(&512u16.to_le_bytes());
        boot[0x0d] = 8;
        boot[0x28..0x30].copy_from_slice(&0xffffu64.to_le_bytes());
        boot[0x30] = 4;
        boot[0x38] = 2;
        boot[0x40] = 0xf6;
        boot[0x44] = 1;
        boot
    }

    #[test]
    fn sizes_in_both_codings() {
        let geometry = Geometry::parse(&boot(), 32 << 20).unwrap();
        assert_eq!((geometry.cluster, geometry.record, geometry.index_block), (4096, 1024, 4096));
        let mut large = boot();
        large[0x0d] = 0xf8;
        large[0x44] = 0xf4;
        let geometry = Geometry::parse(&large, 32 << 20).unwrap();
        assert_eq!((geometry.cluster, geometry.index_block), (131_072, 4096));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (at, value) in [(3, 0), (0x0b, 1), (0x0d, 3), (0x40, 0), (0x44, 0x80), (0x35, 1)] {
            let mut broken = boot();
            broken[at] = value;
            assert!(Geometry::parse(&broken, 32 << 20).is_err(), "{at:#x}");
        }
        assert!(Geometry::parse(&boot(), 1 << 20).is_err());
    }
}
