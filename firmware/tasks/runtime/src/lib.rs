//! What a secure task links: entry, system calls, panic.
