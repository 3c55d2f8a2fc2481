//! Accesses to memory that is not there.

use scenario::{Access, AccessBy, Arch, RaisedIrql, Word};

use super::Base;
use crate::driver::program::{Function, Slot, Step, Sum, Value};

/// Where a driver goes astray.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wild {
    address: u64,
    /// The address is only the first that is looked at: the driver takes the first that nothing maps.
    is_first: bool,
}

impl Wild {
    pub(super) fn of(address: Option<Word>, arch: Arch) -> Self {
        match (address, arch) {
            (Some(Word(address)), Arch::X86_64) => Self { address, is_first: false },
            (Some(Word(address)), Arch::X86) => {
                Self { address: address & 0xffff_ffff, is_first: false }
            }
            // The address in published crashes of 19 July 2024 (windows-facts 5.1).
            (None, Arch::X86_64) => Self { address: 0xffff_8405_0000_0074, is_first: true },
            // Behind the paged pool of NT 5, which is mapped (windows-facts 0.2).
            (None, Arch::X86) => Self { address: 0xf000_0074, is_first: true },
        }
    }

    const NULL: Self = Self { address: 0, is_first: false };
}

/// How far apart the addresses are that are looked at, in bytes, and how many they are. They stay within the kernel's
/// half on both processors.
const STRIDE: u32 = 0x10_0000;
const TRIES: u32 = 0x100;

/// Puts the address into a slot; for an inert driver that of memory of its own.
fn aim(base: &mut Base, payload: &mut Function, at: Slot, wild: Wild) {
    if base.inert {
        payload.step(Step::Set(at, Value::Address(base.own)));
    } else {
        aim_astray(base, payload, at, wild);
    }
}

fn aim_astray(base: &mut Base, payload: &mut Function, at: Slot, wild: Wild) {
    payload.step(Step::Set(at, Value::Number(wild.address)));
    if !wild.is_first {
        return;
    }
    let is_valid = base.parts.import("MmIsAddressValid");
    let (answer, tries) = (payload.slot(), payload.slot());
    let (look, found) = (payload.label(), payload.label());
    payload.step(Step::Set(tries, Value::Number(0)));
    payload.step(Step::Place(look));
    payload.call(is_valid, &[Value::Slot(at)]);
    payload.step(Step::Set(answer, Value::Result));
    // A BOOLEAN is one byte.
    payload.step(Step::Compute(answer, Sum::Remainder(0x100)));
    payload.step(Step::IfEqual(Value::Slot(answer), 0, found));
    payload.step(Step::Compute(at, Sum::Add(STRIDE)));
    payload.step(Step::Compute(tries, Sum::Add(1)));
    payload.step(Step::IfBelow(Value::Slot(tries), TRIES, look));
    payload.step(Step::Place(found));
}

pub(super) fn null_read(base: &mut Base, payload: &mut Function) {
    read(base, payload, Wild::NULL);
}

pub(super) fn read(base: &mut Base, payload: &mut Function, wild: Wild) {
    base.say(payload, "reads");
    let at = payload.slot();
    aim(base, payload, at, wild);
    payload.step(Step::Read(Value::Slot(at)));
}

pub(super) fn write(base: &mut Base, payload: &mut Function, wild: Wild) {
    base.say(payload, "writes");
    let at = payload.slot();
    aim(base, payload, at, wild);
    payload.step(Step::Write(Value::Slot(at), 0, 0x4c4f_4f50));
}

pub(super) fn execute(
    base: &mut Base,
    payload: &mut Function,
    functions: &mut Vec<Function>,
    wild: Wild,
) {
    base.say(payload, "calls");
    let at = payload.slot();
    aim_to_call(base, payload, functions, at, wild);
    payload.step(Step::Execute(Value::Slot(at)));
}

/// The same for an address that is called: an inert driver calls a function of its own.
fn aim_to_call(
    base: &mut Base,
    payload: &mut Function,
    functions: &mut Vec<Function>,
    at: Slot,
    wild: Wild,
) {
    if !base.inert {
        return aim_astray(base, payload, at, wild);
    }
    let mut harmless = Function::new("harmless", 0);
    harmless.returns(Value::Number(0));
    functions.push(harmless);
    payload.step(Step::Set(at, Value::Function("harmless")));
}

/// At IRQL 2, where a page fault cannot be served. What is touched lies in the image's resident
/// sections where the driver is inert.
pub(super) fn raised(
    base: &mut Base,
    payload: &mut Function,
    functions: &mut Vec<Function>,
    raised: &RaisedIrql,
    arch: Arch,
) {
    base.say(payload, "raises the IRQL");
    let raise = base.parts.import("KeRaiseIrqlToDpcLevel");
    let lower = base.parts.import("KeLowerIrql");
    let wild = Wild::of(raised.address, arch);
    let before = payload.slot();
    let at = payload.slot();
    let text = payload.block(16);
    match (raised.by, raised.access) {
        (AccessBy::Driver, Access::Execute) => aim_to_call(base, payload, functions, at, wild),
        _ => aim(base, payload, at, wild),
    }
    payload.call(raise, &[]);
    payload.step(Step::Set(before, Value::Result));
    match (raised.by, raised.access) {
        (AccessBy::Kernel, _) => {
            // It looks for the end of the text at the address.
            let init = base.parts.import("RtlInitUnicodeString");
            payload.call(init, &[Value::SlotAddress(text), Value::Slot(at)]);
        }
        (AccessBy::Driver, Access::Read) => payload.step(Step::Read(Value::Slot(at))),
        (AccessBy::Driver, Access::Write) => payload.step(Step::Write(Value::Slot(at), 0, 0)),
        (AccessBy::Driver, Access::Execute) => payload.step(Step::Execute(Value::Slot(at))),
    }
    payload.call(lower, &[Value::Slot(before)]);
}
