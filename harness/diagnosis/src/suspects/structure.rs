//! What every start needs, and is not there or not as it must be. It counts whatever history says.

use inspect::boot::BootConfiguration;
use inspect::services::{Service, Start};
use inspect::{Known, services::Services};
use scenario::BootEntry;

use super::{Scene, Suspects};
use crate::repairs;
use crate::statement::{Statement, on_c};

/// A reason of so much weight keeps a start from working, whatever history says. No rule elsewhere has one.
pub(super) const STANDS_AGAINST: i32 = 75;
/// Classes of devices that the system's own disk goes through.
const DISK_CLASSES: [&str; 3] = [
    "{4D36E967-E325-11CE-BFC1-08002BE10318}",
    "{71A27CDD-812A-11D0-BEC7-08002BE2092F}",
    "{4D36E97B-E325-11CE-BFC1-08002BE10318}",
];

pub(super) fn add(scene: &Scene<'_>, all: &mut Suspects) {
    missing_files(scene, all);
    hives(scene, all);
    if let Known::Known(services) = &scene.inspection.services {
        for service in &services.services {
            disk_driver(service, all);
            driver_image(scene, service, all);
        }
        filters(scene, services, all);
    }
    boot(scene, all);
    servicing(scene, all);
}

fn missing_files(scene: &Scene<'_>, all: &mut Suspects) {
    for file in scene.traces.missing.known().into_iter().flatten() {
        let path = on_c(&file.path);
        let suspect = all.file(&file.path);
        suspect.because(
            90,
            Statement::new(
                "it is not there, and no start goes without it",
                format!("looked for {path}"),
            ),
        );
        match file.copies.first() {
            Some(copy) => {
                let text = match file.copies.len() {
                    1 => "there is another file of its name on the disk".to_owned(),
                    count => format!(
                        "there are {count} other files of its name on the disk; the first is taken"
                    ),
                };
                suspect.because(5, Statement::new(text, on_c(copy)));
                suspect.repair(repairs::copy(copy, &file.path));
            }
            None => {
                suspect.repair(repairs::restore(&file.path));
            }
        }
    }
}

/// A hive that cannot be read keeps the loader, or the kernel, from going on.
fn hives(scene: &Scene<'_>, all: &mut Suspects) {
    let folder = scene.inspection.system.folder.known().map_or("Windows", String::as_str);
    for hive in &scene.inspection.hives {
        let name = hive.file.rsplit('\\').next().unwrap_or(&hive.file);
        let is_of_system = hive.file.to_ascii_lowercase().starts_with(&folder.to_ascii_lowercase());
        if let Known::Unknown(reason) = &hive.state
            && is_of_system
            && (name.eq_ignore_ascii_case("SYSTEM") || name.eq_ignore_ascii_case("SOFTWARE"))
        {
            let statement =
                Statement::new(format!("it cannot be read: {reason}"), on_c(&hive.file));
            all.file(&hive.file).because(85, statement).repair(repairs::restore(&hive.file));
        }
    }
    if let (Known::Known(sets), Known::Absent) =
        (&scene.inspection.control_sets, &scene.inspection.services)
    {
        let number = sets.default.known().or(sets.current.known());
        let text = match number {
            Some(number) => {
                format!("the next start takes control set {number}, and it has no services")
            }
            None => "it does not say which control set the next start takes".to_owned(),
        };
        let source = format!(r"hive SYSTEM, Select; control sets there: {}", sets.sets.join(", "));
        all.setting("registry", r"Select of the hive SYSTEM")
            .because(85, Statement::new(text, source))
            .repair(Err(r"set `Select\Default` and `Current` to a control set that is there (`loopbreak hive`)".to_owned()));
    }
}

fn disk_driver(service: &Service, all: &mut Suspects) {
    let is_one = repairs::DISK_DRIVERS.iter().any(|name| name.eq_ignore_ascii_case(&service.name));
    if is_one && matches!(service.start, Start::Disabled | Start::Demand | Start::Automatic) {
        let text = format!(
            "its start type is {}; Windows cannot reach its disk unless the loader brings it",
            service.start
        );
        let source = format!(r"hive SYSTEM, Services\{}, Start", service.name);
        let suspect = all.setting("service", &service.name);
        suspect.because(85, Statement::new(text, source)).repair(repairs::start(&service.name, 0));
    }
}

