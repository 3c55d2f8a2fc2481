//! What an image can do, by the checks of its qualification, held against what a scenario needs. Pure.

use inspect::{Answer, Check, CheckName};

use super::not_applicable::Lack;
use super::wanted::Wanted;

/// The checks that the scenario needs and the image does not pass, and those that it must not pass and does. What
/// the author named has to be known; what only follows from the scenario may be unknown ([`unknown`]).
pub(super) fn lacks(wanted: &Wanted<'_>) -> Vec<Lack> {
    let machine = &wanted.scenario.machine;
    let mut lacks = Vec::new();
    for need in needs(wanted) {
        let Some(check) = wanted.facts.qualification.check(need) else { continue };
        match check.answer {
            Answer::Pass => {}
            Answer::Unknown if !machine.needs.contains(&need) => {}
            Answer::Fail | Answer::Warn | Answer::NotApplicable | Answer::Unknown => {
                lacks.push(missing(check))
            }
        }
    }
    for name in &machine.lacks {
        let check = wanted.facts.qualification.check(*name);
        lacks.extend(check.filter(|check| check.answer == Answer::Pass).map(there));
    }
    lacks
}

/// A machine that does not come to Windows at all tells nothing of what is done to it, unless the scenario is about
/// that.
pub(super) fn does_not_start(wanted: &Wanted<'_>) -> Option<Lack> {
    let machine = &wanted.scenario.machine;
    let name = CheckName::DefaultEntry;
    if machine.lacks.contains(&name) || machine.needs.contains(&name) {
        return None;
    }
    let check = wanted.facts.qualification.check(name)?;
    (check.answer == Answer::Fail).then(|| missing(check))
}

/// What only follows from the scenario and is not known of the image.
pub(super) fn unknown(wanted: &Wanted<'_>) -> Vec<String> {
    let named = &wanted.scenario.machine.needs;
    let follow = needs(wanted).into_iter().filter(|need| !named.contains(need));
    follow
        .filter_map(|need| wanted.facts.qualification.check(need))
        .filter(|check| check.answer == Answer::Unknown)
        .map(|check| format!("{}: {}", check.name, check.evidence))
        .collect()
}

fn needs(wanted: &Wanted<'_>) -> Vec<CheckName> {
    let mut needs = wanted.scenario.needs();
    let agent = CheckName::GuestAgent;
    if wanted.needs_agent()
        && !wanted.declares_agent()
        && !needs.contains(&agent)
        && !wanted.scenario.machine.lacks.contains(&agent)
    {
        needs.push(agent);
    }
    needs
}

fn missing(check: &Check) -> Lack {
    Lack {
        need: check.name.to_string(),
        why: check.evidence.clone(),
        remedy: check.remedy.clone(),
        check: Some(check.name),
        fixable: check.fixable,
    }
}

/// The scenario is about an image that cannot do it.
fn there(check: &Check) -> Lack {
    Lack::new(
        &format!("no-{}", check.name),
        format!(
            "the scenario is about an image without it, and this one has it: {}",
            check.evidence
        ),
        format!("remove \"{}\" from `lacks`, or choose another image", check.name),
    )
}
