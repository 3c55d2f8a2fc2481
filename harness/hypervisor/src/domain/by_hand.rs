//! The same machine for a person: an emulator's command line with the options that the harness gives it, and
//! nothing of the harness around it.

use std::path::PathBuf;

use super::{AGENT_SLOT, DISK_SLOT, MAC_ADDRESS, NIC_SLOT, TRANSLATION_CACHE_MIB};
use crate::accelerator::Accelerator;
use crate::firmware::FirmwareFiles;
use crate::profile::{DiskBus, Display, MachineProfile, PanicDevice};

/// What a machine that is started by hand is made of.
#[derive(Debug, Clone)]
pub struct ByHand {
    /// What runs its code.
    pub accelerator: Accelerator,
    /// Its disk, qcow2.
    pub disk: PathBuf,
    /// Firmware and this machine's own variables, where the firmware is UEFI.
    pub firmware: Option<(FirmwareFiles, PathBuf)>,
    /// What the clock chip says, as `YYYY-MM-DDTHH:MM:SS`.
    pub clock: Option<String>,
    /// Name and text of each fw_cfg item.
    pub fw_cfg: Vec<(String, String)>,
}

/// The command line, an option with its value in each element. Its cable ends in QEMU's own network, which
/// answers DHCP and lets nothing out; the guest agent's port is there and nobody listens; a TPM is left out.
pub fn command_line(profile: &MachineProfile, parts: &ByHand) -> Vec<String> {
    let mut line = vec![
        profile.architecture.emulator().to_owned(),
        format!("-machine {},usb=off", profile.machine),
        match parts.accelerator {
            Accelerator::Kvm => "-accel kvm".to_owned(),
            Accelerator::Emulation => format!("-accel tcg,tb-size={TRANSLATION_CACHE_MIB}"),
        },
        format!("-cpu {}", profile.cpu),
        format!("-smp {}", profile.vcpus),
        format!("-m {}", profile.memory.mebibytes()),
        "-nodefaults -no-user-config -display none -serial stdio -action panic=none".to_owned(),
    ];
    if profile.is_q35() {
        line.push("-global ICH9-LPC.disable_s3=1 -global ICH9-LPC.disable_s4=1".to_owned());
    }
    let display = match profile.display {
        Display::Vga => "VGA",
        Display::Virtio => "virtio-vga",
    };
    line.push(format!("-device {display},addr=0x1"));
    line.push(format!(
        "-drive if=none,id=disk,format=qcow2,cache=unsafe,discard=unmap,file={}",
        parts.disk.display()
    ));
    line.push(match profile.disk_bus {
        DiskBus::Virtio => {
            format!("-device virtio-blk-pci,drive=disk,addr={DISK_SLOT},bootindex=1")
        }
        DiskBus::Scsi => {
            "-device virtio-scsi-pci -device scsi-hd,drive=disk,bootindex=1".to_owned()
        }
        DiskBus::Sata if !profile.is_q35() => {
            "-device ahci,id=ahci -device ide-hd,bus=ahci.0,drive=disk,bootindex=1".to_owned()
        }
        DiskBus::Sata | DiskBus::Ide => {
            "-device ide-hd,bus=ide.0,drive=disk,bootindex=1".to_owned()
        }
    });
    line.push("-netdev user,id=cable,restrict=on".to_owned());
    line.push(format!(
        "-device {},netdev=cable,mac={MAC_ADDRESS},addr={NIC_SLOT},romfile=",
        profile.network.device()
    ));
    line.push(format!("-device virtio-serial-pci,addr={AGENT_SLOT},max_ports=2"));
    line.push("-chardev null,id=agent".to_owned());
    line.push("-device virtserialport,nr=1,chardev=agent,name=org.qemu.guest_agent.0".to_owned());
    match profile.panic {
        PanicDevice::Isa => line.push("-device pvpanic".to_owned()),
        PanicDevice::PvpanicPci => line.push("-device pvpanic-pci".to_owned()),
        // An enlightenment of the processor, which is KVM's.
        PanicDevice::Hyperv | PanicDevice::None => {}
    }
    if let Some((files, variables)) = &parts.firmware {
        line.push(format!(
            "-drive if=pflash,format=raw,unit=0,readonly=on,file={}",
            files.code.display()
        ));
        line.push(format!("-drive if=pflash,format=raw,unit=1,file={}", variables.display()));
    }
    if let Some(clock) = &parts.clock {
        line.push(format!("-rtc base={clock},clock=vm"));
    }
    line.extend(
        parts.fw_cfg.iter().map(|(name, text)| format!("-fw_cfg name={name},string={text}")),
    );
    line
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn line_of(profile: &str) -> String {
        let profile = MachineProfile::parse(profile, Path::new("profile.toml")).unwrap();
        let parts = ByHand {
            accelerator: Accelerator::Emulation,
            disk: "disk.qcow2".into(),
            firmware: None,
            clock: None,
            fw_cfg: vec![("opt/a".to_owned(), "1".to_owned())],
        };
        command_line(&profile, &parts).join(" ")
    }

    #[test]
    fn the_profile_decides_each_device() {
        let line = line_of(
            "format = 1\nis-model = true\nmemory = \"1GiB\"\narchitecture = \"i686\"\nmachine = \"pc\"\n\
             cpu = \"pentium3\"\ndisk-bus = \"ide\"\nnetwork = \"rtl8139\"\n[firmware]\nkind = \"bios\"\n",
        );
        for part in [
            "qemu-system-i386 ",
            "-machine pc,",
            "-cpu pentium3 ",
            "-m 1024 ",
            "ide-hd,bus=ide.0,",
            "-device rtl8139,",
            "-fw_cfg name=opt/a,string=1",
            "-accel tcg,tb-size=32 ",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
        assert!(!line.contains("pvpanic") && !line.contains("pflash"), "{line}");
        let line = line_of("format = 1\nis-model = true\nmemory = \"1GiB\"\npanic = \"isa\"\n");
        assert!(line.contains("virtio-blk-pci,drive=disk,addr=0x1a,bootindex=1"), "{line}");
        assert!(line.contains("-device pvpanic "), "{line}");
    }
}
