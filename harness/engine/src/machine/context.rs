//! What one run consists of while it is under way, for everything that takes part in it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hypervisor::{HypervisorError, Machine, MachineSpec};
use network::{Network, NetworkConfig, NetworkHandle};
use recovery::{CaptivePortal, ContentService, RemediationService};
use scenario::Scenario;
use timeline::Sink;

use super::beginning::Beginning;
use super::in_common::Role;
use super::watch::Watch;
use super::{limits, services};
use crate::cleanup::{Entry, Ledger};
use crate::error::RunError;
use crate::offline::{Before, MachineFiles};
use crate::preflight::Prepared;
use crate::record::{CAPTURE, Recorder, Reporter, RunDir, RunId};
use crate::session::Session;
use crate::tasks::Jobs;

/// One run under way.
pub(crate) struct RunContext<'a> {
    pub(crate) session: &'a Session,
    pub(crate) scenario: &'a Scenario,
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) run: &'a RunId,
    pub(crate) directory: &'a RunDir,
    pub(crate) ledger: &'a Ledger,
    pub(crate) reporter: &'a Reporter,
    pub(crate) jobs: &'a Jobs,
    /// What it does about the beginning that it has in common with other runs.
    pub(crate) role: Mutex<Role>,
}

impl RunContext<'_> {
    /// The beginning that it takes over, where it goes the same way.
    pub(crate) fn joins(&self) -> Option<Arc<Beginning>> {
        match &*self.role.lock().unwrap_or_else(PoisonError::into_inner) {
            Role::Joins(beginning) if beginning.leads_to(&self.prepared.plan.facts) => {
                Some(Arc::clone(beginning))
            }
            _ => None,
        }
    }

    /// True where others wait for the beginning that it drives.
    pub(crate) fn drives_for_others(&self) -> bool {
        let role = self.role.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*role, Role::Drives(_))
    }

    /// Keeps a machine that has been given up for the first time, and is off, for the runs that begin like this one;
    /// where there are any.
    pub(crate) async fn keep_beginning(
        &self,
        spec: &MachineSpec,
        before: &Before,
        kept_waiting: Duration,
    ) {
        let role = std::mem::replace(
            &mut *self.role.lock().unwrap_or_else(PoisonError::into_inner),
            Role::Alone,
        );
        let Role::Drives(mut kept) = role else { return };
        match self.copy_beginning(spec, before, kept_waiting).await {
            Ok(beginning) => *kept = beginning.map(Arc::new),
            // The others drive their own.
            Err(error) => {
                tracing::warn!(%error, "the beginning of the run could not be kept for others")
            }
        }
    }

    async fn copy_beginning(
        &self,
        spec: &MachineSpec,
        before: &Before,
        kept_waiting: Duration,
    ) -> Result<Option<Beginning>, RunError> {
        let folder = self.session.folder_for_a_beginning()?;
        let (run, files) = (self.run.as_str().to_owned(), MachineFiles::of(spec));
        let (record, evidence) = (self.directory.events(), self.directory.machine());
        let before = before.clone();
        let keeping = move || {
            Beginning::keep(&run, folder, &files, (&record, &evidence), before, kept_waiting)
        };
        self.jobs.blocking(keeping).await
    }

    /// Watches what `recorder` records. Of the time limit, so much is `spent` already.
    pub(crate) fn watch(&self, recorder: &Recorder, spent: Duration) -> Watch {
        Watch::new(
            recorder.progress(),
            recorder.sink(),
            self.session.interrupt.clone(),
            self.reporter.clone(),
            (self.scenario.limits.time.duration(), spent),
            limits::silence(self.scenario, self.prepared.plan.time_scale),
        )
    }

    pub(crate) fn start_network(
        &self,
        spec: &MachineSpec,
        sink: &Sink,
    ) -> Result<(NetworkHandle, Option<RemediationService>), RunError> {
        let authority = &self.session.authority;
        // Where the scenario does not say what time it is, it is the host's.
        let clock = self.scenario.machine.clock.unwrap_or_else(jiff::Timestamp::now);
        let update_service =
            match services::update_service(self.scenario, clock, &self.directory.recovery()) {
                Some(config) => Some(RemediationService::new(config, authority, sink.clone())?),
                None => None,
            };
        let mut services: Vec<network::Service> =
            update_service.iter().map(RemediationService::network_service).collect();
        if let Some(config) = services::content_service(self.scenario, clock) {
            let service = ContentService::new(config, authority, sink.clone())?;
            services.push(service.network_service());
        }
        let capture = self.directory.machine().join(CAPTURE);
        let socket = spec.cable.clone().unwrap_or_else(|| spec.sockets.join("cable"));
        let mut config = NetworkConfig::new(socket, capture, services);
        config.portal = Some(CaptivePortal::new(authority, clock)?.network_service());
        Ok((Network::start(config, sink.clone())?, update_service))
    }

    /// Powers a machine on, or restores it from `ram`. Where nobody waits for it any more it is ended again.
    pub(crate) async fn start(
        &self,
        ram: Option<&Path>,
        spec: &MachineSpec,
        sink: Sink,
    ) -> Result<Box<dyn Machine>, RunError> {
        let hypervisor = Arc::clone(&self.session.hypervisor);
        let (ram, spec) = (ram.map(Path::to_path_buf), spec.clone());
        let starting = async move {
            match ram {
                Some(ram) => hypervisor.restore(&ram, &spec, sink).await,
                None => hypervisor.start(&spec, sink).await,
            }
        };
        let end = async |started: Result<Box<dyn Machine>, HypervisorError>| {
            if let Ok(machine) = started
                && let Err(error) = machine.destroy().await
            {
                tracing::error!(%error, "a machine that nobody waits for any more");
            }
        };
        Ok(self.jobs.apart(starting, end).await??)
    }

    pub(crate) fn note_emulator(
        &self,
        machine: &dyn Machine,
        spec: &MachineSpec,
    ) -> Result<(), RunError> {
        if let Some(pid) = machine.emulator_pid() {
            self.ledger.note(Entry::Process { pid, mark: spec.name.clone() })?;
        }
        Ok(())
    }
}
