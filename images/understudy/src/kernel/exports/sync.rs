//! Events, mutexes, semaphores, spin locks, timers, DPCs, work items, and waiting for them.
//!
//! One lock and one condition variable serve all dispatcher objects: their state is in the driver's
//! memory, in the fields that Windows uses.

#![expect(unsafe_code, reason = "reads and writes what a driver points to")]
#![expect(
    unsafe_op_in_unsafe_fn,
    reason = "every function here trusts its caller's pointers alike"
)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::super::NtStatus;
use super::super::child::{
    Object, PoolKind, begin_dpc, current_thread, enter, irql, lock, objects, pool, set_irql, spawn,
};
use super::super::types::{
    DispatcherHeader, Dpc, FastMutex, ListEntry, Mutant, ObjectAttributes, Semaphore, Timer,
};
use super::{clock, exports, files};

const TAG: u32 = u32::from_le_bytes(*b"Even");
const APC_LEVEL: u8 = 1;
const DISPATCH_LEVEL: u8 = 2;

const NOTIFICATION_EVENT: u8 = 0;
const SYNCHRONIZATION_EVENT: u8 = 1;
const MUTANT: u8 = 2;
const SEMAPHORE: u8 = 5;
const NOTIFICATION_TIMER: u8 = 8;
const SYNCHRONIZATION_TIMER: u8 = 9;

exports! {
    KeInitializeEvent => initialize_event,
    KeSetEvent => set_event,
    KeClearEvent => clear_event,
    KeResetEvent => reset_event,
    KeReadStateEvent => read_state,
    ZwCreateEvent => create_event,
    ZwOpenEvent => open_event,
    ZwSetEvent => set_event_handle,
    ZwClearEvent => clear_event_handle,
    KeInitializeMutex => initialize_mutex,
    KeReleaseMutex => release_mutex,
    KeInitializeSemaphore => initialize_semaphore,
    KeReleaseSemaphore => release_semaphore,
    KeWaitForSingleObject => wait_single,
    KeWaitForMutexObject => wait_single,
    KeWaitForMultipleObjects => wait_multiple,
    ZwWaitForSingleObject => wait_handle,
    NtWaitForSingleObject => wait_handle,
    KeDelayExecutionThread => delay,
    ExInitializeFastMutex => initialize_fast_mutex,
    KeInitializeGuardedMutex => initialize_fast_mutex,
    ExAcquireFastMutex => acquire_fast_mutex,
    ExReleaseFastMutex => release_fast_mutex,
    ExTryToAcquireFastMutex => try_fast_mutex,
    KeAcquireGuardedMutex => acquire_fast_mutex,
    KeReleaseGuardedMutex => release_fast_mutex,
    KeInitializeSpinLock => initialize_spin_lock,
    KeAcquireSpinLock => acquire_spin_lock_at,
    KeAcquireSpinLockRaiseToDpc => acquire_spin_lock,
    KeReleaseSpinLock => release_spin_lock,
    KeAcquireSpinLockAtDpcLevel => acquire_spin_lock_raised,
    KeReleaseSpinLockFromDpcLevel => release_spin_lock_raised,
    KeInitializeTimer => initialize_timer,
    KeInitializeTimerEx => initialize_timer_ex,
    KeSetTimer => set_timer,
    KeSetTimerEx => set_timer_ex,
    KeCancelTimer => cancel_timer,
    KeReadStateTimer => read_state,
    KeInitializeDpc => initialize_dpc,
    KeInsertQueueDpc => insert_dpc,
    KeRemoveQueueDpc => remove_dpc,
    KeFlushQueuedDpcs => flush_dpcs,
    IoAllocateWorkItem => allocate_work_item,
    IoQueueWorkItem => queue_work_item,
    IoFreeWorkItem => free_work_item,
    ExQueueWorkItem => ex_queue_work_item,
    KeEnterCriticalRegion => no_operation,
    KeLeaveCriticalRegion => no_operation,
}

type Status = u32;

struct Dispatcher {
    lock: Mutex<()>,
    changed: Condvar,
}

