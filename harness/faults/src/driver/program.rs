//! Functions of a driver without a processor in mind. `lower64` and `lower32` turn them into code.
//!
//! The faulty drivers are a page of calls each; writing them once for both processors keeps both the
//! same. Values live in slots of the stack frame or in the image's data, never in registers across
//! steps, so that both sides stay simple.

use super::parts::{Data, Import};

/// A place in a function's frame: one pointer wide, or a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(pub(crate) usize);

/// A place in a function's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Label(pub(crate) usize);

/// Something that a step works with. As wide as a pointer unless said otherwise.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value {
    /// A number.
    Number(u64),
    /// A number on x86-64, and on x86.
    ByArch(u32, u32),
    /// A number of 64 bits on both processors, as an argument only: LARGE_INTEGER by value.
    Wide(i64),
    /// The address of something in the image.
    Address(Data),
    /// A pointer's width in the image, by its index.
    Word(Data, u32),
    /// 32 bits in the image, by their offset.
    Half(Data, u32),
    /// A slot's content.
    Slot(Slot),
    /// A slot's address.
    SlotAddress(Slot),
    /// An argument of this function, from 0.
    Argument(u32),
    /// The address of a function of this image.
    Function(&'static str),
    /// What the call just before returned.
    Result,
}

/// 32-bit arithmetic with a constant.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sum {
    Add(u32),
    Xor(u32),
    Multiply(u32),
    /// Its own upper bits, shifted down by this many, are mixed into it.
    XorShifted(u8),
    Remainder(u32),
}

/// One step.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Call(Import, Vec<Value>),
    CallOwn(&'static str, Vec<Value>),
    Set(Slot, Value),
    /// A pointer's width in the image, by its index.
    Store(Data, u32, Value),
    /// 32 bits in the image, by their offset.
    StoreHalf(Data, u32, Value),
    /// Reads 32 bits at this address.
    Read(Value),
    /// Writes 32 bits at this address and offset.
    Write(Value, i32, u32),
    /// Calls this address, without arguments.
    Execute(Value),
    Compute(Slot, Sum),
    /// Divides one by this.
    DivideBy(Value),
    /// Tells the processor that it waits in a loop.
    Pause,
    Place(Label),
    Goto(Label),
    /// Goes there if the 32 bits are negative: an NTSTATUS that is no success.
    IfFailed(Value, Label),
    IfEqual(Value, u32, Label),
    /// Unsigned, 32 bits.
    IfBelow(Value, u32, Label),
    Return(Value),
}

/// A function.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) arguments: u32,
    /// Sizes of the slots in bytes; 0 stands for a pointer's width.
    pub(crate) slots: Vec<u32>,
    pub(crate) labels: usize,
    pub(crate) steps: Vec<Step>,
}

impl Function {
    pub(crate) fn new(name: &'static str, arguments: u32) -> Self {
        Self { name, arguments, slots: Vec::new(), labels: 0, steps: Vec::new() }
    }

    /// A slot of a pointer's width.
    pub(crate) fn slot(&mut self) -> Slot {
        self.block(0)
    }

    /// A slot of so many bytes.
    pub(crate) fn block(&mut self, size: u32) -> Slot {
        self.slots.push(size);
        Slot(self.slots.len() - 1)
    }

    pub(crate) fn label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels - 1)
    }

    pub(crate) fn step(&mut self, step: Step) {
        self.steps.push(step);
    }

    pub(crate) fn call(&mut self, import: Import, arguments: &[Value]) {
        self.step(Step::Call(import, arguments.to_vec()));
    }

    pub(crate) fn returns(&mut self, value: Value) {
        self.step(Step::Return(value));
    }

    /// Leaves with what the call just before returned if that is no success; `kept` holds it.
    pub(crate) fn check(&mut self, kept: Slot) {
        let good = self.label();
        let bad = self.label();
        self.step(Step::Set(kept, Value::Result));
        self.step(Step::IfFailed(Value::Slot(kept), bad));
        self.step(Step::Goto(good));
        self.step(Step::Place(bad));
        self.returns(Value::Slot(kept));
        self.step(Step::Place(good));
    }

    /// The largest number of arguments that it calls with; a number of 64 bits counts as one.
    pub(crate) fn outgoing(&self) -> u32 {
        self.steps
            .iter()
            .map(|step| match step {
                Step::Call(_, arguments) | Step::CallOwn(_, arguments) => arguments.len() as u32,
                _ => 0,
            })
            .max()
            .unwrap_or(0)
    }
}
