//! Trust and encryption.

use super::KindInfo;

pub(super) const KINDS: &[KindInfo] = &[];
