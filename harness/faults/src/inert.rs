//! Inert controls: the same machinery with a harmless payload.
//!
//! A fault that stops a machine shows something only if the same steps without the defect do not stop
//! it. Every kind can therefore be made inert; a scenario made inert has to come up healthy.

use scenario::{Content, ContentFile, DriverSignature, Expect, Fault, Scenario, Verdict};

use crate::content::DRIVER_INPUTS;

/// The scenario with every fault made harmless, expecting that nothing happens.
pub fn inert_control(scenario: &Scenario) -> Scenario {
    let mut control = scenario.clone();
    control.name = format!("{}-inert", scenario.name);
    control.title = format!("{} (inert control)", scenario.title);
    control.fault.iter_mut().for_each(make_inert);
    // Where signatures are checked, one without would not be loaded, which shows nothing.
    if control.signing_policy().nointegritychecks == Some(false) {
        for fault in &mut control.fault {
            if let Fault::Driver(driver) = fault {
                driver.signature = DriverSignature::Trusted;
            }
        }
    }
    control.expect = Expect {
        verdict: Verdict::Unaffected,
        layers: Vec::new(),
        layer_results: std::collections::BTreeMap::new(),
        stop: None,
        boot_error: None,
        failures: Vec::new(),
        recovery_key: false,
        update_service: scenario.update_service.as_ref().map(|_| scenario::ServiceAnswer::NotAsked),
    };
    control
}

fn make_inert(fault: &mut Fault) {
    match fault {
        // The driver by itself does nothing: its content does. And an updater only helps.
        Fault::ContentDriver(_) | Fault::ContentUpdater(_) => {}
        Fault::ContentFile(ContentFile { content, .. }) => match content {
            Content::ChannelFile(file) => {
                // Still as many fields: a wildcard is what made 21 of them harmless.
                file.patterns.retain(|number, _| {
                    number.parse::<usize>().is_ok_and(|number| number <= DRIVER_INPUTS)
                });
                file.damage = None;
            }
            Content::Text(_) | Content::File(_) => *content = Content::Text(String::new()),
        },
        Fault::Driver(driver) => {
            driver.inert = true;
            if driver.signature != DriverSignature::None {
                driver.signature = DriverSignature::Trusted;
            }
        }
        Fault::DriverFile(driver) => driver.inert = true,
        Fault::DriverPackage(package) => package.inert = true,
        // The same files where nothing reads them.
        Fault::Update(update) => {
            update.to = format!("C:\\Windows\\Temp\\{}-inert", update.name)
                .parse()
                .expect("a scenario's names hold letters, digits and hyphens only");
        }
        Fault::QualityUpdate(update) => update.inert = true,
        Fault::ServicingTransaction(fault) => fault.inert = true,
        Fault::FileVersion(fault) => fault.inert = true,
        Fault::FileLoss(fault) => fault.inert = true,
        Fault::InterruptedWrite(fault) => fault.inert = true,
        Fault::BootConfiguration(fault) => fault.inert = true,
        Fault::Registry(fault) => fault.inert = true,
        Fault::ProcessDeath(fault) => fault.inert = true,
        Fault::Storage(fault) => fault.inert = true,
        Fault::Power(fault) => fault.inert = true,
        Fault::Network(fault) => fault.inert = true,
        Fault::Service(fault) => fault.inert = true,
        Fault::Clock(fault) => fault.inert = true,
        Fault::Trust(fault) => fault.inert = true,
        // By itself it changes nothing for a machine that starts as it did when it was sealed.
        Fault::Encryption(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::explain;

    fn control(example: &str) -> Scenario {
        let folder = tempfile::tempdir().unwrap();
        let kind = explain("driver").unwrap();
        let example = kind.examples.iter().find(|it| it.name == example).unwrap();
        inert_control(&example.load("understudy", folder.path()).unwrap())
    }

    #[test]
    fn where_signatures_are_checked_the_control_has_one() {
        for (example, signature) in [
            ("driver-null-read", DriverSignature::None),
            ("driver-signed", DriverSignature::Trusted),
            ("driver-wrong-digest", DriverSignature::Trusted),
            ("driver-unsigned", DriverSignature::Trusted),
            ("driver-unsigned-at-boot", DriverSignature::Trusted),
        ] {
            let control = control(example);
            let [Fault::Driver(driver)] = control.fault.as_slice() else { panic!("{example}") };
            assert!(driver.inert && driver.signature == signature, "{example}");
            // The machine is the same: it still checks.
            let checks = control.signing_policy().nointegritychecks == Some(false);
            assert_eq!(checks, example != "driver-null-read", "{example}");
        }
    }
}
