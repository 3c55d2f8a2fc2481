//! The instructions of a driver that only a kernel may run: which they are, and which of them the model can stand in for.

#![expect(unsafe_code, reason = "reads the instruction that has just faulted")]

use super::super::layout;

/// An instruction that faulted because it ran in a process.
pub(super) enum Privileged {
    /// Without effect here: interrupts are always on in a process, and no device is there to be written to.
    Skip(i64),
    ReadIrql {
        register: usize,
        length: i64,
    },
    WriteIrql {
        register: usize,
        length: i64,
    },
    /// A read of an I/O port, of 1, 2 or 4 bytes. The model has no devices: nothing answers.
    ReadPort {
        size: u8,
        length: i64,
    },
    FastFail,
    /// One that runs on Windows and not here; its first bytes, the first one lowest.
    Other {
        bytes: u64,
    },
}

/// Recognises an instruction that only the kernel may run. None for any other.
pub(super) fn read(instruction: u64) -> Option<Privileged> {
    if !layout::DRIVERS.contains(instruction) {
        return None;
    }
    // SAFETY: the processor has just fetched the whole instruction from here: reading byte by byte up
    // to its end touches nothing that it did not.
    let byte = |at: u64| unsafe { *((instruction + at) as *const u8) };
    let mut at = 0;
    let mut narrow = false;
    while matches!(
        byte(at),
        0x66 | 0x67 | 0x2E | 0x36 | 0x3E | 0x26 | 0x64 | 0x65 | 0xF0 | 0xF2 | 0xF3
    ) && at < 4
    {
        narrow |= byte(at) == 0x66;
        at += 1;
    }
    let rex = match byte(at) {
        rex @ 0x40..=0x4F => {
            at += 1;
            rex
        }
        _ => 0,
    };
    let other = |last: u64| {
        let mut bytes = [0; 8];
        for (index, own) in bytes.iter_mut().enumerate().take(last as usize + 1) {
            *own = byte(index as u64);
        }
        Privileged::Other { bytes: u64::from_le_bytes(bytes) }
    };
    let whole = if narrow { 2 } else { 4 };
    Some(match byte(at) {
        // cli, sti, hlt
        0xFA | 0xFB | 0xF4 => Privileged::Skip(at as i64 + 1),
        0xCD if byte(at + 1) == 0x29 => Privileged::FastFail,
        // in and out by a number in the instruction, then by dx.
        0xE4 => Privileged::ReadPort { size: 1, length: at as i64 + 2 },
        0xE5 => Privileged::ReadPort { size: whole, length: at as i64 + 2 },
        0xE6 | 0xE7 => Privileged::Skip(at as i64 + 2),
        0xEC => Privileged::ReadPort { size: 1, length: at as i64 + 1 },
        0xED => Privileged::ReadPort { size: whole, length: at as i64 + 1 },
        0xEE | 0xEF => Privileged::Skip(at as i64 + 1),
        0x6C..=0x6F => other(at),
        0x0F => match byte(at + 1) {
            // wbinvd
            0x09 => Privileged::Skip(at as i64 + 2),
            code @ (0x20 | 0x22) => {
                let operands = byte(at + 2);
                let control = (operands >> 3) & 7 | (rex & 4) << 1;
                let register = usize::from(operands & 7 | (rex & 1) << 3);
                let length = at as i64 + 3;
                match (control, code) {
                    (8, 0x20) => Privileged::ReadIrql { register, length },
                    (8, _) => Privileged::WriteIrql { register, length },
                    _ => other(at + 2),
                }
            }
            0x00 | 0x01 | 0x06 | 0x08 | 0x21 | 0x23 | 0x30 | 0x32 | 0x33 => other(at + 1),
            _ => return None,
        },
        _ => return None,
    })
}
