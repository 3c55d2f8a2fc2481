//! Names of the [`Step`](crate::Body::Step) events that mean something to the timeline.
//!
//! The engine decides by its clock; the timeline has none. Where time must play a part (did the machine
//! stay healthy for a while, is it silent), the engine says so with one of these steps, and from then on
//! it is a logical event like any other: a faster host concludes at the same place.

/// `done`: the machine stayed healthy for the scenario's settle time after the faults were armed.
/// [`Watcher::settling`](crate::Watcher::settling) says when the engine should start to count.
pub const SETTLED: &str = "settled";

/// `done`: nothing moved in the machine (no serial line, frame, event or request) for longer than its
/// profile allows for the phase it is in.
pub const SILENT: &str = "silent";

/// `done`: a stop screen was recognised in a frame. Emit it with the source `screen`.
pub const STOP_SCREEN: &str = "stop-screen";

/// `inject <fault>`: the harness is about to put a fault in place. `started` arms the fault: what
/// happens to the machine from here on may be its doing.
pub const INJECT: &str = "inject ";

/// `layer <name>`: a layer that the harness itself works (host repair, boot media, roll-back, …).
/// `done` means that it changed something.
pub const LAYER: &str = "layer ";
