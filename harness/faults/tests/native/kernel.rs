//! The kernel functions that the content driver imports, with files and registry in memory. They check
//! the arguments that the real ones would act on.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

pub(crate) const STATUS_DELETE_PENDING: u32 = 0xc000_0056;
const STATUS_SUCCESS: u32 = 0;
const STATUS_OBJECT_NAME_NOT_FOUND: u32 = 0xc000_0034;
const STATUS_NO_SUCH_FILE: u32 = 0xc000_000f;
const STATUS_NO_MORE_FILES: u32 = 0x8000_0006;
const STATUS_END_OF_FILE: u32 = 0xc000_0011;

const SERVICE: &str = "\\Registry\\Machine\\System\\CurrentControlSet\\Services\\csagent";
const FOLDER: &str = "\\SystemRoot\\System32\\drivers\\CrowdStrike";

#[repr(C)]
pub(crate) struct UnicodeString {
    length: u16,
    maximum: u16,
    buffer: *const u16,
}

impl UnicodeString {
    pub(crate) fn of(text: &[u16]) -> Self {
        let length = (text.len() * 2) as u16;
        Self { length, maximum: length, buffer: text.as_ptr() }
    }
}

#[repr(C)]
pub(crate) struct ObjectAttributes {
    length: u32,
    root: u64,
    name: *const UnicodeString,
    attributes: u32,
    security: u64,
    quality: u64,
}

#[repr(C)]
pub(crate) struct IoStatus {
    status: u64,
    information: u64,
}

#[derive(Clone)]
enum Object {
    Key(String),
    Folder { next: usize },
    File(String),
    Thread,
}

#[derive(Default)]
struct State {
    parameters: bool,
    files: BTreeMap<String, Vec<u8>>,
    objects: BTreeMap<u64, Object>,
    next_handle: u64,
    pool: BTreeMap<u64, Vec<u64>>,
    devices: BTreeMap<u64, String>,
    log: Vec<String>,
    changes: usize,
    seen: usize,
    ended: bool,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// A machine, as far as the driver sees it.
#[derive(Clone, Default)]
pub(crate) struct Kernel(Arc<(Mutex<State>, Condvar)>);

static CURRENT: Mutex<Option<Kernel>> = Mutex::new(None);

fn current() -> Kernel {
    CURRENT.lock().unwrap().clone().expect("a kernel was installed before the driver ran")
}

impl Kernel {
    pub(crate) fn with_folder() -> Self {
        let kernel = Self::default();
        kernel.state().parameters = true;
        kernel
    }

    pub(crate) fn without_parameters() -> Self {
        Self::default()
    }

    pub(crate) fn install(&self) {
        *CURRENT.lock().unwrap() = Some(self.clone());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap()
    }

    pub(crate) fn write(&self, name: &str, bytes: Vec<u8>) {
        self.state().files.insert(name.to_owned(), bytes);
    }

    /// Tells the driver of a change and waits until it has come back for the next one.
    pub(crate) fn changed(&self) {
        let mut state = self.state();
        state.changes += 1;
        self.0.1.notify_all();
        while state.seen < state.changes {
            state = self.0.1.wait(state).unwrap();
        }
    }

    /// Ends the driver's thread.
    pub(crate) fn end_watching(&self) {
        let thread = {
            let mut state = self.state();
            state.ended = true;
            self.0.1.notify_all();
            state.thread.take()
        };
        thread.expect("the driver made a thread").join().unwrap();
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.state().log.clone()
    }

    pub(crate) fn open_handles(&self) -> usize {
        self.state().objects.len()
    }

    /// Sizes of the pool allocations that were not freed.
    pub(crate) fn allocations(&self) -> Vec<usize> {
        self.state().pool.values().map(|words| words.len() * 8).collect()
    }

    pub(crate) fn devices(&self) -> Vec<String> {
        self.state().devices.values().cloned().collect()
    }

