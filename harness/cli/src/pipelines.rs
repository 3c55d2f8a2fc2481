//! The files for pipelines in `docs/pipelines`: they are well-formed, have what each service asks for, and every
//! `loopbreak` command in them is one.

use std::path::{Path, PathBuf};

use clap::Parser;
use serde_json::Value;

use crate::args::Cli;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pipelines")
}

fn text(name: &str) -> String {
    let path = folder().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What stands for what a service puts in.
const VARIABLES: [(&str, &str); 4] =
    [("$SHARD", "1"), ("$CI_NODE_INDEX", "2"), ("$CI_NODE_TOTAL", "3"), ("$PWD", "/repo")];

/// The `loopbreak` commands of a text, as words: from the name to the end of the command. An image and a container are
/// called the same; what stands behind these is the command that is run in them.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut text = text.replace("\\\n", " ");
    for (variable, value) in VARIABLES {
        text = text.replace(variable, value);
    }
    let mut found = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', '/'])) {
        let words: Vec<&str> = line.split_whitespace().collect();
        for (at, word) in words.iter().enumerate() {
            let named = word.trim_start_matches(['\'', '"']) == "loopbreak";
            // `docker build -t loopbreak .` and `docker save loopbreak |` run nothing in it.
            let next = words.get(at + 1).copied().unwrap_or("|");
            if !named || !next.starts_with(|c: char| c.is_ascii_lowercase()) {
                continue;
            }
            let command = words[at..].iter().take_while(|word| !matches!(**word, ">" | "|" | "&&"));
            let plain = |word: &&str| word.trim_matches(['\'', '"']).to_owned();
            found.push(command.map(plain).collect());
        }
    }
    found
}

#[test]
fn every_command_of_every_file_is_one() {
    for (file, least) in [
        ("github.yml", 3),
        ("gitlab-ci.yml", 3),
        ("Jenkinsfile", 3),
        ("azure-pipelines.yml", 2),
        ("README.md", 2),
    ] {
        let found = commands(&text(file));
        assert!(found.len() >= least, "{file}: {found:?}");
        for command in &found {
            if let Err(error) = Cli::try_parse_from(command) {
                panic!("{file}: {command:?}\n{error}");
            }
        }
        let runs = found
            .iter()
            .any(|command| command[1] == "run" && command.contains(&"--junit".to_owned()));
        assert!(runs || file == "README.md", "{file}: {found:?}");
    }
    // A mistake would be seen.
    let wrong = commands("  docker run x loopbreak run --al --json > a.json");
    assert_eq!(wrong, [["loopbreak", "run", "--al", "--json"]]);
    assert!(Cli::try_parse_from(&wrong[0]).is_err());
    assert!(
        commands("docker build -t loopbreak .\n# loopbreak fly\ndocker save loopbreak | zstd")
            .is_empty()
    );
}

/// What must hold of a value: its keys are known, and those that are needed are there.
fn keys(place: &str, value: &Value, needed: &[&str], known: &[&str]) {
    let table = value.as_object().unwrap_or_else(|| panic!("{place} is not a table: {value}"));
    for key in needed {
        assert!(table.contains_key(*key), "{place} has no `{key}`");
    }
    for key in table.keys() {
        assert!(
            needed.contains(&key.as_str()) || known.contains(&key.as_str()),
            "{place}: `{key}`"
        );
    }
}

fn list<'a>(place: &str, value: &'a Value) -> &'a Vec<Value> {
    value.as_array().filter(|list| !list.is_empty()).unwrap_or_else(|| panic!("{place}: {value}"))
}

/// After GitHub's "Workflow syntax for GitHub Actions".
#[test]
fn the_file_for_github_has_the_shape_of_a_workflow() {
    let file = yaml("github.yml");
    keys("the workflow", &file, &["on", "jobs"], &["name", "permissions", "env", "concurrency"]);
    let jobs = file["jobs"].as_object().expect("jobs");
    for (name, job) in jobs {
        let known = ["needs", "if", "strategy", "env", "timeout-minutes"];
        keys(name, job, &["runs-on", "steps"], &known);
        if let Some(needs) = job["needs"].as_str() {
            assert!(jobs.contains_key(needs), "{name} needs {needs}");
        }
        for step in list(name, &job["steps"]) {
            keys(name, step, &[], &["name", "id", "if", "uses", "with", "run", "env"]);
            let (uses, runs) = (step["uses"].is_string(), step["run"].is_string());
            assert!(uses != runs, "{name}: a step either uses an action or runs a script: {step}");
            assert!(runs || step["uses"].as_str().is_some_and(|it| it.contains('@')), "{step}");
        }
    }
    assert_eq!(jobs["shard"]["strategy"]["matrix"]["shard"], serde_json::json!([1, 2, 3]));
    let text = text("github.yml");
    assert!(text.contains("KERNEL==\"kvm\"") && text.contains("--shard \"$SHARD/3\""));
}

