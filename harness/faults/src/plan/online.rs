//! What is done to the machine itself.

use scenario::{
    ClockFault, Moment, NetworkFault, PowerEvent, PowerFault, ServiceFault, StorageFault,
    WindowsPath,
};

use super::edit::file_proof;

/// A fault that is not an edit of the powered-off disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Online {
    /// A file, through the guest agent.
    Write(OnlineWrite),
    /// Anything else through the guest agent.
    Act(OnlineAct),
    /// A file of which only the first part is written before the power is cut.
    InterruptedWrite(InterruptedWrite),
    /// Trouble with the disk.
    Storage(StorageFault),
    /// The power, at a chosen moment.
    Power(PowerFault),
    /// Trouble on its network.
    Network(NetworkFault),
    /// Trouble at its update service.
    Service(ServiceFault),
    /// What its clock chip says at power-on.
    Clock(ClockFault),
}

impl Online {
    /// The fault's name.
    pub fn fault(&self) -> &str {
        match self {
            Self::Write(write) => &write.fault,
            Self::Act(act) => &act.fault,
            Self::InterruptedWrite(write) => &write.fault,
            Self::Storage(fault) => &fault.name,
            Self::Power(fault) => &fault.name,
            Self::Network(fault) => &fault.name,
            Self::Service(fault) => &fault.name,
            Self::Clock(fault) => &fault.name,
        }
    }

    /// Before power-on, or once the machine is healthy.
    pub fn when(&self) -> Moment {
        match self {
            Self::Write(_) | Self::Act(_) | Self::InterruptedWrite(_) => Moment::Healthy,
            Self::Storage(fault) => fault.when,
            Self::Power(fault) => fault.when,
            Self::Network(fault) => fault.when,
            Self::Service(fault) => fault.when,
            Self::Clock(fault) => fault.when,
        }
    }

    /// True where it goes through the guest agent.
    pub fn needs_agent(&self) -> bool {
        matches!(self, Self::Write(_) | Self::Act(_) | Self::InterruptedWrite(_))
    }

    /// True where the harness itself has to be the machine's drive for it. So too for its inert control.
    pub fn needs_drive(&self) -> bool {
        match self {
            Self::Write(_)
            | Self::Act(_)
            | Self::Network(_)
            | Self::Service(_)
            | Self::Clock(_) => false,
            Self::InterruptedWrite(_) | Self::Storage(_) => true,
            Self::Power(fault) => fault.what == PowerEvent::Cut,
        }
    }

    /// What it is about, for people.
    pub fn about(&self) -> String {
        match self {
            Self::Write(write) => write.path.to_string(),
            Self::InterruptedWrite(write) => write.path.to_string(),
            Self::Storage(_) | Self::Power(_) => String::new(),
            Self::Act(act) => act.what.to_string(),
            Self::Network(_) => "the machine's network".to_owned(),
            Self::Service(_) => "the update service".to_owned(),
            Self::Clock(fault) => fault.to.to_string(),
        }
    }
}

/// Something other than a write that is done through the guest agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnlineAct {
    /// The fault's name.
    pub fault: String,
    /// What is done.
    pub what: Act,
}

/// What can be done through the guest agent. Each is proved by what the machine says afterwards, unless the
/// machine stops because of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Moves a file, over what is there.
    Move {
        /// From.
        from: WindowsPath,
        /// To.
        to: WindowsPath,
    },
    /// Deletes a file.
    Remove {
        /// The file.
        path: WindowsPath,
    },
    /// Ends every process of a program, at once.
    EndProcess {
        /// The program's file name.
        program: String,
    },
}

impl std::fmt::Display for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Move { from, to } => write!(f, "moving {from} to {to}"),
            Self::Remove { path } => write!(f, "deleting {path}"),
            Self::EndProcess { program } => write!(f, "ending {program}"),
        }
    }
}

/// A file written through the guest agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnlineWrite {
    /// The fault's name.
    pub fault: String,
    /// Where.
    pub path: WindowsPath,
    /// What. The engine writes it in one open and close, then reads it back.
    pub bytes: Vec<u8>,
}

/// A file of which only the first part is written, in place, before the power is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterruptedWrite {
    /// The fault's name.
    pub fault: String,
    /// Where.
    pub path: WindowsPath,
    /// What it was to hold.
    pub bytes: Vec<u8>,
    /// How much of it is written, in hundredths.
    pub percent: u32,
    /// All of it is written, and the power stays.
    pub inert: bool,
}

impl InterruptedWrite {
    /// What the file holds afterwards: as long as it was to be, zeros behind what was written.
    pub fn first_part(&self) -> Vec<u8> {
        let percent = if self.inert { 100 } else { self.percent.min(100) as usize };
        let written = self.bytes.len() / 100 * percent + self.bytes.len() % 100 * percent / 100;
        let mut bytes = self.bytes.clone();
        bytes[written..].fill(0);
        bytes
    }
}

impl OnlineWrite {
    /// The line of proof once the agent read the same bytes back.
    pub fn proof(&self) -> String {
        file_proof(self.path.as_str(), &self.bytes)
    }
}
