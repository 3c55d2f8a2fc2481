//! Startup Repair: the recovery environment's local repair, without a network.

/// Where Startup Repair leaves its trail on the Windows volume (windows-facts.md, section 3.6). When
/// that volume cannot be reached the files were seen in `\Temp` of the EFI system partition instead.
pub const TRACES: [&str; 5] = [
    r"C:\Windows\System32\LogFiles\Srt\SrtTrail.txt",
    r"C:\Windows\System32\LogFiles\Srt\SrtTrail.log",
    r"C:\Windows\System32\LogFiles\Srt\bcdinfo.txt",
    r"C:\Windows\System32\LogFiles\Srt\bootfailure.txt",
    r"C:\Windows\System32\LogFiles\Srt\disklayout.txt",
];
