//! The faulty drivers as other readers see them, for both processors.

use std::process::Command;

use iced_x86::{Code, Decoder, DecoderOptions, OpKind};
use object::{Object, ObjectSection};
use scenario::{AccessBy, Arch, Chance, Defect, Delay, PoolDamage, RaisedIrql, Trigger, Truncated};

use super::*;

/// Every defect, way and trigger that makes a difference to the code.
fn all() -> Vec<FaultyDriverOptions> {
    let mut all: Vec<FaultyDriverOptions> = defects()
        .into_iter()
        .filter(|defect| *defect != Defect::MissingFile)
        .map(FaultyDriverOptions::new)
        .collect();
    for how in [PoolDamage::Overrun, PoolDamage::DoubleFree] {
        let damage = scenario::PoolCorruption { how };
        all.push(FaultyDriverOptions::new(Defect::PoolCorruption(damage)));
    }
    for access in [scenario::Access::Write, scenario::Access::Execute] {
        let raised = RaisedIrql { access, ..RaisedIrql::default() };
        all.push(FaultyDriverOptions::new(Defect::RaisedIrql(raised)));
    }
    let by_kernel = RaisedIrql { by: AccessBy::Kernel, ..RaisedIrql::default() };
    all.push(FaultyDriverOptions::new(Defect::RaisedIrql(by_kernel)));
    let raised = scenario::EndlessLoop { irql: scenario::Irql::Dispatch };
    all.push(FaultyDriverOptions::new(Defect::EndlessLoop(raised)));
    for trigger in [Trigger::Thread, Trigger::Timer, Trigger::Session] {
        let trigger = trigger(Delay { seconds: 3 });
        all.push(FaultyDriverOptions {
            trigger,
            only_on_boot: Some(2),
            chance: Some(Chance { percent: 40, seed: 7 }),
            ..FaultyDriverOptions::new(Defect::NullRead)
        });
    }
    let narrow: Vec<_> =
        all.iter().map(|o| FaultyDriverOptions { arch: Arch::X86, ..o.clone() }).collect();
    all.extend(narrow);
    let inert: Vec<_> =
        all.iter().map(|o| FaultyDriverOptions { inert: true, ..o.clone() }).collect();
    all.extend(inert);
    all
}

fn made(options: &FaultyDriverOptions) -> Vec<u8> {
    build(&DriverKind::Faulty(options.clone())).unwrap()
}

fn is_whole(options: &FaultyDriverOptions) -> bool {
    options.inert || !matches!(options.defect, Defect::Truncated(_))
}

fn has_right_checksum(options: &FaultyDriverOptions) -> bool {
    options.inert || options.defect != Defect::BadChecksum
}

#[test]
fn the_same_options_give_the_same_bytes_and_each_defect_others() {
    let mut seen = std::collections::BTreeMap::new();
    for options in all() {
        let bytes = made(&options);
        assert_eq!(bytes, made(&options));
        if let Some(other) = seen.insert(bytes, options.clone()) {
            // Without their defect those of the file are all the same driver, and the wrong machine's
            // is a sound one for the other processor.
            let sound = |o: &FaultyDriverOptions| o.inert || o.defect == Defect::WrongMachine;
            assert!(sound(&options) && sound(&other), "{options:?} is {other:?}");
        }
    }
}