/// A driver that has to start and cannot be loaded.
fn driver_image(scene: &Scene<'_>, service: &Service, all: &mut Suspects) {
    if !service.is_driver() || !matches!(service.start, Start::Boot | Start::System) {
        return;
    }
    let named = format!(r"hive SYSTEM, Services\{}", service.name);
    let must = matches!(service.error_control, Known::Known(2 | 3));
    if must && service.file == Known::Absent {
        let text =
            "its file is not there, and it is marked as one that Windows does not start without";
        all.driver(service)
            .because(75, Statement::new(text, format!("{named}, ErrorControl and ImagePath")));
    }
    let (Known::Known(file), Known::Known(image)) = (&service.file, &service.image) else { return };
    if service.start == Start::Boot && !image.checksum_right {
        let text = "the checksum in its file is wrong: the loader refuses such a driver";
        all.driver(service).because(75, Statement::new(text, on_c(file)));
    }
    if let Known::Known(architecture) = &scene.inspection.system.architecture
        && *architecture != image.architecture
    {
        let text = format!("it is made for {}, and Windows for {architecture}", image.architecture);
        all.driver(service).because(75, Statement::new(text, on_c(file)));
    }
}

/// A filter of disks or volumes that does not exist takes the device with it.
fn filters(scene: &Scene<'_>, services: &Services, all: &mut Suspects) {
    let classes = scene.inspection.filters.known().map_or(&[][..], |own| &own.classes);
    for class in classes
        .iter()
        .filter(|own| DISK_CLASSES.iter().any(|id| id.eq_ignore_ascii_case(&own.class)))
    {
        for (list, names) in [("UpperFilters", &class.upper), ("LowerFilters", &class.lower)] {
            for name in names {
                let what = match services.service(name) {
                    None => "there is no such service",
                    Some(service) if service.start == Start::Disabled => "that service is disabled",
                    Some(service) if service.file == Known::Absent => {
                        "that service's file is not there"
                    }
                    Some(_) => continue,
                };
                let text = format!("it stands between Windows and its disk, and {what}");
                let source = format!(r"hive SYSTEM, Control\Class\{}, {list}", class.class);
                let rest: Vec<String> = names.iter().filter(|own| *own != name).cloned().collect();
                all.setting("filter", name)
                    .because(75, Statement::new(text, source))
                    .repair(repairs::filters(&class.class, list, rest));
            }
        }
    }
}

fn boot(scene: &Scene<'_>, all: &mut Suspects) {
    let mut suspect = |weight, text: String, source: String, repair| {
        all.setting("boot configuration", "the default entry")
            .because(weight, Statement::new(text, source))
            .repair(repair);
    };
    let by_hand = || {
        Err("write the store anew (`bootrec /rebuildbcd` in the recovery environment, `bcdboot C:\\Windows` from the host)".to_owned())
    };
    match &scene.inspection.boot {
        Known::Known(BootConfiguration::Bcd(bcd)) => {
            let source = format!("\\{} on partition {}", bcd.path, bcd.partition);
            match &bcd.default {
                Known::Known(loader) => {
                    if let Known::Known(place) = &loader.device
                        && place.partition == Known::Absent
                    {
                        let text = format!(
                            "it starts Windows from {}, which is no partition of this disk",
                            place.device
                        );
                        suspect(75, text, source.clone(), by_hand());
                    }
                    if loader.safe_boot.known().is_some() {
                        let entry = BootEntry { remove_safe_boot: true, ..BootEntry::default() };
                        let text = "it starts Windows in safe mode, every time".to_owned();
                        suspect(25, text, source, repairs::boot_entry(entry));
                    }
                }
                Known::Absent => {
                    suspect(
                        75,
                        "the store has no entry that is started by default".to_owned(),
                        source,
                        by_hand(),
                    );
                }
                Known::Unknown(reason) => {
                    suspect(60, format!("it cannot be read: {reason}"), source, by_hand());
                }
            }
        }
        Known::Known(BootConfiguration::Freeldr(_)) => {}
        Known::Absent => {
            let text = "there is no boot configuration on this disk".to_owned();
            suspect(60, text, "all volumes that a firmware starts from".to_owned(), by_hand());
        }
        Known::Unknown(reason) => {
            suspect(
                75,
                format!("the store cannot be read: {reason}"),
                "boot configuration".to_owned(),
                by_hand(),
            );
        }
    }
}

/// A damaged list of what an update still has to do is gone through at every start (windows-facts.md 4).
fn servicing(scene: &Scene<'_>, all: &mut Suspects) {
    let operations = scene.inspection.pending.updates.known().map(|updates| &updates.operations);
    let folder = scene.inspection.system.folder.known().map_or("Windows", String::as_str);
    let file = format!(r"{folder}\WinSxS\pending.xml");
    match operations {
        Some(Known::Unknown(reason)) => {
            let statement = Statement::new(
                format!(
                    "an update is not finished, and the list of what is left is damaged: {reason}"
                ),
                on_c(&file),
            );
            all.file(&file).because(75, statement).repair(repairs::delete(&file));
        }
        Some(Known::Known(list)) if scene.fails => {
            let text =
                format!("an update is not finished: {} operations are left", list.operations);
            all.file(&file)
                .because(20, Statement::new(text, on_c(&file)))
                .repair(repairs::delete(&file));
        }
        _ => {}
    }
}
