//! The services on a machine's network: from the scenario's declarations to those that play them.

use std::path::Path;

use recovery::{Action, Availability, ContentConfig, RemediationConfig, SignedBy, Target};
use scenario::{Available, Content, Scenario, Signature};

/// The service that the scenario declares, if it declares one. Its certificate is valid around `clock`, its log
/// goes into `evidence`.
pub(crate) fn update_service(
    scenario: &Scenario,
    clock: jiff::Timestamp,
    evidence: &Path,
) -> Option<RemediationConfig> {
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
            available: availability(remediation.available),
            signed_by: match remediation.signature {
                Signature::Trusted => SignedBy::Publisher,
                Signature::Untrusted => SignedBy::Stranger,
            },
        })
        .collect();
    Some(RemediationConfig {
        host: service.host.clone(),
        remediations,
        clock,
        log: evidence.join("remediation.jsonl"),
    })
}

/// The content service that the scenario declares, if it declares one.
pub(crate) fn content_service(
    scenario: &Scenario,
    clock: jiff::Timestamp,
) -> Option<ContentConfig> {
    let service = scenario.content_service.as_ref()?;
    let bytes = match &service.content {
        Content::ChannelFile(described) => faults::content::channel_file(described),
        Content::Text(text) => text.clone().into_bytes(),
        Content::File(name) => scenario.files.get(name).cloned().unwrap_or_default(),
    };
    Some(ContentConfig {
        host: service.host.clone(),
        file: service.file.clone(),
        bytes,
        available: availability(service.available),
        clock,
    })
}

fn availability(available: Available) -> Availability {
    match available {
        Available::AtStart => Availability::AtStart,
        Available::Never => Availability::Never,
        Available::AfterScans(scans) => Availability::AfterScans(scans),
    }
}
