//! The elements of a libvirt domain that we use (libvirt: "Domain XML format").

use serde::Serialize;

#[derive(Serialize)]
#[serde(rename = "domain")]
pub(super) struct Domain {
    #[serde(rename = "@type")]
    pub(super) kind: &'static str,
    #[serde(rename = "@xmlns:qemu")]
    pub(super) namespace: &'static str,
    pub(super) name: String,
    pub(super) uuid: String,
    pub(super) memory: Memory,
    pub(super) vcpu: Vcpu,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sysinfo: Option<Sysinfo>,
    pub(super) os: Os,
    pub(super) features: Features,
    pub(super) cpu: Cpu,
    pub(super) clock: Clock,
    pub(super) on_poweroff: &'static str,
    pub(super) on_reboot: &'static str,
    pub(super) on_crash: &'static str,
    pub(super) pm: Pm,
    pub(super) devices: Devices,
    pub(super) seclabel: Vec<SecurityLabel>,
    #[serde(rename = "qemu:commandline")]
    pub(super) commandline: Commandline,
}

#[derive(Serialize)]
pub(super) struct SecurityLabel {
    #[serde(rename = "@type")]
    pub(super) kind: &'static str,
    #[serde(rename = "@model")]
    pub(super) model: String,
    #[serde(rename = "@relabel", skip_serializing_if = "Option::is_none")]
    pub(super) relabel: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) label: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Memory {
    #[serde(rename = "@unit")]
    pub(super) unit: &'static str,
    #[serde(rename = "$text")]
    pub(super) amount: u32,
}

#[derive(Serialize)]
pub(super) struct Vcpu {
    #[serde(rename = "@placement")]
    pub(super) placement: &'static str,
    #[serde(rename = "$text")]
    pub(super) count: u32,
}

#[derive(Serialize)]
pub(super) struct Sysinfo {
    #[serde(rename = "@type")]
    pub(super) kind: &'static str,
    pub(super) entry: Vec<Entry>,
}

#[derive(Serialize)]
pub(super) struct Entry {
    #[serde(rename = "@name")]
    pub(super) name: String,
    #[serde(rename = "$text")]
    pub(super) value: String,
}

#[derive(Serialize)]
pub(super) struct Os {
    #[serde(rename = "type")]
    pub(super) kind: OsType,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) loader: Option<Loader>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nvram: Option<String>,
    pub(super) boot: Boot,
}

#[derive(Serialize)]
pub(super) struct OsType {
    #[serde(rename = "@arch")]
    pub(super) arch: &'static str,
    #[serde(rename = "@machine")]
    pub(super) machine: String,
    #[serde(rename = "$text")]
    pub(super) name: &'static str,
}

#[derive(Serialize)]
pub(super) struct Loader {
    #[serde(rename = "@readonly")]
    pub(super) readonly: &'static str,
    #[serde(rename = "@secure", skip_serializing_if = "Option::is_none")]
    pub(super) secure: Option<&'static str>,
    #[serde(rename = "@type")]
    pub(super) kind: &'static str,
    #[serde(rename = "$text")]
    pub(super) path: String,
}

#[derive(Serialize)]
pub(super) struct Boot {
    #[serde(rename = "@dev")]
    pub(super) dev: &'static str,
}

#[derive(Serialize)]
pub(super) struct Empty {}

#[derive(Clone, Copy, Serialize)]
pub(super) struct State {
    #[serde(rename = "@state")]
    pub(super) state: &'static str,
}

#[derive(Serialize)]
pub(super) struct Features {
    pub(super) acpi: Empty,
    pub(super) apic: Empty,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) smm: Option<State>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hyperv: Option<Hyperv>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tcg: Option<Tcg>,
}

#[derive(Serialize)]
pub(super) struct Tcg {
    #[serde(rename = "tb-cache")]
    pub(super) tb_cache: Memory,
}

#[derive(Serialize)]
pub(super) struct Hyperv {
    pub(super) relaxed: State,
    pub(super) vapic: State,
    pub(super) spinlocks: Spinlocks,
    pub(super) vpindex: State,
    pub(super) runtime: State,
    pub(super) synic: State,
    pub(super) stimer: State,
    pub(super) frequencies: State,
}

#[derive(Serialize)]
pub(super) struct Spinlocks {
    #[serde(rename = "@state")]
    pub(super) state: &'static str,
    #[serde(rename = "@retries")]
    pub(super) retries: u32,
}

#[derive(Serialize)]
pub(super) struct Cpu {
    #[serde(rename = "@mode")]
    pub(super) mode: &'static str,
    #[serde(rename = "@match")]
    pub(super) match_: &'static str,
    #[serde(rename = "@check")]
    pub(super) check: &'static str,
    pub(super) model: CpuModel,
}

#[derive(Serialize)]
pub(super) struct CpuModel {
    #[serde(rename = "@fallback")]
    pub(super) fallback: &'static str,
    #[serde(rename = "$text")]
    pub(super) name: String,
}

#[derive(Serialize)]
pub(super) struct Clock {
    #[serde(rename = "@offset")]
    pub(super) offset: &'static str,
    #[serde(rename = "@start", skip_serializing_if = "Option::is_none")]
    pub(super) start: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timer: Option<Timer>,
}

