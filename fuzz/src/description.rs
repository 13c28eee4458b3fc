//! The device description: text a person wrote.

use lazaret_description::Description;

/// Reads and checks it; every problem has a line of the file.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Err(problems) = Description::parse(text) {
        assert!(!problems.is_empty());
        let lines = text.lines().count();
        assert!(problems.iter().all(|problem| problem.line <= lines + 1));
    }
}

/// The shipped description.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    std::fs::read(Description::default_path())
        .into_iter()
        .collect()
}
