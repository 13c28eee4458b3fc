//! Constants for the boot.
