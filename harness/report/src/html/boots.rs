//! The boots of a run: as a picture, each a bar of its phases on one scale, and as a table.

use timeline::{Boot, BootKind, Derived, Micros, Phase};

use crate::happenings::{Told, tell};
use crate::text::{self, html};

/// The bars. What they show stands in the table as well, which is what is read aloud.
pub(super) fn picture(derived: &Derived) -> String {
    let times = &derived.measurements.boots;
    let longest = times.iter().filter_map(|times| times.duration_us).map(Micros::get).max();
    let longest = longest.unwrap_or(0).max(1);
    let mut text = String::from("<div class=\"boots\" aria-hidden=\"true\">\n");
    for (boot, times) in derived.timeline.boots.iter().zip(times) {
        let kind = match (boot.kind(), boot.during) {
            (BootKind::Windows, None) => String::new(),
            (BootKind::Recovery, None) => " recovery".to_owned(),
            (_, Some(layer)) => format!(" {layer}"),
        };
        text.push_str(&format!(
            "<span class=\"name\">boot {}{kind}</span><span class=\"bar\">",
            boot.number
        ));
        for phase in &times.phases {
            let lasted = phase.lasted_us.map_or(0, Micros::get);
            let name = text::phase(phase.phase);
            text.push_str(&format!(
                "<span class=\"{}\" style=\"width:{:.2}%\" title=\"{name}, {}\"></span>",
                class(phase.phase),
                percent(lasted, longest),
                text::duration(Micros::new(lasted)),
            ));
        }
        let end = text::end(boot.end, &boot.signature());
        let bad = if boot.failed() { " bad" } else { "" };
        text.push_str(&format!("<span class=\"end{bad}\">{}</span></span>\n", html(&end)));
    }
    text.push_str("</div>\n<ul class=\"legend\" aria-hidden=\"true\">");
    for phase in [
        Phase::Firmware,
        Phase::BootManager,
        Phase::Loader,
        Phase::Kernel,
        Phase::Session,
        Phase::Healthy,
        Phase::Recovery,
    ] {
        text.push_str(&format!(
            "<li><i class=\"{}\"></i>{}</li>",
            class(phase),
            text::phase(phase)
        ));
    }
    text.push_str("</ul>\n");
    text
}

/// Two thirds of the width are for bars, the rest for how the longest of them ended.
#[expect(clippy::cast_precision_loss, reason = "a width on a screen")]
fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 66.0 / whole as f64
}

fn class(phase: Phase) -> &'static str {
    match phase {
        Phase::Firmware => "firmware",
        Phase::BootManager => "bootmgr",
        Phase::Loader => "loader",
        Phase::Kernel => "kernel",
        Phase::Session => "session",
        Phase::Healthy => "healthy",
        Phase::Recovery | Phase::RecoveryPrompt | Phase::RecoveryKey => "recovery",
    }
}

pub(super) fn table(case: usize, derived: &Derived) -> String {
    let mut text = format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Boots of run {case}\">\n<table>\n\
         <thead><tr><th scope=\"col\">Boot</th><th scope=\"col\">Began by</th><th scope=\"col\">Phases</th>\
         <th scope=\"col\">What happened</th><th scope=\"col\">End</th></tr></thead>\n<tbody>\n"
    );
    for boot in &derived.timeline.boots {
        let phases: Vec<String> = boot
            .phases
            .iter()
            .map(|reached| {
                let at = reached.moment.at.since(boot.began.at);
                format!("{} {}", text::phase(reached.phase), text::duration(at))
            })
            .collect();
        let kind = match boot.kind() {
            BootKind::Windows => "",
            BootKind::Recovery => ", recovery environment",
        };
        text.push_str(&format!(
            "<tr><td>{}{kind}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            boot.number,
            text::cause(boot.cause),
            phases.join(", "),
            happenings(boot, derived),
            html(&text::end(boot.end, &boot.signature())),
        ));
    }
    text.push_str("</tbody>\n</table>\n</div>\n");
    text
}

fn happenings(boot: &Boot, derived: &Derived) -> String {
    let first = |happening: u32| happening == 0 && boot.number == 1;
    let of_it =
        derived.timeline.happenings.iter().filter(|it| it.boot == boot.number || first(it.boot));
    let of_it =
        of_it.map(|it| ((it.boot != 0).then(|| it.moment.at.since(boot.began.at)), &it.what));
    let lines: Vec<String> = tell(of_it)
        .into_iter()
        .map(|Told { at, text, .. }| {
            let at = at.map_or_else(|| "before".to_owned(), text::duration);
            format!("{at}: {}", html(&text))
        })
        .collect();
    lines.join("; ")
}
