//! `guest-exec`: a few commands under their Windows names, each built in. There are no programs in
//! the understudy; whatever is not in this list fails as an unknown program does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use winfmt::hive::ValueType;

use super::output::Output;
use super::probe;
use super::reply::{Refusal, Reply};
use crate::kernel::RegistryValue;
use crate::storage::{Drive, Registry, drive_path};

/// Finished commands whose status nobody fetched, kept at most.
const KEPT: usize = 64;

#[derive(Debug)]
struct Job {
    capture: bool,
    output: Option<Output>,
}

/// Commands that run or have run.
#[derive(Debug)]
pub(super) struct Jobs {
    shell: Arc<Shell>,
    jobs: Arc<Mutex<BTreeMap<i64, Job>>>,
    next: i64,
}

/// Ends a process by the name of its program. False: there is none. Does not return where the end of
/// the process is the end of the system.
#[derive(Clone)]
pub struct EndProcess(Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl EndProcess {
    /// Wraps the function.
    pub fn new(end: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(end))
    }
}

impl std::fmt::Debug for EndProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EndProcess")
    }
}

#[derive(Debug)]
struct Shell {
    end_process: EndProcess,
    drive: Arc<Drive>,
    registry: Arc<Registry>,
    computer_name: String,
}

impl Jobs {
    pub(super) fn new(
        drive: Arc<Drive>,
        registry: Arc<Registry>,
        computer_name: String,
        end_process: EndProcess,
    ) -> Self {
        Self {
            shell: Arc::new(Shell { end_process, drive, registry, computer_name }),
            jobs: Arc::default(),
            next: 4,
        }
    }

    pub(super) fn start(&mut self, path: &str, args: &[String], capture: Option<&Value>) -> Reply {
        let program = program_name(path);
        if !PROGRAMS.contains(&program.as_str()) {
            return Err(Refusal::new(format!(
                "Guest agent command failed, error was 'Failed to execute child process {path:?}: \
                 the understudy has no such program (it has {})'",
                PROGRAMS.join(", ")
            )));
        }
        let capture = match capture {
            None => false,
            Some(Value::Bool(capture)) => *capture,
            Some(Value::String(mode)) => mode != "none",
            Some(other) => return Err(Refusal::new(format!("invalid capture-output {other}"))),
        };
        let pid = self.next;
        self.next += 4;
        {
            let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            while jobs.len() >= KEPT {
                jobs.pop_first();
            }
            jobs.insert(pid, Job { capture, output: None });
        }
        let (jobs, shell, args) = (Arc::clone(&self.jobs), Arc::clone(&self.shell), args.to_vec());
        thread::spawn(move || {
            let output = shell.run(&program, &args);
            if let Some(job) = jobs.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&pid) {
                job.output = Some(output);
            }
        });
        Ok(json!({ "pid": pid }))
    }

    pub(super) fn status(&mut self, pid: i64) -> Reply {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let job = jobs.get(&pid).ok_or_else(|| {
            Refusal::new(format!("Invalid parameter 'pid': no process {pid} was started here"))
        })?;
        let Some(output) = job.output.clone() else { return Ok(json!({ "exited": false })) };
        let capture = job.capture;
        // As the real agent: the status of a finished process can be fetched once.
        jobs.remove(&pid);
        let mut reply = json!({ "exited": true, "exitcode": output.code });
        if let Some(reply) = reply.as_object_mut()
            && capture
        {
            for (name, data) in [("out-data", &output.out), ("err-data", &output.err)] {
                if !data.is_empty() {
                    reply.insert(name.to_owned(), json!(BASE64.encode(data)));
                }
            }
        }
        Ok(reply)
    }
}

/// The programs that exist.
const PROGRAMS: &[&str] = &["cmd", "hostname", "reg", "probe", "taskkill"];

/// `C:\Windows\System32\CMD.EXE` is `cmd`.
fn program_name(path: &str) -> String {
    let name = path.rsplit(['\\', '/']).next().unwrap_or(path).to_ascii_lowercase();
    name.strip_suffix(".exe").unwrap_or(&name).to_owned()
}

