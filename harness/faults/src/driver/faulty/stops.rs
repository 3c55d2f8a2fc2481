//! Stops that do not come from a wrong address: a call, the processor's own errors, the stack's end.

use scenario::BugCheck;

use super::Base;
use crate::driver::program::{Function, Step, Sum, Value};

pub(super) fn bug_check(base: &mut Base, payload: &mut Function, call: &BugCheck) {
    let stop = base.parts.import("KeBugCheckEx");
    base.say(payload, "stops the system");
    let past = payload.label();
    if base.inert {
        payload.step(Step::Goto(past));
    }
    let parameter =
        |index: usize| Value::Number(call.parameters.get(index).map_or(0, |parameter| parameter.0));
    let mut arguments = vec![Value::Number(u64::from(call.code))];
    arguments.extend((0..4).map(parameter));
    payload.call(stop, &arguments);
    payload.step(Step::Place(past));
}

pub(super) fn divide(base: &mut Base, payload: &mut Function) {
    base.say(payload, "divides");
    let divisor = payload.slot();
    payload.step(Step::Set(divisor, Value::Number(u64::from(base.inert))));
    payload.step(Step::DivideBy(Value::Slot(divisor)));
}

/// A function that calls itself with 1 KiB of its own each time: a kernel stack of Windows has 24 KiB
/// (x86: 12 KiB) and ends in a page that nothing maps, so the processor cannot even push what a fault
/// needs.
pub(super) fn stack(base: &mut Base, payload: &mut Function, functions: &mut Vec<Function>) {
    base.say(payload, "uses up its stack");
    // An inert driver stops after three calls.
    let deepest = if base.inert { 3 } else { u64::from(u32::MAX) };
    payload.step(Step::CallOwn("deeper", vec![Value::Number(deepest)]));
    let mut deeper = Function::new("deeper", 1);
    let room = deeper.block(1024);
    let left = deeper.slot();
    let end = deeper.label();
    deeper.step(Step::Set(left, Value::Argument(0)));
    deeper.step(Step::IfEqual(Value::Slot(left), 0, end));
    deeper.step(Step::Compute(left, Sum::Add(u32::MAX)));
    deeper.step(Step::Set(room, Value::Slot(left)));
    deeper.step(Step::CallOwn("deeper", vec![Value::Slot(left)]));
    deeper.step(Step::Place(end));
    deeper.returns(Value::Number(0));
    functions.push(deeper);
}

pub(super) fn failure(base: &mut Base, payload: &mut Function, status: u32) {
    base.say(payload, "does not start");
    if !base.inert {
        // The device goes with the driver; a name that stays would be in the way of the next attempt.
        payload.returns(Value::Number(u64::from(status)));
    }
}
