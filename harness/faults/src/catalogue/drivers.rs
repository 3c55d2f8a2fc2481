//! Drivers, their defects, and what vendors bring along.

use super::{ANY_DISK, DefectInfo, KindInfo, OFFLINE, driver_examples, vendor_examples};

pub(super) const KINDS: &[KindInfo] = &[
    KindInfo {
        name: "content-driver",
        title: "a kernel driver that interprets content files without checking how many inputs it has",
        what: "A real x86-64 driver, made by loopbreak, with its service. It interprets every file of \
               its pattern in its content folder while the system starts, and again when the folder \
               changes. A file that declares a 21st field with a pattern makes it read past its 20 \
               inputs and use what lies there as an address: stop 0x50 that blames the driver. After \
               channel file 291 of 19 July 2024; harmless without such a file. With `runs-in = \
               \"user\"` the same code is a service's own process, which the service manager starts again \
               twice, after five seconds each.",
        lands: "Offline: the driver in C:\\Windows\\System32\\drivers and its service key in the SYSTEM \
                hive. Both are read back from the disk: size and digest of the file, every value.",
        undone: "The key and the file are removed, or what was there before is put back.",
        inert: "The same driver: it does nothing by itself.",
        images: "As for drivers. In user mode on the understudy only, which runs such an image as a process: \
                 Windows starts no program that imports from its kernel.",
        expect: "Nothing by itself. With a file whose 21st field is a pattern: stop 0x50 in the driver, \
                 at once and at every start; in user mode the process ends and the machine stays up. A file that is empty, all zeros, cut off, of another \
                 beginning or of a later version is ignored with a line to the debugger; one that \
                 declares a field too many is ignored as malformed.",
        examples: driver_examples::CONTENT_DRIVER,
    },
    KindInfo {
        name: "content-file",
        title: "a file that a driver or program on the machine reads",
        what: "A channel file in loopbreak's own stand-in format (how many fields it declares, which \
               of them hold a pattern, damage to the file itself), a text, or a file beside the \
               scenario.",
        lands: "Staged: written to the disk before power-on, read back from it. Healthy: written \
                through the guest agent while the machine is up and read back through it, unless the \
                machine stops first; then the file is read from the disk after the run.",
        undone: "The file is removed, or what was there before is put back.",
        inert: "The same file where the fields that the driver has no input for are wildcards; an \
                empty file in place of a text.",
        images: ANY_DISK,
        expect: "What the reader of the file makes of it; see content-driver.",
        examples: driver_examples::CONTENT_FILE,
    },
    KindInfo {
        name: "content-updater",
        title: "a service that fetches content files from the vendor",
        what: "A service in user mode, given and harmless. It asks the scenario's content service when it \
               starts, and again from time to time, removes content that is out of date and writes what it \
               got. With a content driver that first looks once a session can begin, it races with the \
               crash: after the advice of July 2024 to restart machines up to 15 times.",
        lands: "Offline: its program and its service key in the SYSTEM hive, both read back from the disk.",
        undone: "The key and the file are removed, or what was there before is put back.",
        inert: "The same service: it only helps.",
        images: "The understudy, which does what the service's parameters say. On Windows it is the \
                 vendor's own updater that has to be in the image, and the content service speaks \
                 loopbreak's own protocol: there this kind installs an idle program.",
        expect: "Nothing by itself. On a boot on which it reaches its service before the driver looks, the \
                 machine is healthy from then on.",
        examples: vendor_examples::CONTENT_UPDATER,
    },
    KindInfo {
        name: "driver",
        title: "a driver with one thing wrong with it, and the service that starts it",
        what: "A real driver, x86-64 or x86, made by loopbreak, with any file name and version. Its \
               defect acts while it starts, in a thread or a timer's routine some seconds later, or \
               once a session can begin; on every start, on one of them, or on some that follow from \
               a seed. It may be signed by a test authority, rightly or wrongly.",
        lands: "Offline: the driver in C:\\Windows\\System32\\drivers and its service key in the SYSTEM \
                hive; for a signed one the test authority in the SOFTWARE hive's certificate stores. \
                All are read back from the disk: size and digest of the file, every value.",
        undone: "The key, the file and the certificates are removed, or what was there before is put \
                 back.",
        inert: "The same driver, installed in the same way, that takes the same steps without the \
                mistake; a badly signed one is signed rightly, as is an unsigned one where the scenario \
                is given a machine with `nointegritychecks` off.",
        images: OFFLINE,
        expect: "That of its defect. A driver that is not loaded or reports failure is handled by the \
                 service's error control: ignore and normal go on; severe and critical start again \
                 with the last known good control set where that is enabled; critical stops with 0x5A \
                 where it is not. One that is refused for its signature: 0xC0000428; for a boot driver \
                 that is severe or critical on the loader's screen.",
        examples: driver_examples::DRIVER,
    },
    KindInfo {
        name: "driver-file",
        title: "a driver file of yours, and the service that starts it",
        what: "A .sys file from the scenario's folder, with a service of any start type, error control \
               and group.",
        lands: "Offline: the file in C:\\Windows\\System32\\drivers and its service key in the SYSTEM \
                hive, both read back from the disk.",
        undone: "The key and the file are removed, or what was there before is put back.",
        inert: "An inert driver of loopbreak under the same name, with the same service.",
        images: OFFLINE,
        expect: "Whatever the driver does. On the understudy it may import only what its kernel exports.",
        examples: vendor_examples::DRIVER_FILE,
    },
    KindInfo {
        name: "driver-package",
        title: "a driver package of yours, installed as its INF says",
        what: "An INF and the files beside it: CopyFiles, AddReg, AddService with the service's section, \
               and the class's own registry values, filters among them. The package is put into the \
               driver store, so that it can be uninstalled. What binds a driver to a device is left \
               out, because nothing is plugged in offline.",
        lands: "Offline: files and registry values as the sections say, each read back from the disk. A \
                filter is added to the list that is there.",
        undone: "Files, keys and values are removed, or what was there before is put back.",
        inert: "The same installation with inert drivers of loopbreak in place of the .sys files.",
        images: OFFLINE,
        expect: "Whatever the drivers do. A package that is only bound to a device does not start \
                 before Windows finds that device.",
        examples: vendor_examples::DRIVER_PACKAGE,
    },
    KindInfo {
        name: "update",
        title: "a folder of yours, copied to the machine",
        what: "All files of a folder beside the scenario, copied with their folders. Files that are \
               there already are replaced.",
        lands: "Staged: written to the disk before power-on, read back from it. Healthy: written \
                through the guest agent, file by file, and read back through it.",
        undone: "The files are removed, or what was there before is put back.",
        inert: "The same files in a folder of C:\\Windows\\Temp, where nothing reads them.",
        images: ANY_DISK,
        expect: "What the machine makes of the new files.",
        examples: vendor_examples::UPDATE,
    },
];

