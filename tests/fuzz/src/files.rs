//! What an inspection reads besides: event logs, programs, the texts of Windows' own tools; and the frames of
//! a display.

use inspect::event_log::EventLog;
use inspect::executable::Executable;
use inspect::recovery_image::RecoveryImage;
use inspect::servicing::PendingXml;
use inspect::startup_repair::StartupRepair;
use screen::Frame;
use winfmt::freeldr::FreeLdr;

/// The input is an event log, of either form.
pub(crate) fn event_log(input: &[u8]) {
    if let Ok(log) = EventLog::read(&with_sums(input.to_vec())) {
        assert!(log.events.len() <= 512, "the documented bound");
    }
}

/// Makes the checksums of an EVTX file right, in its header and in each chunk's.
fn with_sums(mut log: Vec<u8>) -> Vec<u8> {
    const HEADER: usize = 4096;
    const CHUNK: usize = 65536;
    if log.len() >= 128 && log.starts_with(b"ElfFile\0") {
        let sum = crc32fast::hash(&log[..120]).to_le_bytes();
        log[124..128].copy_from_slice(&sum);
    }
    for chunk in log.get_mut(HEADER..).unwrap_or_default().chunks_mut(CHUNK) {
        if chunk.len() < 512 || !chunk.starts_with(b"ElfChnk\0") {
            continue;
        }
        let free = u32::from_le_bytes([chunk[48], chunk[49], chunk[50], chunk[51]]) as usize;
        if let Some(records) = chunk.get(512..free) {
            let sum = crc32fast::hash(records).to_le_bytes();
            chunk[52..56].copy_from_slice(&sum);
        }
        let mut header = crc32fast::Hasher::new();
        header.update(&chunk[..120]);
        header.update(&chunk[128..512]);
        let sum = header.finalize().to_le_bytes();
        chunk[124..128].copy_from_slice(&sum);
    }
    log
}

/// Both forms with nothing in them: what the format demands, and no record.
pub(crate) fn event_log_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut evtx = vec![0; 4096 + 512];
    evtx[..8].copy_from_slice(b"ElfFile\0");
    evtx[24] = 1; // next record
    evtx[32..36].copy_from_slice(&128_u32.to_le_bytes());
    evtx[36..40].copy_from_slice(&0x0003_0001_u32.to_le_bytes());
    evtx[40..42].copy_from_slice(&4096_u16.to_le_bytes());
    evtx[42] = 1; // chunks
    let chunk = &mut evtx[4096..];
    chunk[..8].copy_from_slice(b"ElfChnk\0");
    chunk[40..44].copy_from_slice(&128_u32.to_le_bytes());
    chunk[44..48].copy_from_slice(&512_u32.to_le_bytes());
    chunk[48..52].copy_from_slice(&512_u32.to_le_bytes());

    let mut evt = vec![0; 48];
    evt[..4].copy_from_slice(&48_u32.to_le_bytes());
    evt[4..8].copy_from_slice(b"LfLe");
    evt[8] = 1;
    evt[12] = 1;
    evt[16..20].copy_from_slice(&48_u32.to_le_bytes());
    evt[20..24].copy_from_slice(&48_u32.to_le_bytes());
    evt[44..48].copy_from_slice(&48_u32.to_le_bytes());
    vec![("evtx", with_sums(evtx)), ("evt", evt)]
}

/// The input is a program's file.
pub(crate) fn executable(input: &[u8]) {
    let _ = Executable::read(input);
}

/// The headers of a driver for x86-64 with one section of resources, and those resources.
pub(crate) fn executable_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut file = vec![0; 0x600];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &[0x40]);
    put(0x40, b"PE\0\0\x64\x86\x01\0");
    put(0x54, &[0xf0, 0, 0x22, 0]); // size of the optional header, characteristics
    put(0x58, &[0x0b, 0x02]); // PE32+
    put(0x58 + 32, &[0, 0x10, 0, 0, 0, 2, 0, 0]); // alignments
    put(0x58 + 56, &[0, 0x20, 0, 0, 0, 2, 0, 0]); // sizes of image and headers
    put(0x58 + 68, &[1]); // native
    put(0x58 + 108, &[16]); // directories
    put(0x58 + 112 + 16, &[0, 0x10, 0, 0, 0, 4, 0, 0]); // resources
    put(0x148, b".rsrc\0\0\0\0\x04\0\0\0\x10\0\0\0\x04\0\0\0\x02\0\0");
    // Three levels of directories with one entry each: version resource, its name, its language.
    for (level, name, next) in [(0_usize, 16_u8, 0x18_u32), (1, 1, 0x30), (2, 9, 0x48)] {
        let at = 0x200 + level * 0x18;
        put(at + 14, &[1, 0, name]);
        let next = if level < 2 { next | 0x8000_0000 } else { next };
        put(at + 20, &next.to_le_bytes());
    }
    put(0x248, &[0x58, 0x10, 0, 0, 0x5c, 0, 0, 0]);
    put(0x258, &[0x5c, 0, 0x34, 0, 0, 0]);
    let key: Vec<u8> = "VS_VERSION_INFO".encode_utf16().flat_map(u16::to_le_bytes).collect();
    put(0x25e, &key);
    put(0x280, &0xfeef_04bd_u32.to_le_bytes());
    put(0x288, &[1, 0, 10, 0, 2, 0, 3, 0]);
    vec![("driver", file)]
}