static DISPATCHER: Dispatcher = Dispatcher { lock: Mutex::new(()), changed: Condvar::new() };

fn dispatcher() -> MutexGuard<'static, ()> {
    lock(&DISPATCHER.lock)
}

unsafe fn initialize(object: *mut DispatcherHeader, kind: u8, words: usize, state: i32) {
    let list = (&raw mut (*object).wait_list) as u64;
    *object = DispatcherHeader {
        kind,
        signalling: 0,
        size: (words / 4) as u8,
        reserved: 0,
        signal_state: state,
        wait_list: ListEntry { flink: list, blink: list },
    };
}

/// Sets the state under the lock, wakes the waiters, returns the old state.
unsafe fn change(object: *mut DispatcherHeader, state: i32) -> i32 {
    let _turn = dispatcher();
    let before = (*object).signal_state;
    (*object).signal_state = state;
    DISPATCHER.changed.notify_all();
    before
}

/// A kernel event that the model makes for itself. None when the pool is full.
pub(in super::super) fn new_event(signalled: bool) -> Option<u64> {
    let address = pool().allocate(size_of::<DispatcherHeader>() as u64, TAG, PoolKind::NonPaged)?;
    // SAFETY: just allocated and large enough.
    unsafe {
        initialize(
            address as *mut DispatcherHeader,
            NOTIFICATION_EVENT,
            size_of::<DispatcherHeader>(),
            i32::from(signalled),
        );
    }
    Some(address)
}

/// Signals an event by address; zero is none.
pub(super) unsafe fn set_event_at(event: u64) {
    if event != 0 {
        change(event as *mut DispatcherHeader, 1);
    }
}

/// Signals the end of a system thread.
pub(in super::super) fn signal_thread(thread: u64) {
    // SAFETY: `ETHREAD`s are made by the model and never freed.
    unsafe { change(thread as *mut DispatcherHeader, 1) };
}

unsafe extern "win64" fn initialize_event(event: *mut DispatcherHeader, kind: u32, state: u8) {
    let kind = if kind == 0 { NOTIFICATION_EVENT } else { SYNCHRONIZATION_EVENT };
    initialize(event, kind, size_of::<DispatcherHeader>(), i32::from(state != 0));
}

unsafe extern "win64" fn set_event(event: *mut DispatcherHeader, _boost: i32, _wait: u8) -> i32 {
    change(event, 1)
}

unsafe extern "win64" fn clear_event(event: *mut DispatcherHeader) {
    change(event, 0);
}

unsafe extern "win64" fn reset_event(event: *mut DispatcherHeader) -> i32 {
    change(event, 0)
}

unsafe extern "win64" fn read_state(object: *const DispatcherHeader) -> i32 {
    let _turn = dispatcher();
    (*object).signal_state
}

unsafe extern "win64" fn create_event(
    handle: *mut u64,
    _access: u32,
    _attributes: *const ObjectAttributes,
    kind: u32,
    state: u8,
) -> Status {
    let Some(event) = new_event(state != 0) else { return NtStatus::INSUFFICIENT_RESOURCES.0 };
    initialize_event(event as *mut DispatcherHeader, kind, state);
    *handle = objects().add(Object::Dispatcher(event));
    0
}

/// Exists, signalled, once the local security authority is up; drivers that need a session wait for it.
const SESSION_EVENT: &str = r"\SECURITY\LSA_AUTHENTICATION_INITIALIZED";
static SESSION: Mutex<Option<u64>> = Mutex::new(None);

/// A session can begin from now on.
pub(in super::super) fn begin_session() {
    let mut session = lock(&SESSION);
    if session.is_none() {
        *session = new_event(true);
    }
}

/// The only named event that the model has is [`SESSION_EVENT`].
unsafe extern "win64" fn open_event(
    handle: *mut u64,
    _access: u32,
    attributes: *const ObjectAttributes,
) -> Status {
    let path = match files::path_of(attributes) {
        Ok(path) => path,
        Err(status) => return status.0,
    };
    let event = if path.eq_ignore_ascii_case(SESSION_EVENT) { *lock(&SESSION) } else { None };
    let Some(event) = event else { return NtStatus::OBJECT_NAME_NOT_FOUND.0 };
    *handle = objects().add(Object::Dispatcher(event));
    0
}

