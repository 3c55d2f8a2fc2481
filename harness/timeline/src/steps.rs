//! Names of the [`Step`](crate::Body::Step) events that mean something to the timeline.
//!
//! The engine decides by its clock; the timeline has none. Where time must play a part (did the machine
//! stay healthy for a while, is it silent), the engine says so with one of these steps, and from then on
//! it is a logical event like any other: a faster host concludes at the same place.

/// `done`: the machine stayed healthy for the scenario's settle time after the faults were armed.
/// [`Watcher::settling`](crate::Watcher::settling) says when the engine should start to count.
pub const SETTLED: &str = "settled";

/// `done`: nothing moved in the machine (no serial line, frame, event or request) for longer than it may:
/// while it starts for what its phases take, with a stop screen before it for what a dump takes.
pub const SILENT: &str = "silent";

/// `started`: the scenario's operator switches the machine off and on again. The `machine-stopped` and the
/// `machine-started` that follow are the two halves of it, and RAM does not survive between them.
pub const POWER_CYCLE: &str = "power-cycle";

/// `started`: the power goes, and comes back at once (`machine-stopped`, `machine-started`). What the guest
/// says from here on, until then, is no part of the boot: else it would depend on how fast the harness is.
pub const POWER_CUT: &str = "power-cut";

/// `started`: somebody presses the reset button, as a fault. What the guest says until the reset is no part
/// of the boot.
pub const POWER_RESET: &str = "power-reset";

/// `done`: what was recorded until here is the beginning of another run, which went the same way. The detail is that
/// run's name.
pub const BEGINNING: &str = "beginning";

/// `inject <fault>`: the harness is about to put a fault in place. `started` arms the fault: what
/// happens to the machine from here on may be its doing.
pub const INJECT: &str = "inject ";

/// `lift <fault>`, `done`: trouble that a fault brought is over.
pub const LIFT: &str = "lift ";

/// `layer <name>`: a layer that the harness itself works (host repair, roll-back, …). `done` means that it changed
/// something. It is begun when [`Watcher::awaits_layer`](crate::Watcher::awaits_layer) names it; the machine is off
/// until it is done, but for a start of its own. Where it failed the next one has its turn, and after the last the
/// machine is given up.
pub const LAYER: &str = "layer ";

/// `own-start <name>`, `started`: the machine is about to be switched on as a part of the layer whose turn it is (safe
/// mode, last known good). [`Watcher::own_start`](crate::Watcher::own_start) says how that start stands.
pub const OWN_START: &str = "own-start ";

/// `started`: the harness sends a machine that hangs a non-maskable interrupt, so that it stops and writes a dump before it
/// is switched off. It comes after the watch has ended ([`Watcher::hangs`](crate::Watcher::hangs)), and what the machine
/// does from then on is the harness's own doing. `done` where the machine was seen to stop, with what came of the dump;
/// `failed` where it was not.
pub const FORCE_STOP: &str = "force-stop";

/// `started`: a machine that a layer brought back is about to be switched on again, with nothing of the layer left on
/// its disk. [`Watcher::awaits_second_start`](crate::Watcher::awaits_second_start) says when.
pub const START_AGAIN: &str = "start-again";
