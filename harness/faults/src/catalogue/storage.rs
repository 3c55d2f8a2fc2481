//! The disk itself.

use super::KindInfo;

pub(super) const KINDS: &[KindInfo] = &[];
