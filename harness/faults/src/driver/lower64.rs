//! Functions as x86-64 code.

use iced_x86::IcedError;
use iced_x86::code_asm::{CodeLabel, dword_ptr, eax, ecx, edx, qword_ptr, rax, rcx, rsp};

use super::asm::{Arg, Assembler, Frame, Local};
use super::program::{Function, Step, Sum, Value};

/// Emits one function.
pub(crate) fn lower(a: &mut Assembler<'_>, function: &Function) -> Result<(), IcedError> {
    let mut frame = Frame::new(&[], function.outgoing());
    let slots = function.slots.iter().map(|size| frame.local((*size).max(8))).collect();
    let arguments = (0..function.arguments).map(|_| frame.local(8)).collect();
    let labels = (0..function.labels).map(|_| a.code.create_label()).collect();
    a.begin(function.name, &frame)?;
    let mut lowering = Lowering { a, slots, arguments, labels };
    lowering.keep_arguments()?;
    for step in &function.steps {
        lowering.step(step)?;
    }
    a.end()
}

struct Lowering<'l, 'a> {
    a: &'l mut Assembler<'a>,
    slots: Vec<Local>,
    arguments: Vec<Local>,
    labels: Vec<CodeLabel>,
}

impl Lowering<'_, '_> {
    // No function of these drivers has more than four arguments.
    fn keep_arguments(&mut self) -> Result<(), IcedError> {
        use iced_x86::code_asm::{r8, r9, rdx};
        for (register, local) in [rcx, rdx, r8, r9].into_iter().zip(&self.arguments) {
            self.a.code.mov(qword_ptr(rsp + local.0), register)?;
        }
        Ok(())
    }

    fn arg(&mut self, value: Value) -> Arg {
        match value {
            Value::Number(number) => match u32::try_from(number) {
                Ok(number) => Arg::Imm(number),
                Err(_) => Arg::Wide(number),
            },
            Value::ByArch(number, _) => Arg::Imm(number),
            Value::Wide(number) => Arg::Wide(number as u64),
            Value::Address(data) => Arg::Data(data),
            Value::Word(data, index) => Arg::Load(data.at(8 * index)),
            Value::Half(data, offset) => Arg::LoadHalf(data.at(offset)),
            Value::Slot(slot) => Arg::Value(self.slots[slot.0]),
            Value::SlotAddress(slot) => Arg::Addr(self.slots[slot.0]),
            Value::Argument(index) => Arg::Value(self.arguments[index as usize]),
            Value::Function(name) => Arg::Function(self.a.label_of(name)),
            Value::Result => Arg::Reg(rax),
        }
    }

    fn args(&mut self, values: &[Value]) -> Vec<Arg> {
        values.iter().map(|value| self.arg(*value)).collect()
    }

    /// Puts a value into rax.
    fn load(&mut self, value: Value) -> Result<(), IcedError> {
        match self.arg(value) {
            Arg::Reg(register) if register == rax => Ok(()),
            arg => self.a.place(rax, arg),
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), IcedError> {
        match step {
            Step::Call(import, values) => {
                let args = self.args(values);
                self.a.call(*import, &args)
            }
            Step::CallOwn(name, values) => {
                let args = self.args(values);
                self.a.call_own(name, &args)
            }
            Step::Set(slot, value) => {
                self.load(*value)?;
                self.a.code.mov(qword_ptr(rsp + self.slots[slot.0].0), rax)
            }
            Step::Store(data, index, value) => {
                self.load(*value)?;
                self.a.store(data.at(8 * index), rax)
            }
            Step::StoreHalf(data, offset, value) => {
                self.load(*value)?;
                self.a.store_half(data.at(*offset), rax)
            }
            Step::Read(at) => {
                self.load(*at)?;
                self.a.code.mov(eax, dword_ptr(rax))
            }
            Step::Write(at, offset, number) => {
                self.load(*at)?;
                self.a.code.mov(dword_ptr(rax + *offset), *number)
            }
            Step::Execute(at) => {
                self.load(*at)?;
                self.a.code.call(rax)
            }
            Step::Compute(slot, sum) => self.compute(self.slots[slot.0], *sum),
            Step::DivideBy(value) => {
                self.load(*value)?;
                self.a.code.mov(ecx, eax)?;
                self.a.code.mov(eax, 1)?;
                self.a.code.xor(edx, edx)?;
                self.a.code.div(ecx)
            }
            Step::Pause => self.a.code.pause(),
            Step::Place(label) => self.a.code.set_label(&mut self.labels[label.0]),
            Step::Goto(label) => self.a.code.jmp(self.labels[label.0]),
            Step::IfFailed(value, label) => {
                self.load(*value)?;
                self.a.code.test(eax, eax)?;
                self.a.code.js(self.labels[label.0])
            }
            Step::IfEqual(value, number, label) => {
                self.load(*value)?;
                self.a.code.cmp(eax, *number)?;
                self.a.code.je(self.labels[label.0])
            }
            Step::IfBelow(value, number, label) => {
                self.load(*value)?;
                self.a.code.cmp(eax, *number)?;
                self.a.code.jb(self.labels[label.0])
            }
            Step::Return(value) => {
                self.load(*value)?;
                self.a.leave()
            }
        }
    }

    fn compute(&mut self, local: Local, sum: Sum) -> Result<(), IcedError> {
        let place = || dword_ptr(rsp + local.0);
        let code = &mut self.a.code;
        code.mov(eax, place())?;
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
        code.mov(place(), eax)
    }
}
