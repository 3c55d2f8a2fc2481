//! Who signs manifests, and at what time.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use crate::authority::{Authority, AuthorityError};
use crate::download;
use crate::manifest::SignedManifest;
use crate::remediation::{Remediation, SignedBy};
use crate::signer::Signer;
use crate::trouble::Trouble;

/// The keys of a service, and its clock.
pub(crate) struct Signing {
    publisher: Signer,
    stranger: Signer,
    begin: (Timestamp, Instant),
}

impl Signing {
    /// Signs as of `clock`, which goes on from now.
    pub(crate) fn new(authority: &Authority, clock: Timestamp) -> Result<Self, AuthorityError> {
        Ok(Self {
            publisher: authority.publisher().clone(),
            stranger: Authority::untrusted_signer()?,
            begin: (clock, Instant::now()),
        })
    }

    fn now(&self) -> Timestamp {
        let (clock, since) = self.begin;
        let passed = SignedDuration::try_from(since.elapsed()).unwrap_or_default();
        clock.saturating_add(passed).unwrap_or(clock)
    }

    /// A remediation's manifest as it is handed out now, with what goes wrong with it.
    pub(crate) fn sign(
        &self,
        remediation: &Remediation,
        trouble: Option<Trouble>,
    ) -> SignedManifest {
        let now = self.now();
        let manifest = match trouble {
            Some(Trouble::ExpiredManifest) => remediation.expired(now),
            Some(Trouble::ReplayedManifest) => remediation.replayed(now),
            _ => remediation.manifest(now),
        };
        let by_stranger = remediation.signed_by == SignedBy::Stranger
            || trouble == Some(Trouble::UntrustedSignature);
        let signer = if by_stranger { &self.stranger } else { &self.publisher };
        let signed = SignedManifest::sign(&manifest, signer);
        match trouble {
            Some(Trouble::TamperedDownload) => download::tampered(signed),
            _ => signed,
        }
    }
}
