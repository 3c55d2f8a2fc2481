//! What the machine takes from the kernel below it: file systems, modules, power, network interface,
//! events. Everything that needs a system call without a safe wrapper is in here.

mod button;
mod entropy;
mod modules;
mod mounts;
mod netif;
mod panic_device;
mod power;
mod wait;

pub use button::watch_power_button;
pub use entropy::seed_random_numbers;
pub use modules::{ModuleError, load_module};
pub use mounts::{MountError, mount_kernel_filesystems, wait_for, wait_until};
pub use netif::{Interface, NetifError};
pub use panic_device::signal_panic_device;
pub use power::{Power, leave, stand_still, take_over_signals};
pub use wait::{EdgeWaiter, Readable, wait_readable};

/// How many times faster documented waiting passes, from the fw_cfg item
/// `opt/org.loopbreak/time-scale` (decimal text). Absent or unreadable: 1.
pub fn time_scale() -> f64 {
    std::fs::read_to_string("/sys/firmware/qemu_fw_cfg/by_name/opt/org.loopbreak/time-scale/raw")
        .ok()
        .and_then(|text| parse_time_scale(&text))
        .unwrap_or(1.0)
}

/// Time since the machine was switched on or reset, as the kernel below counts it.
pub fn up_time() -> std::time::Duration {
    std::fs::read_to_string("/proc/uptime")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .map_or(std::time::Duration::ZERO, std::time::Duration::from_secs_f64)
}

/// A scale is a finite number from 1 to 100 000.
fn parse_time_scale(text: &str) -> Option<f64> {
    let scale: f64 = text.trim_matches(|c: char| c.is_whitespace() || c == '\0').parse().ok()?;
    (1.0..=100_000.0).contains(&scale).then_some(scale)
}

#[cfg(test)]
mod tests {
    use super::parse_time_scale;

    #[test]
    fn a_time_scale_is_a_number_from_one_up() {
        assert_eq!(parse_time_scale("60"), Some(60.0));
        assert_eq!(parse_time_scale("1.5\n"), Some(1.5));
        assert_eq!(parse_time_scale("0"), None);
        assert_eq!(parse_time_scale("NaN"), None);
        assert_eq!(parse_time_scale("-3"), None);
        assert_eq!(parse_time_scale("fast"), None);
    }
}
