//! The serial line: one line per milestone, which is what an observer outside reads.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// The machine's first serial port.
static SERIAL: Mutex<Option<File>> = Mutex::new(None);

/// Opens `/dev/ttyS0` in raw mode. Until then lines go to standard output.
pub fn open() -> io::Result<()> {
    let port = File::options().read(true).write(true).open("/dev/ttyS0")?;
    make_raw(&port)?;
    *SERIAL.lock().unwrap_or_else(PoisonError::into_inner) = Some(port);
    Ok(())
}

/// Sends one line, ended by CR LF, in one piece. Control characters inside it become `?`, so that
/// names from the disk cannot forge lines.
pub fn line(text: &str) {
    let mut bytes: Vec<u8> =
        text.chars().map(|c| if c.is_control() { '?' } else { c }).collect::<String>().into_bytes();
    bytes.extend_from_slice(b"\r\n");
    let mut serial = SERIAL.lock().unwrap_or_else(PoisonError::into_inner);
    // There is nowhere to report a broken serial line to.
    let _ = match serial.as_mut() {
        Some(port) => port.write_all(&bytes),
        None => io::stdout().write_all(&bytes),
    };
}

/// Returns when everything sent has left the port, which must be so before power goes.
#[expect(unsafe_code, reason = "tcdrain(3) has no safe wrapper")]
pub fn drain() {
    use std::os::fd::AsRawFd;
    if let Some(port) = SERIAL.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
        // SAFETY: the descriptor is open.
        unsafe { libc::tcdrain(port.as_raw_fd()) };
    }
}

#[expect(unsafe_code, reason = "termios has no safe wrapper in the standard library")]
fn make_raw(port: &File) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: all-zero is a valid termios; tcgetattr fills it.
    let mut settings: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open and the structure outlives the calls.
    let result = unsafe {
        if libc::tcgetattr(port.as_raw_fd(), &raw mut settings) < 0 {
            return Err(io::Error::last_os_error());
        }
        libc::cfmakeraw(&raw mut settings);
        libc::tcsetattr(port.as_raw_fd(), libc::TCSANOW, &raw const settings)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends a formatted line: `say!("[loader] {count} drivers")`.
#[macro_export]
macro_rules! say {
    ($($argument:tt)*) => { $crate::console::line(&format!($($argument)*)) };
}
