//! Updates that went wrong.

use super::KindInfo;

pub(super) const KINDS: &[KindInfo] = &[];
