//! The archive the kernel unpacks as its first file system: cpio, format "newc".
//!
//! Documented in Linux `Documentation/driver-api/early-userspace/buffer-format.rst`. Everything
//! belongs to root, nothing has a date: the same entries give the same bytes.

/// Kinds of files (`st_mode`, POSIX `sys/stat.h`).
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;
/// First six bytes of an entry without checksum.
const MAGIC: &str = "070701";
/// Name of the entry that ends an archive.
const TRAILER: &str = "TRAILER!!!";

/// An archive being written.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    /// A directory; its parents come first.
    pub fn directory(&mut self, path: &str) {
        self.entry(path, DIRECTORY | 0o755, (0, 0), &[]);
    }

    /// A file.
    pub fn file(&mut self, path: &str, executable: bool, content: &[u8]) {
        let rights = if executable { 0o755 } else { 0o644 };
        self.entry(path, REGULAR | rights, (0, 0), content);
    }

    /// A symbolic link.
    pub fn link(&mut self, path: &str, target: &str) {
        self.entry(path, LINK | 0o777, (0, 0), target.as_bytes());
    }

    /// A character device.
    pub fn device(&mut self, path: &str, number: (u32, u32)) {
        self.entry(path, CHARACTER_DEVICE | 0o600, number, &[]);
    }

    /// The whole archive.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.entry(TRAILER, 0, (0, 0), &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.entries += 1;
        let inode = if path == TRAILER { 0 } else { self.entries };
        let (user, group, links, date) = (0, 0, 1, 0);
        let length = |bytes: usize| u32::try_from(bytes).expect("an entry below 4 GiB");
        let fields = [
            inode,
            mode,
            user,
            group,
            links,
            date,
            length(content.len()),
            0,
            0,
            device.0,
            device.1,
            length(path.len() + 1),
            0,
        ];
        self.bytes.extend(MAGIC.bytes());
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(path.bytes().chain([0]));
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// First word of a legacy LZ4 stream (lz4 `doc/lz4_Frame_format.md`, "Legacy frame"): what the kernel reads.
const LZ4_LEGACY: u32 = 0x184c_2102;
/// Bytes of each block before compression, in that format.
const LZ4_BLOCK_BYTES: usize = 8 << 20;

/// Compresses as the kernel unpacks it fastest.
#[must_use]
pub fn lz4(bytes: &[u8]) -> Vec<u8> {
    let mut packed = LZ4_LEGACY.to_le_bytes().to_vec();
    for block in bytes.chunks(LZ4_BLOCK_BYTES) {
        let block = lz4_flex::block::compress(block);
        packed.extend(
            u32::try_from(block.len())
                .expect("a block below 4 GiB")
                .to_le_bytes(),
        );
        packed.extend(block);
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_what_the_format_says() {
        let mut archive = Archive::default();
        archive.directory("bin");
        archive.file("bin/a", true, b"hello");
        archive.device("dev/console", (5, 1));
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        let second = 112 + 4;
        assert_eq!(&bytes[..14], b"07070100000001");
        assert_eq!(&bytes[second..second + 22], b"07070100000002000081ed");
        // The size is the seventh field, the name's length the twelfth.
        assert_eq!(&bytes[second + 54..second + 62], b"00000005");
        assert_eq!(&bytes[second + 94..second + 102], b"00000006");
        assert_eq!(&bytes[second + 110..second + 116], b"bin/a\0");
        assert_eq!(&bytes[second + 116..second + 121], b"hello");
        let end = String::from_utf8_lossy(&bytes).into_owned();
        assert!(end.contains("TRAILER!!!\0"));
    }

    #[test]
    fn packed_blocks_unpack_to_what_they_were() {
        let bytes: Vec<u8> = (0..LZ4_BLOCK_BYTES + 1000)
            .map(|at| (at % 251) as u8)
            .collect();
        let packed = lz4(&bytes);
        assert_eq!(packed[..4], LZ4_LEGACY.to_le_bytes());
        let (mut at, mut back) = (4, Vec::new());
        while at < packed.len() {
            let size = u32::from_le_bytes(packed[at..at + 4].try_into().expect("four")) as usize;
            let left = (bytes.len() - back.len()).min(LZ4_BLOCK_BYTES);
            back.extend(
                lz4_flex::block::decompress(&packed[at + 4..at + 4 + size], left).expect("unpacks"),
            );
            at += 4 + size;
        }
        assert!(back == bytes);
    }
}