/// The dispatcher object behind a handle; for a file, the event of its last operation.
pub(super) fn object_of(handle: u64) -> Result<u64, NtStatus> {
    match objects().get(handle) {
        Some(Object::Dispatcher(object)) => Ok(object),
        Some(Object::File(file)) => Ok(lock(&file).done),
        Some(Object::Key(_)) => Err(NtStatus::OBJECT_TYPE_MISMATCH),
        None => Err(NtStatus::INVALID_HANDLE),
    }
}

unsafe extern "win64" fn set_event_handle(handle: u64, before: *mut i32) -> Status {
    match object_of(handle) {
        Ok(event) => {
            let old = change(event as *mut DispatcherHeader, 1);
            if !before.is_null() {
                *before = old;
            }
            0
        }
        Err(status) => status.0,
    }
}

unsafe extern "win64" fn clear_event_handle(handle: u64) -> Status {
    match object_of(handle) {
        Ok(event) => {
            change(event as *mut DispatcherHeader, 0);
            0
        }
        Err(status) => status.0,
    }
}

unsafe extern "win64" fn initialize_mutex(mutex: *mut Mutant, _level: u32) {
    initialize(&raw mut (*mutex).header, MUTANT, size_of::<Mutant>(), 1);
    (*mutex).owner = 0;
    (*mutex).abandoned = 0;
    (*mutex).apc_disable = 1;
}

unsafe extern "win64" fn release_mutex(mutex: *mut Mutant, _wait: u8) -> i32 {
    let _turn = dispatcher();
    let before = (*mutex).header.signal_state;
    (*mutex).header.signal_state = before + 1;
    if before + 1 == 1 {
        (*mutex).owner = 0;
        DISPATCHER.changed.notify_all();
    }
    before
}

unsafe extern "win64" fn initialize_semaphore(semaphore: *mut Semaphore, count: i32, limit: i32) {
    initialize(&raw mut (*semaphore).header, SEMAPHORE, size_of::<Semaphore>(), count);
    (*semaphore).limit = limit;
}

unsafe extern "win64" fn release_semaphore(
    semaphore: *mut Semaphore,
    _boost: i32,
    add: i32,
    _wait: u8,
) -> i32 {
    let _turn = dispatcher();
    let before = (*semaphore).header.signal_state;
    (*semaphore).header.signal_state = before.saturating_add(add).min((*semaphore).limit);
    DISPATCHER.changed.notify_all();
    before
}

/// True where a wait for the object would end now.
unsafe fn is_signalled(object: *const DispatcherHeader) -> bool {
    let owned = (*object).kind == MUTANT
        && (*object.cast::<Mutant>()).owner == current_thread()
        && current_thread() != 0;
    (*object).signal_state > 0 || owned
}

/// What a wait that ends takes from the object.
unsafe fn consume(object: *mut DispatcherHeader) {
    match (*object).kind {
        SYNCHRONIZATION_EVENT | SYNCHRONIZATION_TIMER => (*object).signal_state = 0,
        SEMAPHORE => (*object).signal_state -= 1,
        MUTANT => {
            (*object).signal_state -= 1;
            (*object.cast::<Mutant>()).owner = current_thread();
        }
        _ => {}
    }
}

/// Turns a Windows timeout (negative relative, positive absolute, 100 ns) into an instant.
unsafe fn deadline(timeout: *const i64) -> Option<Instant> {
    if timeout.is_null() {
        return None;
    }
    Some(due(*timeout))
}

fn due(time: i64) -> Instant {
    let ticks = if time <= 0 {
        time.unsigned_abs()
    } else {
        time.unsigned_abs().saturating_sub(clock::system_time())
    };
    let wait = Duration::from_micros(ticks / 10) + Duration::from_nanos(ticks % 10 * 100);
    let now = Instant::now();
    // A wait beyond what the clock can express is as good as a century.
    now.checked_add(wait).unwrap_or(now + Duration::from_secs(100 * 365 * 86_400))
}