#[derive(Serialize)]
pub(super) struct Timer {
    #[serde(rename = "@name")]
    pub(super) name: &'static str,
    #[serde(rename = "@track")]
    pub(super) track: &'static str,
}

#[derive(Serialize)]
pub(super) struct Pm {
    #[serde(rename = "suspend-to-mem")]
    pub(super) mem: Enabled,
    #[serde(rename = "suspend-to-disk")]
    pub(super) disk: Enabled,
}

#[derive(Serialize)]
pub(super) struct Enabled {
    #[serde(rename = "@enabled")]
    pub(super) enabled: &'static str,
}

#[derive(Serialize)]
pub(super) struct Devices {
    pub(super) emulator: String,
    pub(super) disk: Disk,
    pub(super) controller: Vec<Controller>,
    pub(super) serial: Serial,
    pub(super) audio: Audio,
    pub(super) video: Video,
    pub(super) memballoon: Balloon,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) panic: Option<Panic>,
}

#[derive(Serialize)]
pub(super) struct Disk {
    #[serde(rename = "@type")]
    pub(super) kind: &'static str,
    #[serde(rename = "@device")]
    pub(super) device: &'static str,
    pub(super) driver: Driver,
    pub(super) source: DiskSource,
    pub(super) target: Target,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<PciAddress>,
}

/// A place on the root bus.
#[derive(Serialize)]
pub(super) struct PciAddress {
    #[serde(rename = "@type")]
    pub(super) kind: &'static str,
    #[serde(rename = "@bus")]
    pub(super) bus: &'static str,
    #[serde(rename = "@slot")]
    pub(super) slot: &'static str,
}

#[derive(Serialize)]
pub(super) struct Driver {
    #[serde(rename = "@name")]
    pub(super) name: &'static str,
    #[serde(rename = "@type")]
    pub(super) kind: &'static str,
    #[serde(rename = "@cache")]
    pub(super) cache: &'static str,
    #[serde(rename = "@error_policy", skip_serializing_if = "Option::is_none")]
    pub(super) error_policy: Option<&'static str>,
    #[serde(rename = "@rerror_policy", skip_serializing_if = "Option::is_none")]
    pub(super) rerror_policy: Option<&'static str>,
    #[serde(rename = "@discard")]
    pub(super) discard: &'static str,
}

#[derive(Default, Serialize)]
pub(super) struct DiskSource {
    #[serde(rename = "@file", skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    #[serde(rename = "@protocol", skip_serializing_if = "Option::is_none")]
    pub(super) protocol: Option<&'static str>,
    #[serde(rename = "@name", skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) host: Option<DiskHost>,
}

#[derive(Serialize)]
pub(super) struct DiskHost {
    #[serde(rename = "@transport")]
    pub(super) transport: &'static str,
    #[serde(rename = "@socket")]
    pub(super) socket: String,
}

#[derive(Serialize)]
pub(super) struct Target {
    #[serde(rename = "@dev")]
    pub(super) dev: &'static str,
    #[serde(rename = "@bus")]
    pub(super) bus: &'static str,
}

#[derive(Serialize)]
pub(super) struct Controller {
    #[serde(rename = "@type")]
    pub(super) kind: &'static str,
    #[serde(rename = "@index")]
    pub(super) index: u32,
    #[serde(rename = "@model")]
    pub(super) model: &'static str,
}

#[derive(Serialize)]
pub(super) struct Serial {
    #[serde(rename = "@type")]
    pub(super) kind: &'static str,
    pub(super) source: SocketSource,
    pub(super) target: SerialTarget,
}

#[derive(Serialize)]
pub(super) struct SocketSource {
    #[serde(rename = "@mode")]
    pub(super) mode: &'static str,
    #[serde(rename = "@path")]
    pub(super) path: String,
}

#[derive(Serialize)]
pub(super) struct SerialTarget {
    #[serde(rename = "@type")]
    pub(super) kind: &'static str,
    #[serde(rename = "@port")]
    pub(super) port: u32,
}

#[derive(Serialize)]
pub(super) struct Audio {
    #[serde(rename = "@id")]
    pub(super) id: u32,
    #[serde(rename = "@type")]
    pub(super) kind: &'static str,
}

#[derive(Serialize)]
pub(super) struct Video {
    pub(super) model: VideoModel,
}

#[derive(Serialize)]
pub(super) struct VideoModel {
    #[serde(rename = "@type")]
    pub(super) kind: &'static str,
    #[serde(rename = "@heads")]
    pub(super) heads: u32,
    #[serde(rename = "@primary")]
    pub(super) primary: &'static str,
}

#[derive(Serialize)]
pub(super) struct Balloon {
    #[serde(rename = "@model")]
    pub(super) model: &'static str,
}

#[derive(Serialize)]
pub(super) struct Panic {
    #[serde(rename = "@model")]
    pub(super) model: &'static str,
}

#[derive(Serialize)]
pub(super) struct Commandline {
    #[serde(rename = "qemu:arg")]
    pub(super) arg: Vec<Arg>,
}

#[derive(Serialize)]
pub(super) struct Arg {
    #[serde(rename = "@value")]
    pub(super) value: String,
}
