//! A flattened device tree as it is written (Devicetree Specification 0.4, chapter 5).

/// Words of the structure block (Devicetree Specification 0.4, 5.4.1).
mod token {
    pub const BEGIN_NODE: u32 = 1;
    pub const END_NODE: u32 = 2;
    pub const PROPERTY: u32 = 3;
    pub const END: u32 = 9;
}

/// A tree being written: nodes open and close in order, properties before children.
pub struct Tree {
    structure: Vec<u8>,
    strings: Vec<u8>,
    names: Vec<(String, u32)>,
}

impl Tree {
    /// First word of the header (5.2).
    const MAGIC: u32 = 0xd00d_feed;
    /// Version written, and the oldest one whose readers understand it (5.2).
    const VERSION: u32 = 17;
    const LAST_COMPATIBLE_VERSION: u32 = 16;
    /// Ten words.
    const HEADER_BYTES: u32 = 40;
    /// One empty entry: address and size 0 (5.3).
    const RESERVATIONS: [u8; 16] = [0; 16];

    /// An empty tree.
    pub fn new() -> Self {
        Self {
            structure: Vec::new(),
            strings: Vec::new(),
            names: Vec::new(),
        }
    }

    fn word(&mut self, word: u32) {
        self.structure.extend(word.to_be_bytes());
    }

    /// Bytes, padded to the next word.
    fn padded(&mut self, bytes: &[u8]) {
        self.structure.extend(bytes);
        self.structure
            .resize(self.structure.len().next_multiple_of(4), 0);
    }

    /// Opens a node.
    pub fn begin(&mut self, name: &str) {
        self.word(token::BEGIN_NODE);
        self.padded(format!("{name}\0").as_bytes());
    }

    /// Closes the node opened last.
    pub fn end(&mut self) {
        self.word(token::END_NODE);
    }

    /// A property of plain bytes.
    pub fn property(&mut self, name: &str, value: &[u8]) {
        let known = self
            .names
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, offset)| *offset);
        let offset = known.unwrap_or_else(|| {
            let offset = length(&self.strings);
            self.strings.extend(format!("{name}\0").bytes());
            self.names.push((name.to_owned(), offset));
            offset
        });
        self.word(token::PROPERTY);
        self.word(length(value));
        self.word(offset);
        self.padded(value);
    }

    /// A property that says something by being there.
    pub fn flag(&mut self, name: &str) {
        self.property(name, &[]);
    }

    /// A list of strings.
    pub fn text(&mut self, name: &str, list: &[&str]) {
        let value: Vec<u8> = list
            .iter()
            .flat_map(|text| text.bytes().chain([0]))
            .collect();
        self.property(name, &value);
    }

    /// Numbers of one cell each.
    pub fn cells(&mut self, name: &str, cells: &[u32]) {
        let value: Vec<u8> = cells.iter().flat_map(|cell| cell.to_be_bytes()).collect();
        self.property(name, &value);
    }

    /// Numbers of two cells each.
    pub fn wide(&mut self, name: &str, numbers: &[u64]) {
        let cells: Vec<u32> = numbers.iter().copied().flat_map(halves).collect();
        self.cells(name, &cells);
    }

    /// How many cells an address and a size of the children have.
    pub fn sizes(&mut self, address_cells: u32, size_cells: u32) {
        self.cells("#address-cells", &[address_cells]);
        self.cells("#size-cells", &[size_cells]);
    }

    /// The whole tree: header, reservations (none), structure, strings.
    pub fn finish(mut self, boot_core: u32) -> Vec<u8> {
        self.word(token::END);
        let structure_at = Self::HEADER_BYTES + length(&Self::RESERVATIONS);
        let strings_at = structure_at + length(&self.structure);
        let total = strings_at + length(&self.strings);
        let header = [
            Self::MAGIC,
            total,
            structure_at,
            strings_at,
            Self::HEADER_BYTES,
            Self::VERSION,
            Self::LAST_COMPATIBLE_VERSION,
            boot_core,
            length(&self.strings),
            length(&self.structure),
        ];
        let mut bytes: Vec<u8> = header.iter().flat_map(|word| word.to_be_bytes()).collect();
        bytes.extend(Self::RESERVATIONS);
        bytes.extend(self.structure);
        bytes.extend(self.strings);
        bytes
    }
}

/// A length as the format writes it; nothing here comes near 4 GiB.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("a device tree below 4 GiB")
}

/// A number as two cells, the high one first (2.3.6).
pub fn halves(value: u64) -> [u32; 2] {
    [(value >> 32) as u32, value as u32]
}