unsafe fn wait(list: &[*mut DispatcherHeader], all: bool, deadline: Option<Instant>) -> Status {
    let mut turn = dispatcher();
    loop {
        if all {
            if list.iter().all(|object| is_signalled(*object)) {
                for object in list {
                    consume(*object);
                }
                return 0;
            }
        } else if let Some(at) = list.iter().position(|object| is_signalled(*object)) {
            consume(list[at]);
            return at as u32;
        }
        match deadline {
            None => {
                turn = DISPATCHER.changed.wait(turn).unwrap_or_else(PoisonError::into_inner);
            }
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return NtStatus::TIMEOUT.0;
                }
                turn = DISPATCHER
                    .changed
                    .wait_timeout(turn, left)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
        }
    }
}

unsafe extern "win64" fn wait_single(
    object: *mut DispatcherHeader,
    _reason: u32,
    _mode: u32,
    _alertable: u8,
    timeout: *const i64,
) -> Status {
    // Touched before the lock is taken: a wrong pointer must fault while nothing is held.
    let _ = std::ptr::read_volatile(object.cast::<u8>());
    wait(&[object], false, deadline(timeout))
}

unsafe extern "win64" fn wait_multiple(
    count: u32,
    list: *const *mut DispatcherHeader,
    kind: u32,
    _reason: u32,
    _mode: u32,
    _alertable: u8,
    timeout: *const i64,
) -> Status {
    // MAXIMUM_WAIT_OBJECTS
    if count == 0 || count > 64 {
        return NtStatus::INVALID_PARAMETER.0;
    }
    let list = std::slice::from_raw_parts(list, count as usize);
    // WaitAll is 0, WaitAny is 1.
    wait(list, kind == 0, deadline(timeout))
}

unsafe extern "win64" fn wait_handle(handle: u64, _alertable: u8, timeout: *const i64) -> Status {
    match object_of(handle) {
        Ok(0) => NtStatus::INVALID_HANDLE.0,
        Ok(object) => wait(&[object as *mut DispatcherHeader], false, deadline(timeout)),
        Err(status) => status.0,
    }
}

unsafe extern "win64" fn delay(_mode: u8, _alertable: u8, interval: *const i64) -> Status {
    wait(&[], false, Some(due(*interval)));
    0
}

unsafe extern "win64" fn initialize_fast_mutex(mutex: *mut FastMutex) {
    (*mutex).count = 1;
    (*mutex).owner = 0;
    (*mutex).contention = 0;
    let event = &raw mut (*mutex).event;
    initialize(event, SYNCHRONIZATION_EVENT, size_of::<DispatcherHeader>(), 0);
}

unsafe extern "win64" fn acquire_fast_mutex(mutex: *mut FastMutex) {
    let before = irql();
    set_irql(before.max(APC_LEVEL));
    let mut turn = dispatcher();
    while (*mutex).count != 1 {
        (*mutex).contention += 1;
        turn = DISPATCHER.changed.wait(turn).unwrap_or_else(PoisonError::into_inner);
    }
    (*mutex).count = 0;
    (*mutex).owner = current_thread();
    (*mutex).old_irql = u32::from(before);
}

unsafe extern "win64" fn try_fast_mutex(mutex: *mut FastMutex) -> u8 {
    let _turn = dispatcher();
    if (*mutex).count != 1 {
        return 0;
    }
    (*mutex).count = 0;
    (*mutex).owner = current_thread();
    (*mutex).old_irql = u32::from(set_irql(irql().max(APC_LEVEL)));
    1
}

unsafe extern "win64" fn release_fast_mutex(mutex: *mut FastMutex) {
    let before = {
        let _turn = dispatcher();
        (*mutex).count = 1;
        (*mutex).owner = 0;
        DISPATCHER.changed.notify_all();
        (*mutex).old_irql
    };
    set_irql(before as u8);
}

unsafe extern "win64" fn initialize_spin_lock(lock: *mut u64) {
    *lock = 0;
}

