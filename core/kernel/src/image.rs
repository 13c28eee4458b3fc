//! A task's image: its header, read with suspicion although it is verified.
//!
//! The image is flat: text (the header first), constants, data, each padded to a page; the
//! header is made by the linker script that the description derives for tasks.

use crate::plan::{IMAGE_ADDRESS, PAGE_BYTES};

/// First eight bytes of an image: `LZRTTASK`.
pub const MAGIC: u64 = u64::from_le_bytes(*b"LZRTTASK");
/// Bytes of the header.
pub const HEADER_BYTES: usize = 40;

/// How an image is divided; every size but that of zeroed data is a multiple of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of text, header included.
    pub text_bytes: u64,
    /// Bytes of constants.
    pub constant_bytes: u64,
    /// Bytes of data that is stored.
    pub data_bytes: u64,
    /// Bytes of data and zeroed data together.
    pub memory_bytes: u64,
    /// First instruction, in the task's space.
    pub entry: u64,
}

/// Why an image cannot be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// It is shorter than a header or does not begin with [`MAGIC`].
    NoImage,
    /// A size is no multiple of a page, or the parts are larger than the room for them.
    Size,
    /// The first instruction lies outside the text.
    Entry,
}

impl Layout {
    /// Reads the header of `image`, which may take `image_limit` bytes, and its data `ram_limit` bytes.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn read(image: &[u8], image_limit: u64, ram_limit: u64) -> Result<Self, Error> {
        let word = |index: usize| -> Option<u64> {
            let bytes = image.get(index * 8..index * 8 + 8)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        let half = |index: usize| -> Option<u64> {
            let bytes = image.get(index * 4..index * 4 + 4)?;
            Some(u64::from(u32::from_le_bytes(bytes.try_into().ok()?)))
        };
        if word(0) != Some(MAGIC) {
            return Err(Error::NoImage);
        }
        let part = |index| half(index).ok_or(Error::NoImage);
        let layout = Self {
            text_bytes: part(2)?,
            constant_bytes: part(3)?,
            data_bytes: part(4)?,
            memory_bytes: part(5)?,
            entry: word(4).ok_or(Error::NoImage)?,
        };
        layout.check(image_limit, ram_limit)
    }

    fn check(self, image_limit: u64, ram_limit: u64) -> Result<Self, Error> {
        let stored = self.text_bytes + self.constant_bytes + self.data_bytes;
        let whole = [self.text_bytes, self.constant_bytes, self.memory_bytes]
            .iter()
            .all(|bytes| bytes.is_multiple_of(PAGE_BYTES));
        if !whole
            || stored > image_limit
            || self.data_bytes > self.memory_bytes
            || self.memory_bytes > ram_limit
        {
            return Err(Error::Size);
        }
        let text_end = IMAGE_ADDRESS + self.text_bytes;
        let first = IMAGE_ADDRESS + HEADER_BYTES as u64;
        if self.entry < first || self.entry >= text_end || !self.entry.is_multiple_of(4) {
            return Err(Error::Entry);
        }
        Ok(self)
    }

    /// Bytes of text and constants: what is mapped from the image itself.
    #[must_use]
    pub const fn fixed_bytes(&self) -> u64 {
        self.text_bytes + self.constant_bytes
    }
}
