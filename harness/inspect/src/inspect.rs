//! The inspection as a whole.

use crate::drives::Drives;
use crate::inspection::{INSPECTION_FORMAT, Inspection};
use crate::opened_disk::{OpenedDisk, Source};
use crate::{
    agent, boot, boot_disk, crash, filters, firmware, history, layout, pending, recovery, services,
    system,
};

/// Reads everything that there is to know about an image.
///
/// It cannot fail as a whole: what could not be read says so in its place.
pub fn inspect(source: Source<'_>) -> Inspection {
    let mut opened = OpenedDisk::open(source.disk);
    let layout = layout::read(source.disk);
    let system = system::read(&mut opened);
    let control_sets = system::control_sets(&opened);
    let drives = Drives::read(&opened).known();
    let services = services::read(&mut opened);
    let filters = filters::read(&opened);
    let boot_disk = boot_disk::read(&services, &filters);
    let boot = boot::read(&mut opened);
    let recovery = recovery::read(&mut opened, &boot);
    let crash = crash::read(&opened, &services);
    let agent = agent::read(&services);
    let pending = pending::read(&mut opened);
    let history = history::read(&mut opened, &boot);
    let firmware = firmware::read(source, &layout);
    Inspection {
        format: INSPECTION_FORMAT,
        layout,
        firmware,
        hives: opened.hives,
        system,
        control_sets,
        drives,
        services,
        filters,
        boot_disk,
        crash,
        boot,
        recovery,
        agent,
        pending,
        history,
    }
}
