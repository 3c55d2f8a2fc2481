//! What the machine shows besides the stop screen: boot errors and the recovery environment.

use crate::bootmgr::BootError;
use crate::kernel::screen::{Line, Picture, Rgb, Screen, Size};

/// The error screen of boot manager and loader.
pub fn show_boot_error(error: &BootError) {
    let mut lines = error.lines().into_iter();
    let headline = lines.next().unwrap_or_default();
    let mut shown = vec![Line::new(headline, Size::Headline)];
    shown.extend(lines.map(|line| Line::new(line, Size::Normal)));
    show(&Picture::new(Rgb::BLUE, shown));
}

/// The recovery environment.
pub fn show_recovery(headline: &str) {
    let lines = vec![
        Line::new("Recovery environment", Size::Headline),
        Line::new(" ", Size::Normal),
        Line::new(headline, Size::Large),
    ];
    show(&Picture::new(Rgb::BLUE, lines));
}

/// BitLocker's, in short: the recovery key is asked for.
pub fn show_recovery_key(key_id: &str) {
    let text = |text: &str| Line::new(text, Size::Normal);
    let lines = vec![
        Line::new("BitLocker recovery", Size::Headline),
        text(" "),
        text("Enter the recovery key for this drive"),
        text("Use the number keys or function keys F1-F10 (use F10 for 0)."),
        text(&format!("Recovery key ID: {}", key_id.trim_matches(['{', '}']))),
    ];
    show(&Picture::new(Rgb::BLUE, lines));
}

/// A machine without a screen goes on without.
fn show(picture: &Picture) {
    if let Ok(screen) = Screen::open()
        && let Err(error) = screen.show(picture)
    {
        crate::say!("[bootmgr] the screen cannot be drawn on: {error}");
    }
}
