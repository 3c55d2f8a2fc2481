//! The guide as tests read it: pages with blocks of commands, and a place in which the commands are run.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, bail};

/// A page of the guide.
#[derive(Debug)]
pub struct Page {
    /// The file's name, for example `first-run.md`.
    pub name: String,
    /// What is marked as code in it, in order.
    pub blocks: Vec<Block>,
}

/// Code on a page, by its language.
#[derive(Debug)]
pub enum Block {
    /// `console`: commands that need no machine.
    Commands(Vec<Shown>),
    /// `console machine`: commands that need the understudy, and run machines.
    Machine(Vec<Shown>),
    /// `console shown`: commands that no test runs.
    Parsed(Vec<Shown>),
    /// `toml file=PATH`: a file that the page has the reader write.
    File(PathBuf, String),
    /// `toml`.
    Toml(String),
}

/// A command as the guide shows it, with what it prints.
#[derive(Debug)]
pub struct Shown {
    /// What is typed.
    pub line: String,
    /// What it ends with.
    pub exit: i32,
    /// Lines that are among what it prints. Blanks count as one, since the terminal's width decides on them.
    pub prints: Vec<String>,
}

impl Page {
    /// Whether something on it needs the understudy.
    pub fn needs_machine(&self) -> bool {
        self.blocks.iter().any(|block| matches!(block, Block::Machine(_)))
    }
}

/// All pages of the guide.
///
/// # Errors
/// They cannot be read, or a block has a language that no test knows.
pub fn pages(root: &Path) -> anyhow::Result<Vec<Page>> {
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(root.join("docs/guide"))? {
        let path = entry?.path();
        let name = path.file_name().context("a file")?.to_string_lossy().into_owned();
        // The list of all pages is none itself.
        if name.ends_with(".md") && name != "SUMMARY.md" {
            let blocks = blocks(&std::fs::read_to_string(&path)?).with_context(|| name.clone())?;
            pages.push(Page { name, blocks });
        }
    }
    pages.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(pages)
}

fn blocks(text: &str) -> anyhow::Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let code: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let toml = || code.join("\n") + "\n";
        blocks.push(match language {
            "console" => Block::Commands(shown(&code)?),
            "console machine" => Block::Machine(shown(&code)?),
            "console shown" => Block::Parsed(shown(&code)?),
            "toml" => Block::Toml(toml()),
            "text" => continue,
            other => match other.strip_prefix("toml file=") {
                Some(file) => Block::File(file.into(), toml()),
                None => bail!("`{other}` is no language of the guide"),
            },
        });
    }
    Ok(blocks)
}

fn shown(code: &[&str]) -> anyhow::Result<Vec<Shown>> {
    let mut commands: Vec<Shown> = Vec::new();
    for line in code {
        if let Some(typed) = line.strip_prefix("$ ") {
            let exit = match typed.split_once("# exits with ") {
                Some((_, code)) => code.trim().parse()?,
                None => 0,
            };
            commands.push(Shown { line: typed.to_owned(), exit, prints: Vec::new() });
        } else {
            let last = commands.last_mut().context("output before a command")?;
            last.prints.push(one_blank(line));
        }
    }
    Ok(commands)
}

fn one_blank(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A folder in which commands are run, with a state directory of its own. `loopbreak` is the built command.
#[derive(Debug)]
pub struct Place<'a> {
    /// Where commands run, and files are written.
    pub folder: &'a Path,
    /// The state directory.
    pub state: &'a Path,
    /// The command.
    pub program: &'a Path,
}

impl Place<'_> {
    /// Runs a line as the guide has it.
    ///
    /// # Errors
    /// There is no shell.
    pub fn shell(&self, line: &str) -> anyhow::Result<Output> {
        let mut path = self.program.parent().context("a folder")?.as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        Command::new("sh")
            .args(["-c", line])
            .current_dir(self.folder)
            .env("PATH", path)
            .env("LOOPBREAK_STATE", self.state)
            .env("LOOPBREAK_SCENARIOS", crate::workspace().join("scenarios"))
            .env_remove("LOOPBREAK_CONNECT")
            // A reader at a terminal is no pipeline.
            .env("INSTA_UPDATE", "new")
            .output()
            .context(line.to_owned())
    }

    /// Does what a page says, in order: writes its files and runs its commands. Gives what did not come as it says, one
    /// paragraph each; nothing where all did.
    ///
    /// # Errors
    /// A file cannot be written, or there is no shell.
    pub fn follow(&self, page: &Page) -> anyhow::Result<String> {
        let mut wrong = String::new();
        for block in &page.blocks {
            match block {
                Block::File(path, text) => {
                    let path = self.folder.join(path);
                    std::fs::create_dir_all(path.parent().context("a folder")?)?;
                    std::fs::write(path, text)?;
                }
                Block::Commands(commands) | Block::Machine(commands) => {
                    for command in commands {
                        let output = self.shell(&command.line)?;
                        let all = [output.stdout, output.stderr].concat();
                        let all = String::from_utf8_lossy(&all);
                        let plain = one_blank(&all);
                        let missing: Vec<_> =
                            command.prints.iter().filter(|line| !plain.contains(*line)).collect();
                        if output.status.code() != Some(command.exit) || !missing.is_empty() {
                            let (page, line) = (&page.name, &command.line);
                            writeln!(
                                wrong,
                                "{page}: {line}\n  {}, missing {missing:?}:\n{all}",
                                output.status
                            )?;
                        }
                    }
                }
                Block::Parsed(_) | Block::Toml(_) => {}
            }
        }
        Ok(wrong)
    }
}
