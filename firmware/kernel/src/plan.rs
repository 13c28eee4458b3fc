//! What the description says about the kernel's machine and its tasks.

/// Constants of the build script; other stages use more of them.
#[allow(dead_code, reason = "the description has more than the kernel needs")]
mod derived {
    include!(concat!(env!("OUT_DIR"), "/plan.rs"));
    include!(concat!(env!("OUT_DIR"), "/tasks.rs"));
}
pub use derived::*;

/// How many tasks there are.
pub const TASK_COUNT: usize = TASKS.len();
/// The core of kernel and tasks.
pub const SECURE_CORE: usize = 0;
