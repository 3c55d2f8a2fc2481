//! Damage to the kernel's memory pool.

use scenario::{Arch, PoolDamage};

use super::Base;
use crate::driver::program::{Function, Slot, Step, Value};

const TAG: u64 = u32::from_le_bytes(*b"LBfd") as u64;
const SIZE: u32 = 0x60;
/// NonPagedPool: what is in it is resident, so the driver may run at raised IRQL.
const NON_PAGED: u64 = 0;
const GARBAGE: u32 = 0x4141_4141;

pub(super) fn corrupt(base: &mut Base, payload: &mut Function, how: PoolDamage, arch: Arch) {
    let allocate = base.parts.import("ExAllocatePoolWithTag");
    let free = base.parts.import("ExFreePoolWithTag");
    base.say(payload, "uses the pool");
    let block = payload.slot();
    let neighbour = payload.slot();
    let end = payload.label();
    for slot in [block, neighbour] {
        payload.call(allocate, &[NON_PAGED, u64::from(SIZE), TAG].map(Value::Number));
        payload.step(Step::Set(slot, Value::Result));
        payload.step(Step::IfEqual(Value::Slot(slot), 0, end));
    }
    let free_one = |payload: &mut Function, slot: Slot| {
        payload.call(free, &[Value::Slot(slot), Value::Number(TAG)]);
    };
    let write = |payload: &mut Function, from: i32, to: i32| {
        for offset in (from..to).step_by(4) {
            payload.step(Step::Write(Value::Slot(block), offset, GARBAGE));
        }
    };
    match (how, base.inert) {
        (_, true) => {
            write(payload, 0, SIZE as i32);
            free_one(payload, neighbour);
            free_one(payload, block);
        }
        (PoolDamage::Header, false) => {
            // The header lies right in front of a block: 16 bytes on x86-64, 8 on x86.
            let header = match arch {
                Arch::X86_64 => 16,
                Arch::X86 => 8,
            };
            write(payload, -header, 0);
            free_one(payload, block);
        }
        (PoolDamage::Overrun, false) => {
            write(payload, 0, SIZE as i32 + 0x40);
            free_one(payload, neighbour);
            free_one(payload, block);
        }
        (PoolDamage::DoubleFree, false) => {
            free_one(payload, block);
            free_one(payload, block);
        }
    }
    payload.step(Step::Place(end));
}
