//! The content driver: the defect of channel file 291 as machine code.
//!
//! `DriverEntry` makes a device, reads the folder of its content from the registry, interprets every
//! file there, and starts a thread that does so again whenever the folder changes. Because the first
//! scan is part of `DriverEntry`, a bad file stops the machine at every start, before anything that
//! could fetch a better one is running. It can be made to look later, in its thread: then whoever fetches
//! better content races with it.
//!
//! The defect is in `interpreter`. The driver has no unload routine: its thread waits in the
//! file system for as long as the machine runs.

mod interpreter;

use iced_x86::IcedError;
use iced_x86::code_asm::{
    ax, cx, dword_ptr, eax, ebx, ecx, esi, qword_ptr, rax, rbx, rcx, rdi, rdx, rsi, rsp, word_ptr,
};

use scenario::{Arch, Trigger};

use super::asm::{Arg, Assembler, Frame, Local};
use super::image;
use super::parts::{Data, Import, Parts};
use super::resource::Identity;

/// What goes into one content driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentDriverOptions {
    /// File name, for example `csagent.sys`.
    pub file_name: String,
    /// Version in the version resource.
    pub version: [u16; 4],
    /// Which files of its folder it interprets, for example `C-00000291-*.sys`.
    pub content_pattern: String,
    /// When it interprets for the first time: in its entry, or in its thread, some seconds later or once a
    /// session can begin. It has no timer.
    pub first_look: Trigger,
}

impl Default for ContentDriverOptions {
    fn default() -> Self {
        Self {
            file_name: "csagent.sys".to_owned(),
            version: [7, 11, 0, 0],
            content_pattern: "C-00000291-*.sys".to_owned(),
            first_look: Trigger::Entry,
        }
    }
}

/// Largest content file that is read, in bytes. What is beyond is not seen, so a longer file is one
/// whose length does not match its header.
const BUFFER: u32 = 0x1_0000;
const ENTRY: u32 = 0x400;
const VALUE: u32 = 0x410;
const TAG: u32 = u32::from_le_bytes(*b"LBcd");

const STATUS_INSUFFICIENT_RESOURCES: u32 = 0xc000_009a;
const STATUS_OBJECT_TYPE_MISMATCH: u32 = 0xc000_0024;

struct Kernel {
    dbg_print: Import,
    allocate: Import,
    free: Import,
    create_device: Import,
    delete_device: Import,
    create_thread: Import,
    terminate_thread: Import,
    notify: Import,
    close: Import,
    open_file: Import,
    open_key: Import,
    query_directory: Import,
    query_value: Import,
    read_file: Import,
    later: Option<Later>,
}

/// What a driver needs that does not look at once.
struct Later {
    delay: Import,
    seconds: u32,
    session: Option<Session>,
}

/// What one needs that waits for a session.
struct Session {
    open_event: Import,
    wait: Import,
    name: Data,
}

struct Variables {
    device: Data,
    buffer: Data,
    thread: Data,
    /// UNICODE_STRING.
    folder: Data,
    /// KEY_VALUE_PARTIAL_INFORMATION; the folder's characters stay in it.
    value: Data,
    /// FILE_NAMES_INFORMATION.
    entry: Data,
    changes: Data,
}

struct Constants {
    inputs: Data,
    device: Data,
    parameters: Data,
    content_folder: Data,
    pattern: Data,
    say_loaded: Data,
    say_failed: Data,
    say_no_folder: Data,
    say_interpreted: Data,
    say_malformed: Data,
    say_ignored: Data,
    say_watch_ended: Data,
}

