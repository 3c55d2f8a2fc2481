//! Starts that never end, or take their time.

use scenario::Irql;

use super::Base;
use crate::driver::program::{Function, Step, Sum, Value};

/// KMUTEX and KEVENT are smaller (x86-64: 0x38 and 0x18 bytes).
const OBJECT: u32 = 0x40;
/// THREAD_ALL_ACCESS.
pub(super) const ALL_ACCESS: Value = Value::Number(0x1f_ffff);
const NULL: Value = Value::Number(0);

/// Seconds as a relative time in units of 100 ns: negative.
pub(super) fn relative(seconds: u32) -> i64 {
    -10_000_000 * i64::from(seconds)
}

/// Waits that long.
pub(super) fn delay(base: &mut Base, function: &mut Function, interval: i64) {
    let wait = base.parts.import("KeDelayExecutionThread");
    let interval = base.parts.bytes(&interval.to_le_bytes());
    function.call(wait, &[NULL, NULL, Value::Address(interval)]);
}

/// Two mutexes, two threads, each with one and waiting for the other's.
pub(super) fn deadlock(base: &mut Base, payload: &mut Function, functions: &mut Vec<Function>) {
    let init_mutex = base.parts.import("KeInitializeMutex");
    let init_event = base.parts.import("KeInitializeEvent");
    let set_event = base.parts.import("KeSetEvent");
    let wait = base.parts.import("KeWaitForSingleObject");
    let release = base.parts.import("KeReleaseMutex");
    let create_thread = base.parts.import("PsCreateSystemThread");
    let terminate = base.parts.import("PsTerminateSystemThread");
    let close = base.parts.import("ZwClose");
    let [first, second, taken] = [(); 3].map(|()| base.parts.variable(OBJECT));
    let handle = base.parts.variable(8);
    // Executive, KernelMode, not alertable, without a limit.
    let wait_for = |function: &mut Function, object| {
        function.call(wait, &[Value::Address(object), NULL, NULL, NULL, NULL]);
    };
    base.say(payload, "waits for another thread");
    payload.call(init_mutex, &[Value::Address(first), NULL]);
    payload.call(init_mutex, &[Value::Address(second), NULL]);
    payload.call(init_event, &[Value::Address(taken), NULL, NULL]);
    if !base.inert {
        wait_for(payload, first);
    }
    let status = payload.slot();
    payload.call(
        create_thread,
        &[Value::Address(handle), ALL_ACCESS, NULL, NULL, NULL, Value::Function("other"), NULL],
    );
    payload.check(status);
    payload.call(close, &[Value::Word(handle, 0)]);
    wait_for(payload, taken);
    if base.inert {
        // The same order as the other thread: nobody waits for ever.
        wait_for(payload, second);
        wait_for(payload, first);
    } else {
        wait_for(payload, second);
    }
    payload.call(release, &[Value::Address(second), NULL]);
    payload.call(release, &[Value::Address(first), NULL]);

    let mut other = Function::new("other", 1);
    wait_for(&mut other, second);
    other.call(set_event, &[Value::Address(taken), NULL, NULL]);
    wait_for(&mut other, first);
    other.call(release, &[Value::Address(first), NULL]);
    other.call(release, &[Value::Address(second), NULL]);
    other.call(terminate, &[NULL]);
    other.returns(NULL);
    functions.push(other);
}

/// Circles. An inert driver goes round a thousand times.
pub(super) fn endless(base: &mut Base, payload: &mut Function, irql: Irql, raised: bool) {
    base.say(payload, "goes round in circles");
    let before = payload.slot();
    let round = payload.slot();
    let again = payload.label();
    let raise = irql == Irql::Dispatch && !raised;
    if raise {
        let raise = base.parts.import("KeRaiseIrqlToDpcLevel");
        payload.call(raise, &[]);
        payload.step(Step::Set(before, Value::Result));
    }
    payload.step(Step::Set(round, NULL));
    payload.step(Step::Place(again));
    payload.step(Step::Pause);
    payload.step(Step::Compute(round, Sum::Add(1)));
    if base.inert {
        payload.step(Step::IfBelow(Value::Slot(round), 1000, again));
    } else {
        payload.step(Step::Goto(again));
    }
    if raise {
        let lower = base.parts.import("KeLowerIrql");
        payload.call(lower, &[Value::Slot(before)]);
    }
}

pub(super) fn slow(base: &mut Base, payload: &mut Function, seconds: u32) {
    base.say(payload, "takes its time");
    // An inert driver waits for a millisecond.
    let interval = if base.inert { -10_000 } else { relative(seconds) };
    delay(base, payload, interval);
    base.say(payload, "goes on");
}
