//! What the boot manager shows when it cannot start anything.

use std::fmt;

use volume::VolumeError;

/// A status of the boot manager or loader, as its screen shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u32);

impl Status {
    /// A device that is needed is not there.
    pub const NO_DEVICE: Self = Self(0xC000_000E);
    /// A file that is needed is not there.
    pub const NO_FILE: Self = Self(0xC000_000F);
    /// The store names no loader that could be started.
    pub const NO_VALID_OS_ENTRY: Self = Self(0xC000_0098);
    /// A hive (the boot configuration store, or SYSTEM) is damaged.
    pub const REGISTRY_CORRUPT: Self = Self(0xC000_014C);
    /// The disk does not give what lies on it.
    pub const IO_ERROR: Self = Self(0xC000_00E9);
    /// An image is no image for this machine.
    pub const INVALID_IMAGE: Self = Self(0xC000_007B);
    /// An image does not match its checksum.
    pub const CHECKSUM: Self = Self(0xC000_0221);
    /// A driver has no good signature.
    pub const INVALID_HASH: Self = Self(0xC000_0428);
    /// An image needs a module that is not there.
    pub const MISSING_MODULE: Self = Self(0xC000_0135);
    /// An image needs a function by number that is not there.
    pub const MISSING_ORDINAL: Self = Self(0xC000_0262);
    /// An image needs a function that is not there.
    pub const MISSING_FUNCTION: Self = Self(0xC000_0263);

    /// What the screen says about it.
    fn text(self) -> &'static str {
        match self {
            Self::IO_ERROR => {
                "There's a problem with a device connected to your PC. An unexpected I/O error has occurred."
            }
            Self::NO_DEVICE => "A required device isn't connected or can't be accessed.",
            Self::NO_VALID_OS_ENTRY => {
                "The Boot Configuration Data file doesn't contain valid information for an operating system."
            }
            Self::REGISTRY_CORRUPT => {
                "The operating system couldn't be loaded because the registry file is missing or contains errors."
            }
            Self::INVALID_HASH => {
                "The operating system couldn't be loaded because the digital signature of a file couldn't be verified."
            }
            Self::INVALID_IMAGE
            | Self::CHECKSUM
            | Self::MISSING_MODULE
            | Self::MISSING_ORDINAL
            | Self::MISSING_FUNCTION => {
                "The operating system couldn't be loaded because a critical system driver is missing or contains errors."
            }
            _ => "The Boot Configuration Data for your PC is missing or contains errors.",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "0x{:08x}", self.0)
    }
}

/// An error screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootError {
    /// The status.
    pub status: Status,
    /// The file or device that it is about.
    pub about: String,
}

impl BootError {
    /// An error about a file or device.
    pub fn new(status: Status, about: impl Into<String>) -> Self {
        Self { status, about: about.into() }
    }

    /// That a file could not be read: because the disk failed, or with `otherwise`.
    pub fn unreadable(error: &VolumeError, otherwise: Status, about: impl Into<String>) -> Self {
        Self::new(if error.is_device() { Status::IO_ERROR } else { otherwise }, about)
    }

    /// The lines of the screen.
    pub fn lines(&self) -> Vec<String> {
        // A missing file other than the store is a matter of the file, not of the store.
        let text = if self.status == Status::NO_FILE && !self.about.ends_with("\\BCD") {
            "The operating system couldn't be loaded because a required file is missing or contains errors."
        } else {
            self.status.text()
        };
        vec![
            "Recovery".to_owned(),
            " ".to_owned(),
            "Your PC/Device needs to be repaired".to_owned(),
            " ".to_owned(),
            text.to_owned(),
            " ".to_owned(),
            format!("File: {}", self.about),
            format!("Error code: {}", self.status),
        ]
    }
}