    pub(crate) fn export(name: &str) -> u64 {
        (match name {
            "DbgPrint" => dbg_print as *const (),
            "ExAllocatePoolWithTag" => allocate as *const (),
            "ExFreePoolWithTag" => free as *const (),
            "IoCreateDevice" => create_device as *const (),
            "IoDeleteDevice" => delete_device as *const (),
            "NtNotifyChangeDirectoryFile" => notify as *const (),
            "PsCreateSystemThread" => create_thread as *const (),
            "PsTerminateSystemThread" => terminate_thread as *const (),
            "ZwClose" => close as *const (),
            "ZwOpenFile" => open_file as *const (),
            "ZwOpenKey" => open_key as *const (),
            "ZwQueryDirectoryFile" => query_directory as *const (),
            "ZwQueryValueKey" => query_value as *const (),
            "ZwReadFile" => read_file as *const (),
            other => panic!("{other} is not there"),
        }) as u64
    }
}

impl State {
    fn open(&mut self, object: Object) -> u64 {
        self.next_handle += 4;
        self.objects.insert(self.next_handle, object);
        self.next_handle
    }

    fn print(&mut self, text: String) {
        self.log.push(text);
    }
}

/// The text of a UNICODE_STRING that the driver passed.
unsafe fn text(string: *const UnicodeString) -> String {
    // SAFETY: the driver passes a valid UNICODE_STRING; that it does is what is tested.
    let units = unsafe {
        let string = &*string;
        assert!(string.length <= string.maximum && string.length.is_multiple_of(2));
        std::slice::from_raw_parts(string.buffer, usize::from(string.length) / 2)
    };
    String::from_utf16(units).unwrap()
}

unsafe fn attributes<'a>(attributes: *const ObjectAttributes) -> (&'a ObjectAttributes, String) {
    // SAFETY: as above.
    let attributes = unsafe { &*attributes };
    assert_eq!(attributes.length, 0x30);
    assert_eq!(attributes.attributes, 0x240);
    assert_eq!((attributes.security, attributes.quality), (0, 0));
    // SAFETY: as above.
    (attributes, unsafe { text(attributes.name) })
}

unsafe extern "win64" fn dbg_print(format: *const c_char, a: u64, b: u64, c: u64) -> u32 {
    type Show = fn(u64) -> String;
    // SAFETY: a format is a text with its final zero.
    let format = unsafe { CStr::from_ptr(format) }.to_str().unwrap();
    let mut arguments = [a, b, c].into_iter();
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let argument = arguments.next().unwrap();
        let directives: [(&str, Show); 3] = [
            // SAFETY: `%wZ` takes the address of a UNICODE_STRING.
            ("wZ", |value| unsafe { text(value as *const UnicodeString) }),
            ("u", |value| (value as u32).to_string()),
            ("08x", |value| format!("{:08x}", value as u32)),
        ];
        let (directive, shown) =
            directives.into_iter().find(|(directive, _)| rest.starts_with(directive)).unwrap();
        out.push_str(&shown(argument));
        rest = &rest[directive.len()..];
    }
    out.push_str(rest);
    current().state().print(out);
    STATUS_SUCCESS
}

extern "win64" fn allocate(pool: u32, size: u64, tag: u32) -> u64 {
    assert_eq!(pool, 1, "PagedPool");
    assert_ne!(tag, 0);
    let mut words = vec![0xbad0_bad0_bad0_bad0; size.div_ceil(8) as usize];
    let address = words.as_mut_ptr() as u64;
    current().state().pool.insert(address, words);
    address
}

extern "win64" fn free(address: u64, tag: u32) {
    assert_ne!(tag, 0);
    current().state().pool.remove(&address).expect("freed what was not allocated");
}

unsafe extern "win64" fn create_device(
    driver: u64,
    extension: u32,
    name: *const UnicodeString,
    kind: u32,
    characteristics: u32,
    exclusive: u8,
    device: *mut u64,
) -> u32 {
    assert_ne!(driver, 0);
    assert_eq!((extension, kind, characteristics, exclusive), (0, 0x22, 0x100, 0));
    // SAFETY: the driver passes valid pointers; that it does is what is tested.
    let name = unsafe { text(name) };
    let kernel = current();
    let mut state = kernel.state();
    let id = 0x1000 + state.devices.len() as u64;
    state.devices.insert(id, name);
    // SAFETY: as above.
    unsafe { device.write(id) };
    STATUS_SUCCESS
}

extern "win64" fn delete_device(device: u64) {
    current().state().devices.remove(&device).expect("deleted what was not made");
}

