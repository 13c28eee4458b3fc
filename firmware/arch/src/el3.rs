//! Instructions and structures of EL3, for the monitor.
