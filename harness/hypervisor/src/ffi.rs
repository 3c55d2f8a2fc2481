//! The few calls to libvirt that the `virt` crate does not wrap: domain events, raw monitor events,
//! save and non-maskable interrupts. All `unsafe` of this crate is here.
#![expect(unsafe_code, reason = "libvirt's callbacks and save calls have no safe wrapper")]

use std::ffi::{CStr, CString, c_char, c_int, c_longlong, c_uint, c_void};

use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error;
use virt::sys;

/// One event of one domain, as libvirt delivered it.
#[derive(Debug, Clone)]
pub(crate) struct DomainEvent {
    /// Domain name.
    pub(crate) domain: String,
    pub(crate) kind: DomainEventKind,
}

/// What libvirt delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DomainEventKind {
    /// A lifecycle event with its numbers (`virDomainEventType` and the detail that belongs to it).
    Lifecycle { event: i32, detail: i32 },
    /// An event of QEMU's monitor, with QEMU's own time stamp and its data as JSON text.
    Monitor { name: String, seconds: i64, micros: u32, data: Option<String> },
    /// The connection is gone, and with it every event that would have come.
    ConnectionLost,
}

/// Told on libvirt's event thread that the connection is gone; must not block.
pub(crate) type CloseListener = Box<dyn Fn() + Send + Sync>;

/// Receives events on libvirt's event thread; must not block.
pub(crate) type Listener = Box<dyn Fn(DomainEvent) + Send + Sync>;

/// Registered callbacks; deregistered when dropped. Holds the connection open.
pub(crate) struct Subscription {
    connection: Connect,
    lifecycle: c_int,
    monitor: Option<c_int>,
}

/// Registers for lifecycle and raw monitor events of every domain of `connection`.
///
/// A connection without raw monitor events (not QEMU, or not allowed) gives lifecycle events alone;
/// [`Subscription::has_monitor_events`] tells.
pub(crate) fn subscribe(
    connection: &Connect,
    lifecycle: Listener,
    monitor: Listener,
) -> Result<Subscription, Error> {
    let lifecycle_opaque = Box::into_raw(Box::new(lifecycle));
    // SAFETY: libvirt casts the callback back to the type that belongs to the event id before it calls
    // it (virConnectDomainEventRegisterAny's documented contract), and VIR_DOMAIN_EVENT_ID_LIFECYCLE
    // belongs to virConnectDomainEventCallback. Function pointers have one size and ABI.
    let callback = unsafe {
        std::mem::transmute::<
            unsafe extern "C" fn(
                sys::virConnectPtr,
                sys::virDomainPtr,
                c_int,
                c_int,
                *mut c_void,
            ) -> c_int,
            unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, *mut c_void),
        >(on_lifecycle)
    };
    // SAFETY: the connection is open; a null domain means all; the opaque pointer is a leaked box that
    // libvirt hands back only to the callback and, once, to `free_listener`.
    let lifecycle_id = unsafe {
        sys::virConnectDomainEventRegisterAny(
            connection.as_ptr(),
            std::ptr::null_mut(),
            sys::VIR_DOMAIN_EVENT_ID_LIFECYCLE as c_int,
            Some(callback),
            lifecycle_opaque.cast(),
            Some(free_listener),
        )
    };
    if lifecycle_id < 0 {
        let error = Error::last_error();
        // SAFETY: registration failed, so libvirt kept no copy and will not free it.
        drop(unsafe { Box::from_raw(lifecycle_opaque) });
        return Err(error);
    }

    let monitor_opaque = Box::into_raw(Box::new(monitor));
    // SAFETY: as above; a null event name means all events.
    let monitor_id = unsafe {
        sys::virConnectDomainQemuMonitorEventRegister(
            connection.as_ptr(),
            std::ptr::null_mut(),
            std::ptr::null(),
            Some(on_monitor_event),
            monitor_opaque.cast(),
            Some(free_listener),
            0,
        )
    };
    let monitor = if monitor_id < 0 {
        // SAFETY: registration failed, so libvirt kept no copy and will not free it.
        drop(unsafe { Box::from_raw(monitor_opaque) });
        None
    } else {
        Some(monitor_id)
    };
    Ok(Subscription { connection: connection.clone(), lifecycle: lifecycle_id, monitor })
}

impl Subscription {
    pub(crate) fn has_monitor_events(&self) -> bool {
        self.monitor.is_some()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // SAFETY: the ids were returned by the registrations on this very connection, which `self`
        // keeps open; libvirt frees the listeners itself afterwards, on its event thread.
        unsafe {
            sys::virConnectDomainEventDeregisterAny(self.connection.as_ptr(), self.lifecycle);
            if let Some(id) = self.monitor {
                sys::virConnectDomainQemuMonitorEventDeregister(self.connection.as_ptr(), id);
            }
        }
    }
}

