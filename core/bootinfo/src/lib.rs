//! What the loader tells the stages it starts: components, digests, times.
//!
//! One [`BootInfo`] lies at the start of the `boot-info` memory region. The boot ROM starts it, the loader
//! completes it, everything above reads it. It holds no pointers and every bit pattern is a valid value,
//! so a reader needs one bounds-checked look at it and then [`BootInfo::check`].
#![no_std]
#![forbid(unsafe_code)]

/// First eight bytes of a [`BootInfo`] in memory: `LZRTBOOT`.
pub const MAGIC: u64 = u64::from_le_bytes(*b"LZRTBOOT");
/// Layout version; changes whenever the layout does.
pub const VERSION: u32 = 1;
/// Most components a device has.
pub const MAX_COMPONENTS: usize = 32;
/// Longest component name in bytes.
pub const NAME_BYTES: usize = 24;
/// Longest version text in bytes.
pub const VERSION_BYTES: usize = 16;

/// Physical counter (CNTPCT_EL0) readings along the boot, in ticks of CNTFRQ_EL0; 0 = not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct BootTimes {
    /// First instructions of the boot ROM.
    pub rom_entry: u64,
    /// The ROM has verified the loader.
    pub rom_verified: u64,
    /// First instructions of the loader.
    pub loader_entry: u64,
    /// The loader has verified the firmware: everything up to the hypervisor.
    pub firmware_verified: u64,
    /// The loader has verified every component, the partitions' too.
    pub loader_verified: u64,
    /// First instructions of the monitor.
    pub monitor_entry: u64,
}

/// One verified component, as it lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Component {
    /// Name, zero-padded, as in the signed manifest.
    pub name: [u8; NAME_BYTES],
    /// Physical address of its first byte.
    pub load_address: u64,
    /// Bytes in memory (after decompression).
    pub size: u64,
    /// SHA-256 of the component as the manifest states it (of the stored bytes).
    pub digest: [u8; 32],
    /// Version text, zero-padded.
    pub version: [u8; VERSION_BYTES],
}

impl Component {
    /// A component without name and content.
    pub const EMPTY: Self = Self {
        name: [0; NAME_BYTES],
        load_address: 0,
        size: 0,
        digest: [0; 32],
        version: [0; VERSION_BYTES],
    };

    /// The name as text; empty where the bytes are no UTF-8.
    #[must_use]
    pub fn name(&self) -> &str {
        text(&self.name)
    }

    /// The version as text; empty where the bytes are no UTF-8.
    #[must_use]
    pub fn version(&self) -> &str {
        text(&self.version)
    }

    /// One past the last address; saturates.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.load_address.saturating_add(self.size)
    }
}

/// What the loader hands to the stages it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct BootInfo {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`VERSION`].
    pub version: u32,
    /// The flash slot that was booted: 0 = A, 1 = B.
    pub active_slot: u32,
    /// Sequence number of the system manifest.
    pub sequence: u64,
    /// Sequence number of the loader manifest.
    pub loader_sequence: u64,
    /// SHA-256 of the root public keys, as read from the one-time-programmable sector.
    pub root_keys_digest: [u8; 32],
    /// SHA-256 of the key certificate the boot ROM verified.
    pub key_certificate_digest: [u8; 32],
    /// Counter readings along the boot.
    pub times: BootTimes,
    /// How many of `components` are filled in.
    pub count: u32,
    /// Zero.
    pub reserved: u32,
    /// The verified components, in the order they were loaded; the loader itself is the first.
    pub components: [Component; MAX_COMPONENTS],
}

/// Why a [`BootInfo`] is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The first eight bytes are not [`MAGIC`].
    Magic,
    /// Another layout version.
    Version,
    /// More components than there is room for.
    Count,
}

impl BootInfo {
    /// An empty hand-over, as the boot ROM starts it.
    pub const EMPTY: Self = Self {
        magic: MAGIC,
        version: VERSION,
        active_slot: 0,
        sequence: 0,
        loader_sequence: 0,
        root_keys_digest: [0; 32],
        key_certificate_digest: [0; 32],
        times: BootTimes {
            rom_entry: 0,
            rom_verified: 0,
            loader_entry: 0,
            firmware_verified: 0,
            loader_verified: 0,
            monitor_entry: 0,
        },
        count: 0,
        reserved: 0,
        components: [Component::EMPTY; MAX_COMPONENTS],
    };

    /// Whether this is a hand-over of the layout we know.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub const fn check(&self) -> Result<(), Error> {
        if self.magic != MAGIC {
            return Err(Error::Magic);
        }
        if self.version != VERSION {
            return Err(Error::Version);
        }
        if self.count as usize > MAX_COMPONENTS {
            return Err(Error::Count);
        }
        Ok(())
    }

    /// The verified components, in the order they were loaded.
    #[must_use]
    pub fn components(&self) -> &[Component] {
        let count = (self.count as usize).min(MAX_COMPONENTS);
        self.components.get(..count).unwrap_or(&[])
    }

    /// The component called `name`.
    #[must_use]
    pub fn component(&self, name: &str) -> Option<&Component> {
        self.components().iter().find(|c| c.name() == name)
    }

    /// Adds a component; `false` where there is no room left.
    #[must_use]
    pub fn push(&mut self, component: Component) -> bool {
        let Some(place) = self.components.get_mut(self.count as usize) else {
            return false;
        };
        *place = component;
        self.count = self.count.saturating_add(1);
        true
    }
}

/// `text` cut to `N` bytes and padded with zeros.
#[must_use]
pub fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    for (place, byte) in bytes.iter_mut().zip(text.bytes()) {
        *place = byte;
    }
    bytes
}

fn text(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    bytes
        .get(..end)
        .and_then(|part| core::str::from_utf8(part).ok())
        .unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_what_other_stages_were_built_with() {
        assert_eq!(size_of::<Component>(), 88);
        assert_eq!(size_of::<BootInfo>(), 152 + 32 * 88);
        assert_eq!(core::mem::offset_of!(BootInfo, times), 96);
        assert_eq!(core::mem::offset_of!(BootInfo, components), 152);
    }

    #[test]
    fn components_are_found_and_bounded() {
        let mut info = BootInfo::EMPTY;
        for index in 0..MAX_COMPONENTS {
            let mut component = Component::EMPTY;
            component.name = padded(if index == 7 { "kernel" } else { "other" });
            assert!(info.push(component));
        }
        assert!(!info.push(Component::EMPTY));
        assert_eq!(info.component("kernel"), Some(&info.components[7]));
        assert_eq!(info.component("absent"), None);
        info.count = 33;
        assert_eq!(info.check(), Err(Error::Count));
        assert_eq!(info.components().len(), MAX_COMPONENTS);
    }
}