/// The image.
pub(crate) fn build(options: &ContentDriverOptions) -> Result<Vec<u8>, IcedError> {
    let name = options.file_name.as_str();
    let stem = name.strip_suffix(".sys").unwrap_or(name);
    let mut parts = Parts::new(Arch::X86_64);
    let kernel = Kernel {
        dbg_print: parts.import("DbgPrint"),
        allocate: parts.import("ExAllocatePoolWithTag"),
        free: parts.import("ExFreePoolWithTag"),
        create_device: parts.import("IoCreateDevice"),
        delete_device: parts.import("IoDeleteDevice"),
        notify: parts.import("NtNotifyChangeDirectoryFile"),
        create_thread: parts.import("PsCreateSystemThread"),
        terminate_thread: parts.import("PsTerminateSystemThread"),
        close: parts.import("ZwClose"),
        open_file: parts.import("ZwOpenFile"),
        open_key: parts.import("ZwOpenKey"),
        query_directory: parts.import("ZwQueryDirectoryFile"),
        query_value: parts.import("ZwQueryValueKey"),
        read_file: parts.import("ZwReadFile"),
        later: later(&mut parts, options.first_look),
    };
    let variables = Variables {
        device: parts.variable(8),
        buffer: parts.variable(8),
        thread: parts.variable(8),
        folder: parts.variable(16),
        value: parts.variable(VALUE),
        entry: parts.variable(ENTRY),
        changes: parts.variable(ENTRY),
    };
    let dotted = options.version.map(|part| part.to_string()).join(".");
    let constants = Constants {
        inputs: interpreter::inputs(&mut parts),
        device: parts.unicode(&format!("\\Device\\{stem}")),
        parameters: parts.unicode("Parameters"),
        content_folder: parts.unicode("ContentFolder"),
        pattern: parts.unicode(&options.content_pattern),
        say_loaded: parts.text(&format!("{name}: version {dotted}\n")),
        say_failed: parts.text(&format!("{name}: not started, status 0x%08x\n")),
        say_no_folder: parts.text(&format!("{name}: no content folder, status 0x%08x\n")),
        say_interpreted: parts.text(&format!("{name}: %wZ: %u fields, %u matched\n")),
        say_malformed: parts.text(&format!("{name}: %wZ: malformed, field %u; ignored\n")),
        say_ignored: parts.text(&format!("{name}: %wZ: not complete content; ignored\n")),
        say_watch_ended: parts.text(&format!("{name}: watching ended, status 0x%08x\n")),
    };
    let identity = Identity {
        file_name: name.to_owned(),
        description: "loopbreak content driver (stand-in with a known defect)".to_owned(),
        version: options.version,
    };
    image::build(&identity, &parts, "driver_entry", |a| {
        driver_entry(a, &kernel, &variables, &constants)?;
        read_parameters(a, &kernel, &variables, &constants)?;
        scan(a, &kernel, &variables, &constants)?;
        interpreter::interpret(a, &kernel, &constants)?;
        watch(a, &kernel, &variables, &constants)
    })
}

fn later(parts: &mut Parts, first_look: Trigger) -> Option<Later> {
    let (seconds, session) = match first_look {
        Trigger::Entry => return None,
        Trigger::Thread(wait) | Trigger::Timer(wait) => (wait.seconds, false),
        Trigger::Session(wait) => (wait.seconds, true),
    };
    Some(Later {
        delay: parts.import("KeDelayExecutionThread"),
        seconds,
        session: session.then(|| Session {
            open_event: parts.import("ZwOpenEvent"),
            wait: parts.import("ZwWaitForSingleObject"),
            // As the faulty drivers do.
            name: parts.unicode("\\SECURITY\\LSA_AUTHENTICATION_INITIALIZED"),
        }),
    })
}

/// `NTSTATUS DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *registry_path)`
fn driver_entry(
    a: &mut Assembler<'_>,
    kernel: &Kernel,
    variables: &Variables,
    constants: &Constants,
) -> Result<(), IcedError> {
    let frame = Frame::new(&[rbx, rsi, rdi], 7);
    a.begin("driver_entry", &frame)?;
    let mut failed = a.code.create_label();
    let mut failed_without_device = a.code.create_label();
    let mut no_buffer = a.code.create_label();
    a.code.mov(rsi, rcx)?;
    a.code.mov(rdi, rdx)?;
    a.call(kernel.dbg_print, &[Arg::Data(constants.say_loaded)])?;
    // FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN.
    let device = Arg::Data(variables.device);
    let name = Arg::Data(constants.device);
    a.call(
        kernel.create_device,
        &[Arg::Reg(rsi), Arg::Imm(0), name, Arg::Imm(0x22), Arg::Imm(0x100), Arg::Imm(0), device],
    )?;
    a.code.mov(ebx, eax)?;
    a.code.test(eax, eax)?;
    a.code.js(failed_without_device)?;
    a.call_own("read_parameters", &[Arg::Reg(rdi)])?;
    a.code.mov(ebx, eax)?;
    a.code.test(eax, eax)?;
    a.code.js(failed)?;
    // PagedPool.
    a.call(kernel.allocate, &[Arg::Imm(1), Arg::Imm(BUFFER), Arg::Imm(TAG)])?;
    a.store(variables.buffer, rax)?;
    a.code.mov(ebx, STATUS_INSUFFICIENT_RESOURCES)?;
    a.code.test(rax, rax)?;
    a.code.jz(failed)?;
    if kernel.later.is_none() {
        a.call_own("scan", &[])?;
    }
    let watch = a.label_of("watch");
    // THREAD_ALL_ACCESS.
    a.call(
        kernel.create_thread,
        &[
            Arg::Data(variables.thread),
            Arg::Imm(0x1f_ffff),
            Arg::Imm(0),
            Arg::Imm(0),
            Arg::Imm(0),
            Arg::Function(watch),
            Arg::Imm(0),
        ],
    )?;
    a.code.mov(ebx, eax)?;
    a.code.test(eax, eax)?;
    a.code.js(failed)?;
    // The thread lives on without a handle to it.
    a.call(kernel.close, &[Arg::Load(variables.thread)])?;
    a.place(rax, Arg::Imm(0))?;
    a.leave()?;

    a.code.set_label(&mut failed)?;
    a.place(rcx, Arg::Load(variables.buffer))?;
    a.code.test(rcx, rcx)?;
    a.code.jz(no_buffer)?;
    a.call(kernel.free, &[Arg::Load(variables.buffer), Arg::Imm(TAG)])?;
    a.code.set_label(&mut no_buffer)?;
    a.call(kernel.delete_device, &[Arg::Load(variables.device)])?;
    a.code.set_label(&mut failed_without_device)?;
    a.call(kernel.dbg_print, &[Arg::Data(constants.say_failed), Arg::Reg(rbx)])?;
    a.code.mov(eax, ebx)?;
    a.leave()?;
    a.end()
}

