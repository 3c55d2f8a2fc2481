//! The power button: an input device of the kernel's ACPI driver.

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use super::wait_until;

/// `EV_KEY` and `KEY_POWER` of the kernel's input-event-codes.h.
const EV_KEY: u16 = 1;
const KEY_POWER: u16 = 116;

/// Calls `pressed` from a thread of its own at each press. Without a button nothing happens.
pub fn watch_power_button(pressed: impl Fn() + Send + 'static) {
    std::thread::spawn(move || {
        let Some(mut device) = wait_until(Duration::from_secs(10), find) else { return };
        let mut event = [0_u8; 24];
        while device.read_exact(&mut event).is_ok() {
            if is_press(&event) {
                pressed();
            }
        }
    });
}

/// `struct input_event` on x86-64: 16 bytes of time, kind, code, value.
fn is_press(event: &[u8; 24]) -> bool {
    let kind = u16::from_le_bytes([event[16], event[17]]);
    let code = u16::from_le_bytes([event[18], event[19]]);
    let value = i32::from_le_bytes([event[20], event[21], event[22], event[23]]);
    (kind, code, value) == (EV_KEY, KEY_POWER, 1)
}

fn find() -> Option<File> {
    let mut nodes: Vec<PathBuf> =
        fs::read_dir("/sys/class/input").ok()?.flatten().map(|entry| entry.path()).collect();
    nodes.sort();
    nodes.into_iter().find_map(|node| {
        let name = node.file_name()?.to_str()?.to_owned();
        let device = fs::read_to_string(node.join("device/name")).ok()?;
        if !name.starts_with("event") || device.trim() != "Power Button" {
            return None;
        }
        File::open(format!("/dev/input/{name}")).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::is_press;

    #[test]
    fn a_press_is_told_from_a_release() {
        let mut event = [0_u8; 24];
        event[16..24].copy_from_slice(&[1, 0, 116, 0, 1, 0, 0, 0]);
        assert!(is_press(&event));
        event[20] = 0;
        assert!(!is_press(&event));
    }
}
