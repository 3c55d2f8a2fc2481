//! What no schema can say of trust and encryption.

use crate::fault::Fault;
use crate::moment::Moment;
use crate::rules::{Rules, Step};
use crate::trust::{Encryption, TrustFault};

/// Registers of a TPM on a PC.
const REGISTERS: u8 = 24;
/// The one that BitLocker uses itself.
const OWN: u8 = 11;

impl Rules<'_> {
    pub(crate) fn encryption(
        &mut self,
        at: &[Step<'_>; 2],
        list: &str,
        index: usize,
        encryption: &Encryption,
    ) {
        if list != "given" {
            self.problem(
                at,
                format!("`{}` is encryption, which by itself does nothing", encryption.name),
                "encryption under `[[given]]`, and under `[[fault]]` what makes the key unavailable",
                "move it to `[[given]]`",
            );
        }
        let earlier = self.scenario.given.iter().take(index);
        if list == "given" && earlier.into_iter().any(|other| matches!(other, Fault::Encryption(_)))
        {
            self.problem(
                at,
                format!("`{}` encrypts the Windows volume a second time", encryption.name),
                "one encryption",
                "remove it",
            );
        }
        let registers = [at[0], at[1], Step::Key("registers")];
        if encryption.registers.is_empty() {
            self.problem(
                &registers,
                "a key that is sealed to no register is given out to every start",
                "at least one register",
                "write `registers = [7]`, or remove the line",
            );
        }
        for (position, register) in encryption.registers.iter().enumerate() {
            let step = [at[0], at[1], Step::Key("registers"), Step::Index(position)];
            let (what, fix) = match *register {
                OWN => (
                    "register 11 is BitLocker's own, and always among them".to_owned(),
                    "remove it",
                ),
                number if number >= REGISTERS => {
                    (format!("a TPM has no register {number}"), "write a number from 0 to 23")
                }
                number if encryption.registers[..position].contains(&number) => {
                    (format!("register {number} is named twice"), "remove it")
                }
                _ => continue,
            };
            self.problem(&step, what, "registers from 0 to 23 other than 11, each once", fix);
        }
    }

    pub(crate) fn trust(&mut self, at: &[Step<'_>; 2], list: &str, trust: &TrustFault) {
        if list == "fault" && trust.when == Moment::Healthy {
            self.problem(
                &[at[0], at[1], Step::Key("when")],
                format!(
                    "`{}` happens to a machine that is off: only its next start sees it",
                    trust.name
                ),
                "`staged`; with `encryption` given, a good start comes before it",
                "remove `when`",
            );
        }
        if list == "given" {
            self.problem(
                at,
                format!(
                    "`{}` is a change of what is trusted, and so no part of a sound machine",
                    trust.name
                ),
                "such a change under `[[fault]]`",
                "move it to `[[fault]]`",
            );
        }
    }
}
