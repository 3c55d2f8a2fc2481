//! The machine's disk where the harness itself is the drive: served while the machine runs, looked at while it
//! is off, and the trouble that a scenario declares for it.

use std::iter;
use std::ops::Range;
use std::sync::Arc;

use disk::{DiskTrouble, Hears, ServedDisk};
use faults::Online;
use scenario::{Extent, StorageFault, StorageTrouble, WindowsPath};
use timeline::steps::LIFT;
use timeline::{Body, Source, StepState};

use crate::host_disk;
use crate::machine::control_error::ControlError;
use crate::machine::controller::MachineController;
use crate::machine::spec::Places;

/// Bytes of a sector, as a scenario counts them.
const SECTOR: u64 = 512;

impl MachineController<'_> {
    /// Where a fault needs it, the harness is the drive.
    pub(crate) async fn serve_disk(&mut self) -> Result<(), ControlError> {
        if !self.context.prepared.serves_the_disk() {
            return Ok(());
        }
        let socket = Places::disk_socket(&self.spec);
        let (path, scratch) = (self.spec.disk.clone(), self.context.session.scratch.clone());
        let (at, hears) = (socket.clone(), self.hears());
        let serving = move || Ok(ServedDisk::start(&path, &at, &scratch, hears)?);
        let disk = Arc::new(self.context.jobs.blocking(serving).await?);
        self.power_faults.protect(&disk);
        self.spec.disk_socket = Some(socket);
        self.disk = Some(disk);
        Ok(())
    }

    /// What its disk tells of itself.
    fn hears(&self) -> Hears {
        let (sink, path) = (self.sink.clone(), self.spec.disk.clone());
        let on_failure =
            move |error: &std::io::Error| host_disk::served_failed(&sink, &path, error);
        Hears { on_cut: self.power_faults.on_cut(), on_failure: Box::new(on_failure) }
    }

    /// Everything that the machine wrote is in the file.
    pub(crate) async fn close_disk(&mut self) -> Result<(), ControlError> {
        self.lifts.abort_all();
        // Whoever else holds it is about to let it go: it was only looked at.
        let Some(disk) = self.disk.take().and_then(Arc::into_inner) else { return Ok(()) };
        Ok(self.context.jobs.blocking(move || Ok(disk.close()?)).await?)
    }

    pub(crate) fn drive(&self) -> Result<&Arc<ServedDisk>, ControlError> {
        self.disk.as_ref().ok_or(ControlError::NoDrive)
    }

    /// Trouble with the disk, from now on.
    pub(crate) async fn trouble(
        &mut self,
        fault: &StorageFault,
    ) -> Result<Vec<String>, ControlError> {
        if fault.inert {
            return Ok(vec!["the harness is the disk, and nothing is wrong with it".to_owned()]);
        }
        let (trouble, proof) = match &fault.trouble {
            StorageTrouble::ReadError(extent) => {
                let ranges = self.ranges(extent).await?;
                let proof = vec![format!("reads of {} fail", show(&ranges))];
                (DiskTrouble::ReadError(ranges), proof)
            }
            StorageTrouble::WriteError(extent) => {
                let ranges = self.ranges(extent).await?;
                let proof = vec![format!("writes to {} fail", show(&ranges))];
                (DiskTrouble::WriteError(ranges), proof)
            }
            StorageTrouble::Slow(slow) => {
                let proof = vec![format!("each request takes {} longer", slow.latency)];
                (DiskTrouble::Slow(slow.latency.duration()), proof)
            }
            StorageTrouble::Full => {
                (DiskTrouble::Full, vec!["writes that need new room fail".to_owned()])
            }
        };
        let disk = Arc::clone(self.drive()?);
        disk.trouble(&fault.name, trouble);
        if let Some(boots) = fault.boots {
            self.lift_after(&fault.name, boots, &disk);
        }
        Ok(proof)
    }

    /// The trouble is over with the boot after so many, the present or the next one included.
    fn lift_after(&mut self, name: &str, boots: u32, disk: &Arc<ServedDisk>) {
        let mut progress = self.watch.progress();
        let last = progress.borrow().boot.max(1).saturating_add(boots);
        let (name, disk, sink) = (name.to_owned(), Arc::downgrade(disk), self.sink.clone());
        self.lifts.spawn(async move {
            let over = progress.wait_for(|progress| progress.boot >= last).await.is_ok();
            if over && let Some(disk) = disk.upgrade() {
                disk.lift(&name);
                let name = format!("{LIFT}{name}");
                let (state, detail) = (StepState::Done, String::new());
                sink.emit(Source::Harness, Body::Step { name, state, detail });
            }
        });
    }

    async fn ranges(&self, extent: &Extent) -> Result<Vec<Range<u64>>, ControlError> {
        if let Some(sectors) = extent.sectors {
            let end = sectors.first.saturating_add(sectors.count).saturating_mul(SECTOR);
            return Ok(iter::once(sectors.first.saturating_mul(SECTOR)..end).collect());
        }
        let Some(file) = extent.file.clone() else { return Ok(Vec::new()) };
        if let Some(ranges) = self.places.get(file.as_str()) {
            return Ok(ranges.clone());
        }
        Err(ControlError::Nowhere { path: file.to_string() })
    }

    /// Where the files lie that faults are about. Told while the machine is off: a running one changes them.
    pub(crate) async fn find_places(&mut self) -> Result<(), ControlError> {
        let online = &self.context.prepared.stage.online;
        let files: Vec<WindowsPath> = online
            .iter()
            .filter_map(|online| match online {
                Online::Storage(fault) if !fault.inert => match &fault.trouble {
                    StorageTrouble::ReadError(extent) | StorageTrouble::WriteError(extent) => {
                        extent.file.clone()
                    }
                    StorageTrouble::Slow(_) | StorageTrouble::Full => None,
                },
                _ => None,
            })
            .collect();
        if files.is_empty() {
            return Ok(());
        }
        let disk = Arc::clone(self.drive()?);
        let places = self.context.jobs.blocking(move || {
            let offline = disk.offline()?;
            let find = |file: WindowsPath| {
                let inside = file.components().collect::<Vec<_>>().join("\\");
                Ok((file.to_string(), offline.extents(&inside)?))
            };
            files.into_iter().map(find).collect()
        });
        self.places = places.await?;
        Ok(())
    }

    /// What is in a file now that the machine is off.
    pub(crate) async fn read_back(
        &self,
        path: &WindowsPath,
    ) -> Result<Option<Vec<u8>>, ControlError> {
        let disk = Arc::clone(self.drive()?);
        let inside = path.components().collect::<Vec<_>>().join("\\");
        let found = self.context.jobs.blocking(move || {
            disk.power_on();
            let offline = disk.offline()?;
            Ok(offline.read_back(&inside)?)
        });
        Ok(found.await?)
    }
}

fn show(ranges: &[Range<u64>]) -> String {
    let sectors = |range: &Range<u64>| {
        let (first, end) = (range.start / SECTOR, range.end.div_ceil(SECTOR));
        format!("sectors {first} to {}", end.saturating_sub(1))
    };
    ranges.iter().map(sectors).collect::<Vec<_>>().join(", ")
}
