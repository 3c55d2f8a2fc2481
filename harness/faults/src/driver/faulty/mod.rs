//! Drivers with one thing wrong with them.
//!
//! All share one frame, `DriverEntry`: a line to the debugger, a device, then the defect, at once or
//! later by a thread or a timer (`schedule`), on every start or on some (`count`). What the defect does
//! is a function `payload` (`memory`, `stops`, `pool`, `stall`); what is wrong with the file itself is
//! done to the finished image (`file`). An inert driver takes the same steps without the mistake.

mod count;
mod file;
mod memory;
mod pool;
mod schedule;
mod stall;
mod stops;

use scenario::{Arch, Chance, Defect, Trigger};

use super::DriverError;
use super::image;
use super::parts::{Data, Import, Parts};
use super::program::{Function, Step, Value};
use super::resource::Identity;

pub use count::acts;

/// A driver with a defect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultyDriverOptions {
    /// File name, for example `csagent.sys`.
    pub file_name: String,
    /// Version in the version resource.
    pub version: [u16; 4],
    /// The processor.
    pub arch: Arch,
    /// What is wrong with it.
    pub defect: Defect,
    /// When the defect acts.
    pub trigger: Trigger,
    /// Acts on this start only.
    pub only_on_boot: Option<u32>,
    /// Acts on some starts only.
    pub chance: Option<Chance>,
    /// Without the defect, otherwise the same.
    pub inert: bool,
}

impl FaultyDriverOptions {
    /// `csagent.sys` for x86-64 with this defect, which acts while the driver starts.
    pub fn new(defect: Defect) -> Self {
        Self {
            file_name: "csagent.sys".to_owned(),
            version: [7, 11, 0, 0],
            arch: Arch::X86_64,
            defect,
            trigger: Trigger::Entry,
            only_on_boot: None,
            chance: None,
            inert: false,
        }
    }
}

/// True where the defect is one of the file and not of the code.
fn is_of_the_file(defect: &Defect) -> bool {
    matches!(
        defect,
        Defect::MissingImport(_)
            | Defect::WrongMachine
            | Defect::BadChecksum
            | Defect::Truncated(_)
            | Defect::MissingFile
    )
}

/// Why a defect cannot act in this way, if so.
pub(super) fn check(options: &FaultyDriverOptions) -> Result<(), DriverError> {
    let defect = super::names::name(&options.defect);
    let conditional = options.only_on_boot.is_some() || options.chance.is_some();
    if is_of_the_file(&options.defect) && (options.trigger != Trigger::Entry || conditional) {
        return Err(DriverError::NoTrigger(defect));
    }
    let only_at_entry = matches!(options.defect, Defect::FailureStatus(_));
    if only_at_entry && options.trigger != Trigger::Entry {
        return Err(DriverError::OnlyAtEntry(defect));
    }
    let waits = matches!(options.defect, Defect::Deadlock | Defect::SlowStart(_));
    if waits && matches!(options.trigger, Trigger::Timer(_)) {
        return Err(DriverError::CannotWait(defect));
    }
    if options.defect == Defect::MissingFile && !options.inert {
        return Err(DriverError::NoFile);
    }
    Ok(())
}

/// What every function of the driver refers to.
pub(super) struct Base {
    pub(super) parts: Parts,
    pub(super) dbg_print: Import,
    /// Memory of the driver's own: what an inert driver touches instead of a wild address.
    pub(super) own: Data,
    pub(super) inert: bool,
    name: String,
}

impl Base {
    /// A line to the debugger.
    pub(super) fn say(&mut self, function: &mut Function, text: &str) {
        let line = format!("{}: {text}\n", self.name);
        let line = self.parts.text(&line);
        function.call(self.dbg_print, &[Value::Address(line)]);
    }
}

/// The image.
pub(super) fn build(options: &FaultyDriverOptions) -> Result<Vec<u8>, DriverError> {
    let mut options = options.clone();
    if options.defect == Defect::WrongMachine && !options.inert {
        options.arch = match options.arch {
            Arch::X86_64 => Arch::X86,
            Arch::X86 => Arch::X86_64,
        };
    }
    let mut image = link(&options)?;
    if !options.inert {
        file::damage(&mut image, &options.defect);
    }
    Ok(image)
}

