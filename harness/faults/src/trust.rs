//! Trust and encryption: what is sealed, and what changes so that it no longer opens.

use scenario::{Encryption, TrustChange, TrustFault};
use winfmt::Guid;
use winfmt::protector::{PATH, Protector};
use winfmt::variables::{IMAGE_SECURITY, Variable, attributes, digest_list};

use crate::plan::{Change, Edit, Rewrite, TpmState, VolumeRole};

/// Owner of what this project puts among the firmware's variables.
const LOOPBREAK: Guid = Guid::from_fields(
    0x6c6f_6f70,
    0x6272,
    0x4561,
    [0x8b, 0x00, 0x76, 0x61, 0x72, 0x73, 0x00, 0x01],
);

/// The protector that the first good start seals. The recovery key's id follows from the name.
pub(crate) fn encryption(encryption: &Encryption) -> Edit {
    let mut id = [0; 16];
    id.copy_from_slice(&blake3::hash(encryption.name.as_bytes()).as_bytes()[..16]);
    let protector = Protector {
        key_id: Guid::from_bytes(id),
        registers: encryption.registers.clone(),
        sealed: None,
    };
    let (volume, path) = (VolumeRole::Windows, PATH.to_owned());
    Edit::WriteFile { volume, path, bytes: protector.to_bytes(), modified: None }
}

/// The boot manager, where the firmware's boot entry has it and where firmware without one looks for it.
const BOOT_MANAGERS: [&str; 2] = ["EFI\\Microsoft\\Boot\\bootmgfw.efi", "EFI\\Boot\\bootx64.efi"];

/// What a change of trust does to a machine that is off.
pub(crate) fn changes(trust: &TrustFault) -> Vec<Change> {
    // Of a program that does not exist, so that nothing on the machine becomes forbidden.
    let digest = *blake3::hash(trust.name.as_bytes()).as_bytes();
    let list = digest_list(LOOPBREAK, digest);
    let edit = match (trust.change, trust.inert) {
        (TrustChange::SecureBootDatabase, false) => {
            let dbx = Variable::new(IMAGE_SECURITY, "dbx", attributes::SIGNATURES, list);
            Edit::ExtendVariable(dbx)
        }
        // A variable that no firmware knows, and so none measures.
        (TrustChange::SecureBootDatabase, true) => {
            Edit::ExtendVariable(Variable::new(LOOPBREAK, "inert", attributes::BOOT, list))
        }
        (TrustChange::TpmCleared, inert) => {
            Edit::ReplaceTpm(if inert { TpmState::Same } else { TpmState::New })
        }
        (TrustChange::BootManagerChanged, inert) => {
            let rewrite = |path: &str| Change::Rewrite {
                volume: VolumeRole::System,
                path: path.to_owned(),
                how: if inert { Rewrite::Same } else { Rewrite::Time },
            };
            return BOOT_MANAGERS.map(rewrite).to_vec();
        }
    };
    vec![edit.into()]
}
