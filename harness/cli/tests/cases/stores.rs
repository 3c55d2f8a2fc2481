//! Boot configuration stores.

use crate::unpacked::case;
use crate::{json, loopbreak, says, text};

/// Boot media hold integers in as few bytes as they need.
#[test]
fn integers_shorter_than_eight_bytes_are_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let Some(file) = case("05-short-integers.BCD", folder.path()) else { return };
    let shown = says(folder.path(), &["bcd", "show", text(&file)]);
    for line in [
        "debugtype               Serial",
        "debugport               1",
        "baudrate                115200",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    let get = ["bcd", "get", text(&file), "{dbgsettings}", "baudrate"];
    assert_eq!(says(folder.path(), &get).trim(), "115200");
}

/// The device of an image for deployment is understood, shown, and set as Windows writes it.
#[test]
fn a_device_that_is_looked_for_is_shown_with_its_path_and_set() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = case("04-locate.raw", folder.path()) else { return };
    let found = json(folder.path(), &["image", "inspect", text(&disk), "--json"]);
    let loader = &found["boot"]["known"]["default"]["known"];
    assert_eq!(loader["device"]["known"]["device"], r"locate=\Windows");
    assert_eq!(loader["device"]["known"]["partition"]["known"], 2);
    let program = &loader["program-device"]["known"];
    assert_eq!(program["device"], r"locate=\Windows\System32\winload.efi");
    let Some(store) = case("05-short-integers.BCD", folder.path()) else { return };
    let set = |device: &str| {
        let file = text(&store);
        loopbreak(folder.path(), &["bcd", "set", file, "{bootmgr}", "device", device])
    };
    assert!(set(r"locate=\EFI\Microsoft\Boot\bootmgfw.efi").status.success());
    let shown = says(folder.path(), &["bcd", "show", text(&store)]);
    assert!(shown.contains(r"device                  locate=\EFI\Microsoft\Boot\bootmgfw.efi"));
    assert!(!set("locate=x").status.success());
}
