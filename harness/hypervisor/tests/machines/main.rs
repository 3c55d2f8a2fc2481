//! Tests with real virtual machines. One program, because a process can have one embedded libvirt.

mod agent_in_guest;
mod boot_sector;
mod support;
