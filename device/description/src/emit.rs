//! What build scripts of the firmware take from the description: constants and linker scripts.
//!
//! A build script calls one function; it writes `plan.rs` (constants, included by the crate)
//! and `link.ld` into `OUT_DIR` and tells cargo to link with it.

pub mod bedside;
pub mod boot;
pub mod common;
pub mod hypervisor;
pub mod kernel;
pub mod monitor;

pub use common::common;
