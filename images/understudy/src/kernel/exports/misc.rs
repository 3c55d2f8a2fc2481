//! Time, version, bug checks, lookup of exports, interlocked lists.

#![expect(unsafe_code, reason = "reads and writes what a driver points to")]
#![expect(
    unsafe_op_in_unsafe_fn,
    reason = "every function here trusts its caller's pointers alike"
)]

use std::time::{Duration, Instant};

use super::super::child::{Caller, bug_check, find_system_routine};
use super::super::types::{ListEntry, UnicodeString};
use super::clock::{BUILD, TICK, system_time, up_time};
use super::print::counted_wide;
use super::{exports, with_caller};

/// Version that RtlGetVersion tells: Windows 11 24H2.
const VERSION: [u32; 3] = [10, 0, BUILD];

unsafe extern "C" {
    fn understudy_ke_bug_check();
    fn understudy_ke_bug_check_ex();
    fn understudy_report_failure();
}

with_caller!("understudy_ke_bug_check", ke_bug_check);
with_caller!("understudy_ke_bug_check_ex", ke_bug_check_ex);
with_caller!("understudy_report_failure", report_failure);

exports! {
    KeBugCheck => understudy_ke_bug_check,
    KeBugCheckEx => understudy_ke_bug_check_ex,
    __report_gsfailure => understudy_report_failure,
    KeQuerySystemTime => query_system_time,
    KeQuerySystemTimePrecise => query_system_time,
    KeQueryTickCount => query_tick_count,
    KeQueryInterruptTime => interrupt_time,
    KeQueryUnbiasedInterruptTime => interrupt_time,
    KeQueryTimeIncrement => time_increment,
    KeQueryPerformanceCounter => performance_counter,
    KeStallExecutionProcessor => stall,
    RtlGetVersion => get_version,
    PsGetVersion => ps_get_version,
    RtlIsNtDdiVersionAvailable => is_ddi_available,
    MmGetSystemRoutineAddress => system_routine,
    RtlTimeToTimeFields => time_to_fields,
    RtlRandomEx => random,
    RtlRandom => random,
    ExGetPreviousMode => previous_mode,
    ExInterlockedInsertHeadList => insert_head,
    ExInterlockedInsertTailList => insert_tail,
    ExInterlockedRemoveHeadList => remove_head,
    DbgBreakPoint => break_point,
    __C_specific_handler => no_handler,
    __chkstk => check_stack,
}

unsafe extern "win64" fn ke_bug_check(caller: *const Caller) {
    bug_check((*caller).general[1] as u32, [0; 4], &*caller)
}

unsafe extern "win64" fn ke_bug_check_ex(caller: *const Caller, fourth: u64) {
    let registers = &(*caller).general;
    let parameters = [registers[2], registers[8], registers[9], fourth];
    bug_check(registers[1] as u32, parameters, &*caller)
}

/// DRIVER_OVERRAN_STACK_BUFFER: the cookie that was found, and what is not known here as zero.
unsafe extern "win64" fn report_failure(caller: *const Caller) {
    bug_check(0xF7, [(*caller).general[1], 0, 0, 0], &*caller)
}

unsafe extern "win64" fn query_system_time(to: *mut u64) {
    *to = system_time();
}

unsafe extern "win64" fn query_tick_count(to: *mut u64) {
    *to = up_time() / u64::from(TICK);
}

unsafe extern "win64" fn interrupt_time() -> u64 {
    up_time()
}

unsafe extern "win64" fn time_increment() -> u32 {
    TICK
}

unsafe extern "win64" fn performance_counter(frequency: *mut u64) -> u64 {
    if !frequency.is_null() {
        *frequency = 10_000_000;
    }
    up_time()
}

