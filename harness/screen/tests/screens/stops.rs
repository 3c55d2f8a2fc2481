//! Stop screens of other versions, boot manager and recovery environment, drawn after how Windows lays them
//! out. Not pictures of Windows.

use screen::{Certainty, ScreenKind, classify};

use crate::canvas::{BLACK, BLUE, Canvas, GREY, NAVY, Rgb, WHITE};
use crate::told;

/// A QR code for `https://www.windows.com/stopcode?code=0x50`, made by qrencode 4.1.
const QR: [&str; 29] = [
    "#######.###.#######...#######",
    "#.....#.###..#.....#..#.....#",
    "#.###.#.#.##..##.####.#.###.#",
    "#.###.#.##.#.#.##..#..#.###.#",
    "#.###.#........####...#.###.#",
    "#.....#.#..###..##.#..#.....#",
    "#######.#.#.#.#.#.#.#.#######",
    ".........#..#.#..###.........",
    "##..###....#..##.#.##..#.####",
    "..####..###.##.##....########",
    "#..#.##.#..##..#......###...#",
    ".###.#.#..##....#####...##.##",
    "..#.#.###.#.#....#..##.....#.",
    ".#.#...#.......##...#.#.#####",
    "..##..#####....#.##.##..###.#",
    "##...#..##..#....#.#..#....##",
    ".######....#..####.#.#.#...#.",
    "#.###..#....##.#.##...####.##",
    "..#...#....##.##..#.#...#.#.#",
    "..#.#...##.#..##.#####.....##",
    "##..####.##.#.#..#.#######..#",
    "........#....#.##...#...#...#",
    "#######..#.....###.##.#.###.#",
    "#.....#.###.#..#.#.##...#..#.",
    "#.###.#.#..#.##..#.#######..#",
    "#.###.#..##.#.###.#..#.#....#",
    "#.###.#....#####...###...####",
    "#.....#.##.#.#...##.#.#.##.##",
    "#######.##..##.#.#..#..##..#.",
];

fn sad(width: usize, height: usize, ground: Rgb) -> Canvas {
    let x = width / 10;
    Canvas::new(width, height, ground)
        .text(x, height / 8, 160, WHITE, ":(")
        .text(x, height * 4 / 10, 32, WHITE, "Your PC ran into a problem and needs to restart.")
        .text(x, height * 4 / 10 + 44, 32, WHITE, "We're just collecting some error info.")
        .text(x, height * 4 / 10 + 110, 32, WHITE, "20% complete")
}

#[test]
fn the_sad_face_on_every_background() {
    for (ground, kind) in [
        (BLUE, ScreenKind::BlueStop),
        ([16, 113, 170], ScreenKind::BlueStop),
        ([16, 124, 16], ScreenKind::BlueStop),
        (BLACK, ScreenKind::BlackStop),
    ] {
        for (width, height) in [(1024, 768), (1280, 800), (1920, 1080)] {
            let frame = sad(width, height, ground).frame();
            let (found, certainty, evidence) = told(&frame);
            assert_eq!(
                (found, certainty),
                (kind, Certainty::Likely),
                "{ground:?} {width}: {evidence}"
            );
        }
    }
}

#[test]
fn a_qr_code_is_read_in_both_polarities_and_names_the_stop() {
    for (ink, ground) in [(WHITE, BLUE), (BLUE, WHITE), (BLACK, WHITE)] {
        let frame = sad(1280, 800, BLUE)
            .matrix(128, 540, 4, ink, ground, &QR)
            .text(300, 560, 16, WHITE, "For more information about this issue, visit")
            .text(300, 640, 16, WHITE, "Stop code: PAGE FAULT IN NONPAGED AREA")
            .frame();
        let seen = classify(&frame);
        assert_eq!((seen.kind, seen.certainty), (ScreenKind::BlueStop, Certainty::Sure));
        let stop = seen.stop.unwrap();
        assert_eq!(stop.qr.as_deref(), Some("https://www.windows.com/stopcode?code=0x50"));
        assert_eq!(stop.code.unwrap().0, 0x50);
    }
}

#[test]
fn classic_text_on_the_blue_of_text_modes() {
    for ground in [NAVY, [0, 0, 168]] {
        for (width, height) in [(640, 480), (720, 400)] {
            let mut canvas = Canvas::new(width, height, ground);
            for (line, text) in [
                (1, "*** STOP: 0x0000007B (0xF78D2524,0xC0000034,0x00000000,0x00000000)"),
                (3, "A problem has been detected and the system has been shut down"),
                (5, "INACCESSIBLE_BOOT_DEVICE"),
                (7, "If this is the first time you've seen this screen,"),
                (8, "restart your computer."),
            ] {
                canvas = canvas.text(0, line * 18, 16, WHITE, text);
            }
            let (kind, certainty, evidence) = told(&canvas.frame());
            assert_eq!((kind, certainty), (ScreenKind::BlueStop, Certainty::Likely), "{evidence}");
        }
    }
}

/// As Windows 11 24H2 draws it where there is no dump: centred.
#[test]
fn the_unexpected_restart_centred() {
    let frame = Canvas::new(1920, 1080, BLACK)
        .centered(420, 64, WHITE, "Your device ran into a problem")
        .centered(500, 64, WHITE, "and needs to restart.")
        .centered(600, 32, WHITE, "0% complete")
        .centered(960, 24, WHITE, "Stop code: CRITICAL_PROCESS_DIED (0xEF)")
        .frame();
    let (kind, certainty, evidence) = told(&frame);
    assert_eq!((kind, certainty), (ScreenKind::BlackStop, Certainty::Likely), "{evidence}");
}

fn boot_manager(marked: bool) -> Canvas {
    let canvas = Canvas::new(640, 480, BLACK)
        .rect(0, 18, 640, 18, GREY)
        .centered(18, 16, BLACK, "Windows Boot Manager")
        .text(16, 80, 16, GREY, "Windows failed to start. A recent change might be the cause.")
        .text(16, 116, 16, GREY, "  1. Insert your installation disc and restart.")
        .text(16, 134, 16, GREY, "  2. Choose your language settings.")
        .rect(0, 444, 640, 18, GREY)
        .text(16, 444, 16, BLACK, "ENTER=Continue                   ESC=Exit");
    if marked {
        canvas.rect(40, 200, 560, 18, GREY).text(48, 200, 16, BLACK, "Windows 7")
    } else {
        canvas
    }
}

#[test]
fn the_boot_manager_of_the_text_mode() {
    assert_eq!(classify(&boot_manager(false).frame()).kind, ScreenKind::BootError);
    assert_eq!(classify(&boot_manager(true).frame()).kind, ScreenKind::BootMenu);
}

#[test]
fn the_recovery_environments_tiles() {
    let mut canvas =
        Canvas::new(1280, 800, [0, 103, 184]).text(120, 100, 64, WHITE, "Choose an option");
    for (index, name) in ["Continue", "Troubleshoot", "Turn off your PC"].into_iter().enumerate() {
        let y = 260 + index * 130;
        canvas = canvas
            .rect(120, y, 420, 110, [60, 140, 205])
            .rect(140, y + 30, 50, 50, WHITE)
            .text(220, y + 20, 24, WHITE, name)
            .text(220, y + 60, 16, WHITE, "What it does");
    }
    let (kind, certainty, evidence) = told(&canvas.frame());
    assert_eq!((kind, certainty), (ScreenKind::Recovery, Certainty::Likely), "{evidence}");
}
