//! Power.

use super::KindInfo;

pub(super) const KINDS: &[KindInfo] = &[];