/// Busy, as on Windows: drivers call it at any IRQL.
unsafe extern "win64" fn stall(microseconds: u32) {
    let end = Instant::now() + Duration::from_micros(u64::from(microseconds));
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

/// `RTL_OSVERSIONINFOW`: size, major, minor, build, platform 2.
unsafe extern "win64" fn get_version(to: *mut u32) -> u32 {
    for (at, part) in VERSION.into_iter().enumerate() {
        *to.add(1 + at) = part;
    }
    *to.add(4) = 2;
    *to.add(5).cast::<u16>() = 0;
    0
}

unsafe extern "win64" fn ps_get_version(
    major: *mut u32,
    minor: *mut u32,
    build: *mut u32,
    text: *mut UnicodeString,
) -> u8 {
    for (to, part) in [major, minor, build].into_iter().zip(VERSION) {
        if !to.is_null() {
            *to = part;
        }
    }
    if !text.is_null() {
        (*text).length = 0;
    }
    // Free build.
    0
}

/// NTDDI versions are 0xMMmmSSss with Windows 10 releases in the low half.
unsafe extern "win64" fn is_ddi_available(version: u32) -> u8 {
    u8::from(version <= 0x0A00_0010)
}

unsafe extern "win64" fn system_routine(name: *const UnicodeString) -> u64 {
    find_system_routine(&counted_wide(name)).unwrap_or(0)
}

/// `TIME_FIELDS`: year, month, day, hour, minute, second, milliseconds, weekday.
unsafe extern "win64" fn time_to_fields(time: *const u64, to: *mut [u16; 8]) {
    const DAY: u64 = 864_000_000_000;
    let (days, rest) = (*time / DAY, *time % DAY);
    // Civil date from days, for the proleptic Gregorian calendar; 1601-01-01 starts a 400-year cycle.
    let (cycle, day) = (days / 146_097, days % 146_097);
    let century = (day / 36_524).min(3);
    let day = day - century * 36_524;
    let four = day / 1_461;
    let day = day % 1_461;
    let year_of_four = (day / 365).min(3);
    let mut day = day - year_of_four * 365;
    let year = 1601 + cycle * 400 + century * 100 + four * 4 + year_of_four;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    let seconds = rest / 10_000_000;
    *to = [
        year as u16,
        month,
        day as u16 + 1,
        (seconds / 3600) as u16,
        (seconds / 60 % 60) as u16,
        (seconds % 60) as u16,
        (rest / 10_000 % 1000) as u16,
        // 1601-01-01 was a Monday.
        ((days + 1) % 7) as u16,
    ];
}

/// The documented linear congruential generator.
unsafe extern "win64" fn random(seed: *mut u32) -> u32 {
    let next = u64::from(*seed) * 0x7FFF_FFED + 0x7FFF_FFC3;
    *seed = (next % 0x7FFF_FFFF) as u32;
    *seed
}

/// Callers are always kernel mode here.
unsafe extern "win64" fn previous_mode() -> u8 {
    0
}

/// All interlocked lists share one lock; each also has the driver's, which needs no taking then.
static LISTS: std::sync::Mutex<()> = std::sync::Mutex::new(());

unsafe extern "win64" fn insert_head(head: *mut ListEntry, entry: *mut ListEntry) -> u64 {
    let _turn = super::super::child::lock(&LISTS);
    let first = (*head).flink;
    *entry = ListEntry { flink: first, blink: head as u64 };
    (*(first as *mut ListEntry)).blink = entry as u64;
    (*head).flink = entry as u64;
    if first == head as u64 { 0 } else { first }
}

unsafe extern "win64" fn insert_tail(head: *mut ListEntry, entry: *mut ListEntry) -> u64 {
    let _turn = super::super::child::lock(&LISTS);
    let last = (*head).blink;
    *entry = ListEntry { flink: head as u64, blink: last };
    (*(last as *mut ListEntry)).flink = entry as u64;
    (*head).blink = entry as u64;
    if last == head as u64 { 0 } else { last }
}

unsafe extern "win64" fn remove_head(head: *mut ListEntry) -> u64 {
    let _turn = super::super::child::lock(&LISTS);
    let first = (*head).flink;
    if first == head as u64 {
        return 0;
    }
    let next = (*(first as *const ListEntry)).flink;
    (*head).flink = next;
    (*(next as *mut ListEntry)).blink = head as u64;
    first
}

unsafe extern "win64" fn break_point() {
    std::arch::asm!("int3");
}

/// Named in the unwind data of drivers with `__try`; exceptions always stop here, so it never runs.
unsafe extern "win64" fn no_handler() -> u32 {
    // ExceptionContinueSearch
    1
}

/// Touches nothing: stacks of system threads are mapped whole. Must keep every register.
#[unsafe(naked)]
unsafe extern "win64" fn check_stack() {
    std::arch::naked_asm!("ret")
}

#[cfg(test)]
mod tests {
    use super::super::clock::EPOCH;
    use super::*;

    #[test]
    fn time_fields_are_right() {
        let mut fields = [0; 8];
        // 2024-07-19 04:09:00 UTC, a Friday.
        let time = EPOCH + 1_721_362_140 * 10_000_000;
        // SAFETY: both are locals.
        unsafe { time_to_fields(&raw const time, &raw mut fields) };
        assert_eq!(fields, [2024, 7, 19, 4, 9, 0, 0, 5]);
        let start = 0;
        // SAFETY: both are locals.
        unsafe { time_to_fields(&raw const start, &raw mut fields) };
        assert_eq!(fields, [1601, 1, 1, 0, 0, 0, 0, 1]);
    }
}
