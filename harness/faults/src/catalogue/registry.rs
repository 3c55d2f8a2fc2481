//! The registry.

use super::KindInfo;

pub(super) const KINDS: &[KindInfo] = &[];
