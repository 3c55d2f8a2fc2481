//! What the machines of a rollout run: its scenario, for each machine and each state of the remediation.

use std::path::{Path, PathBuf};

use fleet::{Cast, Help, LifeKey, Rollout, RolloutError};
use scenario::{Available, Expect, Scenario, Verdict};

use super::read;
use crate::args::Global;
use crate::exit::usage;
use crate::scenarios;

/// A rollout file, with what its machines run.
pub(super) struct Played {
    pub(super) file: PathBuf,
    pub(super) rollout: Rollout,
    pub(super) scenario: Scenario,
    pub(super) cast: Cast,
}

impl Played {
    /// Reads it. Everything that can be wrong with it is said before anything runs.
    pub(super) fn read(
        global: &Global,
        file: &Path,
        changes: &[(String, String)],
    ) -> anyhow::Result<Self> {
        let (text, rollout) = read(file, changes)?;
        let wrong = |path: &[&str], what: String, fix: &str| {
            let file = file.display().to_string();
            usage(RolloutError::about(&file, &text, path, what, fix.to_owned()))
        };
        let Some(real) = &rollout.real else {
            let fix =
                "add `[real]`, with the `scenario` that breaks them; `fleet simulate` needs none";
            return Err(wrong(
                &[],
                "it does not say what real machines are played with".into(),
                fix,
            ));
        };
        let place = ["real", "scenario"];
        let mut found = scenarios::find(&global.scenarios, &real.scenario).map_err(|error| {
            wrong(&place, error.to_string(), "name a scenario of the scenarios folder")
        })?;
        if found.len() != 1 {
            let names: Vec<&str> = found.iter().map(|(it, _)| it.name.as_str()).collect();
            let what = format!("`{}` has the variants {}", real.scenario, names.join(", "));
            return Err(wrong(&place, what, "name one of them, as folder/variant"));
        }
        let Some((mut scenario, _)) = found.pop() else {
            return Err(wrong(&place, "there is no such scenario".into(), "name one"));
        };
        if let Some(image) = &real.image {
            scenario = scenario.on_image(image);
        }
        if scenario.content_service.is_some() {
            let what = format!(
                "`{}` has a content service, whose content would be published",
                scenario.name
            );
            let fix =
                "name a scenario that is repaired by remediations; good content is not played yet";
            return Err(wrong(&place, what, fix));
        }
        let waits = &scenario.recovery.quick_machine_recovery;
        if scenario.update_service.is_some() && scenario.machine.time_scale > 1 && waits.is_none() {
            let what = format!("`{}` does not say how long its machine waits", scenario.name);
            let fix = "write `[recovery.quick-machine-recovery]` in the scenario, so that scaled waits can be counted";
            return Err(wrong(&place, what, fix));
        }
        let seeded = |seed| scenario.with_seed(seed).digest();
        let cast = Cast { scenario: scenario.name.clone(), has_chance: seeded(1) != seeded(2) };
        Ok(Self { file: file.to_path_buf(), rollout, scenario, cast })
    }

    /// What one machine runs.
    pub(super) fn of_machine(&self, life: LifeKey) -> Scenario {
        let seed = self.rollout.seed.wrapping_add(u64::from(life.machine));
        let mut scenario = self.scenario.with_seed(seed);
        let services = scenario.update_service.iter_mut();
        for remediation in services.flat_map(|service| &mut service.remediation) {
            // What nobody publishes in the scenario is not published here either.
            if remediation.available != Available::Never {
                remediation.available = match life.help {
                    Help::Never => Available::Never,
                    Help::AfterAsks(0) => Available::AtStart,
                    Help::AfterAsks(asks) => Available::AfterScans(asks),
                };
            }
        }
        // What a machine has to come to is not asked here: what it comes to is.
        scenario.expect = Expect {
            verdict: match life.help {
                Help::Never => Verdict::StuckInRecovery,
                Help::AfterAsks(_) => self.scenario.expect.verdict,
            },
            layers: match life.help {
                Help::Never => Vec::new(),
                Help::AfterAsks(_) => self.scenario.expect.layers.clone(),
            },
            layer_results: Default::default(),
            update_service: None,
            ..scenario.expect
        };
        scenario
    }
}
