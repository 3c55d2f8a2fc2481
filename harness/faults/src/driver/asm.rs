//! An assembler for kernel functions under the Windows x64 calling convention.
//!
//! It keeps the parts of that convention that are easy to get wrong in one place: the first four
//! arguments in rcx, rdx, r8 and r9, the rest on the stack above 32 bytes of shadow space; a stack
//! pointer that is a multiple of 16 at every call; a prologue that the unwind data describes exactly
//! (Microsoft: "x64 calling convention", "x64 exception handling").

use std::collections::BTreeMap;

use iced_x86::code_asm::{
    AsmRegister64, CodeAssembler, CodeLabel, qword_ptr, r8, r9, r10, rax, rcx, rdx, rsp,
};
use iced_x86::{BlockEncoderOptions, Code, IcedError, Instruction, MemoryOperand, Register};

use super::parts::{Data, Import, Sections};

/// One argument of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arg {
    /// A constant.
    Imm(u32),
    /// A register that the call itself does not load: not rcx, rdx, r8, r9 or r10.
    Reg(AsmRegister64),
    /// The address of a local variable.
    Addr(Local),
    /// A local variable's 64 bits.
    Value(Local),
    /// The address of something in the image.
    Data(Data),
    /// A constant of 64 bits.
    Wide(u64),
    /// 64 bits in the image.
    Load(Data),
    /// 32 bits in the image.
    LoadHalf(Data),
    /// The address of a function of this image.
    Function(CodeLabel),
}

/// A local variable: its distance from rsp.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Local(pub(crate) u32);

impl Local {
    /// A part of it.
    pub(crate) fn at(self, offset: u32) -> Self {
        Self(self.0 + offset)
    }
}

/// The stack frame of one function: room for outgoing arguments below, locals above.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    saved: Vec<AsmRegister64>,
    size: u32,
}

impl Frame {
    /// A frame that saves these nonvolatile registers and calls functions of up to `arguments`
    /// arguments. The shadow space of four is always there: the callee may write to it.
    pub(crate) fn new(saved: &[AsmRegister64], arguments: u32) -> Self {
        Self { saved: saved.to_vec(), size: arguments.max(4) * 8 }
    }

    /// A local variable of `size` bytes, aligned to 8.
    pub(crate) fn local(&mut self, size: u32) -> Local {
        let local = Local(self.size);
        self.size += size.next_multiple_of(8);
        local
    }

    // On entry rsp is 8 below a multiple of 16, because of the return address.
    fn allocation(&self) -> u32 {
        let used = 8 + 8 * self.saved.len() as u32 + self.size;
        self.size + (16 - used % 16) % 16
    }
}

/// A function that was assembled, with what its unwind data needs.
#[derive(Debug, Clone)]
pub(crate) struct FunctionRange {
    pub(crate) begin: u32,
    pub(crate) end: u32,
    /// UNWIND_INFO.
    pub(crate) unwind: Vec<u8>,
}

/// The machine code of an image.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) bytes: Vec<u8>,
    pub(crate) functions: Vec<FunctionRange>,
    /// Address of the entry point relative to the image.
    pub(crate) entry: u32,
    /// Places that hold an address of the image, relative to it. x86-64 code has none.
    pub(crate) relocations: Vec<u32>,
}

/// Assembles functions one after the other.
pub(crate) struct Assembler<'a> {
    /// For everything that has no helper here.
    pub(crate) code: CodeAssembler,
    sections: &'a Sections,
    frame: Frame,
    functions: Vec<(CodeLabel, CodeLabel, Vec<u8>)>,
    names: BTreeMap<&'static str, CodeLabel>,
}

impl<'a> Assembler<'a> {
    pub(crate) fn new(sections: &'a Sections) -> Result<Self, IcedError> {
        Ok(Self {
            code: CodeAssembler::new(64)?,
            sections,
            frame: Frame::new(&[], 0),
            functions: Vec::new(),
            names: BTreeMap::new(),
        })
    }

    /// The label of a function, defined or not yet.
    pub(crate) fn label_of(&mut self, name: &'static str) -> CodeLabel {
        let code = &mut self.code;
        *self.names.entry(name).or_insert_with(|| code.create_label())
    }

