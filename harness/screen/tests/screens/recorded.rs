//! What real runs recorded, and what Windows itself drew.

use std::path::Path;

use screen::{Certainty, Frame, ScreenKind, classify, with_text};

use crate::told;

fn fixture(name: &str) -> Frame {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/screens/fixtures")
        .join(format!("{name}.png"));
    Frame::decode(&std::fs::read(path).unwrap()).unwrap()
}

fn artifact(name: &str) -> Option<Frame> {
    beside("LOOPBREAK_ARTIFACTS", "artifacts", &format!("screens/{name}"))
}

/// A picture of a collection beside the workspace; `None` where that is not there.
fn beside(variable: &str, folder: &str, name: &str) -> Option<Frame> {
    let root = std::env::var_os(variable).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(folder),
        Into::into,
    );
    let path = root.join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Some(Frame::decode(&bytes).unwrap()),
        Err(_) => {
            println!("skipped: {} is not there", path.display());
            None
        }
    }
}

#[test]
fn the_understudys_screens() {
    for (name, kind) in [
        ("understudy-stop-0", ScreenKind::BlackStop),
        ("understudy-stop-100", ScreenKind::BlackStop),
        ("understudy-stop-7b", ScreenKind::BlackStop),
        ("understudy-recovery-online", ScreenKind::Recovery),
        ("understudy-recovery-no-help", ScreenKind::Recovery),
        ("understudy-boot-error-store", ScreenKind::BootError),
        ("understudy-boot-error-driver", ScreenKind::BootError),
        ("firmware-text", ScreenKind::Picture),
        ("firmware-logo", ScreenKind::Picture),
        ("no-display-yet", ScreenKind::Text),
    ] {
        let (found, certainty, evidence) = told(&fixture(name));
        assert_eq!((found, certainty), (kind, Certainty::Likely), "{name}: {evidence}");
    }
}

#[test]
fn classic_stop_screens_that_windows_drew() {
    let x64 = [0xC000_001D, 0xFFFF_F800_0104_95C6, 0xFFFF_FADF_8EF6_F240, 0];
    for (name, code, parameters) in
        [("bsod-1.png", 0x3B, x64), ("bsod-3.png", 0xD0, [8, 2, 0, 0x8054_805E])]
    {
        let Some(frame) = artifact(name) else { return };
        let seen = classify(&frame);
        assert_eq!(
            (seen.kind, seen.certainty),
            (ScreenKind::BlueStop, Certainty::Sure),
            "{seen:?}"
        );
        let stop = seen.stop.unwrap();
        assert_eq!((stop.code.unwrap().0, stop.parameters), (code, Some(parameters)), "{name}");
    }
}

/// A system that nobody here wrote.
#[test]
fn frames_of_reactos() {
    for (name, kind) in [
        ("stop-0x1e-640x480.png", ScreenKind::BlueStop),
        ("loader-text.png", ScreenKind::Text),
        ("before-logo.png", ScreenKind::Black),
        ("boot-logo.png", ScreenKind::Picture),
        ("log-on-800x600.png", ScreenKind::Desktop),
        ("desktop-800x600.png", ScreenKind::Desktop),
    ] {
        let Some(frame) = beside("LOOPBREAK_CASES", "cases", &format!("reactos-frames/{name}"))
        else {
            return;
        };
        let seen = classify(&frame);
        assert_eq!(seen.kind, kind, "{name}: {seen:?}");
        let Some(stop) = seen.stop else { continue };
        assert_eq!(seen.certainty, Certainty::Sure);
        assert_eq!(stop.name.as_deref(), Some("KMODE_EXCEPTION_NOT_HANDLED"));
        let parameters = [0xC000_0005, 0xF6FF_0084, 0xF75E_282C, 0];
        assert_eq!((stop.code.unwrap().0, stop.parameters), (0x1E, Some(parameters)));
        // A reader of text that is sure of something else does not change what the pixels say.
        let other = "SPIN_LOCK_ALREADY_OWNED\n*** STOP: 0x0000000F (0x00000001,0x00000002,0x3,0x4)";
        let stop = with_text(classify(&frame), other).stop.unwrap();
        assert_eq!((stop.code.unwrap().0, stop.parameters), (0x1E, Some(parameters)));
    }
}

/// Half a frame, as it would be caught while it is drawn, is no stop screen yet, or the same one.
#[test]
fn a_stop_screen_that_is_half_drawn() {
    let frame = fixture("understudy-stop-100");
    for part in 1..16 {
        let mut rgb = frame.rgb().to_vec();
        let from = rgb.len() * part / 16;
        rgb[from - from % 3..].fill(0);
        let half = Frame::new(frame.width(), frame.height(), rgb).unwrap();
        let kind = classify(&half).kind;
        let expected =
            [ScreenKind::Black, ScreenKind::Text, ScreenKind::Picture, ScreenKind::BlackStop];
        assert!(expected.contains(&kind), "{part}: {kind:?}");
        assert_eq!(kind == ScreenKind::BlackStop, part >= 14, "{part}: {kind:?}");
    }
}

#[test]
fn what_the_text_says_makes_it_sure_or_doubtful() {
    let seen = classify(&fixture("understudy-stop-100"));
    let sure = with_text(
        seen.clone(),
        "Your device ran into a problem\nStop code: PAGE_FAULT_IN_NONPAGED_AREA (@x50)\n\
         What failed: csagent.sys\n",
    );
    assert_eq!(sure.certainty, Certainty::Sure);
    let stop = sure.stop.unwrap();
    assert_eq!(stop.code.unwrap().to_string(), "0x00000050");
    assert_eq!(stop.module.as_deref(), Some("csagent.sys"));

    let page =
        "Updates are being worked on. Please keep this computer switched on until it is done.";
    let doubtful = with_text(seen.clone(), page);
    assert_eq!(doubtful.certainty, Certainty::Weak);
    assert!(!doubtful.is_stop());
    // Where hardly anything could be read, the picture stands for itself.
    assert_eq!(with_text(seen.clone(), "~~ --"), seen);

    let error = classify(&fixture("understudy-boot-error-store"));
    let error = with_text(error, "File: \\EFI\\Microsoft\\Boot\\BCD\nError code: 0xc000000f");
    assert_eq!((error.kind, error.certainty), (ScreenKind::BootError, Certainty::Sure));
}
