//! Passes bytes between the secure world (vsock) and the ward (TCP).
fn main() {}
