//! What can be wrong with a recording.

use std::fmt;
use std::path::PathBuf;

/// Why a recording was not read at all. (What was read in part is in `problems`.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The file cannot be read.
    Io(PathBuf, std::io::ErrorKind),
    /// The file has more bytes than this limit.
    TooLong(PathBuf, usize),
    /// The header (or the table) makes no sense: line, counted from 1, and what was expected.
    Malformed(usize, String),
    /// A kind of record that is not supported.
    Unsupported(String),
    /// None of the signals can be read: why.
    NoSignals(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, kind) => write!(f, "{}: {kind}", path.display()),
            Self::TooLong(path, limit) => {
                write!(f, "{}: longer than {limit} bytes", path.display())
            }
            Self::Malformed(line, what) => write!(f, "line {line}: {what}"),
            Self::Unsupported(what) => write!(f, "not supported: {what}"),
            Self::NoSignals(why) => write!(f, "no signal could be read: {why}"),
        }
    }
}

impl std::error::Error for Error {}