/// `NTSTATUS read_parameters(UNICODE_STRING *registry_path)`: fills the folder from
/// `<service>\Parameters`, value `ContentFolder`, an NT path as REG_SZ.
fn read_parameters(
    a: &mut Assembler<'_>,
    kernel: &Kernel,
    variables: &Variables,
    constants: &Constants,
) -> Result<(), IcedError> {
    let mut frame = Frame::new(&[rbx], 6);
    let attributes = frame.local(0x30);
    let service = frame.local(8);
    let key = frame.local(8);
    let length = frame.local(8);
    a.begin("read_parameters", &frame)?;
    let mut done = a.code.create_label();
    let mut mismatch = a.code.create_label();
    let mut strip = a.code.create_label();
    let mut stripped = a.code.create_label();
    a.object_attributes(attributes, Arg::Imm(0), Arg::Reg(rcx))?;
    // KEY_READ.
    let access = Arg::Imm(0x2_0019);
    a.call(kernel.open_key, &[Arg::Addr(service), access, Arg::Addr(attributes)])?;
    a.code.mov(ebx, eax)?;
    a.code.test(eax, eax)?;
    a.code.js(done)?;
    a.object_attributes(attributes, Arg::Value(service), Arg::Data(constants.parameters))?;
    a.call(kernel.open_key, &[Arg::Addr(key), access, Arg::Addr(attributes)])?;
    a.code.mov(ebx, eax)?;
    a.call(kernel.close, &[Arg::Value(service)])?;
    a.code.test(ebx, ebx)?;
    a.code.js(done)?;
    // KeyValuePartialInformation: title index, type, length, data.
    a.call(
        kernel.query_value,
        &[
            Arg::Value(key),
            Arg::Data(constants.content_folder),
            Arg::Imm(2),
            Arg::Data(variables.value),
            Arg::Imm(VALUE),
            Arg::Addr(length),
        ],
    )?;
    a.code.mov(ebx, eax)?;
    a.call(kernel.close, &[Arg::Value(key)])?;
    a.code.test(ebx, ebx)?;
    a.code.js(done)?;
    a.lea(rdx, variables.value, 0)?;
    a.code.cmp(dword_ptr(rdx + 4), 1)?;
    a.code.jne(mismatch)?;
    a.code.mov(ecx, dword_ptr(rdx + 8))?;
    // A REG_SZ usually carries its final zero, which a UNICODE_STRING does not count.
    a.code.set_label(&mut strip)?;
    a.code.cmp(ecx, 2)?;
    a.code.jb(mismatch)?;
    a.code.cmp(word_ptr(rdx + rcx + 10), 0)?;
    a.code.jne(stripped)?;
    a.code.sub(ecx, 2)?;
    a.code.jmp(strip)?;
    a.code.set_label(&mut stripped)?;
    a.code.add(rdx, 12)?;
    a.lea(rax, variables.folder, 0)?;
    a.code.mov(word_ptr(rax), cx)?;
    a.code.mov(word_ptr(rax + 2), cx)?;
    a.code.mov(qword_ptr(rax + 8), rdx)?;
    a.code.jmp(done)?;
    a.code.set_label(&mut mismatch)?;
    a.code.mov(ebx, STATUS_OBJECT_TYPE_MISMATCH)?;
    a.code.set_label(&mut done)?;
    a.code.mov(eax, ebx)?;
    a.leave()?;
    a.end()
}

