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

/// A QR code for `https://example.org/not-windows`, made likewise.
const OTHER_QR: [&str; 25] = [
    "#######.##...#....#######",
    "#.....#..##...#.#.#.....#",
    "#.###.#..#.#.#....#.###.#",
    "#.###.#..#.###.##.#.###.#",
    "#.###.#..##...#.#.#.###.#",
    "#.....#..######.#.#.....#",
    "#######.#.#.#.#.#.#######",
    "........#.#..#.##........",
    "##.##.#..##.#...#.#.....#",
    "..##.#.#####.#####.#####.",
    "#.#..###..####.###.###..#",
    "#.####.#.##...#..###.####",
    "..#.###.##..#..##.##....#",
    "#..#...###.#..###...#..#.",
    "##.#.##...#...###.#.#####",
    "#.#....#..#.#.#..###.##.#",
    "#..#######..##..#####.##.",
    "........#.#..#..#...#.##.",
    "#######..#.#....#.#.#...#",
    "#.....#..###.#.##...#..#.",
    "#.###.#.#.....#######..#.",
    "#.###.#.#.##....###....##",
    "#.###.#....#...#.#..#####",
    "#.....#.##.#...#...##.###",
    "#######.###.#.#.#.#..#..#",
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

/// Windows' own blue behind the pages of the recovery environment.
const RECOVERY: Rgb = [32, 103, 178];

/// As the recovery environment of Windows 10 lays it out at 1024 x 768: a headline, square tiles with a symbol, two
/// sizes of text beside each, the chosen entry framed, sometimes an arrow back.
fn recovery_page(scale: usize, width: usize, height: usize, tiles: usize, back: bool) -> Canvas {
    let px = |length: usize| length * scale / 8;
    let mut canvas = Canvas::new(width, height, RECOVERY);
    canvas = canvas.text(px(143), px(44), px(44), WHITE, "Eine Option");
    if back {
        canvas = canvas
            .disc(px(93), px(65), px(16), WHITE)
            .disc(px(93), px(65), px(14), RECOVERY)
            .rect(px(86), px(64), px(14), px(2), WHITE);
    }
    for index in 0..tiles {
        let (x, y) = (px(144 + 336 * (index % 2)), px(128 + 112 * (index / 2)));
        canvas = canvas
            .rect(x, y, px(88), px(88), [78, 166, 222])
            .disc(x + px(44), y + px(44), px(18), WHITE)
            .text(x + px(96), y, px(24), WHITE, "Problembehandlung")
            .text(x + px(96), y + px(30), px(16), WHITE, "Optionen anzeigen");
    }
    outline(canvas, px(135), px(119), px(322), px(107), px(2))
}

fn outline(
    canvas: Canvas,
    x: usize,
    y: usize,
    width: usize,
    height: usize,
    thick: usize,
) -> Canvas {
    canvas
        .rect(x, y, width, thick, WHITE)
        .rect(x, y + height - thick, width, thick, WHITE)
        .rect(x, y, thick, height, WHITE)
        .rect(x + width - thick, y, thick, height, WHITE)
}

#[test]
fn the_recovery_environments_tiles() {
    for (scale, width, height) in [(8, 1024, 768), (8, 1280, 800), (12, 1920, 1080)] {
        for (tiles, back) in [(1, true), (3, false), (6, true)] {
            let page = recovery_page(scale, width, height, tiles, back).frame();
            let (kind, certainty, evidence) = told(&page);
            let found = (kind, certainty);
            assert_eq!(found, (ScreenKind::Recovery, Certainty::Likely), "{width} {evidence}");
            assert!(evidence.contains(&format!("square {tiles}, one entry framed")), "{evidence}");
        }
    }
}

#[test]
fn the_recovery_environments_lists() {
    let mut canvas =
        Canvas::new(1024, 768, RECOVERY).text(143, 44, 44, WHITE, "Choose your keyboard");
    for line in 0..6 {
        let y = 126 + line * 60;
        for x in [144, 464] {
            canvas = canvas.rect(x, y + 8, 4, 4, [90, 200, 230]).text(
                x + 14,
                y,
                24,
                WHITE,
                "Arabic (102)",
            );
        }
    }
    let page = outline(canvas, 135, 119, 290, 58, 2).text(143, 496, 24, WHITE, "See more layouts");
    let (kind, certainty, evidence) = told(&page.frame());
    assert_eq!((kind, certainty), (ScreenKind::Recovery, Certainty::Likely), "{evidence}");
}

/// A command prompt, and a tool of a vendor.
#[test]
fn a_window_in_front_of_the_recovery_environment() {
    for (width, height, ground, ink) in [(990, 500, BLACK, WHITE), (640, 536, [240; 3], BLACK)] {
        let mut canvas = Canvas::new(1024, 768, RECOVERY)
            .rect(16, 20, width, height, ground)
            .rect(16, 20, width, 28, [153, 180, 209])
            .text(40, 24, 16, BLACK, "Administrator: cmd.exe");
        for line in 0..12 {
            canvas =
                canvas.text(40, 80 + line * 24, 16, ink, "X:\\windows\\system32>bcdedit /enum");
        }
        let (kind, certainty, evidence) = told(&canvas.frame());
        assert_eq!((kind, certainty), (ScreenKind::Recovery, Certainty::Weak), "{evidence}");
    }
}

/// What the boot manager shows on F10: the only page between bars on which somebody types.
#[test]
fn the_boot_managers_options() {
    let page = Canvas::new(1024, 768, BLACK)
        .rect(32, 9, 960, 30, [192; 3])
        .text(380, 12, 24, BLACK, "Edit Boot Options")
        .text(32, 76, 24, GREY, "Edit Windows boot options for: Windows 11")
        .text(32, 136, 24, GREY, "Path: winload.exe")
        .text(32, 286, 24, GREY, "[ /NOEXECUTE=OPTIN /HYPERVISORLAUNCHTYPE=AUTO")
        .text(56, 318, 24, GREY, "728")
        .rect(94, 314, 12, 25, [192; 3])
        .rect(32, 729, 960, 30, [192; 3])
        .text(44, 734, 24, BLACK, "ENTER=Submit                ESC=Cancel");
    let (kind, _, evidence) = told(&page.frame());
    assert_eq!(kind, ScreenKind::BootMenu, "{evidence}");
}

/// Whoever draws a stop screen for fun puts an address of his own into the code.
#[test]
fn a_code_with_another_address_makes_nothing_sure() {
    let frame = sad(1280, 800, BLUE).matrix(128, 540, 4, WHITE, BLUE, &OTHER_QR).frame();
    let seen = classify(&frame);
    assert_eq!((seen.kind, seen.certainty), (ScreenKind::BlueStop, Certainty::Likely));
    assert!(seen.stop.is_none());
}
