//! NTSTATUS values, the ones that the understudy returns or shows.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An NTSTATUS: the top two bits are the severity (3 is an error).
///
/// Source of the values: Microsoft Open Specifications, [MS-ERREF] section 2.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[repr(transparent)]
pub struct NtStatus(pub u32);

impl NtStatus {
    /// True for success and informational values (`NT_SUCCESS`).
    pub const fn is_success(self) -> bool {
        self.0 < 0x8000_0000
    }
}

impl fmt::Display for NtStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "0x{:08X} ({name})", self.0),
            None => write!(f, "0x{:08X}", self.0),
        }
    }
}

macro_rules! statuses {
    ($($name:ident = $value:literal),* $(,)?) => {
        impl NtStatus {
            $(
                #[doc = concat!("`STATUS_", stringify!($name), "`.")]
                pub const $name: Self = Self($value);
            )*

            /// The name in Microsoft's headers, where this crate knows it.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(concat!("STATUS_", stringify!($name))),)*
                    _ => None,
                }
            }
        }
    };
}

statuses! {
    SUCCESS = 0x0000_0000,
    TIMEOUT = 0x0000_0102,
    PENDING = 0x0000_0103,
    NOTIFY_CLEANUP = 0x0000_010B,
    NOTIFY_ENUM_DIR = 0x0000_010C,
    OBJECT_NAME_EXISTS = 0x4000_0000,
    BUFFER_OVERFLOW = 0x8000_0005,
    NO_MORE_FILES = 0x8000_0006,
    NO_MORE_ENTRIES = 0x8000_001A,
    UNSUCCESSFUL = 0xC000_0001,
    NOT_IMPLEMENTED = 0xC000_0002,
    INVALID_INFO_CLASS = 0xC000_0003,
    INFO_LENGTH_MISMATCH = 0xC000_0004,
    ACCESS_VIOLATION = 0xC000_0005,
    INVALID_HANDLE = 0xC000_0008,
    INVALID_PARAMETER = 0xC000_000D,
    NO_SUCH_DEVICE = 0xC000_000E,
    NO_SUCH_FILE = 0xC000_000F,
    INVALID_DEVICE_REQUEST = 0xC000_0010,
    END_OF_FILE = 0xC000_0011,
    NO_MEMORY = 0xC000_0017,
    ILLEGAL_INSTRUCTION = 0xC000_001D,
    ACCESS_DENIED = 0xC000_0022,
    BUFFER_TOO_SMALL = 0xC000_0023,
    OBJECT_TYPE_MISMATCH = 0xC000_0024,
    OBJECT_NAME_INVALID = 0xC000_0033,
    OBJECT_NAME_NOT_FOUND = 0xC000_0034,
    OBJECT_NAME_COLLISION = 0xC000_0035,
    OBJECT_PATH_NOT_FOUND = 0xC000_003A,
    OBJECT_PATH_SYNTAX_BAD = 0xC000_003B,
    SHARING_VIOLATION = 0xC000_0043,
    DELETE_PENDING = 0xC000_0056,
    PROCEDURE_NOT_FOUND = 0xC000_007A,
    INVALID_IMAGE_FORMAT = 0xC000_007B,
    DISK_FULL = 0xC000_007F,
    INTEGER_DIVIDE_BY_ZERO = 0xC000_0094,
    INSUFFICIENT_RESOURCES = 0xC000_009A,
    FILE_IS_A_DIRECTORY = 0xC000_00BA,
    NOT_SUPPORTED = 0xC000_00BB,
    STACK_OVERFLOW = 0xC000_00FD,
    DIRECTORY_NOT_EMPTY = 0xC000_0101,
    FILE_CORRUPT_ERROR = 0xC000_0102,
    NOT_A_DIRECTORY = 0xC000_0103,
    CANCELLED = 0xC000_0120,
    CANNOT_DELETE = 0xC000_0121,
    DLL_NOT_FOUND = 0xC000_0135,
    ENTRYPOINT_NOT_FOUND = 0xC000_0139,
    IO_DEVICE_ERROR = 0xC000_0185,
    IMAGE_ALREADY_LOADED = 0xC000_010E,
    IMAGE_CHECKSUM_MISMATCH = 0xC000_0221,
    DRIVER_ORDINAL_NOT_FOUND = 0xC000_0262,
    DRIVER_ENTRYPOINT_NOT_FOUND = 0xC000_0263,
    NOT_FOUND = 0xC000_0225,
    INVALID_CID = 0xC000_000B,
    DRIVER_UNABLE_TO_LOAD = 0xC000_026C,
    INVALID_IMAGE_HASH = 0xC000_0428,
}