/// FILE_LIST_DIRECTORY or FILE_READ_DATA, and SYNCHRONIZE.
const READ: Arg = Arg::Imm(0x10_0001);
const SHARE_ALL: Arg = Arg::Imm(7);
/// FILE_SYNCHRONOUS_IO_NONALERT with FILE_DIRECTORY_FILE.
const FOLDER: Arg = Arg::Imm(0x21);
/// FILE_SYNCHRONOUS_IO_NONALERT with FILE_NON_DIRECTORY_FILE.
const FILE: Arg = Arg::Imm(0x60);
const NONE: Arg = Arg::Imm(0);

/// `void scan(void)`: interprets every file of the pattern in the folder.
fn scan(
    a: &mut Assembler<'_>,
    kernel: &Kernel,
    variables: &Variables,
    constants: &Constants,
) -> Result<(), IcedError> {
    let mut frame = Frame::new(&[rbx, rsi], 11);
    let attributes = frame.local(0x30);
    let status = frame.local(0x10);
    let folder = frame.local(8);
    let file = frame.local(8);
    let name = frame.local(0x10);
    let offset = frame.local(8);
    a.begin("scan", &frame)?;
    let mut next = a.code.create_label();
    let mut close = a.code.create_label();
    let mut no_folder = a.code.create_label();
    a.object_attributes(attributes, NONE, Arg::Data(variables.folder))?;
    let opened =
        [Arg::Addr(folder), READ, Arg::Addr(attributes), Arg::Addr(status), SHARE_ALL, FOLDER];
    a.call(kernel.open_file, &opened)?;
    a.code.test(eax, eax)?;
    a.code.js(no_folder)?;
    a.place(rsi, Arg::Imm(1))?;

    a.code.set_label(&mut next)?;
    // One entry a call (FileNamesInformation); the first call restarts the listing.
    let entry = Arg::Data(variables.entry);
    a.call(
        kernel.query_directory,
        &[
            Arg::Value(folder),
            NONE,
            NONE,
            NONE,
            Arg::Addr(status),
            entry,
            Arg::Imm(ENTRY),
            Arg::Imm(12),
            Arg::Imm(1),
            Arg::Data(constants.pattern),
            Arg::Reg(rsi),
        ],
    )?;
    // The end of the listing is a warning, none at all an error: both have the top bit.
    a.code.test(eax, eax)?;
    a.code.js(close)?;
    a.code.xor(esi, esi)?;
    a.lea(rdx, variables.entry, 0)?;
    a.code.mov(eax, dword_ptr(rdx + 8))?;
    a.code.mov(word_ptr(rsp + name.0), ax)?;
    a.code.mov(word_ptr(rsp + name.at(2).0), ax)?;
    a.code.add(rdx, 12)?;
    a.code.mov(qword_ptr(rsp + name.at(8).0), rdx)?;
    a.object_attributes(attributes, Arg::Value(folder), Arg::Addr(name))?;
    let opened = [Arg::Addr(file), READ, Arg::Addr(attributes), Arg::Addr(status), SHARE_ALL, FILE];
    a.call(kernel.open_file, &opened)?;
    // A file that vanished again is no reason to stop.
    a.code.test(eax, eax)?;
    a.code.js(next)?;
    a.code.mov(qword_ptr(rsp + offset.0), 0)?;
    a.call(
        kernel.read_file,
        &[
            Arg::Value(file),
            NONE,
            NONE,
            NONE,
            Arg::Addr(status),
            Arg::Load(variables.buffer),
            Arg::Imm(BUFFER),
            Arg::Addr(offset),
            NONE,
        ],
    )?;
    a.code.mov(ebx, eax)?;
    a.call(kernel.close, &[Arg::Value(file)])?;
    // A file that is being written is empty at first: reading it fails with the end of the file.
    a.code.test(ebx, ebx)?;
    a.code.js(next)?;
    let length = Arg::Value(status.at(8));
    a.call_own("interpret", &[Arg::Load(variables.buffer), length, Arg::Addr(name)])?;
    a.code.jmp(next)?;

    a.code.set_label(&mut close)?;
    a.call(kernel.close, &[Arg::Value(folder)])?;
    a.leave()?;
    a.code.set_label(&mut no_folder)?;
    a.code.mov(ebx, eax)?;
    a.call(kernel.dbg_print, &[Arg::Data(constants.say_no_folder), Arg::Reg(rbx)])?;
    a.leave()?;
    a.end()
}

