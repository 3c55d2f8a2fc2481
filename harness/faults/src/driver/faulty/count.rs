//! The driver's own count of its starts, and whether the defect acts on this one.
//!
//! The count is the value `Boots` of the service's `Parameters`. It is written and flushed before
//! anything can fail, so a start that ends in a stop counts.

use super::schedule::object_attributes;
use super::{Base, FaultyDriverOptions};
use crate::driver::parts::Data;
use crate::driver::program::{Function, Step, Sum, Value};

const NULL: Value = Value::Number(0);
const REG_DWORD: u64 = 4;
const MIX: u32 = 0x9e37_79b1;
const SPREAD: u32 = 0x85eb_ca6b;

/// Whether a defect acts on the start of this number, from 1: the same decision as in the driver.
pub fn acts(boot: u32, only_on_boot: Option<u32>, chance: Option<scenario::Chance>) -> bool {
    let drawn = |seed: u32| {
        let mut number = boot.wrapping_mul(MIX) ^ seed;
        number ^= number >> 16;
        number = number.wrapping_mul(SPREAD);
        number ^= number >> 13;
        number % 100
    };
    only_on_boot.is_none_or(|only| boot == only)
        && chance.is_none_or(|chance| drawn(chance.seed) < chance.percent)
}

/// `u32 acts(UNICODE_STRING *registry_path)`: 1 if the defect acts on this start.
pub(super) fn functions(
    base: &mut Base,
    options: &FaultyDriverOptions,
    functions: &mut Vec<Function>,
) {
    let boots = base.parts.variable(8);
    functions.push(count(base, boots));
    let mut acts = Function::new("acts", 1);
    let not = acts.label();
    let drawn = acts.slot();
    acts.step(Step::StoreHalf(boots, 0, NULL));
    acts.step(Step::CallOwn("count", vec![Value::Argument(0)]));
    acts.step(Step::Set(drawn, Value::Result));
    let line = base.parts.text(&format!("{}: start %u, counted with 0x%08x\n", options.file_name));
    acts.call(base.dbg_print, &[Value::Address(line), Value::Half(boots, 0), Value::Slot(drawn)]);
    if let Some(only) = options.only_on_boot {
        let same = acts.label();
        acts.step(Step::IfEqual(Value::Half(boots, 0), only, same));
        acts.step(Step::Goto(not));
        acts.step(Step::Place(same));
    }
    if let Some(chance) = options.chance {
        let hit = acts.label();
        acts.step(Step::Set(drawn, Value::Half(boots, 0)));
        for sum in [
            Sum::Multiply(MIX),
            Sum::Xor(chance.seed),
            Sum::XorShifted(16),
            Sum::Multiply(SPREAD),
            Sum::XorShifted(13),
            Sum::Remainder(100),
        ] {
            acts.step(Step::Compute(drawn, sum));
        }
        acts.step(Step::IfBelow(Value::Slot(drawn), chance.percent, hit));
        acts.step(Step::Goto(not));
        acts.step(Step::Place(hit));
    }
    acts.returns(Value::Number(1));
    acts.step(Step::Place(not));
    acts.returns(NULL);
    functions.push(acts);
}

/// `NTSTATUS count(UNICODE_STRING *registry_path)`: one more start.
fn count(base: &mut Base, boots: Data) -> Function {
    let create_key = base.parts.import("ZwCreateKey");
    let query = base.parts.import("ZwQueryValueKey");
    let set = base.parts.import("ZwSetValueKey");
    let flush = base.parts.import("ZwFlushKey");
    let open_key = base.parts.import("ZwOpenKey");
    let close = base.parts.import("ZwClose");
    let parameters = base.parts.unicode("Parameters");
    let name = base.parts.unicode("Boots");
    let service = base.parts.variable(8);
    let key = base.parts.variable(8);
    let attributes = base.parts.variable(0x30);
    // KEY_VALUE_PARTIAL_INFORMATION: title index, type, length, then the number.
    let value = base.parts.variable(32);
    let length = base.parts.variable(8);
    let mut count = Function::new("count", 1);
    let status = count.slot();
    let first = count.label();
    let write = count.label();
    // KEY_READ, KEY_WRITE.
    let access = Value::Number(0x2_0019 | 0x2_0006);
    object_attributes(&mut count, attributes, NULL, Value::Argument(0));
    count.call(open_key, &[Value::Address(service), access, Value::Address(attributes)]);
    count.check(status);
    object_attributes(&mut count, attributes, Value::Word(service, 0), Value::Address(parameters));
    count.call(
        create_key,
        &[Value::Address(key), access, Value::Address(attributes), NULL, NULL, NULL, NULL],
    );
    count.step(Step::Set(status, Value::Result));
    count.call(close, &[Value::Word(service, 0)]);
    let made = count.label();
    let not_made = count.label();
    count.step(Step::IfFailed(Value::Slot(status), not_made));
    count.step(Step::Goto(made));
    count.step(Step::Place(not_made));
    count.returns(Value::Slot(status));
    count.step(Step::Place(made));
    // KeyValuePartialInformation.
    count.call(
        query,
        &[
            Value::Word(key, 0),
            Value::Address(name),
            Value::Number(2),
            Value::Address(value),
            Value::Number(32),
            Value::Address(length),
        ],
    );
    count.step(Step::Set(status, Value::Result));
    count.step(Step::IfFailed(Value::Slot(status), first));
    count.step(Step::Set(status, Value::Half(value, 12)));
    count.step(Step::Goto(write));
    count.step(Step::Place(first));
    count.step(Step::Set(status, NULL));
    count.step(Step::Place(write));
    count.step(Step::Compute(status, Sum::Add(1)));
    count.step(Step::StoreHalf(boots, 0, Value::Slot(status)));
    count.call(
        set,
        &[
            Value::Word(key, 0),
            Value::Address(name),
            NULL,
            Value::Number(REG_DWORD),
            Value::Address(boots),
            Value::Number(4),
        ],
    );
    count.step(Step::Set(status, Value::Result));
    count.call(flush, &[Value::Word(key, 0)]);
    count.call(close, &[Value::Word(key, 0)]);
    count.returns(Value::Slot(status));
    count
}
