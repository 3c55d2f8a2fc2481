//! The drivers that somebody brought: whether they ran.

use serde::{Deserialize, Serialize};

use crate::system_log::never_started;
use crate::{Boot, Logged, RunFacts, StopCode, Witness};

/// A driver that somebody brought to see it run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BroughtDriver {
    /// Its file's name.
    pub file: String,
    /// Its service's name.
    pub service: String,
    /// The system starts it by itself, when it starts.
    pub starts: bool,
}

impl BroughtDriver {
    /// Whether the guest means this driver by a name: it names the file, or the service.
    pub(crate) fn is(&self, name: &str) -> bool {
        name.eq_ignore_ascii_case(&self.file) || name.eq_ignore_ascii_case(&self.service)
    }
}

/// Whether a driver ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DriverState {
    /// It was loaded and started, or a stop names it.
    Ran,
    /// It was not loaded, or did not start.
    DidNotRun,
    /// Nothing tells.
    NotKnown,
}

/// What became of a driver that somebody brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriverOutcome {
    /// Its file's name.
    pub file: String,
    /// Its service's name.
    pub service: String,
    /// Whether it ran, in any start.
    pub state: DriverState,
    /// The NTSTATUS with which it was not loaded or did not start, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StopCode>,
    /// The Win32 error with which it did not start, where the System log is what tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<u32>,
}

impl DriverOutcome {
    /// In words.
    pub fn told(&self) -> String {
        let why = match (self.status, self.error) {
            (Some(status), _) => format!(": {status}"),
            (None, Some(error)) => format!(": Windows error {error}, by the System log"),
            (None, None) => String::new(),
        };
        match self.state {
            DriverState::Ran => "it ran".to_owned(),
            DriverState::DidNotRun => format!("it was not loaded, or did not start{why}"),
            DriverState::NotKnown => "nothing tells whether it ran".to_owned(),
        }
    }
}

impl RunFacts {
    /// What became of each driver that somebody brought: by what was seen of the boots, and by what the System log
    /// says.
    pub(crate) fn driver_outcomes(&self, boots: &[Boot], log: &[Logged]) -> Vec<DriverOutcome> {
        let never_started = never_started(log);
        let of = |driver: &BroughtDriver| {
            let started = boots.iter().any(|boot| {
                let named = boot.stop.as_ref().and_then(|stop| stop.signature().module);
                boot.started.iter().any(|name| driver.is(name))
                    || named.is_some_and(|module| driver.is(&module))
            });
            let failures = boots.iter().flat_map(|boot| &boot.failures);
            let seen_to_fail = failures.into_iter().any(|name| driver.is(name));
            let logged = never_started.iter().find(|(name, _)| driver.is(name));
            let failed = seen_to_fail || logged.is_some();
            let statuses = boots.iter().flat_map(|boot| &boot.statuses);
            let status = statuses.into_iter().find(|(name, _)| driver.is(name));
            DriverOutcome {
                file: driver.file.clone(),
                service: driver.service.clone(),
                state: match (started, failed) {
                    (true, _) => DriverState::Ran,
                    (false, true) => DriverState::DidNotRun,
                    (false, false) => DriverState::NotKnown,
                },
                status: status.filter(|_| !started).map(|(_, status)| StopCode((*status).into())),
                error: logged
                    .filter(|_| !started && status.is_none())
                    .and_then(|(_, error)| *error),
            }
        };
        self.drivers.iter().map(of).collect()
    }

    /// The drivers that were to run and did not, though nobody expects it.
    pub(crate) fn drivers_that_did_not_run(
        &self,
        boots: &[Boot],
        log: &[Logged],
    ) -> Vec<DriverOutcome> {
        // An image whose lines tell of each start tells by its silence, too.
        let tells = self.witnesses.iter().any(|own| matches!(own, Witness::Start { .. }));
        let outcomes = self.drivers.iter().zip(self.driver_outcomes(boots, log));
        outcomes
            .filter(|(driver, _)| !self.expected_failures.iter().any(|name| driver.is(name)))
            .filter(|(driver, outcome)| match outcome.state {
                DriverState::Ran => false,
                DriverState::DidNotRun => true,
                DriverState::NotKnown => driver.starts && tells,
            })
            .map(|(_, outcome)| outcome)
            .collect()
    }
}
