//! A start for the kernel's random numbers.
//!
//! An emulated processor without RDRAND gives the kernel nothing, and whoever asks for a random number
//! (a transaction id, a TLS handshake) waits for minutes. So what little varies here is mixed and
//! credited: clock and cycle counter. Keys made with it are no secrets, and none are needed: everything
//! that this machine talks to belongs to its scenario.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// `RNDADDENTROPY` of the kernel's random.h.
const RNDADDENTROPY: libc::c_ulong = 0x4008_5203;
/// Bytes credited.
const SEED: usize = 64;

/// `struct rand_pool_info` with room for the seed.
#[repr(C)]
struct Pool {
    entropy_bits: libc::c_int,
    size: libc::c_int,
    seed: [u8; SEED],
}

/// Credits a seed.
#[expect(unsafe_code, reason = "an ioctl of the random device")]
pub fn seed_random_numbers() -> io::Result<()> {
    let mut hasher = blake3::Hasher::new();
    let begun = std::time::Instant::now();
    for _ in 0..1024 {
        hasher.update(&begun.elapsed().as_nanos().to_le_bytes());
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    hasher.update(&now.unwrap_or_default().as_nanos().to_le_bytes());
    let mut pool =
        Pool { entropy_bits: 8 * SEED as libc::c_int, size: SEED as libc::c_int, seed: [0; SEED] };
    hasher.finalize_xof().fill(&mut pool.seed);
    let device = File::open("/dev/urandom")?;
    // SAFETY: `pool` is laid out as the kernel's structure, with as many bytes as it says, and
    // outlives the call.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), RNDADDENTROPY, &raw const pool) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
