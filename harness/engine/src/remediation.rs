//! From the scenario's update service to the remediation service that plays it.

use std::path::Path;

use recovery::{Action, Availability, RemediationConfig, SignedBy, Target};
use scenario::{Available, Scenario, Signature};

/// The service that the scenario declares, if it declares one. Its log goes into `evidence`.
pub(crate) fn config(scenario: &Scenario, evidence: &Path) -> Option<RemediationConfig> {
    let service = scenario.update_service.as_ref()?;
    let remediations = service
        .remediation
        .iter()
        .map(|remediation| recovery::Remediation {
            id: remediation.id.clone(),
            title: remediation.title.clone(),
            target: Target {
                module: remediation.target.module.clone(),
                bug_check: u64::from(remediation.target.bug_check),
            },
            actions: vec![Action::Delete {
                path: remediation.delete.path.as_str().to_owned(),
                modified_before: remediation.delete.modified_before,
            }],
            available: match remediation.available {
                Available::AtStart => Availability::AtStart,
                Available::Never => Availability::Never,
                Available::AfterScans(scans) => Availability::AfterScans(scans),
            },
            signed_by: match remediation.signature {
                Signature::Trusted => SignedBy::Publisher,
                Signature::Untrusted => SignedBy::Stranger,
            },
        })
        .collect();
    Some(RemediationConfig {
        host: service.host.clone(),
        remediations,
        log: evidence.join("remediation.jsonl"),
    })
}
