//! Functions as x86 code, for drivers of 32-bit Windows and ReactOS.
//!
//! The calling convention is stdcall: arguments on the stack, removed by the function that was called.
//! Only functions with a variable number of arguments are cdecl: there the caller removes them. There
//! is no addressing relative to the instruction, so every address of the image in the code has a base
//! relocation.

use std::collections::BTreeMap;

use iced_x86::code_asm::{CodeAssembler, CodeLabel, dword_ptr, eax, ebp, ecx, edx, esp, ptr};
use iced_x86::{BlockEncoderOptions, Code, IcedError, Instruction, MemoryOperand, Register};

use super::asm::Text;
use super::parts::{Import, Sections};
use super::program::{Function, Slot, Step, Sum, Value};

/// Which part of an instruction holds an address.
#[derive(Debug, Clone, Copy)]
enum Holds {
    Displacement,
    Immediate,
}

/// Assembles all functions of an image.
pub(crate) fn assemble(
    sections: &Sections,
    functions: &[Function],
    entry: &'static str,
    variadic: impl Fn(Import) -> bool,
) -> Result<Text, IcedError> {
    // Where the functions lie does not depend on what their addresses are used for.
    let unknown = functions.iter().map(|function| (function.name, 0)).collect();
    let (_, addresses) = assemble_with(sections, functions, entry, &variadic, &unknown)?;
    Ok(assemble_with(sections, functions, entry, &variadic, &addresses)?.0)
}

type Addresses = BTreeMap<&'static str, u32>;

fn assemble_with(
    sections: &Sections,
    functions: &[Function],
    entry: &'static str,
    variadic: &dyn Fn(Import) -> bool,
    addresses: &Addresses,
) -> Result<(Text, Addresses), IcedError> {
    let mut code = CodeAssembler::new(32)?;
    let names: BTreeMap<&'static str, CodeLabel> =
        functions.iter().map(|function| (function.name, code.create_label())).collect();
    let mut lowering = Lowering {
        code,
        sections,
        addresses,
        names,
        fixups: Vec::new(),
        slots: Vec::new(),
        labels: Vec::new(),
        arguments: 0,
        variadic,
    };
    for function in functions {
        lowering.function(function)?;
    }
    let Lowering { mut code, names, fixups, .. } = lowering;
    let options = BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS
        | BlockEncoderOptions::RETURN_CONSTANT_OFFSETS;
    let result = code.assemble_options(sections.text(), options)?;
    let base = sections.relative(sections.text());
    let relocations = fixups
        .into_iter()
        .map(|(index, holds)| {
            let offsets = &result.inner.constant_offsets[index];
            let within = match holds {
                Holds::Displacement => offsets.displacement_offset(),
                Holds::Immediate => offsets.immediate_offset(),
            };
            base + result.inner.new_instruction_offsets[index] + within as u32
        })
        .collect();
    let addresses = names
        .iter()
        .map(|(name, label)| Ok((*name, result.label_ip(label)? as u32)))
        .collect::<Result<Addresses, IcedError>>()?;
    let entry = sections.relative(u64::from(addresses[entry]));
    let bytes = result.inner.code_buffer;
    Ok((Text { bytes, functions: Vec::new(), entry, relocations }, addresses))
}

struct Lowering<'a> {
    code: CodeAssembler,
    sections: &'a Sections,
    addresses: &'a Addresses,
    names: BTreeMap<&'static str, CodeLabel>,
    /// Instructions that hold an address of the image.
    fixups: Vec<(usize, Holds)>,
    /// Distance of each slot below ebp.
    slots: Vec<i32>,
    labels: Vec<CodeLabel>,
    arguments: u32,
    variadic: &'a dyn Fn(Import) -> bool,
}

