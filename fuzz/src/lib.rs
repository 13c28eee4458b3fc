//! One target per parser of outside bytes.
