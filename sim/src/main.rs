//! The patient and the nodes on the CAN bus, replaying recorded signals.
fn main() {}
