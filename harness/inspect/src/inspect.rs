//! The inspection as a whole.

use crate::ground::{Ground, Source};
use crate::inspection::{INSPECTION_FORMAT, Inspection};
use crate::{
    agent, boot, crash, filters, firmware, history, layout, pending, recovery, services, system,
};

/// Reads everything that there is to know about an image.
///
/// It cannot fail as a whole: what could not be read says so in its place.
pub fn inspect(source: Source<'_>) -> Inspection {
    let mut ground = Ground::open(source.disk);
    let layout = layout::read(source.disk);
    let system = system::read(&mut ground);
    let control_sets = system::control_sets(&ground);
    let services = services::read(&mut ground);
    let filters = filters::read(&ground);
    let boot = boot::read(&mut ground);
    let recovery = recovery::read(&mut ground, &boot);
    let crash = crash::read(&ground, &services);
    let agent = agent::read(&services);
    let pending = pending::read(&mut ground);
    let history = history::read(&mut ground, &boot);
    let firmware = firmware::read(source, &layout);
    Inspection {
        format: INSPECTION_FORMAT,
        layout,
        firmware,
        hives: ground.hives,
        system,
        control_sets,
        services,
        filters,
        crash,
        boot,
        recovery,
        agent,
        pending,
        history,
    }
}