/// After GitLab's "CI/CD YAML syntax reference".
#[test]
fn the_file_for_gitlab_has_the_shape_of_a_pipeline() {
    let file = yaml("gitlab-ci.yml");
    let stages = list("stages", &file["stages"]);
    for (name, job) in file.as_object().expect("a table") {
        if ["stages", "variables"].contains(&name.as_str()) {
            continue;
        }
        let known =
            ["image", "rules", "parallel", "artifacts", "when", "needs", "variables", "cache"];
        keys(name, job, &["stage", "script"], &known);
        assert!(stages.contains(&job["stage"]), "{name} is of no stage");
        assert!(list(name, &job["script"]).iter().all(Value::is_string), "{name}");
        for needed in job["needs"].as_array().into_iter().flatten() {
            assert!(
                file.get(needed.as_str().unwrap_or_default()).is_some(),
                "{name} needs {needed}"
            );
        }
    }
    let recovery = &file["recovery"];
    assert_eq!(recovery["parallel"], 3);
    assert_eq!(recovery["artifacts"]["when"], "always");
    assert!(recovery["artifacts"]["reports"]["junit"].is_string());
}

/// After Microsoft's "YAML schema reference for Azure Pipelines".
#[test]
fn the_file_for_azure_has_the_shape_of_a_pipeline() {
    let file = yaml("azure-pipelines.yml");
    keys("the pipeline", &file, &["jobs"], &["trigger", "pr", "pool", "variables"]);
    for job in list("jobs", &file["jobs"]) {
        let known = ["timeoutInMinutes", "strategy", "variables", "dependsOn", "condition"];
        keys("a job", job, &["job", "pool", "steps"], &known);
        for step in list("steps", &job["steps"]) {
            let kinds = ["checkout", "script", "task", "publish", "download", "bash"];
            let own = kinds.iter().filter(|kind| step.get(**kind).is_some()).count();
            assert_eq!(own, 1, "a step is of one kind: {step}");
            let known = ["displayName", "condition", "inputs", "env", "artifact"];
            keys("a step", step, &[], &[&kinds[..], &known].concat());
        }
    }
    assert!(text("azure-pipelines.yml").contains("testResultsFormat: JUnit"));
}

/// The language is Groovy, which nothing here reads: brackets and quotes have to match, and stages have their parts.
#[test]
fn the_file_for_jenkins_is_balanced() {
    let text = text("Jenkinsfile");
    let mut open = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split("//").next().unwrap_or_default();
        let mut quote = None;
        for c in line.chars() {
            match (c, quote) {
                ('\'' | '"', None) => quote = Some(c),
                (c, Some(own)) if c == own => quote = None,
                ('(' | '{' | '[', None) => open.push(c),
                (')' | '}' | ']', None) => {
                    let last = open.pop();
                    assert!(
                        matches!((last, c), (Some('('), ')') | (Some('{'), '}') | (Some('['), ']')),
                        "line {}",
                        number + 1
                    );
                }
                _ => {}
            }
        }
        assert_eq!(quote, None, "line {}", number + 1);
    }
    assert_eq!(open, ['{'; 0]);
    for part in ["pipeline {", "agent none", "matrix {", "axes {", "junit '", "CI = 'true'"] {
        assert!(text.contains(part), "{part}");
    }
}

/// The packages of the container are those that `scripts/setup` installs to run machines.
#[test]
fn the_container_has_what_running_takes() {
    let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/setup");
    let setup = std::fs::read_to_string(setup).expect("scripts/setup");
    let line = setup.lines().find_map(|line| line.strip_prefix("run=\"")).expect("the list");
    let recipe = text("Containerfile");
    for package in line.trim_end_matches('"').split(' ') {
        assert!(recipe.split_whitespace().any(|word| word == package), "{package}");
    }
    let user = recipe.rfind("\nUSER ").expect("a user");
    assert!(!recipe[user..].starts_with("\nUSER root") && recipe[user..].contains("ENTRYPOINT"));
    assert!(!recipe.contains("--privileged"));
}
