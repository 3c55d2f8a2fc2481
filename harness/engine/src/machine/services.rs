//! The services on a machine's network: from the scenario's declarations to those that play them.

use std::path::Path;

use recovery::{ContentConfig, Limits, RemediationConfig};
use scenario::{Content, Scenario};

/// The service that the scenario declares, if it declares one. Its certificate is valid around `clock`, its log
/// goes into `evidence`.
pub(crate) fn update_service(
    scenario: &Scenario,
    clock: jiff::Timestamp,
    evidence: &Path,
) -> Option<RemediationConfig> {
    let service = scenario.update_service.as_ref()?;
    let remediations = service.remediation.iter().map(recovery::Remediation::from).collect();
    Some(RemediationConfig {
        host: service.host.clone(),
        remediations,
        clock,
        log: evidence.join("remediation.jsonl"),
        limits: Limits::MACHINE,
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
        available: service.available.into(),
        clock,
    })
}