    /// Begins a function: its prologue and the unwind data for it.
    pub(crate) fn begin(&mut self, name: &'static str, frame: &Frame) -> Result<(), IcedError> {
        let mut begin = self.label_of(name);
        self.code.set_label(&mut begin)?;
        self.names.insert(name, begin);
        let mut prologue = 0u8;
        // UNWIND_CODE entries, in the order of the prologue; stored backwards.
        let mut codes: Vec<Vec<u8>> = Vec::new();
        for &register in &frame.saved {
            self.code.push(register)?;
            let number = number(register) as u8;
            // r8 to r15 take a REX prefix.
            prologue += if number < 8 { 1 } else { 2 };
            codes.push(vec![prologue, number << 4]);
        }
        let allocation = frame.allocation();
        // The form with four immediate bytes whatever the size, so that its length is known: 7.
        self.code.add_instruction(Instruction::with2(
            Code::Sub_rm64_imm32,
            Register::RSP,
            allocation as i32,
        )?)?;
        prologue += 7;
        codes.push(if allocation <= 128 {
            // UWOP_ALLOC_SMALL: 8 to 128 bytes.
            vec![prologue, 2 | ((allocation / 8 - 1) as u8) << 4]
        } else {
            // UWOP_ALLOC_LARGE with a scaled 16-bit size: up to 512 KiB.
            let mut code = vec![prologue, 1];
            code.extend_from_slice(&((allocation / 8) as u16).to_le_bytes());
            code
        });
        let mut slots: Vec<u8> = codes.into_iter().rev().flatten().collect();
        let count = (slots.len() / 2) as u8;
        // The array of codes has an even number of slots.
        slots.resize(slots.len().next_multiple_of(4), 0);
        let mut unwind = vec![1, prologue, count, 0];
        unwind.append(&mut slots);
        let end = self.code.create_label();
        self.functions.push((begin, end, unwind));
        self.frame = frame.clone();
        Ok(())
    }

    /// Leaves the function that was begun last. A function may leave in several places.
    pub(crate) fn leave(&mut self) -> Result<(), IcedError> {
        self.code.add_instruction(Instruction::with2(
            Code::Add_rm64_imm32,
            Register::RSP,
            self.frame.allocation() as i32,
        )?)?;
        for &register in self.frame.saved.iter().rev() {
            self.code.pop(register)?;
        }
        self.code.ret()
    }

    /// Ends the function. An `int3` follows, so that running off its end stops at once.
    pub(crate) fn end(&mut self) -> Result<(), IcedError> {
        let (_, end, _) = self.functions.last_mut().expect("a function was begun before");
        self.code.set_label(end)?;
        self.code.int3()
    }

    /// Calls an import.
    pub(crate) fn call(&mut self, import: Import, arguments: &[Arg]) -> Result<(), IcedError> {
        self.arguments(arguments)?;
        let pointer = self.sections.import(import);
        self.code.add_instruction(Instruction::with1(Code::Call_rm64, rip(pointer))?)
    }

    /// Calls a function of this image.
    pub(crate) fn call_own(
        &mut self,
        name: &'static str,
        arguments: &[Arg],
    ) -> Result<(), IcedError> {
        self.arguments(arguments)?;
        let label = self.label_of(name);
        self.code.call(label)
    }

    fn arguments(&mut self, arguments: &[Arg]) -> Result<(), IcedError> {
        // Stack arguments first: they go through r10, and registers that hold values are still intact.
        for (index, argument) in arguments.iter().enumerate().skip(4) {
            let slot = qword_ptr(rsp + 8 * index as u32);
            match *argument {
                Arg::Imm(value) if i32::try_from(value).is_ok() => {
                    self.code.mov(slot, value as i32)?;
                }
                Arg::Reg(register) => self.code.mov(slot, register)?,
                other => {
                    self.place(r10, other)?;
                    self.code.mov(slot, r10)?;
                }
            }
        }
        for (register, argument) in [rcx, rdx, r8, r9].into_iter().zip(arguments) {
            self.place(register, *argument)?;
        }
        Ok(())
    }

