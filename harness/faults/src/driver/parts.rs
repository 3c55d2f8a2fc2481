//! What a driver image is made of besides its code, and where each part lies.

use std::collections::BTreeMap;

use scenario::Arch;

const KERNEL: &str = "ntoskrnl.exe";
/// What an x86 kernel leaves to `hal.dll`.
const HAL: [&str; 2] = ["KeLowerIrql", "KeRaiseIrqlToDpcLevel"];

/// An import: the number of its module, and its own within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Import(usize, usize);

/// Something in `.rdata` or `.data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data {
    /// Offset in the constants.
    Constant(u32),
    /// Offset in the variables.
    Variable(u32),
}

impl Data {
    /// A part of it.
    pub(crate) fn at(self, offset: u32) -> Self {
        match self {
            Self::Constant(at) => Self::Constant(at + offset),
            Self::Variable(at) => Self::Variable(at + offset),
        }
    }
}

/// Bytes of a pointer.
pub(super) fn width(arch: Arch) -> u32 {
    match arch {
        Arch::X86_64 => 8,
        Arch::X86 => 4,
    }
}

/// The base that a driver is linked for.
pub(super) fn image_base(arch: Arch) -> u64 {
    match arch {
        Arch::X86_64 => 0x1_4000_0000,
        Arch::X86 => 0x1_0000,
    }
}

/// The functions of a module that are imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Module {
    pub(super) name: String,
    pub(super) functions: Vec<String>,
}

/// What a driver is made of, besides its code.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parts {
    pub(super) arch: Arch,
    pub(super) modules: Vec<Module>,
    pub(super) constants: Vec<u8>,
    /// Places in the constants that hold the address of another constant.
    pub(super) pointers: Vec<(u32, u32)>,
    pub(super) variables: u32,
    texts: BTreeMap<String, u32>,
}

impl Parts {
    pub(crate) fn new(arch: Arch) -> Self {
        Self { arch, ..Self::default() }
    }

    /// A function of the kernel. On x86 those of the hardware abstraction layer are in a module of
    /// their own; on x86-64 the kernel has them too.
    pub(crate) fn import(&mut self, name: &'static str) -> Import {
        let hal = self.arch == Arch::X86 && HAL.contains(&name);
        self.import_from(if hal { "hal.dll" } else { KERNEL }, name)
    }

    /// A function of any module.
    pub(crate) fn import_from(&mut self, module: &str, name: &str) -> Import {
        let known = self.modules.iter().position(|known| known.name == module);
        let module = known.unwrap_or_else(|| {
            self.modules.push(Module { name: module.to_owned(), functions: Vec::new() });
            self.modules.len() - 1
        });
        let functions = &mut self.modules[module].functions;
        let known = functions.iter().position(|known| known == name);
        let function = known.unwrap_or_else(|| {
            functions.push(name.to_owned());
            functions.len() - 1
        });
        Import(module, function)
    }

    /// True for functions with a variable number of arguments.
    pub(super) fn is_variadic(&self, Import(module, function): Import) -> bool {
        self.modules[module].functions[function] == "DbgPrint"
    }

    /// Bytes of one table of imports: an entry a function, and an empty one after each module.
    pub(super) fn import_table_size(&self) -> u32 {
        let entries: usize = self.modules.iter().map(|module| module.functions.len() + 1).sum();
        width(self.arch) * entries as u32
    }

    fn align(&mut self, to: usize) -> u32 {
        self.constants.resize(self.constants.len().next_multiple_of(to), 0);
        self.constants.len() as u32
    }

    /// Bytes, aligned to 8.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Data {
        let at = self.align(8);
        self.constants.extend_from_slice(bytes);
        Data::Constant(at)
    }

    /// An 8-bit text with its final zero.
    pub(crate) fn text(&mut self, text: &str) -> Data {
        if let Some(at) = self.texts.get(text) {
            return Data::Constant(*at);
        }
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        let data = self.bytes(&bytes);
        if let Data::Constant(at) = data {
            self.texts.insert(text.to_owned(), at);
        }
        data
    }

    /// A UNICODE_STRING with its characters.
    pub(crate) fn unicode(&mut self, text: &str) -> Data {
        let characters: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let length = (characters.len() as u16).to_le_bytes();
        let maximum = (characters.len() as u16 + 2).to_le_bytes();
        let buffer = self.align(8);
        self.constants.extend_from_slice(&characters);
        self.constants.extend_from_slice(&[0, 0]);
        let at = self.align(8);
        self.constants.extend_from_slice(&length);
        self.constants.extend_from_slice(&maximum);
        // The pointer is aligned to its own width.
        self.align(width(self.arch) as usize);
        self.pointer(buffer);
        Data::Constant(at)
    }

    /// A table of pointers to constants.
    pub(crate) fn table(&mut self, entries: &[Data]) -> Data {
        let at = self.align(8);
        for entry in entries {
            let Data::Constant(target) = entry else {
                unreachable!("tables are made of constants by this crate only");
            };
            self.pointer(*target);
        }
        Data::Constant(at)
    }

    fn pointer(&mut self, target: u32) {
        self.pointers.push((self.constants.len() as u32, target));
        let end = self.constants.len() + width(self.arch) as usize;
        self.constants.resize(end, 0);
    }

    /// A variable, zero at first, aligned to 8.
    pub(crate) fn variable(&mut self, size: u32) -> Data {
        let at = self.variables;
        self.variables += size.next_multiple_of(8);
        Data::Variable(at)
    }
}

/// Where everything lies, as addresses at the preferred base.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sections {
    pub(super) arch: Arch,
    pub(super) text: u32,
    /// The import addresses of each module.
    import_addresses: Vec<u32>,
    constants: u32,
    pub(super) variables: u32,
}

impl Sections {
    pub(super) fn new(
        parts: &Parts,
        text: u32,
        import_addresses: u32,
        constants: u32,
        variables: u32,
    ) -> Self {
        let mut next = import_addresses;
        let import_addresses = parts
            .modules
            .iter()
            .map(|module| {
                let at = next;
                next += width(parts.arch) * (module.functions.len() as u32 + 1);
                at
            })
            .collect();
        Self { arch: parts.arch, text, import_addresses, constants, variables }
    }

    pub(crate) fn text(&self) -> u64 {
        image_base(self.arch) + u64::from(self.text)
    }

    /// The place where the loader puts the address of an import.
    pub(crate) fn import(&self, Import(module, function): Import) -> u64 {
        let relative = self.import_addresses[module] + width(self.arch) * function as u32;
        image_base(self.arch) + u64::from(relative)
    }

    pub(crate) fn data(&self, data: Data) -> u64 {
        let relative = match data {
            Data::Constant(offset) => self.constants + offset,
            Data::Variable(offset) => self.variables + offset,
        };
        image_base(self.arch) + u64::from(relative)
    }

    /// An address relative to the image.
    pub(crate) fn relative(&self, address: u64) -> u32 {
        (address - image_base(self.arch)) as u32
    }
}
