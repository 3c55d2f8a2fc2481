//! What looks like a stop screen and is none.

use screen::{ScreenKind, classify};

use crate::canvas::{BLACK, BLUE, Canvas, GREY, NAVY, Rgb, WHITE};

fn kind(canvas: Canvas) -> ScreenKind {
    classify(&canvas.frame()).kind
}

/// Icons with labels, and a task bar.
fn desktop(ground: Rgb) -> Canvas {
    let mut canvas = Canvas::new(1280, 800, ground);
    for (index, label) in ["Recycle Bin", "This PC", "Documents", "Network"].into_iter().enumerate()
    {
        let y = 20 + index * 110;
        canvas = canvas
            .rect(40, y, 48, 48, [230, 200 - index as u8 * 30, 60])
            .rect(52, y + 10, 24, 24, [40, 90, 60])
            .text(20, y + 56, 16, WHITE, label);
    }
    canvas.rect(0, 760, 1280, 40, [32, 32, 40]).text(1180, 770, 16, WHITE, "12:34")
}

#[test]
fn blue_desktops() {
    for ground in [BLUE, NAVY, [0, 103, 184], [58, 110, 165]] {
        // On the blue of text modes it could be a page of those.
        let expected = if ground == NAVY { ScreenKind::Picture } else { ScreenKind::Desktop };
        assert_eq!(kind(desktop(ground)), expected, "{ground:?}");
        let window = desktop(ground)
            .rect(300, 150, 700, 450, WHITE)
            .rect(300, 150, 700, 30, [0, 90, 180])
            .text(310, 155, 16, WHITE, "Stop code - Notepad")
            .text(310, 200, 16, BLACK, "*** STOP: 0x00000050 (0x00000000,0x00000000)");
        assert!(!classify(&window.frame()).is_stop(), "{ground:?}");
    }
}

#[test]
fn one_colour_and_nothing_else() {
    for ground in [BLUE, NAVY, [0, 103, 184], WHITE] {
        assert_eq!(kind(Canvas::new(1024, 768, ground)), ScreenKind::Picture, "{ground:?}");
    }
    assert_eq!(kind(Canvas::new(1024, 768, BLACK)), ScreenKind::Black);
    assert_eq!(kind(Canvas::new(64, 48, NAVY)), ScreenKind::Unknown);
}

#[test]
fn an_installer_in_text_mode() {
    for ground in [NAVY, [0, 0, 168]] {
        let page = Canvas::new(640, 480, ground)
            .text(16, 20, 16, WHITE, "Setup")
            .text(32, 80, 16, WHITE, "Welcome to Setup.")
            .text(32, 120, 16, WHITE, "This portion of Setup prepares the system to run.")
            .text(32, 150, 16, WHITE, "To set up now, press ENTER.")
            .text(32, 180, 16, WHITE, "To repair an installation, press R.")
            .text(32, 210, 16, WHITE, "To quit without installing, press F3.")
            .rect(0, 462, 640, 18, GREY)
            .text(16, 462, 16, BLACK, "ENTER=Continue  R=Repair  F3=Quit");
        assert_eq!(kind(page), ScreenKind::Text, "{ground:?}");
    }
}

/// A sky: no two neighbours alike.
#[test]
fn a_bluish_photograph() {
    let (width, height) = (800_u32, 600_u32);
    let mut rgb = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let cloud = (x * 7 + y * 13) % 97 + (x / 50 + y / 40) * 6;
            rgb.extend([(cloud % 120) as u8, (90 + cloud % 100) as u8, (150 + cloud % 105) as u8]);
        }
    }
    let frame = screen::Frame::new(width, height, rgb).unwrap();
    assert_eq!(classify(&frame).kind, ScreenKind::Desktop);
}

/// A ring of dots above centred lines, one of them at the bottom: an update at work.
#[test]
fn an_update_at_work() {
    for ground in [BLACK, BLUE] {
        let mut canvas = Canvas::new(1280, 800, ground);
        for (x, y) in [(640, 300), (668, 312), (680, 340), (668, 368), (640, 380), (612, 368)] {
            canvas = canvas.disc(x, y, 5, WHITE);
        }
        let canvas = canvas
            .centered(430, 32, WHITE, "Working on updates  30%")
            .centered(470, 32, WHITE, "Please keep your computer on.")
            .centered(740, 24, WHITE, "Your computer may restart a few times.");
        let seen = classify(&canvas.frame());
        assert!(!seen.is_stop(), "{ground:?} {seen:?}");
        assert_ne!(seen.kind, ScreenKind::Recovery, "{ground:?}");
        assert_ne!(seen.kind, ScreenKind::BootError, "{ground:?}");
    }
}

#[test]
fn consoles() {
    let mut canvas = Canvas::new(1024, 768, BLACK);
    for line in 0..40 {
        canvas = canvas.text(0, line * 18, 16, GREY, "[    1.234567] pci 0000:00:02.0: reg 0x10");
    }
    assert_eq!(kind(canvas), ScreenKind::Text);
    // A few lines at the top and a status line at the bottom, all of one size.
    let canvas = Canvas::new(1280, 800, BLACK)
        .text(8, 10, 16, GREY, "GNU GRUB  version 2.06")
        .text(8, 60, 16, GREY, "Press any key to continue...")
        .text(8, 770, 16, GREY, "press e to edit the commands before booting");
    assert_eq!(kind(canvas), ScreenKind::Text);
}

#[test]
fn a_smiley_is_no_stop() {
    let canvas = Canvas::new(1280, 800, BLUE).text(500, 300, 160, WHITE, ":(");
    assert!(!classify(&canvas.frame()).is_stop(), "a face without text");
    let canvas = desktop(BLUE).text(500, 300, 160, WHITE, ":(");
    assert!(!classify(&canvas.frame()).is_stop(), "a face on a desktop");
}

#[test]
fn a_start_screen_with_a_logo_and_a_line_below() {
    let canvas = Canvas::new(1280, 800, BLACK)
        .rect(560, 250, 74, 74, [0, 120, 215])
        .rect(646, 250, 74, 74, [0, 120, 215])
        .rect(560, 336, 74, 74, [0, 120, 215])
        .rect(646, 336, 74, 74, [0, 120, 215])
        .centered(680, 32, WHITE, "Preparing Automatic Repair");
    assert_eq!(kind(canvas), ScreenKind::Picture);
}

/// Pages of the first start of Windows 10: a headline, text, fields or a marked choice, and buttons.
#[test]
fn pages_of_the_first_start() {
    let page = |fields: usize| {
        let mut canvas = Canvas::new(1024, 768, [0, 90, 158])
            .text(64, 140, 40, WHITE, "Create an account")
            .text(64, 210, 16, WHITE, "If you want to use a password, choose something")
            .text(64, 240, 16, WHITE, "that will be easy for you to remember.");
        for field in 0..fields {
            canvas = canvas.rect(64, 300 + field * 44, 300, 30, [0, 60, 105]).text(
                72,
                306 + field * 44,
                16,
                WHITE,
                "Re-enter password",
            );
        }
        canvas.rect(840, 660, 120, 30, [0, 120, 215]).text(880, 666, 16, WHITE, "Next")
    };
    for fields in [0, 1, 4] {
        let kind = kind(page(fields));
        assert!(
            matches!(kind, ScreenKind::Picture | ScreenKind::Text | ScreenKind::Desktop),
            "{kind:?}"
        );
    }
}