impl Shell {
    fn run(&self, program: &str, args: &[String]) -> Output {
        match program {
            "hostname" => Output::ok(format!("{}\r\n", self.computer_name)),
            "reg" => self.reg(args),
            "probe" => probe::run(args),
            "taskkill" => self.taskkill(args),
            _ => match args.first().map(|arg| arg.to_ascii_lowercase()).as_deref() {
                Some("/c") => self.shell(&args[1..].join(" ")),
                _ => Output::failed(1, "cmd: only /c is modelled\r\n"),
            },
        }
    }

    /// `cmd.exe /c <line>`: one built-in command, no pipes; `> file` for `echo` only.
    fn shell(&self, line: &str) -> Output {
        let words = words(line);
        let Some((command, rest)) = words.split_first() else { return Output::default() };
        match command.to_ascii_lowercase().as_str() {
            "echo" => self.echo(line.trim_start().get(4..).unwrap_or_default()),
            "ver" => Output::ok("\r\nloopbreak understudy (a model of Windows, not Windows)\r\n"),
            "hostname" => Output::ok(format!("{}\r\n", self.computer_name)),
            "dir" => self.with_path(rest, |path| self.dir(path)),
            "type" => self.with_path(rest, |path| {
                Ok(String::from_utf8_lossy(&self.drive.read(path)?).into_owned())
            }),
            "del" | "erase" => self.with_path(rest, |path| self.del(path)),
            "md" | "mkdir" => self.with_path(rest, |path| {
                self.drive.create_dir_all(path)?;
                Ok(String::new())
            }),
            "copy" => self.two_paths(rest, |from, to| {
                self.drive.write(to, &self.drive.read(from)?)?;
                Ok("        1 file(s) copied.\r\n".to_owned())
            }),
            "move" | "ren" => self.two_paths(rest, |from, to| {
                self.drive.rename(from, to)?;
                Ok("        1 file(s) moved.\r\n".to_owned())
            }),
            other => Output::failed(
                1,
                format!(
                    "'{other}' is not recognized as an internal or external command,\r\n\
                     operable program or batch file.\r\n"
                ),
            ),
        }
    }

    fn with_path(
        &self,
        words: &[String],
        work: impl Fn(&str) -> Result<String, volume::VolumeError>,
    ) -> Output {
        let named: Vec<&String> = words.iter().filter(|word| !word.starts_with('/')).collect();
        let [path] = named[..] else {
            return Output::failed(1, "The syntax of the command is incorrect.\r\n");
        };
        match drive_path(path) {
            None => Output::failed(1, "The system cannot find the path specified.\r\n"),
            Some(path) => finish(work(&path)),
        }
    }

    fn two_paths(
        &self,
        words: &[String],
        work: impl Fn(&str, &str) -> Result<String, volume::VolumeError>,
    ) -> Output {
        let named: Vec<&String> = words.iter().filter(|word| !word.starts_with('/')).collect();
        let [from, to] = named[..] else {
            return Output::failed(1, "The syntax of the command is incorrect.\r\n");
        };
        match (drive_path(from), drive_path(to)) {
            (Some(from), Some(to)) => finish(work(&from, &to)),
            _ => Output::failed(1, "The system cannot find the path specified.\r\n"),
        }
    }

    fn echo(&self, rest: &str) -> Output {
        let Some((text, target)) = rest.split_once('>') else {
            return Output::ok(format!("{}\r\n", rest.trim()));
        };
        let (append, target) = match target.strip_prefix('>') {
            Some(target) => (true, target),
            None => (false, target),
        };
        let Some(path) = drive_path(target.trim().trim_matches('"')) else {
            return Output::failed(1, "The system cannot find the path specified.\r\n");
        };
        let line = format!("{}\r\n", text.trim());
        let old = match self.drive.read(&path) {
            Ok(old) if append => old,
            _ => Vec::new(),
        };
        finish(self.drive.write(&path, &[old, line.into_bytes()].concat()).map(|()| String::new()))
    }

    fn dir(&self, path: &str) -> Result<String, volume::VolumeError> {
        let (folder, pattern) = match path.rsplit_once('\\') {
            Some((folder, last)) if last.contains(['*', '?']) => (folder, last),
            _ => (path, "*"),
        };
        let mut out = format!(" Directory of C:{folder}\r\n\r\n");
        for entry in self.drive.list(folder)? {
            if !winfmt::paths::glob_matches(pattern, &entry.name) {
                continue;
            }
            match entry.kind {
                volume::Kind::Directory => out += &format!("    <DIR>          {}\r\n", entry.name),
                _ => out += &format!("    {:>14} {}\r\n", entry.size, entry.name),
            }
        }
        Ok(out)
    }

