//! Accesses to memory that is not there.

use scenario::{Access, AccessBy, Arch, RaisedIrql, Word};

use super::Base;
use crate::driver::program::{Function, Step, Value};

/// The address to go astray with.
pub(super) fn wild(address: Option<Word>, arch: Arch) -> u64 {
    match (address, arch) {
        (Some(Word(address)), Arch::X86_64) => address,
        (Some(Word(address)), Arch::X86) => address & 0xffff_ffff,
        // The address in published crashes of 19 July 2024 (windows-facts 5.1).
        (None, Arch::X86_64) => 0xffff_8405_0000_0074,
        // In the range of the x86 kernel's paged pool, which begins at 0xE1000000 up to Windows Server
        // 2003 (windows-facts 0.1).
        (None, Arch::X86) => 0xe100_0074,
    }
}

/// The address, or for an inert driver memory of its own.
fn target(base: &Base, address: u64) -> Value {
    if base.inert { Value::Address(base.own) } else { Value::Number(address) }
}

pub(super) fn null_read(base: &mut Base, payload: &mut Function) {
    read(base, payload, 0);
}

pub(super) fn read(base: &mut Base, payload: &mut Function, address: u64) {
    base.say(payload, "reads");
    let at = payload.slot();
    payload.step(Step::Set(at, target(base, address)));
    payload.step(Step::Read(Value::Slot(at)));
}

pub(super) fn write(base: &mut Base, payload: &mut Function, address: u64) {
    base.say(payload, "writes");
    let at = payload.slot();
    payload.step(Step::Set(at, target(base, address)));
    payload.step(Step::Write(Value::Slot(at), 0, 0x4c4f_4f50));
}

pub(super) fn execute(
    base: &mut Base,
    payload: &mut Function,
    functions: &mut Vec<Function>,
    address: u64,
) {
    base.say(payload, "calls");
    let at = payload.slot();
    let target = harmless_function(base, functions, address);
    payload.step(Step::Set(at, target));
    payload.step(Step::Execute(Value::Slot(at)));
}

fn harmless_function(base: &Base, functions: &mut Vec<Function>, address: u64) -> Value {
    if !base.inert {
        return Value::Number(address);
    }
    let mut harmless = Function::new("harmless", 0);
    harmless.returns(Value::Number(0));
    functions.push(harmless);
    Value::Function("harmless")
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
    let address = wild(raised.address, arch);
    let before = payload.slot();
    let at = payload.slot();
    let text = payload.block(16);
    let target = match (raised.by, raised.access) {
        (AccessBy::Driver, Access::Execute) => harmless_function(base, functions, address),
        _ => target(base, address),
    };
    payload.step(Step::Set(at, target));
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
