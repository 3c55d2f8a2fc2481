//! Whether an image takes a driver, for who asks before there is a scenario.

use disk::Image;
use faults::signing::{self, signer_of};
use hypervisor::MachineProfile;

use super::image_facts::KnownImages;
use super::{driver_imports, driver_signatures};
use crate::error::RunError;

/// Why an image would not take a driver: one sentence each. None: nothing speaks against it.
///
/// # Errors
/// The image's profile or disk cannot be read.
pub fn what_speaks_against(
    image: &Image,
    file: &str,
    bytes: &[u8],
    has_catalog: bool,
) -> Result<Vec<String>, RunError> {
    let profile = MachineProfile::read(&image.profile())?;
    let facts = KnownImages::default().facts(image, &profile)?;
    let mut against = Vec::new();
    match facts.arch {
        Some(arch) if arch != faults::arch_of(bytes) => {
            let (made, wanted) = (faults::arch_of(bytes), arch);
            let (made, wanted) = (driver_signatures::word(made), driver_signatures::word(wanted));
            against.push(format!("the driver is made for {made}, the image is {wanted}"));
        }
        Some(_) => {}
        None => against
            .push("its processor could not be read, so what it takes is not known".to_owned()),
    }
    if let Some(policy) = driver_signatures::policy(&profile, &facts)
        && let Err(error) = signing::check(policy, file, signer_of(bytes, has_catalog))
    {
        against.push(error.to_string());
    }
    let lacking = driver_imports::lacking(&profile, bytes);
    against.extend(lacking.into_iter().map(|lack| format!("its kernel has not {lack}")));
    Ok(against)
}
