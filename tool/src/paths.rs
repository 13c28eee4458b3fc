//! Where things are in the tree and where built things go.

use std::path::{Path, PathBuf};

/// The root of the source tree.
#[must_use]
pub fn root() -> PathBuf {
    std::env::var_os("LAZARET_ROOT").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join(".."),
        PathBuf::from,
    )
}

/// Where cargo puts what it builds.
#[must_use]
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Where images, the guest and the runs of the machine go.
#[must_use]
pub fn output() -> PathBuf {
    target().join("device")
}

/// The development keys, made on the first build, never committed.
#[must_use]
pub fn keys() -> PathBuf {
    std::env::var_os("LAZARET_KEYS").map_or_else(|| root().join("keys"), PathBuf::from)
}

/// The recipe of the Linux guest.
#[must_use]
pub fn guest_recipe() -> PathBuf {
    root().join("firmware/guests/linux")
}

/// Downloads that are worth keeping between builds; checked against digests at every use.
#[must_use]
pub fn cache() -> PathBuf {
    std::env::var_os("LAZARET_CACHE").map_or_else(|| target().join("cache"), PathBuf::from)
}
