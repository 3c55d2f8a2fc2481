//! The interpreter, with the defect: a file's template declares how many fields there are, the driver
//! has 20 inputs, and nobody compares the two (windows-facts 5.1).

use iced_x86::IcedError;
use iced_x86::code_asm::{
    al, byte_ptr, dword_ptr, eax, ebx, ecx, edx, qword_ptr, r8, r9, r9d, r12, r13, r13d, r14, r14d,
    r15, rax, rbx, rcx, rdi, rdx, rsi, rsp, word_ptr,
};

use super::super::asm::{Arg, Assembler, Frame};
use super::super::parts::{Data, Parts};
use super::{Constants, Kernel, TAG};
use crate::content::{DRIVER_INPUTS, HEADER, MAGIC, VERSION};

/// What lies behind the 20 pointers in the same allocation: the interpreter's own notes. Read as a
/// pointer they are 0xFFFF840500000074, the address in published crashes (windows-facts 5.1). It is
/// canonical and in the kernel's half, in a range that nothing maps.
const NOTES_LOW: i32 = 0x0000_0074;
const NOTES_HIGH: i32 = 0xffff_8405_u32 as i32;
const NOTES: i32 = 8 * DRIVER_INPUTS as i32;
const RECORD: u32 = 8 * DRIVER_INPUTS as u32 + 0x20;

/// The inputs of the template: what a named-pipe event would bring. Counted texts, their length first.
pub(super) fn inputs(parts: &mut Parts) -> Data {
    let entries: Vec<Data> = (1..=DRIVER_INPUTS)
        .map(|number| {
            let text = format!("input-{number}");
            let mut bytes = (text.len() as u32).to_le_bytes().to_vec();
            bytes.extend_from_slice(text.as_bytes());
            parts.bytes(&bytes)
        })
        .collect();
    parts.table(&entries)
}

/// `void interpret(const u8 *file, u64 length, UNICODE_STRING *name)`
///
/// rsi: the next field; rdi: the file's end; r12: the record; r13: the field's index; r14: length of
/// its pattern; r15: its pattern; ebx: how many fields the template declares.
pub(super) fn interpret(
    a: &mut Assembler<'_>,
    kernel: &Kernel,
    constants: &Constants,
) -> Result<(), IcedError> {
    let mut frame = Frame::new(&[rbx, rsi, rdi, r12, r13, r14, r15], 4);
    let name = frame.local(8);
    let matched = frame.local(8);
    a.begin("interpret", &frame)?;
    let mut ignore = a.code.create_label();
    let mut out = a.code.create_label();
    let mut copy = a.code.create_label();
    let mut field = a.code.create_label();
    let mut compare = a.code.create_label();
    let mut equal = a.code.create_label();
    let mut next = a.code.create_label();
    let mut finished = a.code.create_label();
    let mut malformed = a.code.create_label();
    let mut free = a.code.create_label();
    a.code.mov(qword_ptr(rsp + name.0), r8)?;
    a.code.mov(qword_ptr(rsp + matched.0), 0)?;
    a.code.cmp(rdx, HEADER as i32)?;
    a.code.jb(ignore)?;
    a.code.cmp(dword_ptr(rcx), i32::from_le_bytes(MAGIC))?;
    a.code.jne(ignore)?;
    a.code.cmp(word_ptr(rcx + 4), i32::from(VERSION))?;
    a.code.jne(ignore)?;
    a.code.cmp(dword_ptr(rcx + 8), edx)?;
    a.code.jne(ignore)?;
    a.code.movzx(ebx, word_ptr(rcx + 6))?;
    a.code.lea(rsi, qword_ptr(rcx + HEADER as i32))?;
    a.code.lea(rdi, qword_ptr(rcx + rdx))?;
    // PagedPool: the record holds the pointers to the inputs and, right behind them, notes.
    a.call(kernel.allocate, &[Arg::Imm(1), Arg::Imm(RECORD), Arg::Imm(TAG)])?;
    a.code.test(rax, rax)?;
    a.code.jz(out)?;
    a.code.mov(r12, rax)?;
    a.lea(rdx, constants.inputs, 0)?;
    a.code.xor(ecx, ecx)?;
    a.code.set_label(&mut copy)?;
    a.code.mov(rax, qword_ptr(rdx + rcx * 8))?;
    a.code.mov(qword_ptr(r12 + rcx * 8), rax)?;
    a.code.inc(ecx)?;
    a.code.cmp(ecx, DRIVER_INPUTS as i32)?;
    a.code.jb(copy)?;
    a.code.mov(dword_ptr(r12 + NOTES), NOTES_LOW)?;
    a.code.mov(dword_ptr(r12 + NOTES + 4), NOTES_HIGH)?;
    a.code.xor(r13d, r13d)?;

    a.code.set_label(&mut field)?;
    a.code.cmp(r13d, ebx)?;
    a.code.jae(finished)?;
    a.code.lea(r15, qword_ptr(rsi + 4))?;
    a.code.cmp(r15, rdi)?;
    a.code.ja(malformed)?;
    a.code.movzx(eax, word_ptr(rsi))?;
    a.code.movzx(r14d, word_ptr(rsi + 2))?;
    a.code.lea(rsi, qword_ptr(r15 + r14))?;
    a.code.cmp(rsi, rdi)?;
    a.code.ja(malformed)?;
    // A wildcard matches whatever the input is, so nobody looks at it. This is why the template with
    // 21 fields did no harm for months.
    a.code.test(eax, eax)?;
    a.code.jz(next)?;
    // The defect: r13 was compared with what the file declares, never with how many inputs there are.
    // For the 21st field this loads the notes behind the pointers.
    a.code.mov(r8, qword_ptr(r12 + r13 * 8))?;
    a.code.mov(r9d, dword_ptr(r8))?;
    a.code.cmp(r9d, r14d)?;
    a.code.jne(next)?;
    a.code.set_label(&mut compare)?;
    a.code.test(r9d, r9d)?;
    a.code.jz(equal)?;
    a.code.dec(r9d)?;
    a.code.mov(al, byte_ptr(r8 + r9 + 4))?;
    a.code.cmp(al, byte_ptr(r15 + r9))?;
    a.code.je(compare)?;
    a.code.jmp(next)?;
    a.code.set_label(&mut equal)?;
    a.code.inc(dword_ptr(rsp + matched.0))?;
    a.code.set_label(&mut next)?;
    a.code.inc(r13d)?;
    a.code.jmp(field)?;

    a.code.set_label(&mut finished)?;
    let said = Arg::Data(constants.say_interpreted);
    a.call(kernel.dbg_print, &[said, Arg::Value(name), Arg::Reg(rbx), Arg::Value(matched)])?;
    a.code.jmp(free)?;
    a.code.set_label(&mut malformed)?;
    a.code.inc(r13d)?;
    let said = Arg::Data(constants.say_malformed);
    a.call(kernel.dbg_print, &[said, Arg::Value(name), Arg::Reg(r13)])?;
    a.code.set_label(&mut free)?;
    a.call(kernel.free, &[Arg::Reg(r12), Arg::Imm(TAG)])?;
    a.code.jmp(out)?;
    a.code.set_label(&mut ignore)?;
    a.call(kernel.dbg_print, &[Arg::Data(constants.say_ignored), Arg::Value(name)])?;
    a.code.set_label(&mut out)?;
    a.leave()?;
    a.end()
}
