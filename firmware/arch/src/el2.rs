//! Instructions and structures of EL2, for the hypervisor.
