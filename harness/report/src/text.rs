//! Words and numbers as people read them.

use timeline::{Beginning, Cause, End, Micros, Phase, Signature, StopCode};
use winfmt::escaped;

/// Longest piece of guest text in a line.
pub(crate) const GUEST_TEXT: usize = 100;

/// Guest text, fit for a terminal: [`escaped`], and no longer than `limit` characters as shown.
pub(crate) fn clean(text: &str, limit: usize) -> String {
    let (mut clean, mut length) = (String::new(), 0);
    for c in text.chars() {
        let shown = escaped(c).to_string();
        length += shown.chars().count();
        if length > limit {
            clean.push('…');
            break;
        }
        clean.push_str(&shown);
    }
    clean
}

/// Text within an element or an attribute of HTML.
pub(crate) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// `boots 1 to 3 are those of run X, which began in the same way`.
pub(crate) fn beginning(beginning: &Beginning) -> String {
    let Beginning { run, boots } = beginning;
    let those = match boots {
        1 => "boot 1 is that".to_owned(),
        boots => format!("boots 1 to {boots} are those"),
    };
    format!("{those} of run {}, which began in the same way", clean(run, GUEST_TEXT))
}

/// `0.3 s`, `12.3 s`, `2 min 05 s`.
pub(crate) fn duration(us: Micros) -> String {
    let tenths = us.get() / 100_000;
    if tenths < 1000 {
        return format!("{}.{} s", tenths / 10, tenths % 10);
    }
    let seconds = us.get() / 1_000_000;
    format!("{} min {:02} s", seconds / 60, seconds % 60)
}

/// A phase.
pub(crate) const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Firmware => "firmware",
        Phase::BootManager => "boot manager",
        Phase::Loader => "loader",
        Phase::Kernel => "kernel",
        Phase::Session => "session",
        Phase::Healthy => "healthy",
        Phase::Recovery => "recovery",
        Phase::RecoveryPrompt => "recovery prompt",
        Phase::RecoveryKey => "recovery key prompt",
    }
}

/// Why a boot began.
pub(crate) const fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::PowerOn => "power-on",
        Cause::RestoredFromCheckpoint => "restored from a checkpoint",
        Cause::ResetByGuest => "reset by the guest",
        Cause::ResetByHarness => "reset by the harness",
        Cause::ResetByOperator => "reset by the operator",
        Cause::ResetByHypervisor => "reset by the hypervisor",
        Cause::ResetByPower => "power came back",
    }
}

/// `bug check 0x50 PAGE_FAULT_IN_NONPAGED_AREA in csagent.sys`.
pub(crate) fn end(end: End, signature: &Signature) -> String {
    if let (End::BootError, Some(status)) = (end, signature.code) {
        return format!("{end} {status}");
    }
    if !matches!(end, End::BugCheck | End::HaltedAtStopScreen) {
        return end.to_string();
    }
    let mut text = format!("{end}:");
    if end == End::BugCheck {
        text.pop();
    }
    text.push(' ');
    text.push_str(&stop(signature));
    text
}

/// `0x50 PAGE_FAULT_IN_NONPAGED_AREA in csagent.sys`.
pub(crate) fn stop(signature: &Signature) -> String {
    let mut text = signature.code.map_or_else(|| "of unknown code".to_owned(), code);
    if let Some(module) = &signature.module {
        text.push_str(" in ");
        text.push_str(&clean(module, 64));
    }
    text
}

/// `0x50 PAGE_FAULT_IN_NONPAGED_AREA`.
pub(crate) fn code(code: StopCode) -> String {
    match code_name(code) {
        Some(name) => format!("0x{:X} {name}", code.0),
        None => format!("0x{:X}", code.0),
    }
}

/// The name of a stop code.
pub(crate) fn code_name(code: StopCode) -> Option<&'static str> {
    winfmt::bugcheck::name(u32::try_from(code.0).ok()?)
}

/// Breaks a line between words so that it fits; further lines are indented by `indent` more than the
/// first.
pub(crate) fn wrap(line: &str, width: usize, indent: usize) -> Vec<String> {
    let lead = line.chars().take_while(|c| *c == ' ').count();
    let mut lines = Vec::new();
    let mut current = " ".repeat(lead);
    let mut empty = true;
    let mut length = lead;
    for word in line.split(' ').filter(|word| !word.is_empty()) {
        let word_length = word.chars().count();
        if !empty && length + 1 + word_length > width {
            lines.push(std::mem::replace(&mut current, " ".repeat(lead + indent)));
            length = lead + indent;
            empty = true;
        }
        if !empty {
            current.push(' ');
            length += 1;
        }
        current.push_str(word);
        length += word_length;
        empty = false;
    }
    lines.push(current);
    lines
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn listed(names: &[String]) -> String {
    match names {
        [names @ .., last] if !names.is_empty() => format!("{} and {last}", names.join(", ")),
        _ => names.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let text = |us| duration(Micros::new(us));
        assert_eq!(text(0), "0.0 s");
        assert_eq!(text(12_349_999), "12.3 s");
        assert_eq!(text(99_999_999), "99.9 s");
        assert_eq!(text(125_000_000), "2 min 05 s");
    }

    #[test]
    fn lists_read_well() {
        let text =
            |names: &[&str]| listed(&names.iter().map(|name| (*name).into()).collect::<Vec<_>>());
        assert_eq!(text(&[]), "");
        assert_eq!(text(&["a"]), "a");
        assert_eq!(text(&["a", "b"]), "a and b");
        assert_eq!(text(&["a", "b", "c"]), "a, b and c");
    }

    #[test]
    fn guest_text_cannot_steer_the_terminal() {
        assert_eq!(clean("a\u{1b}[31mb\r\n\u{202e}c", 80), r"a\x1b[31mb\x0d\x0a\u{202e}c");
        assert_eq!(clean(r"C:\new", 80), r"C:\new");
        assert_eq!(clean("abcdef", 3), "abc…");
        assert_eq!(clean("abc", 3), "abc");
        assert_eq!(clean("ab\u{1b}", 5), "ab…", "an escape is shown whole or not at all");
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrap("  one two three", 9, 2), ["  one two", "    three"]);
        assert_eq!(wrap("unbreakable", 4, 2), ["unbreakable"]);
    }
}