    fn del(&self, path: &str) -> Result<String, volume::VolumeError> {
        match path.rsplit_once('\\') {
            Some((folder, pattern)) if pattern.contains(['*', '?']) => {
                for entry in self.drive.list(folder)? {
                    if entry.kind == volume::Kind::File
                        && winfmt::paths::glob_matches(pattern, &entry.name)
                    {
                        self.drive.remove_file(&format!("{folder}\\{}", entry.name))?;
                    }
                }
            }
            _ => self.drive.remove_file(path)?,
        }
        Ok(String::new())
    }

    /// `taskkill /f /im PROGRAM`.
    fn taskkill(&self, args: &[String]) -> Output {
        let words: Vec<String> = args.iter().map(|word| word.to_ascii_lowercase()).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (["/f", "/im", name] | ["/im", name, "/f"]) = words[..] else {
            return Output::failed(
                1,
                "ERROR: Invalid syntax. Only \"taskkill /f /im PROGRAM\" is modelled.\r\n",
            );
        };
        if (self.end_process.0)(name) {
            Output::ok(format!("SUCCESS: The process \"{name}\" has been terminated.\r\n"))
        } else {
            Output::failed(128, format!("ERROR: The process \"{name}\" not found.\r\n"))
        }
    }

    /// `reg query KEY [/v NAME]`, `reg add KEY /v NAME /t REG_DWORD /d NUMBER /f`.
    fn reg(&self, args: &[String]) -> Output {
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        let (key, name) = match words[..] {
            [verb, key, "/v", name, "/t", "REG_DWORD", "/d", number, "/f"]
                if verb.eq_ignore_ascii_case("add") =>
            {
                return self.set_dword(key, name, number);
            }
            [verb, key] if verb.eq_ignore_ascii_case("query") => (key, None),
            [verb, key, "/v" | "/V", name] if verb.eq_ignore_ascii_case("query") => {
                (key, Some(name))
            }
            _ => {
                return Output::failed(
                    1,
                    "ERROR: Invalid syntax. Only \"reg query KEY [/v NAME]\" and \"reg add KEY /v NAME \
                     /t REG_DWORD /d NUMBER /f\" are modelled.\r\n",
                );
            }
        };
        match self.registry.describe(key, name) {
            Some(text) => Output::ok(text),
            None => Output::failed(
                1,
                "ERROR: The system was unable to find the specified registry key or value.\r\n",
            ),
        }
    }
}

impl Shell {
    fn set_dword(&self, key: &str, name: &str, number: &str) -> Output {
        let Ok(number) = number.parse::<u32>() else {
            return Output::failed(1, "ERROR: Invalid syntax. The number is not one.\r\n");
        };
        let value = RegistryValue {
            name: name.to_owned(),
            kind: ValueType::Dword.into(),
            data: number.to_le_bytes().to_vec(),
        };
        match self.registry.set_value(key, &value) {
            Ok(()) => Output::ok("The operation completed successfully.\r\n"),
            Err(status) => Output::failed(1, format!("ERROR: {status}\r\n")),
        }
    }
}

fn finish(result: Result<String, volume::VolumeError>) -> Output {
    match result {
        Ok(out) => Output::ok(out),
        Err(error) if error.is_not_found() => {
            Output::failed(1, "The system cannot find the file specified.\r\n")
        }
        Err(error) => Output::failed(1, format!("{error}\r\n")),
    }
}

/// Words of a command line; double quotes keep spaces.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    let mut any = false;
    for c in line.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                any = true;
            }
            c if c.is_whitespace() && !quoted => {
                if any || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            c => word.push(c),
        }
    }
    if any || !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::{program_name, words};

    #[test]
    fn programs_are_known_by_their_last_name() {
        assert_eq!(program_name("C:\\Windows\\System32\\CMD.EXE"), "cmd");
        assert_eq!(program_name("hostname"), "hostname");
    }

    #[test]
    fn quotes_keep_spaces() {
        assert_eq!(words("type \"C:\\a b\\c.txt\"  x"), ["type", "C:\\a b\\c.txt", "x"]);
        assert_eq!(words("  "), Vec::<String>::new());
    }
}
