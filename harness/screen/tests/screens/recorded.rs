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

/// A picture of the collection beside the workspace; `None` where that is not there.
fn artifact(name: &str) -> Option<Frame> {
    let root = std::env::var_os("LOOPBREAK_ARTIFACTS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/artifacts"),
        Into::into,
    );
    let path = root.join("screens").join(name);
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
    for name in ["bsod-1.png", "bsod-3.png"] {
        let Some(frame) = artifact(name) else { return };
        let (kind, certainty, evidence) = told(&frame);
        assert_eq!((kind, certainty), (ScreenKind::BlueStop, Certainty::Likely), "{evidence}");
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