/// The first two bytes of the input are the size of a frame, the rest its pixels, repeated.
pub(crate) fn screen(input: &[u8]) {
    let [width, height, pixels @ ..] = input else { return };
    let (width, height) = (u32::from(*width) * 4, u32::from(*height) * 4);
    let needed = width as usize * height as usize * 3;
    if pixels.is_empty() && needed > 0 {
        return;
    }
    let rgb = pixels.iter().copied().cycle().take(needed).collect();
    let frame = Frame::new(width, height, rgb).expect("as many pixels as it says");
    let _ = screen::classify(&frame);
    let _ = Frame::decode(input);
}

pub(crate) fn screen_seeds() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("blue", vec![160, 120, 0, 0, 128]),
        ("stripes", [&[80, 60][..], &[0, 120, 215].repeat(40), &[255; 30]].concat()),
    ]
}

/// The input is a text that Windows or ReactOS leaves: a trail of Startup Repair, a list of pending changes,
/// a boot configuration.
pub(crate) fn texts(input: &[u8]) {
    if let Ok(trail) = StartupRepair::read(input) {
        let _ = trail.repaired();
    }
    let _ = PendingXml::read(input);
    let text = String::from_utf8_lossy(input);
    let _ = screen::read(&text);
    let Ok(mut settings) = FreeLdr::parse(input) else { return };
    assert_eq!(settings.to_bytes(), input, "what was not changed is given back as it was");
    let _ = (settings.problems(), settings.entries(), settings.default_entry());
    if settings.set("FREELOADER", "TimeOut", "7").is_ok() {
        let again = FreeLdr::parse(&settings.to_bytes()).expect("what was written parses");
        assert_eq!(again.get("freeloader", "timeout").as_deref(), Some("7"));
    }
}

pub(crate) fn text_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let trail = "Startup Repair diagnosis and repair log\r\n---------------------------\r\n\
        Number of repair attempts: 1\r\n\r\nSession details\r\n---------------------------\r\n\
        System Disk = \\Device\\Harddisk0\r\nWindows directory = C:\\Windows\r\n\r\n\
        Test Performed: \r\n---------------------------\r\nName: Disk failure diagnosis\r\n\
        Result: Completed successfully. Error code =  0x0\r\nTime taken = 16 ms\r\n\r\n\
        Root cause found: \r\n---------------------------\r\nA patch is preventing the system from starting.\r\n\r\n\
        Repair action: \r\nResult: Failed. Error code =  0x490\r\nTime taken = 31 ms\r\n";
    let wide =
        [0xff, 0xfe].into_iter().chain(trail.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let pending = "<?xml version='1.0' encoding='utf-8'?><PendingTransaction Version=\"3.1\" \
        WcpVersion=\"10.0.1\"><POQ><CreateFile path=\"\\??\\C:\\a\"/><HardlinkFile source=\"a\" \
        destination=\"b\"/></POQ></PendingTransaction>";
    let settings = "[FREELOADER]\r\nDefaultOS=ReactOS\r\nTimeOut=0\r\n; a comment\r\n\r\n\
        [Operating Systems]\r\nReactOS=\"ReactOS\"\r\n\r\n[ReactOS]\r\nBootType=Windows2003\r\n\
        SystemPath=multi(0)disk(0)rdisk(0)partition(1)\\ReactOS\r\nOptions=/DEBUG /DEBUGPORT=COM1\r\n";
    let screen = "A problem has been detected and Windows has been shut down\nSYSTEM_SERVICE_EXCEPTION\n\
        *** STOP: 0x0000003B (0x00000000C0000005,0xFFFFF80001234567,0x0,0x0)\nWhat failed: csagent.sys\n";
    vec![
        ("trail", trail.into()),
        ("trail-wide", wide),
        ("pending", pending.into()),
        ("freeldr", settings.into()),
        ("stop-screen", screen.into()),
    ]
}

/// The input is the image of a recovery environment.
pub(crate) fn recovery_image(input: &[u8]) {
    if let Ok(image) = RecoveryImage::from_bytes(input) {
        let _ = image.booted();
    }
}
