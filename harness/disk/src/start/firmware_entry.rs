//! What a machine's own firmware variables say of where it starts.

use winfmt::Guid;
use winfmt::variables::{GLOBAL, VariableStore};

/// `LOAD_OPTION_ACTIVE` (UEFI 2.10, 3.1.3).
const ACTIVE: u32 = 1;
/// Media device path (UEFI 2.10, 10.3.5).
const MEDIA: u8 = 4;
/// Its sub-types: hard drive, and a file or a volume in the firmware itself.
const HARD_DRIVE: u8 = 1;
const FIRMWARE_FILE: u8 = 6;
const FIRMWARE_VOLUME: u8 = 7;
/// Length of a hard drive's node, in bytes.
const HARD_DRIVE_NODE: usize = 42;
/// How its signature is to be read: a GUID.
const SIGNATURE_GUID: u8 = 2;

/// The GPT partition that the first entry of the boot order starts from. `None`: there is no order, or its first
/// entry names no partition (a whole disk, the network). Programs of the firmware itself are passed over: they come
/// back.
pub(super) fn first_partition(variables: &VariableStore) -> Option<Guid> {
    let order = &variables.get(GLOBAL, "BootOrder")?.data;
    for number in order.chunks_exact(2) {
        let name = format!("Boot{:04X}", u16::from_le_bytes([number[0], number[1]]));
        let Some(option) = variables.get(GLOBAL, &name) else { continue };
        match target(&option.data) {
            Some(Target::Firmware) | None => {}
            Some(Target::Partition(guid)) => return Some(guid),
            Some(Target::Other) => return None,
        }
    }
    None
}

enum Target {
    Partition(Guid),
    Firmware,
    Other,
}

/// What a load option starts; `None` where it is switched off or damaged.
fn target(option: &[u8]) -> Option<Target> {
    let attributes = u32::from_le_bytes(option.get(..4)?.try_into().ok()?);
    if attributes & ACTIVE == 0 {
        return None;
    }
    let paths = usize::from(u16::from_le_bytes(option.get(4..6)?.try_into().ok()?));
    let rest = option.get(6..)?;
    let end = rest.chunks_exact(2).position(|unit| unit == [0, 0])?;
    let mut nodes = rest.get((end + 1) * 2..)?.get(..paths)?;
    while let [kind, sub, low, high, ..] = *nodes {
        let len = usize::from(u16::from_le_bytes([low, high]));
        let node = nodes.get(..len).filter(|node| node.len() >= 4)?;
        match (kind, sub) {
            (MEDIA, HARD_DRIVE) if len == HARD_DRIVE_NODE && node[41] == SIGNATURE_GUID => {
                return Some(Target::Partition(Guid::from_bytes(node[24..40].try_into().ok()?)));
            }
            (MEDIA, FIRMWARE_FILE | FIRMWARE_VOLUME) => return Some(Target::Firmware),
            _ => nodes = &nodes[len..],
        }
    }
    Some(Target::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(attributes: u32, nodes: &[&[u8]]) -> Vec<u8> {
        let nodes = nodes.concat();
        let mut option = attributes.to_le_bytes().to_vec();
        option.extend(u16::try_from(nodes.len()).unwrap().to_le_bytes());
        option.extend("x\0".encode_utf16().flat_map(u16::to_le_bytes));
        option.extend(nodes);
        option
    }

    fn hard_drive(guid: u8) -> Vec<u8> {
        let mut node = vec![MEDIA, HARD_DRIVE, 42, 0];
        node.resize(24, 0);
        node.extend([guid; 16]);
        node.extend([2, SIGNATURE_GUID]);
        node
    }

    #[test]
    fn a_load_option_leads_to_its_partition() {
        let end: &[u8] = &[0x7f, 0xff, 4, 0];
        let pci: &[u8] = &[1, 1, 6, 0, 0, 0x1f];
        let is = |option: &[u8]| match target(option) {
            Some(Target::Partition(guid)) => format!("{:02x}", guid.to_bytes()[0]),
            Some(Target::Firmware) => "firmware".to_owned(),
            Some(Target::Other) => "other".to_owned(),
            None => "none".to_owned(),
        };
        assert_eq!(is(&option(1, &[&hard_drive(0xab), end])), "ab");
        assert_eq!(is(&option(1, &[pci, &hard_drive(0xcd), end])), "cd");
        assert_eq!(is(&option(0, &[&hard_drive(0xab), end])), "none", "switched off");
        assert_eq!(is(&option(1, &[pci, end])), "other", "a whole disk");
        assert_eq!(is(&option(1, &[&[MEDIA, FIRMWARE_VOLUME, 4, 0], end])), "firmware");
        let whole = option(1, &[&hard_drive(0xab), end]);
        for cut in 0..whole.len() {
            is(&whole[..cut]);
        }
        assert_eq!(is(&option(1, &[&[1, 1, 0, 0]])), "none", "a node without a length ends");
    }
}
