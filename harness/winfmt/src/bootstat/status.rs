//! `C:\Windows\bootstat.dat`: the status of the last start, and the log behind it.

use super::log::LOG_SIZE;
use super::{BootLog, BootStatusError, Record};
use crate::bytes::u32_at;

/// Size of `C:\Windows\bootstat.dat`: the status part and the log.
pub const FILE_SIZE: usize = LOG_OFFSET + LOG_SIZE;
const LOG_OFFSET: usize = 0x800;
/// Up to `PowerButtonPressInfo`; later Windows appends.
pub(super) const STATUS_SIZE: usize = 0x88;
/// `Version` of a new file. What Windows writes there is not documented; readers must not rely on it.
const STATUS_VERSION: u32 = 0x88;

/// `C:\Windows\bootstat.dat`. What is behind the known fields keeps its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootStatus {
    data: Vec<u8>,
}

impl BootStatus {
    /// A new file: no start yet, so nothing has failed; an empty log.
    pub fn create() -> Self {
        let mut status = Self { data: vec![0; FILE_SIZE] };
        status.put_u32(0x00, STATUS_VERSION);
        // VER_NT_WORKSTATION.
        status.put_u32(0x04, 1);
        status.set_automatic_boot_menu(true);
        status.data[0x09] = 30;
        status.set_last_boot_succeeded(true);
        status.set_last_boot_shutdown(true);
        status.data[LOG_OFFSET..].copy_from_slice(&BootLog::new().to_bytes());
        status
    }

    /// Takes a file, also one of a newer Windows with more fields.
    ///
    /// # Errors
    /// [`BootStatusError::TooShort`].
    pub fn parse(bytes: Vec<u8>) -> Result<Self, BootStatusError> {
        if bytes.len() < STATUS_SIZE {
            return Err(BootStatusError::TooShort { found: bytes.len(), needed: STATUS_SIZE });
        }
        Ok(Self { data: bytes })
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.data.clone()
    }

    /// `Version`.
    pub fn version(&self) -> u32 {
        self.u32(0x00)
    }

    /// `ProductType`: 1 workstation, 2 domain controller, 3 server.
    pub fn product_type(&self) -> u32 {
        self.u32(0x04)
    }

    /// `AabEnabled`: the boot manager offers its menu after a failure.
    pub fn automatic_boot_menu(&self) -> bool {
        self.data[0x08] != 0
    }

    /// Sets `AabEnabled`.
    pub fn set_automatic_boot_menu(&mut self, on: bool) {
        self.data[0x08] = u8::from(on);
    }

    /// `LastBootSucceeded`: the loader clears it, Windows sets it when a start is good.
    pub fn last_boot_succeeded(&self) -> bool {
        self.data[0x0a] != 0
    }

    /// Sets `LastBootSucceeded`.
    pub fn set_last_boot_succeeded(&mut self, yes: bool) {
        self.data[0x0a] = u8::from(yes);
    }

    /// `LastBootShutdown`: cleared while Windows runs, set when it has shut down.
    pub fn last_boot_shutdown(&self) -> bool {
        self.data[0x0b] != 0
    }

    /// Sets `LastBootShutdown`.
    pub fn set_last_boot_shutdown(&mut self, yes: bool) {
        self.data[0x0b] = u8::from(yes);
    }

    /// `SleepInProgress`.
    pub fn sleep_in_progress(&self) -> bool {
        self.data[0x0c] != 0
    }

    /// Sets `SleepInProgress`.
    pub fn set_sleep_in_progress(&mut self, yes: bool) {
        self.data[0x0c] = u8::from(yes);
    }

    /// `BootAttemptCount`.
    pub fn boot_attempt_count(&self) -> u8 {
        self.data[0x30]
    }

    /// Sets `BootAttemptCount`.
    pub fn set_boot_attempt_count(&mut self, count: u8) {
        self.data[0x30] = count;
    }

    /// `LastBootCheckpoint`.
    pub fn last_boot_checkpoint(&self) -> bool {
        self.data[0x31] != 0
    }

    /// Sets `LastBootCheckpoint`.
    pub fn set_last_boot_checkpoint(&mut self, yes: bool) {
        self.data[0x31] = u8::from(yes);
    }

    /// `Checksum`, as stored. How it is computed is not public.
    pub fn checksum(&self) -> u8 {
        self.data[0x32]
    }

    /// `LastBootId`: counts the starts.
    pub fn last_boot_id(&self) -> u32 {
        self.u32(0x34)
    }

    /// Sets `LastBootId`.
    pub fn set_last_boot_id(&mut self, id: u32) {
        self.put_u32(0x34, id);
    }

    /// `LastSuccessfulShutdownBootId`.
    pub fn last_successful_shutdown_boot_id(&self) -> u32 {
        self.u32(0x38)
    }

    /// Sets `LastSuccessfulShutdownBootId`.
    pub fn set_last_successful_shutdown_boot_id(&mut self, id: u32) {
        self.put_u32(0x38, id);
    }

    /// `LastReportedAbnormalShutdownBootId`.
    pub fn last_reported_abnormal_shutdown_boot_id(&self) -> u32 {
        self.u32(0x3c)
    }

    /// Sets `LastReportedAbnormalShutdownBootId`.
    pub fn set_last_reported_abnormal_shutdown_boot_id(&mut self, id: u32) {
        self.put_u32(0x3c, id);
    }

    /// The log behind the status.
    ///
    /// # Errors
    /// As [`BootLog::parse`].
    pub fn log(&self) -> Result<BootLog, BootStatusError> {
        BootLog::parse(self.data.get(LOG_OFFSET..).unwrap_or_default())
    }

    /// Adds a record to the log behind the status. The oldest ones go where there is no room.
    ///
    /// # Errors
    /// As [`BootLog::parse`] and [`BootLog::append`].
    pub fn append(&mut self, record: Record) -> Result<(), BootStatusError> {
        let mut log = self.log()?;
        log.append(record)?;
        self.data[LOG_OFFSET..LOG_OFFSET + LOG_SIZE].copy_from_slice(&log.to_bytes());
        Ok(())
    }

    fn u32(&self, at: usize) -> u32 {
        // The constructors see to it that the status part is there.
        u32_at(&self.data, at).unwrap_or_default()
    }

    fn put_u32(&mut self, at: usize, value: u32) {
        self.data[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
}