#[test]
fn goblin_and_pelite_read_the_same_as_object() {
    use pelite::image::IMAGE_NT_HEADERS_SIGNATURE as SIGNATURE;
    for options in all().iter().filter(|options| is_whole(options)) {
        let bytes = made(options);
        let field = checksum_field(&bytes);
        let stored = u32::from_le_bytes(bytes[field..field + 4].try_into().unwrap());
        let goblin = goblin::pe::PE::parse(&bytes).unwrap();
        let names: Vec<String> =
            goblin.imports.iter().map(|import| format!("{}!{}", import.dll, import.name)).collect();
        let sections: Vec<String> =
            goblin.sections.iter().map(|s| s.name().unwrap().to_owned()).collect();

        let file = object::File::parse(&*bytes).unwrap();
        let by_object: Vec<String> = file
            .imports()
            .unwrap()
            .map(|import| {
                let i = import.unwrap();
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                let object::read::NameOrOrdinal::Name(name) = i.name() else {
                    panic!("an import by number")
                };
                format!("{}!{}", text(i.library()), text(name))
            })
            .collect();
        assert_eq!(names, by_object);
        let by_object: Vec<String> =
            file.sections().map(|section| section.name().unwrap().to_owned()).collect();
        assert_eq!(sections, by_object);

        macro_rules! pelite {
            ($pe:ident) => {{
                use pelite::$pe::{Pe, PeFile};
                let file = PeFile::from_bytes(&bytes).unwrap();
                assert_eq!(file.nt_headers().Signature, SIGNATURE);
                let mut found = Vec::new();
                for module in file.imports().unwrap() {
                    let dll = module.dll_name().unwrap().to_string();
                    for import in module.int().unwrap() {
                        let pelite::$pe::imports::Import::ByName { name, .. } = import.unwrap()
                        else {
                            panic!("an import by number")
                        };
                        found.push(format!("{dll}!{name}"));
                    }
                }
                assert_eq!(found, names);
                let right = file.optional_header().CheckSum == file.headers().check_sum();
                assert_eq!(right, has_right_checksum(options), "{options:?}");
                assert_eq!(file.optional_header().CheckSum, stored);
                // Every relocation lies in the image and points into it.
                let base = file.optional_header().ImageBase as u64;
                let end = base + u64::from(file.optional_header().SizeOfImage);
                for block in file.base_relocs().unwrap().iter_blocks() {
                    for word in block.words().iter().filter(|word| block.type_of(word) != 0) {
                        let value = match block.type_of(word) {
                            10 => file.derva_copy::<u64>(block.rva_of(word)).unwrap(),
                            3 => u64::from(file.derva_copy::<u32>(block.rva_of(word)).unwrap()),
                            other => panic!("relocation of type {other}"),
                        };
                        assert!((base..end).contains(&value), "{value:#x} in {options:?}");
                    }
                }
                let resources = file.resources().unwrap();
                let version = resources.version_info().unwrap();
                let number = version.fixed().unwrap().dwFileVersion;
                assert_eq!((number.Major, number.Minor), (7, 11));
            }};
        }
        let is_narrow = (options.arch == Arch::X86)
            != (options.defect == Defect::WrongMachine && !options.inert);
        assert_eq!(goblin.is_64, !is_narrow);
        if is_narrow {
            pelite!(pe32);
        } else {
            pelite!(pe64);
        }
    }
}

#[test]
fn x86_takes_the_interrupt_level_from_hal() {
    let raised = Defect::RaisedIrql(RaisedIrql::default());
    let narrow =
        FaultyDriverOptions { arch: Arch::X86, ..FaultyDriverOptions::new(raised.clone()) };
    let modules = |options: &FaultyDriverOptions| -> Vec<String> {
        let bytes = made(options);
        let pe = goblin::pe::PE::parse(&bytes).unwrap();
        let mut names: Vec<String> = pe.libraries.iter().map(ToString::to_string).collect();
        names.sort();
        names.dedup();
        names
    };
    assert_eq!(modules(&narrow), ["hal.dll", "ntoskrnl.exe"]);
    assert_eq!(modules(&FaultyDriverOptions::new(raised)), ["ntoskrnl.exe"]);
}

/// What nothing maps on one system may be a pool on another, so the driver asks, unless the scenario names the address.
#[test]
fn a_wild_address_is_looked_for_unless_it_is_named() {
    let asks = |options: &FaultyDriverOptions| {
        let bytes = made(options);
        let goblin = goblin::pe::PE::parse(&bytes).unwrap();
        goblin.imports.iter().any(|import| import.name == "MmIsAddressValid")
    };
    for arch in [Arch::X86_64, Arch::X86] {
        for address in [None, Some(scenario::Word(0xf123_4568))] {
            let at = || scenario::WildAccess { address };
            let raised = RaisedIrql { address, ..RaisedIrql::default() };
            for defect in [
                Defect::WildRead(at()),
                Defect::WildWrite(at()),
                Defect::WildExecute(at()),
                Defect::RaisedIrql(raised),
            ] {
                let options = FaultyDriverOptions { arch, ..FaultyDriverOptions::new(defect) };
                assert_eq!(asks(&options), address.is_none(), "{options:?}");
                assert!(!asks(&FaultyDriverOptions { inert: true, ..options }));
            }
        }
    }
}

