//! What a start of Windows makes of a driver's signature.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use der::Decode;
use winfmt::certificates::{Store, installed};
use winfmt::hive::Hive;
use x509_cert::Certificate;

use super::file::{Digest, Parts};
use super::refusal::Refusal;
use super::{catalog, embedded};
use crate::bootmgr::Entry;
use crate::kernel::pe::Image;
use crate::say;
use crate::storage::Drive;

/// Windows comes with some dozens.
const MAX_ROOTS: usize = 512;

/// By what this start judges drivers.
#[derive(Debug, Clone, Default)]
pub struct Signatures {
    /// `nointegritychecks` is off.
    checked: bool,
    /// `testsigning`.
    test_mode: bool,
    /// What came with the image.
    listed: HashSet<Digest>,
    roots: Vec<Certificate>,
}

impl Signatures {
    /// Reads what this start goes by. What cannot be read vouches for nothing.
    pub fn read(entry: &Entry, drive: &Drive, software: &Hive) -> Self {
        if entry.no_integrity_checks {
            return Self::default();
        }
        let list = format!("{}\\{}", catalog::FOLDER, catalog::FILE);
        let list = drive.read(&list).unwrap_or_else(|error| {
            say!("[loader] C:{list}: {error}");
            Vec::new()
        });
        let signatures = Self::new(entry.test_signing, &list, software);
        say!(
            "[loader] signatures of drivers are checked: {} in the catalog, test mode {}",
            signatures.listed.len(),
            if signatures.test_mode { "on" } else { "off" }
        );
        signatures
    }

    /// Signatures are checked, with this catalog and the roots of this SOFTWARE hive.
    pub(super) fn new(test_mode: bool, list: &[u8], software: &Hive) -> Self {
        let roots = installed(software, Store::Root).unwrap_or_else(|error| {
            say!("[loader] {error}");
            Vec::new()
        });
        Self {
            checked: true,
            test_mode,
            listed: catalog::read(list),
            roots: roots
                .iter()
                .take(MAX_ROOTS)
                .filter_map(|der| Certificate::from_der(der).ok())
                .collect(),
        }
    }

    /// Whether a driver's file is taken at the machine's present time. What is no image for this machine
    /// passes: it is not loaded for that.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn check(&self, file: &[u8]) -> Result<(), Refusal> {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        self.check_at(file, since_1970.unwrap_or_default())
    }

    pub(super) fn check_at(&self, file: &[u8], now: Duration) -> Result<(), Refusal> {
        if !self.checked || Image::parse(file).is_err() {
            return Ok(());
        }
        let parts = Parts::read(file).map_err(Refusal::File)?;
        if self.listed.contains(&parts.digest) {
            return Ok(());
        }
        let signature = parts.signature.ok_or(Refusal::Unsigned)?;
        embedded::verify(signature, &parts.digest, &self.roots, now)?;
        // Microsoft's own roots are not in the model, so whoever vouches is a test authority.
        if self.test_mode { Ok(()) } else { Err(Refusal::TestMode) }
    }
}