unsafe fn spin(lock: *mut u64) {
    let lock = AtomicU64::from_ptr(lock);
    while lock.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
        std::thread::yield_now();
    }
}

unsafe extern "win64" fn acquire_spin_lock(lock: *mut u64) -> u8 {
    let before = set_irql(DISPATCH_LEVEL);
    spin(lock);
    before
}

unsafe extern "win64" fn acquire_spin_lock_at(lock: *mut u64, before: *mut u8) {
    *before = acquire_spin_lock(lock);
}

unsafe extern "win64" fn release_spin_lock(lock: *mut u64, before: u8) {
    release_spin_lock_raised(lock);
    set_irql(before);
}

unsafe extern "win64" fn acquire_spin_lock_raised(lock: *mut u64) {
    spin(lock);
}

unsafe extern "win64" fn release_spin_lock_raised(lock: *mut u64) {
    AtomicU64::from_ptr(lock).store(0, Ordering::Release);
}

unsafe extern "win64" fn initialize_timer(timer: *mut Timer) {
    initialize_timer_ex(timer, 0);
}

unsafe extern "win64" fn initialize_timer_ex(timer: *mut Timer, kind: u32) {
    let kind = if kind == 0 { NOTIFICATION_TIMER } else { SYNCHRONIZATION_TIMER };
    initialize(&raw mut (*timer).header, kind, size_of::<Timer>(), 0);
    (*timer).due = 0;
    (*timer).list = ListEntry { flink: 0, blink: 0 };
    (*timer).dpc = std::ptr::null_mut();
    (*timer).processor = 0;
    (*timer).period = 0;
}

/// What the clock thread has to do: timers by due time, and DPCs.
#[derive(Default)]
struct Clock {
    started: bool,
    timers: Vec<(Instant, u64)>,
    dpcs: Vec<u64>,
    /// A DPC is running.
    busy: bool,
}

static CLOCK: LazyLock<(Mutex<Clock>, Condvar)> = LazyLock::new(Default::default);

/// Changes the clock's work and wakes its thread, starting it for the first piece.
fn with_clock<T>(work: impl FnOnce(&mut Clock) -> T) -> T {
    let mut clock = lock(&CLOCK.0);
    if !clock.started {
        clock.started = spawn(Box::new(run_clock)).is_some();
    }
    let result = work(&mut clock);
    CLOCK.1.notify_all();
    result
}