/// All instructions of `.text`.
fn code(bytes: &[u8], bits: u32) -> Vec<iced_x86::Instruction> {
    let file = object::File::parse(bytes).unwrap();
    let text = file.section_by_name(".text").unwrap();
    let data = &text.data().unwrap()[..text.size() as usize];
    Decoder::with_ip(bits, data, text.address(), DecoderOptions::NONE).into_iter().collect()
}

#[test]
fn every_instruction_is_one_and_every_branch_stays_inside() {
    for options in all().iter().filter(|options| is_whole(options)) {
        let bytes = made(options);
        let file = object::File::parse(&*bytes).unwrap();
        let code = code(&bytes, if file.is_64() { 64 } else { 32 });
        let starts: Vec<u64> = code.iter().map(|i| i.ip()).collect();
        for i in &code {
            assert_ne!(i.code(), Code::INVALID, "{options:?}");
            if matches!(i.op0_kind(), OpKind::NearBranch32 | OpKind::NearBranch64) {
                let target = i.near_branch_target();
                assert!(starts.binary_search(&target).is_ok(), "{i} in {options:?}");
            }
        }
    }
}

#[test]
fn objdump_takes_every_whole_image() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("csagent.sys");
    for options in all().iter().filter(|options| is_whole(options)) {
        std::fs::write(&path, made(options)).unwrap();
        let Ok(output) = Command::new("objdump").args(["-x", "-d"]).arg(&path).output() else {
            println!("skipped: objdump is not installed (package binutils)");
            return;
        };
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{options:?}");
        assert!(!text.contains("(bad)"), "{options:?}");
        assert!(text.contains("ntoskrnl.exe"), "{options:?}");
        let complaints: Vec<_> = String::from_utf8_lossy(&output.stderr)
            .lines()
            .filter(|line| !line.contains("IMAGE_SCN_MEM_NOT_PAGED"))
            .map(str::to_owned)
            .collect();
        assert!(complaints.is_empty(), "{options:?}: {complaints:?}");
    }
}

#[test]
fn a_cut_file_is_the_beginning_of_the_whole_one() {
    let truncated = Defect::Truncated(Truncated { percent: 25 });
    let options = FaultyDriverOptions::new(truncated);
    let whole = made(&FaultyDriverOptions { inert: true, ..options.clone() });
    let cut = made(&options);
    assert_eq!(cut.len(), whole.len() / 4);
    assert_eq!(cut, whole[..cut.len()]);
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() {
    let refused =
        |options: FaultyDriverOptions| build(&DriverKind::Faulty(options)).unwrap_err().to_string();
    let later = Trigger::Timer(Delay { seconds: 1 });
    let with =
        |defect, trigger| FaultyDriverOptions { trigger, ..FaultyDriverOptions::new(defect) };
    assert!(refused(with(Defect::WrongMachine, later)).contains("leave the trigger out"));
    assert!(refused(with(Defect::Deadlock, later)).contains("use the trigger `thread`"));
    let failure = Defect::FailureStatus(Default::default());
    assert!(refused(with(failure, later)).contains("`entry` only"));
    assert!(refused(with(Defect::MissingFile, Trigger::Entry)).contains("use it in a scenario"));
    let import = scenario::MissingImport { module: "a b".to_owned(), ..Default::default() };
    assert!(refused(FaultyDriverOptions::new(Defect::MissingImport(import))).contains("`a b`"));
}

#[test]
fn a_seed_decides_in_the_same_way_and_about_as_often_as_it_says() {
    for seed in [0, 1, 7, 0xdead_beef] {
        let hits = |percent| {
            (1..=1000)
                .filter(|boot| acts(*boot, None, Some(Chance { percent, seed })))
                .collect::<Vec<u32>>()
        };
        assert_eq!(hits(30), hits(30));
        assert!((240..=360).contains(&hits(30).len()), "seed {seed}: {}", hits(30).len());
    }
    assert!(acts(3, Some(3), None) && !acts(4, Some(3), None));
}
