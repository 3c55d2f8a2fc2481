//! What starts Windows.

use super::KindInfo;

pub(super) const KINDS: &[KindInfo] = &[];