impl Lowering<'_> {
    fn function(&mut self, function: &Function) -> Result<(), IcedError> {
        let mut used = 0;
        self.slots = function
            .slots
            .iter()
            .map(|size| {
                used += (*size).max(4).next_multiple_of(4) as i32;
                used
            })
            .collect();
        self.labels = (0..function.labels).map(|_| self.code.create_label()).collect();
        self.arguments = function.arguments;
        let mut begin = self.names[function.name];
        self.code.set_label(&mut begin)?;
        self.names.insert(function.name, begin);
        self.code.push(ebp)?;
        self.code.mov(ebp, esp)?;
        self.code.sub(esp, used)?;
        for step in &function.steps {
            self.step(step)?;
        }
        // Running off the end stops at once.
        self.code.int3()
    }

    fn slot(&self, slot: Slot) -> i32 {
        -self.slots[slot.0]
    }

    /// Adds an instruction that holds an address of the image.
    fn with_address(&mut self, instruction: Instruction, holds: Holds) -> Result<(), IcedError> {
        self.fixups.push((self.code.instructions().len(), holds));
        self.code.add_instruction(instruction)
    }

    /// Puts a value into eax.
    fn load(&mut self, value: Value) -> Result<(), IcedError> {
        match value {
            Value::Number(number) => self.code.mov(eax, number as u32),
            Value::ByArch(_, number) => self.code.mov(eax, number),
            Value::Wide(number) => self.code.mov(eax, number as u32),
            Value::Address(data) => self.with_address(
                Instruction::with2(
                    Code::Mov_r32_imm32,
                    Register::EAX,
                    self.sections.data(data) as u32,
                )?,
                Holds::Immediate,
            ),
            Value::Word(data, index) => self.load_at(self.sections.data(data.at(4 * index))),
            Value::Half(data, offset) => self.load_at(self.sections.data(data.at(offset))),
            Value::Slot(slot) => self.code.mov(eax, dword_ptr(ebp + self.slot(slot))),
            Value::SlotAddress(slot) => self.code.lea(eax, ptr(ebp + self.slot(slot))),
            // Above the frame pointer lie its old value and the return address.
            Value::Argument(index) => self.code.mov(eax, dword_ptr(ebp + (8 + 4 * index as i32))),
            Value::Function(name) => self.with_address(
                Instruction::with2(Code::Mov_r32_imm32, Register::EAX, self.addresses[name])?,
                Holds::Immediate,
            ),
            Value::Result => Ok(()),
        }
    }

    fn load_at(&mut self, address: u64) -> Result<(), IcedError> {
        self.with_address(
            Instruction::with2(Code::Mov_r32_rm32, Register::EAX, absolute(address))?,
            Holds::Displacement,
        )
    }

    fn store_at(&mut self, address: u64) -> Result<(), IcedError> {
        self.with_address(
            Instruction::with2(Code::Mov_rm32_r32, absolute(address), Register::EAX)?,
            Holds::Displacement,
        )
    }

    fn push(&mut self, values: &[Value]) -> Result<u32, IcedError> {
        let mut pushed = 0;
        // eax is the scratch register, so a call's result has to be pushed first or kept in a slot.
        for value in values.iter().rev() {
            if let Value::Wide(number) = value {
                self.code.push((*number >> 32) as i32)?;
                self.code.push(*number as i32)?;
                pushed += 8;
                continue;
            }
            self.load(*value)?;
            self.code.push(eax)?;
            pushed += 4;
        }
        Ok(pushed)
    }

    fn step(&mut self, step: &Step) -> Result<(), IcedError> {
        match step {
            Step::Call(import, values) => {
                let pushed = self.push(values)?;
                let pointer = absolute(self.sections.import(*import));
                let call = Instruction::with1(Code::Call_rm32, pointer)?;
                self.with_address(call, Holds::Displacement)?;
                if (self.variadic)(*import) {
                    self.code.add(esp, pushed)?;
                }
                Ok(())
            }
            Step::CallOwn(name, values) => {
                self.push(values)?;
                let label = self.names[name];
                self.code.call(label)
            }
            Step::Set(slot, value) => {
                self.load(*value)?;
                self.code.mov(dword_ptr(ebp + self.slot(*slot)), eax)
            }
            Step::Store(data, index, value) => {
                self.load(*value)?;
                self.store_at(self.sections.data(data.at(4 * index)))
            }
            Step::StoreHalf(data, offset, value) => {
                self.load(*value)?;
                self.store_at(self.sections.data(data.at(*offset)))
            }
            Step::Read(at) => {
                self.load(*at)?;
                self.code.mov(eax, dword_ptr(eax))
            }
            Step::Write(at, offset, number) => {
                self.load(*at)?;
                self.code.mov(dword_ptr(eax + *offset), *number)
            }
            Step::Execute(at) => {
                self.load(*at)?;
                self.code.call(eax)
            }
            Step::Compute(slot, sum) => self.compute(*slot, *sum),
            Step::DivideBy(value) => {
                self.load(*value)?;
                self.code.mov(ecx, eax)?;
                self.code.mov(eax, 1)?;
                self.code.xor(edx, edx)?;
                self.code.div(ecx)
            }
            Step::Pause => self.code.pause(),
            Step::Place(label) => self.code.set_label(&mut self.labels[label.0]),
            Step::Goto(label) => self.code.jmp(self.labels[label.0]),
            Step::IfFailed(value, label) => {
                self.load(*value)?;
                self.code.test(eax, eax)?;
                self.code.js(self.labels[label.0])
            }
            Step::IfEqual(value, number, label) => {
                self.load(*value)?;
                self.code.cmp(eax, *number)?;
                self.code.je(self.labels[label.0])
            }
            Step::IfBelow(value, number, label) => {
                self.load(*value)?;
                self.code.cmp(eax, *number)?;
                self.code.jb(self.labels[label.0])
            }
            Step::Return(value) => {
                self.load(*value)?;
                self.code.mov(esp, ebp)?;
                self.code.pop(ebp)?;
                self.code.ret_1(4 * self.arguments)
            }
        }
    }

    fn compute(&mut self, slot: Slot, sum: Sum) -> Result<(), IcedError> {
        let at = self.slot(slot);
        let code = &mut self.code;
        code.mov(eax, dword_ptr(ebp + at))?;
        match sum {
            Sum::Add(number) => code.add(eax, number)?,
            Sum::Xor(number) => code.xor(eax, number)?,
            Sum::Multiply(number) => code.imul_3(eax, eax, number)?,
            Sum::XorShifted(by) => {
                code.mov(ecx, eax)?;
                code.shr(ecx, u32::from(by))?;
                code.xor(eax, ecx)?;
            }
            Sum::Remainder(number) => {
                code.xor(edx, edx)?;
                code.mov(ecx, number)?;
                code.div(ecx)?;
                code.mov(eax, edx)?;
            }
        }
        code.mov(dword_ptr(ebp + at), eax)
    }
}

fn absolute(address: u64) -> MemoryOperand {
    // Four bytes of displacement and no base register.
    MemoryOperand::with_displ(address, 4)
}
