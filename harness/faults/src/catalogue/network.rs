//! The network and its services.

use super::KindInfo;

pub(super) const KINDS: &[KindInfo] = &[];