    /// Puts a value into a register.
    pub(crate) fn place(&mut self, register: AsmRegister64, value: Arg) -> Result<(), IcedError> {
        match value {
            // Writing the lower half clears the upper one.
            Arg::Imm(0) => self.code.add_instruction(Instruction::with2(
                Code::Xor_r32_rm32,
                low(register),
                low(register),
            )?),
            Arg::Imm(value) => self.code.add_instruction(Instruction::with2(
                Code::Mov_r32_imm32,
                low(register),
                value,
            )?),
            Arg::Reg(source) => self.code.mov(register, source),
            Arg::Addr(local) => self.code.lea(register, qword_ptr(rsp + local.0)),
            Arg::Value(local) => self.code.mov(register, qword_ptr(rsp + local.0)),
            Arg::Data(data) => self.lea(register, data, 0),
            Arg::Load(data) => self.code.add_instruction(Instruction::with2(
                Code::Mov_r64_rm64,
                Register::from(register),
                rip(self.sections.data(data)),
            )?),
            Arg::Wide(value) => self.code.mov(register, value),
            Arg::LoadHalf(data) => self.code.add_instruction(Instruction::with2(
                Code::Mov_r32_rm32,
                low(register),
                rip(self.sections.data(data)),
            )?),
            Arg::Function(label) => self.code.lea(register, qword_ptr(label)),
        }
    }

    /// The address of a part of something in the image.
    pub(crate) fn lea(
        &mut self,
        register: AsmRegister64,
        data: Data,
        offset: u32,
    ) -> Result<(), IcedError> {
        let address = self.sections.data(data) + u64::from(offset);
        self.code.add_instruction(Instruction::with2(
            Code::Lea_r64_m,
            Register::from(register),
            rip(address),
        )?)
    }

    /// Writes a register's 64 bits into the image's data.
    pub(crate) fn store(&mut self, data: Data, register: AsmRegister64) -> Result<(), IcedError> {
        self.code.add_instruction(Instruction::with2(
            Code::Mov_rm64_r64,
            rip(self.sections.data(data)),
            Register::from(register),
        )?)
    }

    /// Writes a register's lower 32 bits into the image's data.
    pub(crate) fn store_half(
        &mut self,
        data: Data,
        register: AsmRegister64,
    ) -> Result<(), IcedError> {
        self.code.add_instruction(Instruction::with2(
            Code::Mov_rm32_r32,
            rip(self.sections.data(data)),
            low(register),
        )?)
    }

    /// Fills OBJECT_ATTRIBUTES: kernel handle, names without regard to case (0x240).
    pub(crate) fn object_attributes(
        &mut self,
        at: Local,
        root: Arg,
        name: Arg,
    ) -> Result<(), IcedError> {
        self.code.mov(qword_ptr(rsp + at.0), 0x30)?;
        self.place(rax, root)?;
        self.code.mov(qword_ptr(rsp + at.at(0x08).0), rax)?;
        self.place(rax, name)?;
        self.code.mov(qword_ptr(rsp + at.at(0x10).0), rax)?;
        self.code.mov(qword_ptr(rsp + at.at(0x18).0), 0x240)?;
        self.code.mov(qword_ptr(rsp + at.at(0x20).0), 0)?;
        self.code.mov(qword_ptr(rsp + at.at(0x28).0), 0)
    }

    /// Turns everything into bytes for the place where the image has its code.
    pub(crate) fn finish(mut self, entry: &'static str) -> Result<Text, IcedError> {
        let base = self.sections.text();
        let result = self
            .code
            .assemble_options(base, BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS)?;
        let relative = |label: &CodeLabel| -> Result<u32, IcedError> {
            Ok(self.sections.relative(result.label_ip(label)?))
        };
        let functions = self
            .functions
            .iter()
            .map(|(begin, end, unwind)| {
                let (begin, end) = (relative(begin)?, relative(end)?);
                Ok(FunctionRange { begin, end, unwind: unwind.clone() })
            })
            .collect::<Result<_, IcedError>>()?;
        let entry = relative(&self.names[entry])?;
        let bytes = result.inner.code_buffer;
        Ok(Text { bytes, functions, entry, relocations: Vec::new() })
    }
}

fn rip(address: u64) -> MemoryOperand {
    MemoryOperand::with_base_displ(Register::RIP, address as i64)
}

fn low(register: AsmRegister64) -> Register {
    Register::EAX + number(register)
}

/// The number by which the processor knows the register: rax is 0, r15 is 15.
fn number(register: AsmRegister64) -> u32 {
    Register::from(register) as u32 - Register::RAX as u32
}
