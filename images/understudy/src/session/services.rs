//! Services that start by themselves. Most of their programs do nothing here: a service whose image
//! file is there counts as running, one whose file is missing as failed. Images of this project are
//! run ([`super::user_mode`]). Drivers among the services are loaded.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::updater::Updater;
use super::user_mode;
use crate::kernel::{Kernel, KernelHost};
use crate::loader::{FailureAction, Service};
use crate::machine::{self, Wish};
use crate::signatures::Signatures;
use crate::storage::{Drive, Registry};
use crate::{drivers, say};

/// What services are started with.
pub struct Services<'a> {
    /// Drive `C:`.
    pub drive: &'a Arc<Drive>,
    /// Its registry.
    pub registry: &'a Registry,
    /// The computer's name.
    pub computer_name: &'a str,
    /// Which drivers are taken.
    pub signatures: &'a Signatures,
    /// For drivers.
    pub kernel: &'a Kernel,
    /// For programs that are run.
    pub host: &'a Arc<dyn KernelHost>,
    /// Where a restart of the machine is asked for.
    pub wishes: Sender<Wish>,
}

impl Services<'_> {
    /// Starts all services in order.
    pub fn start(&self, services: &[Service]) {
        for service in services {
            machine::while_running(|| ());
            if service.is_driver() {
                match drivers::run(self.kernel, self.drive, self.signatures, service, false) {
                    Ok(()) => say!("[session] driver {} started", service.name),
                    Err(error) => {
                        say!("[session] driver {} failed to start: {error}", service.name);
                        error.tell(&service.image_name());
                    }
                }
            } else {
                self.start_program(service);
            }
        }
    }

    fn start_program(&self, service: &Service) {
        let Some(file) = service.program() else {
            say!("[session] service {} failed to start: it has no image", service.name);
            return;
        };
        match self.drive.read(&file) {
            Ok(image) if user_mode::is_run(&image) => {
                let (host, wishes) = (Arc::clone(self.host), self.wishes.clone());
                user_mode::supervise(service.clone(), image, host, wishes);
            }
            Ok(_) => {
                let updater = Updater::of(&service.name, self.registry, self.computer_name);
                if let Some(updater) = updater {
                    updater.start(Arc::clone(self.drive));
                }
                say!("[session] service {} started", service.name);
            }
            Err(error) if error.is_not_found() => {
                say!("[session] service {} failed to start: C:{file} is missing", service.name);
                self.lost(service.clone());
            }
            Err(error) => say!("[session] service {} failed to start: {error}", service.name),
        }
    }

    /// A service whose loss restarts the machine (RPC) does so too where its program is gone.
    fn lost(&self, service: Service) {
        if service.failure_actions.after(0).0 == FailureAction::Reboot {
            service_ended(service, self.wishes.clone());
        }
    }
}

/// Does what follows from the end of a service that has no process here.
pub fn service_ended(service: Service, wishes: Sender<Wish>) {
    std::thread::spawn(move || {
        if user_mode::act(&service, 0, &wishes) {
            say!("[session] service {} started", service.name);
        }
    });
}
