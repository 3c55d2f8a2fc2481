//! Services that start by themselves. Their programs do not exist here: a service whose image file is
//! there counts as running, one whose file is missing as failed. Drivers among them are loaded.

use crate::kernel::{Driver, Kernel};
use crate::loader::{Service, image_file};
use crate::say;
use crate::storage::Drive;

/// Starts all services in order.
pub fn start_services(drive: &Drive, services: &[Service], kernel: &Kernel) {
    for service in services {
        if service.is_driver() {
            start_driver(drive, service, kernel);
            continue;
        }
        let file = service.image_path.as_deref().map(program_file);
        match file {
            Some(file) if drive.exists(&file).unwrap_or(false) => {
                say!("[session] service {} started", service.name);
            }
            Some(file) => {
                say!("[session] service {} failed to start: C:{file} is missing", service.name);
            }
            None => say!("[session] service {} failed to start: it has no image", service.name),
        }
    }
}

fn start_driver(drive: &Drive, service: &Service, kernel: &Kernel) {
    let file = service.image_file();
    let result = drive.read(&file).map_err(|error| error.to_string()).and_then(|image| {
        let driver = Driver {
            name: service.image_name(),
            path: format!("\\??\\C:{file}"),
            service_key: format!(
                "\\Registry\\Machine\\System\\CurrentControlSet\\Services\\{}",
                service.name
            ),
            image,
            check_checksum: false,
        };
        match kernel.load_driver(&driver) {
            Ok(outcome) if outcome.status.is_success() => Ok(()),
            Ok(outcome) => Err(outcome.status.to_string()),
            Err(error) => Err(error.to_string()),
        }
    });
    match result {
        Ok(()) => say!("[session] driver {} started", service.name),
        Err(error) => say!("[session] driver {} failed to start: {error}", service.name),
    }
}

/// The program of a command line: the part in quotes, or up to the first space after `.exe`.
fn program_file(command: &str) -> String {
    let command = command.trim();
    let program = match command.strip_prefix('"') {
        Some(rest) => rest.split('"').next().unwrap_or_default(),
        None => match command.to_ascii_lowercase().find(".exe") {
            Some(end) => &command[..end + 4],
            None => command,
        },
    };
    image_file(program)
}

#[cfg(test)]
mod tests {
    use super::program_file;

    #[test]
    fn the_program_is_cut_out_of_its_command_line() {
        let expected = "\\Windows\\system32\\svchost.exe";
        assert_eq!(program_file("%SystemRoot%\\system32\\svchost.exe -k netsvcs -p"), expected);
        assert_eq!(
            program_file("\"C:\\Program Files\\x y\\z.exe\" /service"),
            "\\Program Files\\x y\\z.exe"
        );
    }
}