unsafe extern "win64" fn create_thread(
    handle: *mut u64,
    access: u32,
    attributes: u64,
    process: u64,
    client: u64,
    routine: extern "win64" fn(u64),
    context: u64,
) -> u32 {
    assert_eq!((access, attributes, process, client), (0x1f_ffff, 0, 0, 0));
    let kernel = current();
    let mut state = kernel.state();
    let id = state.open(Object::Thread);
    state.thread = Some(std::thread::spawn(move || routine(context)));
    // SAFETY: the driver passes a valid pointer; that it does is what is tested.
    unsafe { handle.write(id) };
    STATUS_SUCCESS
}

// The real one does not return. Here the thread ends by returning from its routine.
extern "win64" fn terminate_thread(_status: u32) -> u32 {
    STATUS_SUCCESS
}

extern "win64" fn close(handle: u64) -> u32 {
    current().state().objects.remove(&handle).expect("closed what was not open");
    STATUS_SUCCESS
}

unsafe extern "win64" fn open_key(
    handle: *mut u64,
    access: u32,
    given: *const ObjectAttributes,
) -> u32 {
    assert_eq!(access, 0x2_0019);
    // SAFETY: the driver passes valid pointers; that it does is what is tested.
    let (given, name) = unsafe { attributes(given) };
    let kernel = current();
    let mut state = kernel.state();
    let path = match state.objects.get(&given.root) {
        Some(Object::Key(parent)) => format!("{parent}\\{name}"),
        Some(_) => panic!("a key below something else"),
        None => name,
    };
    if path != SERVICE && !(state.parameters && path == format!("{SERVICE}\\Parameters")) {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    let id = state.open(Object::Key(path));
    // SAFETY: as above.
    unsafe { handle.write(id) };
    STATUS_SUCCESS
}

unsafe extern "win64" fn query_value(
    handle: u64,
    name: *const UnicodeString,
    class: u32,
    out: *mut u8,
    size: u32,
    needed: *mut u32,
) -> u32 {
    assert_eq!(class, 2);
    let kernel = current();
    let state = kernel.state();
    assert!(matches!(&state.objects[&handle], Object::Key(path) if path.ends_with("\\Parameters")));
    // SAFETY: the driver passes valid pointers; that it does is what is tested.
    assert_eq!(unsafe { text(name) }, "ContentFolder");
    let data: Vec<u8> = FOLDER.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    let mut value = vec![0, 0, 0, 0, 1, 0, 0, 0];
    value.extend_from_slice(&(data.len() as u32).to_le_bytes());
    value.extend_from_slice(&data);
    assert!(value.len() <= size as usize);
    // SAFETY: as above; the length was compared.
    unsafe {
        out.copy_from_nonoverlapping(value.as_ptr(), value.len());
        needed.write(value.len() as u32);
    }
    STATUS_SUCCESS
}

unsafe extern "win64" fn open_file(
    handle: *mut u64,
    access: u32,
    given: *const ObjectAttributes,
    status: *mut IoStatus,
    share: u32,
    options: u32,
) -> u32 {
    assert_eq!((access, share), (0x10_0001, 7));
    assert!(!status.is_null());
    // SAFETY: the driver passes valid pointers; that it does is what is tested.
    let (given, name) = unsafe { attributes(given) };
    let kernel = current();
    let mut state = kernel.state();
    let object = if given.root == 0 {
        assert_eq!((name.as_str(), options), (FOLDER, 0x21));
        Object::Folder { next: 0 }
    } else {
        assert!(matches!(state.objects[&given.root], Object::Folder { .. }));
        assert_eq!(options, 0x60);
        if !state.files.contains_key(&name) {
            return STATUS_OBJECT_NAME_NOT_FOUND;
        }
        Object::File(name)
    };
    let id = state.open(object);
    // SAFETY: as above.
    unsafe { handle.write(id) };
    STATUS_SUCCESS
}

unsafe extern "win64" fn query_directory(
    handle: u64,
    event: u64,
    routine: u64,
    context: u64,
    status: *mut IoStatus,
    out: *mut u8,
    size: u32,
    class: u32,
    single: u8,
    pattern: *const UnicodeString,
    restart: u8,
) -> u32 {
    assert_eq!((event, routine, context, class, single), (0, 0, 0, 12, 1));
    assert!(!status.is_null());
    // SAFETY: the driver passes valid pointers; that it does is what is tested.
    assert_eq!(unsafe { text(pattern) }, "C-00000291-*.sys");
    let kernel = current();
    let mut state = kernel.state();
    let matching: Vec<String> = state
        .files
        .keys()
        .filter(|name| name.starts_with("C-00000291-") && name.ends_with(".sys"))
        .cloned()
        .collect();
    let Some(Object::Folder { next }) = state.objects.get_mut(&handle) else {
        panic!("a listing of something else");
    };
    assert_eq!(restart == 1, *next == 0, "restarts at the first call only");
    let Some(name) = matching.get(*next) else {
        return if *next == 0 { STATUS_NO_SUCH_FILE } else { STATUS_NO_MORE_FILES };
    };
    *next += 1;
    let units: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut entry = vec![0; 8];
    entry.extend_from_slice(&(units.len() as u32).to_le_bytes());
    entry.extend_from_slice(&units);
    assert!(entry.len() <= size as usize);
    // SAFETY: as above; the length was compared.
    unsafe { out.copy_from_nonoverlapping(entry.as_ptr(), entry.len()) };
    STATUS_SUCCESS
}

unsafe extern "win64" fn read_file(
    handle: u64,
    event: u64,
    routine: u64,
    context: u64,
    status: *mut IoStatus,
    out: *mut u8,
    size: u32,
    offset: *const u64,
    key: u64,
) -> u32 {
    assert_eq!((event, routine, context, key), (0, 0, 0, 0));
    // SAFETY: the driver passes valid pointers; that it does is what is tested.
    assert_eq!(unsafe { *offset }, 0);
    let kernel = current();
    let state = kernel.state();
    let Object::File(name) = &state.objects[&handle] else { panic!("read something else") };
    let bytes = &state.files[name];
    if bytes.is_empty() {
        return STATUS_END_OF_FILE;
    }
    let length = bytes.len().min(size as usize);
    // SAFETY: as above; no more than `size` bytes.
    unsafe {
        out.copy_from_nonoverlapping(bytes.as_ptr(), length);
        status.write(IoStatus { status: 0, information: length as u64 });
    }
    STATUS_SUCCESS
}

extern "win64" fn notify(
    handle: u64,
    event: u64,
    routine: u64,
    context: u64,
    status: *mut IoStatus,
    out: *mut u8,
    size: u32,
    filter: u32,
    tree: u8,
) -> u32 {
    assert_eq!((event, routine, context, filter, tree), (0, 0, 0, 0x19, 0));
    assert!(!status.is_null() && !out.is_null() && size >= 12);
    let kernel = current();
    let mut state = kernel.state();
    assert!(matches!(state.objects[&handle], Object::Folder { .. }));
    // What was told before this call was scanned by the time it is made.
    loop {
        if state.seen < state.changes {
            state.seen += 1;
            return STATUS_SUCCESS;
        }
        if state.ended {
            return STATUS_DELETE_PENDING;
        }
        kernel.0.1.notify_all();
        state = kernel.0.1.wait(state).unwrap();
    }
}

/// Says where a memory fault happens and by which instruction, then ends the process.
pub(crate) fn report_faults() {
    extern "C" fn handler(_: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
        // SAFETY: the system passes valid pointers to a handler with SA_SIGINFO; the instruction was
        // just fetched from where rip points; `_exit` and `write` may be called in a handler.
        unsafe {
            let address = (*info).si_addr() as u64;
            let context = &*context.cast::<libc::ucontext_t>();
            let rip = context.uc_mcontext.gregs[libc::REG_RIP as usize] as *const u8;
            let code = std::slice::from_raw_parts(rip, 3);
            let text =
                format!("fault at {address:x} by {:02x}{:02x}{:02x}\n", code[0], code[1], code[2]);
            libc::write(1, text.as_ptr().cast(), text.len());
            libc::_exit(80);
        }
    }
    // SAFETY: the handler has the signature that SA_SIGINFO asks for; the structure is zero elsewhere.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        assert_eq!(libc::sigaction(libc::SIGSEGV, &action, std::ptr::null_mut()), 0);
    }
}
