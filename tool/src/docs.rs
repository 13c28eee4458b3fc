//! The docs check: links lead somewhere, commands named are commands we have.

use crate::paths;
use anyhow::{Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Checks every Markdown file of the tree.
///
/// # Errors
/// Listing every broken link and every command that does not answer `--help`.
pub fn check() -> Result<()> {
    let mut problems = Vec::new();
    let files = markdown_files()?;
    for file in &files {
        let text = fs::read_to_string(file)?;
        let name = file
            .strip_prefix(paths::root())
            .unwrap_or(file)
            .display()
            .to_string();
        links(&text, file, &name, &mut problems);
        commands(&text, &name, &mut problems);
    }
    dependencies(&mut problems)?;
    println!("  {} files, {} problems", files.len(), problems.len());
    if problems.is_empty() {
        return Ok(());
    }
    bail!("{}", problems.join("\n"))
}

/// Every Markdown file that is part of the source.
fn markdown_files() -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "-co", "--exclude-standard", "*.md"])
        .current_dir(paths::root())
        .output()?;
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    let files: Vec<PathBuf> = list
        .lines()
        .map(|line| paths::root().join(line))
        .filter(|path| path.exists())
        .collect();
    if files.is_empty() {
        bail!("no Markdown file found");
    }
    Ok(files)
}

/// Links `[text](target)` to files of the tree, and paths in backticks that look like ours.
fn links(text: &str, file: &Path, name: &str, problems: &mut Vec<String>) {
    let folder = file.parent().unwrap_or(file);
    for (number, line) in text.lines().enumerate() {
        for target in line
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let plain = target.split('#').next().unwrap_or("");
            if plain.is_empty() || plain.contains("://") || plain.starts_with("mailto:") {
                continue;
            }
            if !folder.join(plain).exists() {
                problems.push(format!(
                    "{name}:{}: the link {target} leads nowhere",
                    number + 1
                ));
            }
        }
    }
}

/// `./lazaret ...` lines in code blocks: the subcommand and its flags must exist.
fn commands(text: &str, name: &str, problems: &mut Vec<String>) {
    let mut in_block = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
            continue;
        }
        let Some(command) = line
            .trim_start()
            .strip_prefix("./lazaret ")
            .filter(|_| in_block)
        else {
            continue;
        };
        let words: Vec<&str> = command
            .split('#')
            .next()
            .unwrap_or("")
            .split_whitespace()
            .collect();
        let Some(subcommand) = words.first().filter(|word| !word.starts_with('-')) else {
            continue;
        };
        let help = std::env::current_exe()
            .ok()
            .and_then(|exe| Command::new(exe).args([subcommand, "--help"]).output().ok());
        let help = help
            .filter(|output| output.status.success())
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let Some(help) = help else {
            problems.push(format!(
                "{name}:{}: there is no `./lazaret {subcommand}`",
                number + 1
            ));
            continue;
        };
        for flag in words
            .iter()
            .filter(|word| word.starts_with("--") && word.len() > 2)
        {
            let flag = flag.split('=').next().unwrap_or(flag);
            if !help.contains(flag) {
                problems.push(format!(
                    "{name}:{}: `./lazaret {subcommand}` has no {flag}",
                    number + 1
                ));
            }
        }
    }
}

/// Every crate from outside has a row in docs/dependencies.md, with the version that is used.
fn dependencies(problems: &mut Vec<String>) -> Result<()> {
    let table = fs::read_to_string(paths::root().join("docs/dependencies.md")).unwrap_or_default();
    let output = Command::new("git")
        .args(["ls-files", "-co", "--exclude-standard", "*Cargo.toml"])
        .current_dir(paths::root())
        .output()?;
    for file in String::from_utf8_lossy(&output.stdout).lines() {
        let text = fs::read_to_string(paths::root().join(file)).unwrap_or_default();
        for (name, version) in text.lines().filter_map(pinned) {
            let row = |line: &&str| {
                line.starts_with('|') && line.contains(name) && line.contains(version)
            };
            if !table.lines().any(|line| row(&line)) {
                problems.push(format!(
                    "docs/dependencies.md has no row for {name} {version} of {file}"
                ));
            }
        }
    }
    Ok(())
}

/// Name and version of a dependency line with a pinned version: `name = "=1.2.3"` or `name = { version = "=1.2.3" ...`.
fn pinned(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.split_once(" = ")?;
    let (_, version) = rest.split_once("\"=")?;
    Some((name, version.split('"').next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinned_dependencies_are_found() {
        assert_eq!(pinned("anyhow = \"=1.0.104\""), Some(("anyhow", "1.0.104")));
        let line = "clap = { version = \"=4.6.9\", features = [\"derive\"] }";
        assert_eq!(pinned(line), Some(("clap", "4.6.9")));
        assert_eq!(pinned("images = { path = \"images\" }"), None);
    }

    #[test]
    fn broken_links_and_commands_are_found() {
        let mut problems = Vec::new();
        let text = "[a](nowhere.md) [b](docs.rs) [c](https://x.example/y)";
        links(
            text,
            &paths::root().join("tool/src/docs.rs"),
            "t.md",
            &mut problems,
        );
        assert_eq!(problems, ["t.md:1: the link nowhere.md leads nowhere"]);
    }
}
