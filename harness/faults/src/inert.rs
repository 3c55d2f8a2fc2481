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
    control.expect = Expect {
        verdict: Verdict::Unaffected,
        layers: Vec::new(),
        stop: None,
        update_service: scenario.update_service.as_ref().map(|_| scenario::ServiceAnswer::NotAsked),
    };
    control
}

fn make_inert(fault: &mut Fault) {
    match fault {
        // The driver by itself does nothing: its content does.
        Fault::ContentDriver(_) => {}
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
    }
}
