//! Being written.
use super::rows::Row;
use anyhow::Result;

/// Measures.
///
/// # Errors
/// Where a machine does not come up.
pub fn measure() -> Result<Vec<Row>> {
    Ok(Vec::new())
}