const LOADED_NOT: &str = "The driver is not loaded; what follows is its service's error control: \
                          critical stops with 0x5A, or goes back to the last known good control set \
                          where that is enabled. A boot driver that the loader cannot load ends the \
                          start before the kernel runs, with this status on the loader's screen, \
                          unless its error control is ignore or normal.";

pub(super) const DEFECTS: &[DefectInfo] = &[
    DefectInfo {
        name: "null-read",
        title: "reads through a null pointer",
        what: "Reads 32 bits at address 0, at passive level or, from a timer, at IRQL 2.",
        inert: "Reads its own memory.",
        stops: &[0x7e, 0xd1],
        expect: "0x7E (0xC0000005; the instruction in the driver); from a timer 0xD1 (0; 2; 0; the \
                 instruction).",
    },
    DefectInfo {
        name: "wild-read",
        title: "reads an address that nothing maps",
        what: "Reads 32 bits at an address of the kernel's half: the one that is given, or the first that \
               nothing maps from 0xFFFF840500000074 on (0xF0000074 for x86), by MmIsAddressValid.",
        inert: "Reads its own memory.",
        stops: &[0x50, 0xd1],
        expect: "0x50 (the address; 0; the instruction; 2); from a timer 0xD1.",
    },
    DefectInfo {
        name: "wild-write",
        title: "writes to an address that nothing maps",
        what: "Writes 32 bits there.",
        inert: "Writes to its own memory.",
        stops: &[0x50, 0xd1],
        expect: "0x50 (the address; 2; the instruction; 2); from a timer 0xD1.",
    },
    DefectInfo {
        name: "wild-execute",
        title: "calls an address that nothing maps",
        what: "Calls it. Nobody is to blame by the instruction's address: analysis goes by the stack.",
        inert: "Calls a function of its own.",
        stops: &[0x50, 0xd1],
        expect: "0x50 (the address; 0x10; the address; 2); from a timer 0xD1 (the address; 2; 8).",
    },
    DefectInfo {
        name: "raised-irql",
        title: "touches missing memory while interrupts are held off",
        what: "Raises the IRQL to 2 and reads, writes or calls an address that nothing maps, or has the \
               kernel read it (RtlInitUnicodeString).",
        inert: "Raises the IRQL, touches its own resident memory, and lowers it.",
        stops: &[0xd1, 0xa],
        expect: "0xD1 (the address; 2; 0 read, 1 write, 8 execute; the instruction); 0xA with `by = \
                 \"kernel\"`, in ntoskrnl.exe.",
    },
    DefectInfo {
        name: "bug-check",
        title: "stops the system by a call",
        what: "Calls KeBugCheckEx with any code and four parameters.",
        inert: "Goes past the call.",
        stops: &[0xe2],
        expect: "The code and parameters that were given; 0xE2 unless another is.",
    },
    DefectInfo {
        name: "divide-error",
        title: "divides by zero",
        what: "A division instruction with a divisor of zero.",
        inert: "Divides by one.",
        stops: &[0x7e, 0x1e],
        expect: "0x7E (0xC0000094); from a timer 0x1E.",
    },
    DefectInfo {
        name: "stack-exhaustion",
        title: "calls itself until its stack is used up",
        what: "Each call takes 1 KiB of a kernel stack of 24 KiB (x86: 12 KiB).",
        inert: "Calls itself three times.",
        stops: &[0x7f],
        expect: "0x7F (8: double fault).",
    },
    DefectInfo {
        name: "pool-corruption",
        title: "damages the kernel's memory pool",
        what: "Writes over a block's header, or beyond its end, or frees it twice.",
        inert: "Writes into its block and frees it once.",
        stops: &[0x19, 0xc2, 0x13a],
        expect: "Header and overrun: 0x19, or 0xC2 or 0x13A with the heaps of newer builds, at once or \
                 when somebody else uses the neighbour; then another module may be blamed. Freed twice: \
                 0xC2 (7 or 0x46).",
    },
    DefectInfo {
        name: "deadlock",
        title: "two threads wait for each other",
        what: "The driver's start and a thread of its own take two mutexes in different order.",
        inert: "Both take them in the same order.",
        stops: &[],
        expect: "The start never goes on: the machine hangs.",
    },
    DefectInfo {
        name: "endless-loop",
        title: "runs in circles for ever",
        what: "At passive level, or at IRQL 2 where nothing else runs on that processor.",
        inert: "Goes round a thousand times.",
        stops: &[0x133],
        expect: "The machine hangs. At IRQL 2 Windows may stop with 0x133 after some minutes, once its \
                 watchdog runs.",
    },
    DefectInfo {
        name: "slow-start",
        title: "takes its time",
        what: "Waits so many seconds in its start.",
        inert: "Waits for a millisecond.",
        stops: &[],
        expect: "The start takes that much longer and is healthy.",
    },
    DefectInfo {
        name: "failure-status",
        title: "reports that it could not start",
        what: "Its start returns a status that means failure.",
        inert: "Returns success.",
        stops: &[0x5a],
        expect: "By the service's error control: ignore and normal go on; severe and critical start again \
                 with the last known good control set where that is enabled; critical stops with 0x5A \
                 where it is not.",
    },
    DefectInfo {
        name: "missing-import",
        title: "needs a function that is not there",
        what: "Imports a function or a whole module that does not exist.",
        inert: "Imports what there is.",
        stops: &[0x5a],
        expect: LOADED_NOT,
    },
    DefectInfo {
        name: "wrong-machine",
        title: "is made for another processor",
        what: "A sound x86 driver on x86-64, and the other way round.",
        inert: "The driver for the right processor.",
        stops: &[0x5a],
        expect: LOADED_NOT,
    },
    DefectInfo {
        name: "bad-checksum",
        title: "has a wrong checksum",
        what: "The header's checksum does not fit the file, as after a bad copy.",
        inert: "The right checksum.",
        stops: &[0x5a],
        expect: LOADED_NOT,
    },
    DefectInfo {
        name: "truncated",
        title: "was cut off in the middle",
        what: "Only the first part of the file is there, half of it unless another part is given.",
        inert: "The whole file.",
        stops: &[0x5a],
        expect: LOADED_NOT,
    },
    DefectInfo {
        name: "missing-file",
        title: "is not there, only its service is",
        what: "A service key without the file that it names.",
        inert: "The file is there too, and does nothing.",
        stops: &[0x5a],
        expect: LOADED_NOT,
    },
];
