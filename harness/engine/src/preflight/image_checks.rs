//! What an image can do, held against what a scenario needs, before anything starts.

use disk::{Access, Image, OfflineDisk};
use inspect::{Answer, Check, CheckName, Inspection, Qualification, Source};
use scenario::Scenario;
use winfmt::escaped;

use crate::error::RunError;

/// Refuses a scenario whose image lacks what it needs, or can do what the scenario says it cannot.
pub(crate) fn demand(scenario: &Scenario, image: &Image) -> Result<(), RunError> {
    let needs = scenario.needs();
    if needs.is_empty() && scenario.machine.lacks.is_empty() {
        return Ok(());
    }
    let qualification = qualification_of(image)?;
    match refusal(scenario, &needs, &qualification) {
        Some(reason) => Err(RunError::Refused(reason)),
        None => Ok(()),
    }
}

/// The one that is stored with the image, or where there is none by today's rules, one made on the spot.
fn qualification_of(image: &Image) -> Result<Qualification, RunError> {
    if let Some(stored) = image.qualification()
        && let Ok(text) = fs_err::read(stored)
        && let Ok(qualification) = serde_json::from_slice::<Qualification>(&text)
        && qualification.is_current()
    {
        return Ok(qualification);
    }
    Ok(inspect::qualify(&inspection_of(image)?))
}

/// What the image holds, read now.
pub(crate) fn inspection_of(image: &Image) -> Result<Inspection, RunError> {
    let scratch = tempfile::Builder::new().prefix("lb-").tempdir()?;
    let disk = OfflineDisk::open(&image.disk(), Access::ReadOnly, scratch.path())?;
    let (vars, tpm) = (image.firmware_vars(), image.tpm_state());
    let source = Source { disk: &disk, firmware_vars: vars.as_deref(), tpm: tpm.as_deref() };
    Ok(inspect::inspect(source))
}

/// Why the scenario cannot be run on an image of this qualification. What the author named has to be
/// known; what only follows from the scenario may be unknown, which is told.
fn refusal(
    scenario: &Scenario,
    needs: &[CheckName],
    qualification: &Qualification,
) -> Option<String> {
    let image = &scenario.machine.image;
    let mut missing = Vec::new();
    for need in needs {
        let Some(check) = qualification.check(*need) else { continue };
        match check.answer {
            Answer::Pass => {}
            Answer::Unknown if !scenario.machine.needs.contains(need) => {
                tracing::warn!(image, check = %check.name, "not known: {}", check.evidence);
            }
            Answer::Fail | Answer::NotApplicable | Answer::Unknown => missing.push(check),
        }
    }
    let there: Vec<&Check> = scenario
        .machine
        .lacks
        .iter()
        .filter_map(|need| qualification.check(*need))
        .filter(|check| check.answer == Answer::Pass)
        .collect();
    let mut reason = String::new();
    if !missing.is_empty() {
        reason += &format!("image `{image}` lacks what the scenario needs; nothing was started");
        for check in &missing {
            reason +=
                &format!("\n  {} ({}): {}", check.name, check.answer, escaped(&check.evidence));
            if let Some(remedy) = &check.remedy {
                reason += &format!("\n    to do: {}", escaped(remedy));
            }
        }
        if missing.iter().any(|check| check.fixable) {
            reason += &format!(
                "\n  `loopbreak image qualify {image} --fix` makes a new image with what can be fixed"
            );
        }
        let words: Vec<String> =
            missing.iter().map(|check| format!("\"{}\"", check.name)).collect();
        reason += &format!(
            "\n  if the scenario is about just this, write `lacks = [{}]` in `[machine]`",
            words.join(", ")
        );
    }
    if !there.is_empty() {
        if !reason.is_empty() {
            reason += "\n";
        }
        reason += &format!(
            "the scenario is about an image without what `lacks` names, and image `{image}` has it; \
             nothing was started"
        );
        for check in there {
            reason += &format!(
                "\n  {}: {}\n    to do: remove it from `lacks`, or choose another image",
                check.name,
                escaped(&check.evidence)
            );
        }
    }
    (!reason.is_empty()).then_some(reason)
}

#[cfg(test)]
mod tests {
    use inspect::QUALIFICATION_FORMAT;

    use super::*;

    fn scenario() -> Scenario {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        Scenario::load(&folder.join("../../scenarios/channel-file-291")).unwrap()
    }

    fn qualification(of: impl Fn(CheckName) -> Answer) -> Qualification {
        let check = |name| Check {
            name,
            answer: of(name),
            evidence: format!("what was seen of {name}"),
            remedy: Some("what to do".to_owned()),
            fixable: true,
        };
        let checks = CheckName::ALL.into_iter().map(check).collect();
        Qualification { format: QUALIFICATION_FORMAT, product: None, checks }
    }

    fn refused(scenario: &Scenario, qualification: &Qualification) -> Option<String> {
        refusal(scenario, &scenario.needs(), qualification)
    }

    #[test]
    fn an_image_that_lacks_something_is_refused_with_what_and_what_to_do() {
        let scenario = scenario();
        assert_eq!(refused(&scenario, &qualification(|_| Answer::Pass)), None);
        let lacking = qualification(|name| match name {
            CheckName::BootStatusPolicy => Answer::Fail,
            _ => Answer::Pass,
        });
        let reason = refused(&scenario, &lacking).unwrap();
        for part in [
            "image `understudy` lacks what the scenario needs; nothing was started",
            "boot-status-policy (fail): what was seen of boot-status-policy",
            "to do: what to do",
            "`loopbreak image qualify understudy --fix`",
            "`lacks = [\"boot-status-policy\"]`",
        ] {
            assert!(reason.contains(part), "{reason}");
        }
        let irrelevant = qualification(|name| match name {
            CheckName::Licence => Answer::Fail,
            _ => Answer::Pass,
        });
        assert_eq!(refused(&scenario, &irrelevant), None);
    }

    #[test]
    fn what_is_not_known_is_refused_only_where_the_author_named_it() {
        let mut scenario = scenario();
        let unknown = qualification(|_| Answer::Unknown);
        assert_eq!(refused(&scenario, &unknown), None);
        scenario.machine.needs = vec![CheckName::CrashDump];
        let reason = refused(&scenario, &unknown).unwrap();
        assert!(reason.contains("crash-dump (unknown)"), "{reason}");
        assert!(!reason.contains("automatic-restart"), "{reason}");
    }

    #[test]
    fn what_a_scenario_is_about_has_to_be_so() {
        let mut scenario = scenario();
        scenario.machine.lacks = vec![CheckName::AutomaticRestart];
        let without = qualification(|name| match name {
            CheckName::AutomaticRestart => Answer::Fail,
            _ => Answer::Pass,
        });
        assert_eq!(refused(&scenario, &without), None);
        let reason = refused(&scenario, &qualification(|_| Answer::Pass)).unwrap();
        assert!(reason.contains("image `understudy` has it"), "{reason}");
        assert!(reason.contains("remove it from `lacks`"), "{reason}");
    }
}
