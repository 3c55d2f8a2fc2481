//! From what people declare, in scenarios and in files of their own, to what the service has.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use scenario::{Available, ServiceTrouble, Signature};

use crate::manifest::{Action, Builds, Target};
use crate::protocol::Availability;
use crate::remediation::{Release, Remediation, SignedBy};
use crate::trouble::Trouble;

impl From<&scenario::Remediation> for Remediation {
    fn from(declared: &scenario::Remediation) -> Self {
        let delete = declared.delete.as_ref().map(|delete| Action::Delete {
            path: delete.path.as_str().to_owned(),
            modified_before: delete.modified_before,
        });
        let write = declared.write.as_ref().map(|write| Action::Write {
            path: write.path.as_str().to_owned(),
            content: BASE64.encode(&write.text),
        });
        let release = declared.release.as_ref();
        Self {
            id: declared.id.clone(),
            title: declared.title.clone(),
            counter: declared.counter,
            target: Target {
                module: declared.target.module.clone(),
                bug_check: u64::from(declared.target.bug_check),
                builds: declared.target.builds.map(|it| Builds { from: it.from, to: it.to }),
                groups: declared.target.groups.clone(),
            },
            actions: delete.into_iter().chain(write).collect(),
            available: declared.available.into(),
            release: release.map_or_else(Release::default, |release| Release {
                percent: release.percent,
                rings: release.rings.clone(),
            }),
            signed_by: match declared.signature {
                Signature::Trusted => SignedBy::Publisher,
                Signature::Untrusted => SignedBy::Stranger,
            },
        }
    }
}

impl From<Available> for Availability {
    fn from(declared: Available) -> Self {
        match declared {
            Available::AtStart => Self::AtStart,
            Available::Never => Self::Never,
            Available::AfterScans(scans) => Self::AfterScans(scans),
        }
    }
}

impl Trouble {
    /// What the service does by itself; nothing where the network does it: it is down.
    pub fn declared(trouble: &ServiceTrouble) -> Option<Self> {
        Some(match trouble {
            ServiceTrouble::Down => return None,
            ServiceTrouble::Slow(slow) => Self::Slow(slow.delay.duration()),
            ServiceTrouble::Unavailable => Self::Unavailable,
            ServiceTrouble::Busy(busy) => Self::Busy(busy.retry_after.duration()),
            ServiceTrouble::WrongCertificate => Self::WrongCertificate,
            ServiceTrouble::ExpiredCertificate => Self::ExpiredCertificate,
            ServiceTrouble::TruncatedDownload => Self::TruncatedDownload,
            ServiceTrouble::TamperedDownload => Self::TamperedDownload,
            ServiceTrouble::UntrustedSignature => Self::UntrustedSignature,
            ServiceTrouble::ExpiredManifest => Self::ExpiredManifest,
            ServiceTrouble::ReplayedManifest => Self::ReplayedManifest,
        })
    }
}
