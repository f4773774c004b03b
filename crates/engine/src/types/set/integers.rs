//! A sorted sequence of integers, each held in as many bytes as the widest needs.

/// Integers in ascending order, none twice.
#[derive(Clone, Debug)]
pub(super) struct Integers {
    /// The integers, lowest byte first.
    bytes: Vec<u8>,
    /// Bytes an integer: 2, 4 or 8.
    width: usize,
}

impl Default for Integers {
    fn default() -> Integers {
        Integers {
            bytes: Vec::new(),
            width: 2,
        }
    }
}

impl Integers {
    pub(super) fn len(&self) -> usize {
        self.bytes.len() / self.width
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = i64> {
        self.bytes.chunks_exact(self.width).map(read)
    }

    /// The integer at this index.
    pub(super) fn at(&self, index: usize) -> i64 {
        read(&self.bytes[index * self.width..][..self.width])
    }

    pub(super) fn contains(&self, number: i64) -> bool {
        self.position(number).is_ok()
    }

    /// Adds an integer, and says whether it is new.
    pub(super) fn insert(&mut self, number: i64) -> bool {
        let Err(index) = self.position(number) else {
            return false;
        };
        if width_of(number) > self.width {
            self.widen(width_of(number));
        }
        let (at, width) = (index * self.width, self.width);
        if self.bytes.capacity() == self.bytes.len() {
            self.bytes.reserve_exact(width + self.bytes.len() / 8);
        }
        self.bytes
            .splice(at..at, number.to_le_bytes()[..width].iter().copied());
        true
    }

    /// Removes an integer, and says whether it was there.
    pub(super) fn remove(&mut self, number: i64) -> bool {
        let Ok(index) = self.position(number) else {
            return false;
        };
        let at = index * self.width;
        self.bytes.drain(at..at + self.width);
        true
    }

    /// Where an integer is, or would be.
    fn position(&self, number: i64) -> Result<usize, usize> {
        let (mut start, mut end) = (0, self.len());
        while start < end {
            let middle = (start + end) / 2;
            match self.at(middle).cmp(&number) {
                std::cmp::Ordering::Less => start = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => end = middle,
            }
        }
        Err(start)
    }

    fn widen(&mut self, width: usize) {
        let mut bytes = Vec::with_capacity((self.len() + 1) * width);
        for number in self.iter() {
            bytes.extend_from_slice(&number.to_le_bytes()[..width]);
        }
        (self.bytes, self.width) = (bytes, width);
    }
}

fn width_of(number: i64) -> usize {
    match number {
        -0x8000..=0x7fff => 2,
        -0x8000_0000..=0x7fff_ffff => 4,
        _ => 8,
    }
}

/// An integer of 2, 4 or 8 bytes.
fn read(bytes: &[u8]) -> i64 {
    let negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
    let mut whole = [if negative { 0xff } else { 0 }; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    i64::from_le_bytes(whole)
}