/// The wait before the first look, in the thread. The session's event is made while the system starts;
/// until then there is none to wait for.
fn wait(
    a: &mut Assembler<'_>,
    kernel: &Kernel,
    later: &Later,
    (attributes, interval, event): (Local, Local, Local),
) -> Result<(), IcedError> {
    if let Some(session) = &later.session {
        let mut again = a.code.create_label();
        let mut there = a.code.create_label();
        a.code.set_label(&mut again)?;
        a.object_attributes(attributes, NONE, Arg::Data(session.name))?;
        // SYNCHRONIZE.
        let access = Arg::Imm(0x10_0000);
        a.call(session.open_event, &[Arg::Addr(event), access, Arg::Addr(attributes)])?;
        a.code.test(eax, eax)?;
        a.code.jns(there)?;
        pause(a, later, interval, 1)?;
        a.code.jmp(again)?;
        a.code.set_label(&mut there)?;
        a.call(session.wait, &[Arg::Value(event), NONE, NONE])?;
        a.call(kernel.close, &[Arg::Value(event)])?;
    }
    if later.seconds > 0 {
        pause(a, later, interval, later.seconds)?;
    }
    Ok(())
}

/// Lets so many seconds pass.
fn pause(
    a: &mut Assembler<'_>,
    later: &Later,
    interval: Local,
    seconds: u32,
) -> Result<(), IcedError> {
    // Relative times are negative, in units of 100 ns.
    a.place(rax, Arg::Wide((-10_000_000 * i64::from(seconds)).cast_unsigned()))?;
    a.code.mov(qword_ptr(rsp + interval.0), rax)?;
    a.call(later.delay, &[NONE, NONE, Arg::Addr(interval)])
}

/// `void watch(void *context)`: the thread that scans again whenever the folder changes.
fn watch(
    a: &mut Assembler<'_>,
    kernel: &Kernel,
    variables: &Variables,
    constants: &Constants,
) -> Result<(), IcedError> {
    let mut frame = Frame::new(&[rbx], 9);
    let attributes = frame.local(0x30);
    let status = frame.local(0x10);
    let folder = frame.local(8);
    let interval = frame.local(8);
    let event = frame.local(8);
    a.begin("watch", &frame)?;
    let mut again = a.code.create_label();
    let mut ended = a.code.create_label();
    let mut over = a.code.create_label();
    if let Some(later) = &kernel.later {
        wait(a, kernel, later, (attributes, interval, event))?;
        a.call_own("scan", &[])?;
    }
    a.object_attributes(attributes, NONE, Arg::Data(variables.folder))?;
    let opened =
        [Arg::Addr(folder), READ, Arg::Addr(attributes), Arg::Addr(status), SHARE_ALL, FOLDER];
    a.call(kernel.open_file, &opened)?;
    a.code.mov(ebx, eax)?;
    a.code.test(eax, eax)?;
    a.code.js(over)?;
    a.code.set_label(&mut again)?;
    // File names, sizes, last writes (0x1, 0x8, 0x10). The handle is synchronous: this waits.
    a.call(
        kernel.notify,
        &[
            Arg::Value(folder),
            NONE,
            NONE,
            NONE,
            Arg::Addr(status),
            Arg::Data(variables.changes),
            Arg::Imm(ENTRY),
            Arg::Imm(0x19),
            NONE,
        ],
    )?;
    a.code.mov(ebx, eax)?;
    a.code.test(eax, eax)?;
    a.code.js(ended)?;
    // What changed does not matter, only that something did.
    a.call_own("scan", &[])?;
    a.code.jmp(again)?;
    a.code.set_label(&mut ended)?;
    a.call(kernel.close, &[Arg::Value(folder)])?;
    a.code.set_label(&mut over)?;
    a.call(kernel.dbg_print, &[Arg::Data(constants.say_watch_ended), Arg::Reg(rbx)])?;
    a.call(kernel.terminate_thread, &[Arg::Reg(rbx)])?;
    // Not reached: a system thread does not return from ending itself.
    a.leave()?;
    a.end()
}