fn link(options: &FaultyDriverOptions) -> Result<Vec<u8>, DriverError> {
    let name = options.file_name.as_str();
    let stem = name.strip_suffix(".sys").unwrap_or(name);
    let mut parts = Parts::new(options.arch);
    let dbg_print = parts.import("DbgPrint");
    let own = parts.variable(16);
    let mut base = Base { parts, dbg_print, own, inert: options.inert, name: name.to_owned() };

    let mut functions = Vec::new();
    let mut entry = Function::new("driver_entry", 2);
    let dotted = options.version.map(|part| part.to_string()).join(".");
    let status = entry.slot();
    base.say(&mut entry, &format!("version {dotted}"));
    let create_device = base.parts.import("IoCreateDevice");
    let device_name = base.parts.unicode(&format!("\\Device\\{stem}"));
    let device = base.parts.variable(8);
    // FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN.
    entry.call(
        create_device,
        &[
            Value::Argument(0),
            Value::Number(0),
            Value::Address(device_name),
            Value::Number(0x22),
            Value::Number(0x100),
            Value::Number(0),
            Value::Address(device),
        ],
    );
    entry.check(status);
    if options.only_on_boot.is_some() || options.chance.is_some() {
        let acts = entry.label();
        count::functions(&mut base, options, &mut functions);
        entry.step(Step::CallOwn("acts", vec![Value::Argument(1)]));
        entry.step(Step::Set(status, Value::Result));
        entry.step(Step::IfEqual(Value::Slot(status), 1, acts));
        base.say(&mut entry, "not on this start");
        entry.returns(Value::Number(0));
        entry.step(Step::Place(acts));
    }
    schedule::entry(&mut base, options.trigger, &mut entry, &mut functions);
    functions.insert(0, entry);
    payload(&mut base, options, &mut functions);
    if let Defect::MissingImport(missing) = &options.defect
        && !options.inert
    {
        base.parts.import_from(&missing.module, &missing.function);
    }
    let identity = Identity {
        file_name: name.to_owned(),
        description: "loopbreak faulty driver (made to fail, not a product)".to_owned(),
        version: options.version,
    };
    Ok(image::build_program(&identity, &base.parts, "driver_entry", &functions)?)
}

/// `NTSTATUS payload(void)`: what the defect does.
fn payload(base: &mut Base, options: &FaultyDriverOptions, functions: &mut Vec<Function>) {
    let mut payload = Function::new("payload", 0);
    let at_dispatch = matches!(options.trigger, Trigger::Timer(_));
    let arch = options.arch;
    match &options.defect {
        Defect::NullRead => memory::null_read(base, &mut payload),
        Defect::WildRead(at) => {
            memory::read(base, &mut payload, memory::Wild::of(at.address, arch))
        }
        Defect::WildWrite(at) => {
            memory::write(base, &mut payload, memory::Wild::of(at.address, arch))
        }
        Defect::WildExecute(at) => {
            memory::execute(base, &mut payload, functions, memory::Wild::of(at.address, arch));
        }
        Defect::RaisedIrql(raised) => {
            memory::raised(base, &mut payload, functions, raised, arch);
        }
        Defect::BugCheck(call) => stops::bug_check(base, &mut payload, call),
        Defect::DivideError => stops::divide(base, &mut payload),
        Defect::StackExhaustion => stops::stack(base, &mut payload, functions),
        Defect::PoolCorruption(damage) => pool::corrupt(base, &mut payload, damage.how, arch),
        Defect::Deadlock => stall::deadlock(base, &mut payload, functions),
        Defect::EndlessLoop(endless) => {
            stall::endless(base, &mut payload, endless.irql, at_dispatch);
        }
        Defect::SlowStart(slow) => stall::slow(base, &mut payload, slow.seconds),
        Defect::FailureStatus(failure) => stops::failure(base, &mut payload, failure.status),
        Defect::MissingImport(_)
        | Defect::WrongMachine
        | Defect::BadChecksum
        | Defect::Truncated(_)
        | Defect::MissingFile => base.say(&mut payload, "nothing to do"),
    }
    payload.returns(Value::Number(0));
    functions.push(payload);
}