unsafe extern "C" fn on_lifecycle(
    _connection: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    event: c_int,
    detail: c_int,
    opaque: *mut c_void,
) -> c_int {
    // SAFETY: libvirt passes the box that `subscribe` leaked, alive until `free_listener`.
    let listener = unsafe { &*opaque.cast::<Listener>() };
    // SAFETY: libvirt passes a valid domain for the length of this call.
    if let Some(domain) = unsafe { domain_name(domain) } {
        listener(DomainEvent { domain, kind: DomainEventKind::Lifecycle { event, detail } });
    }
    0
}

unsafe extern "C" fn on_monitor_event(
    _connection: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    event: *const c_char,
    seconds: c_longlong,
    micros: c_uint,
    details: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: libvirt passes the box that `subscribe` leaked, alive until `free_listener`.
    let listener = unsafe { &*opaque.cast::<Listener>() };
    // SAFETY: libvirt passes a valid domain and C strings (or null) for the length of this call.
    let (domain, name, data) = unsafe { (domain_name(domain), text(event), text(details)) };
    if let (Some(domain), Some(name)) = (domain, name) {
        let kind = DomainEventKind::Monitor { name, seconds, micros, data };
        listener(DomainEvent { domain, kind });
    }
}

unsafe extern "C" fn free_listener(opaque: *mut c_void) {
    // SAFETY: libvirt calls this once for each successful registration, with the box that `subscribe`
    // leaked, and never calls the listener again.
    drop(unsafe { Box::from_raw(opaque.cast::<Listener>()) });
}

/// # Safety
/// `domain` is null or valid.
unsafe fn domain_name(domain: sys::virDomainPtr) -> Option<String> {
    if domain.is_null() {
        return None;
    }
    // SAFETY: the domain is valid; the name belongs to it and is copied at once.
    unsafe { text(sys::virDomainGetName(domain)) }
}

/// # Safety
/// `pointer` is null or a C string.
unsafe fn text(pointer: *const c_char) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: the caller promises a C string.
    Some(unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
}

/// Calls `listener` once, on libvirt's event thread, if the connection goes without being asked to. A driver inside
/// this process cannot go and takes no listener.
pub(crate) fn on_close(connection: &Connect, listener: CloseListener) -> Result<(), Error> {
    let opaque = Box::into_raw(Box::new(listener));
    // SAFETY: the connection is open; the opaque pointer is a leaked box that libvirt hands back only to the
    // callback and, once, to `free_close_listener`.
    let result = unsafe {
        sys::virConnectRegisterCloseCallback(
            connection.as_ptr(),
            Some(on_connection_closed),
            opaque.cast(),
            Some(free_close_listener),
        )
    };
    if result < 0 {
        let error = Error::last_error();
        // SAFETY: registration failed, so libvirt kept no copy and will not free it.
        drop(unsafe { Box::from_raw(opaque) });
        return Err(error);
    }
    Ok(())
}

unsafe extern "C" fn on_connection_closed(
    _connection: sys::virConnectPtr,
    reason: c_int,
    opaque: *mut c_void,
) {
    if u32::try_from(reason) != Ok(sys::VIR_CONNECT_CLOSE_REASON_CLIENT) {
        // SAFETY: libvirt passes the box that `on_close` leaked, alive until `free_close_listener`.
        let listener = unsafe { &*opaque.cast::<CloseListener>() };
        listener();
    }
}

unsafe extern "C" fn free_close_listener(opaque: *mut c_void) {
    // SAFETY: libvirt calls this once for each successful registration, with the box that `on_close` leaked.
    drop(unsafe { Box::from_raw(opaque.cast::<CloseListener>()) });
}

/// `virDomainSaveFlags`: RAM and device state into `path`, after which the domain is gone. A restore
/// starts it running.
pub(crate) fn save(domain: &Domain, path: &CString) -> Result<(), Error> {
    // SAFETY: the domain is valid, the path is a C string, null means the domain's own definition.
    let result = unsafe {
        sys::virDomainSaveFlags(
            domain.as_ptr(),
            path.as_ptr(),
            std::ptr::null(),
            sys::VIR_DOMAIN_SAVE_RUNNING,
        )
    };
    if result < 0 { Err(Error::last_error()) } else { Ok(()) }
}

/// `virDomainInjectNMI`.
pub(crate) fn inject_nmi(domain: &Domain) -> Result<(), Error> {
    // SAFETY: the domain is valid.
    let result = unsafe { sys::virDomainInjectNMI(domain.as_ptr(), 0) };
    if result < 0 { Err(Error::last_error()) } else { Ok(()) }
}

/// Stops libvirt from printing every error to standard error; they are returned anyway.
pub(crate) fn silence_errors() {
    // SAFETY: the callback ignores its arguments, and may be called from any thread.
    unsafe { sys::virSetErrorFunc(std::ptr::null_mut(), Some(ignore_error)) }
}

unsafe extern "C" fn ignore_error(_data: *mut c_void, _error: sys::virErrorPtr) {}
