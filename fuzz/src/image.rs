//! What is read of programs: a task's header in the kernel, an ELF file in the image builder.

use kernel_core::image::Layout;

/// Reads `data` as both.
pub fn run(data: &[u8]) {
    if let Ok(layout) = Layout::read(data, 256 << 10, 1 << 20) {
        assert!(layout.text_bytes + layout.constant_bytes + layout.data_bytes <= 256 << 10);
        assert!(layout.memory_bytes <= 1 << 20 && layout.data_bytes <= layout.memory_bytes);
    }
    let _ = images::flatten(data);
}

/// A task's header, and an ELF file with one segment.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut task = kernel_core::image::MAGIC.to_le_bytes().to_vec();
    for word in [0x2000_u32, 0x1000, 0x1000, 0x3000] {
        task.extend(word.to_le_bytes());
    }
    task.extend(0x1_0000_0040_u64.to_le_bytes());
    task.resize(0x4000, 0);
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(64 + 56 + 16, 0);
    elf[32] = 64;
    elf[54] = 56;
    elf[56] = 1;
    elf[64] = 1;
    elf[72] = 120;
    elf[96] = 16;
    vec![task, elf]
}
