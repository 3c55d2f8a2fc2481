//! When a defect acts: at once, in a thread, in a timer's routine.

use scenario::Trigger;

use super::Base;
use super::stall::{ALL_ACCESS, delay, relative};
use crate::driver::parts::Data;
use crate::driver::program::{Function, Step, Value};

const NULL: Value = Value::Number(0);
/// Set when the local security authority is up; drivers that need it wait for it.
const SESSION: &str = "\\SECURITY\\LSA_AUTHENTICATION_INITIALIZED";

/// The end of `DriverEntry`, and what runs later.
pub(super) fn entry(
    base: &mut Base,
    trigger: Trigger,
    entry: &mut Function,
    functions: &mut Vec<Function>,
) {
    match trigger {
        Trigger::Entry => {
            entry.step(Step::CallOwn("payload", Vec::new()));
            entry.returns(Value::Result);
        }
        Trigger::Thread(wait) => {
            start_thread(base, entry);
            thread(base, functions, wait.seconds, false);
        }
        Trigger::Session(wait) => {
            start_thread(base, entry);
            thread(base, functions, wait.seconds, true);
        }
        Trigger::Timer(wait) => {
            let init_timer = base.parts.import("KeInitializeTimer");
            let init_dpc = base.parts.import("KeInitializeDpc");
            let set = base.parts.import("KeSetTimer");
            // KTIMER and KDPC have 0x40 bytes each on x86-64, fewer on x86.
            let timer = base.parts.variable(0x40);
            let dpc = base.parts.variable(0x40);
            entry.call(init_timer, &[Value::Address(timer)]);
            let routine = Value::Function("on_timer");
            entry.call(init_dpc, &[Value::Address(dpc), routine, NULL]);
            let due = Value::Wide(relative(wait.seconds));
            entry.call(set, &[Value::Address(timer), due, Value::Address(dpc)]);
            entry.returns(NULL);
            // The DPC, its context, two arguments of the system's own.
            let mut on_timer = Function::new("on_timer", 4);
            on_timer.step(Step::CallOwn("payload", Vec::new()));
            on_timer.returns(NULL);
            functions.push(on_timer);
        }
    }
}

fn start_thread(base: &mut Base, entry: &mut Function) {
    let create = base.parts.import("PsCreateSystemThread");
    let close = base.parts.import("ZwClose");
    let handle = base.parts.variable(8);
    let status = entry.slot();
    entry.call(
        create,
        &[Value::Address(handle), ALL_ACCESS, NULL, NULL, NULL, Value::Function("worker"), NULL],
    );
    entry.check(status);
    entry.call(close, &[Value::Word(handle, 0)]);
    entry.returns(NULL);
}

fn thread(base: &mut Base, functions: &mut Vec<Function>, seconds: u32, session: bool) {
    let terminate = base.parts.import("PsTerminateSystemThread");
    let mut worker = Function::new("worker", 1);
    if session {
        wait_for_session(base, &mut worker);
    }
    if seconds > 0 {
        delay(base, &mut worker, relative(seconds));
    }
    worker.step(Step::CallOwn("payload", Vec::new()));
    worker.call(terminate, &[NULL]);
    worker.returns(NULL);
    functions.push(worker);
}

/// The event is made while the system starts; until then there is none to wait for.
fn wait_for_session(base: &mut Base, worker: &mut Function) {
    let open = base.parts.import("ZwOpenEvent");
    let wait = base.parts.import("ZwWaitForSingleObject");
    let close = base.parts.import("ZwClose");
    let name = base.parts.unicode(SESSION);
    let handle = base.parts.variable(8);
    let attributes = base.parts.variable(0x30);
    let status = worker.slot();
    let again = worker.label();
    let retry = worker.label();
    let there = worker.label();
    object_attributes(worker, attributes, NULL, Value::Address(name));
    worker.step(Step::Place(again));
    // SYNCHRONIZE.
    worker.call(
        open,
        &[Value::Address(handle), Value::Number(0x10_0000), Value::Address(attributes)],
    );
    worker.step(Step::Set(status, Value::Result));
    worker.step(Step::IfFailed(Value::Slot(status), retry));
    worker.step(Step::Goto(there));
    worker.step(Step::Place(retry));
    delay(base, worker, relative(1));
    worker.step(Step::Goto(again));
    worker.step(Step::Place(there));
    worker.call(wait, &[Value::Word(handle, 0), NULL, NULL]);
    worker.call(close, &[Value::Word(handle, 0)]);
    base.say(worker, "a session can begin");
}

/// OBJECT_ATTRIBUTES: six fields of a pointer's width, padded where they are narrower. A kernel handle,
/// names without regard to case (0x240).
pub(super) fn object_attributes(function: &mut Function, at: Data, root: Value, name: Value) {
    // The first field is the length.
    let fields = [Value::ByArch(0x30, 0x18), root, name, Value::Number(0x240), NULL, NULL];
    for (index, field) in (0..).zip(fields) {
        function.step(Step::Store(at, index, field));
    }
}
