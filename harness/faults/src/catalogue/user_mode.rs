//! What goes wrong outside the kernel.

use super::KindInfo;

pub(super) const KINDS: &[KindInfo] = &[];
