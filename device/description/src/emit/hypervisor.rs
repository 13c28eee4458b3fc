//! Constants for the hypervisor.