fn run_clock() {
    let mut clock = lock(&CLOCK.0);
    loop {
        let now = Instant::now();
        if let Some(at) = clock.timers.iter().position(|(due, _)| *due <= now) {
            let (due, timer) = clock.timers.remove(at);
            // SAFETY: a timer is the driver's memory until it is cancelled, as on Windows.
            unsafe {
                let timer_object = timer as *mut Timer;
                change(&raw mut (*timer_object).header, 1);
                let period = (*timer_object).period;
                if period != 0 {
                    clock.timers.push((due + Duration::from_millis(u64::from(period)), timer));
                }
                let dpc = (*timer_object).dpc as u64;
                if dpc != 0 && !clock.dpcs.contains(&dpc) {
                    clock.dpcs.push(dpc);
                }
            }
        } else if !clock.dpcs.is_empty() {
            let dpc = clock.dpcs.remove(0);
            clock.busy = true;
            drop(clock);
            // SAFETY: a queued DPC is the driver's memory until it has run.
            unsafe { run_dpc(dpc as *mut Dpc) };
            clock = lock(&CLOCK.0);
            clock.busy = false;
            CLOCK.1.notify_all();
        } else {
            let next = clock.timers.iter().map(|(due, _)| *due).min();
            clock = match next {
                Some(due) => {
                    let left = due.saturating_duration_since(now);
                    CLOCK.1.wait_timeout(clock, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => CLOCK.1.wait(clock).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

unsafe fn run_dpc(dpc: *mut Dpc) {
    type Routine = unsafe extern "win64" fn(*mut Dpc, u64, u64, u64);
    let before = set_irql(DISPATCH_LEVEL);
    begin_dpc();
    let routine: Routine = std::mem::transmute::<u64, Routine>((*dpc).routine);
    routine(dpc, (*dpc).context, (*dpc).argument1, (*dpc).argument2);
    set_irql(before);
}

unsafe extern "win64" fn set_timer(timer: *mut Timer, due: i64, dpc: *mut Dpc) -> u8 {
    set_timer_ex(timer, due, 0, dpc)
}

unsafe extern "win64" fn set_timer_ex(
    timer: *mut Timer,
    time: i64,
    period: u32,
    dpc: *mut Dpc,
) -> u8 {
    (*timer).dpc = dpc;
    (*timer).period = period;
    change(&raw mut (*timer).header, 0);
    let address = timer as u64;
    with_clock(|clock| {
        let before = clock.timers.len();
        clock.timers.retain(|(_, known)| *known != address);
        let was_set = clock.timers.len() != before;
        clock.timers.push((due(time), address));
        u8::from(was_set)
    })
}

unsafe extern "win64" fn cancel_timer(timer: *mut Timer) -> u8 {
    let address = timer as u64;
    with_clock(|clock| {
        let before = clock.timers.len();
        clock.timers.retain(|(_, known)| *known != address);
        u8::from(clock.timers.len() != before)
    })
}

unsafe extern "win64" fn initialize_dpc(dpc: *mut Dpc, routine: u64, context: u64) {
    *dpc = Dpc {
        // Type DpcObject, medium importance.
        target: 0x13 | 1 << 8,
        list: 0,
        history: 0,
        routine,
        context,
        argument1: 0,
        argument2: 0,
        data: 0,
    };
}

unsafe extern "win64" fn insert_dpc(dpc: *mut Dpc, argument1: u64, argument2: u64) -> u8 {
    let address = dpc as u64;
    let _ = std::ptr::read_volatile(dpc.cast::<u8>());
    with_clock(|clock| {
        if clock.dpcs.contains(&address) {
            return 0;
        }
        // SAFETY: the driver's own object, just read.
        unsafe {
            (*dpc).argument1 = argument1;
            (*dpc).argument2 = argument2;
        }
        clock.dpcs.push(address);
        1
    })
}

unsafe extern "win64" fn remove_dpc(dpc: *mut Dpc) -> u8 {
    let address = dpc as u64;
    with_clock(|clock| {
        let before = clock.dpcs.len();
        clock.dpcs.retain(|known| *known != address);
        u8::from(clock.dpcs.len() != before)
    })
}

unsafe extern "win64" fn flush_dpcs() {
    let clock = lock(&CLOCK.0);
    let idle = CLOCK.1.wait_while(clock, |clock| clock.busy || !clock.dpcs.is_empty());
    drop(idle.unwrap_or_else(PoisonError::into_inner));
}

/// The model's `IO_WORKITEM`: its device.
unsafe extern "win64" fn allocate_work_item(device: u64) -> u64 {
    let address =
        pool().allocate(64, u32::from_le_bytes(*b"Wkit"), PoolKind::NonPaged).unwrap_or(0);
    if address != 0 {
        *(address as *mut u64) = device;
    }
    address
}

unsafe extern "win64" fn queue_work_item(item: u64, routine: u64, _queue: u32, context: u64) {
    let device = *(item as *const u64);
    // Without a thread the item is lost, as when Windows has no memory for its workers.
    let _ = spawn(Box::new(move || {
        enter(routine, device, context);
    }));
}

unsafe extern "win64" fn free_work_item(item: u64) {
    // Freed twice is a defect that Windows would stop for too late to blame anyone.
    let _ = pool().free(item, None);
}

/// `WORK_QUEUE_ITEM`: list entry, routine, parameter.
unsafe extern "win64" fn ex_queue_work_item(item: *const u64, _queue: u32) {
    let (routine, parameter) = (*item.add(2), *item.add(3));
    let _ = spawn(Box::new(move || {
        enter(routine, parameter, 0);
    }));
}

unsafe extern "win64" fn no_operation() {}
