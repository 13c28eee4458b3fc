//! Constants for the monitor.
