//! Builds the Linux guest from Debian packages pinned in a lock file.
