//! CRC-64 with Jones' polynomial, as Redis computes it.

/// The polynomial, with its bits in reverse.
const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;

/// How many bytes are taken at once.
const STRIDE: usize = 8;

/// What a byte does to a checksum that is followed by so many bytes, from none to seven.
static TABLES: [[u64; 256]; STRIDE] = tables();

const fn tables() -> [[u64; 256]; STRIDE] {
    let mut tables = [[0; 256]; STRIDE];
    let mut byte = 0;
    while byte < 256 {
        let (mut sum, mut bit) = (byte as u64, 0);
        while bit < 8 {
            sum = (sum >> 1) ^ (POLYNOMIAL * (sum & 1));
            bit += 1;
        }
        tables[0][byte] = sum;
        byte += 1;
    }
    let mut behind = 1;
    while behind < STRIDE {
        let mut byte = 0;
        while byte < 256 {
            let sum = tables[behind - 1][byte];
            tables[behind][byte] = (sum >> 8) ^ tables[0][(sum & 0xff) as usize];
            byte += 1;
        }
        behind += 1;
    }
    tables
}

/// The checksum of these bytes.
pub(super) fn crc64(bytes: &[u8]) -> u64 {
    crc64_behind(0, bytes)
}

/// The checksum of these bytes behind others, of which it was `sum`.
pub(crate) fn crc64_behind(mut sum: u64, bytes: &[u8]) -> u64 {
    let (strides, rest) = bytes.as_chunks::<STRIDE>();
    for stride in strides {
        let mixed = (sum ^ u64::from_le_bytes(*stride)).to_le_bytes();
        sum = 0;
        for (place, byte) in mixed.into_iter().enumerate() {
            sum ^= TABLES[STRIDE - 1 - place][usize::from(byte)];
        }
    }
    rest.iter().fold(sum, |sum, byte| {
        (sum >> 8) ^ TABLES[0][usize::from(sum as u8 ^ byte)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_redis() {
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(crc64(b""), 0);
    }

    #[test]
    fn strides_and_single_bytes_give_the_same_checksum() {
        let bytes: Vec<u8> = (0..=255).chain(7..99).collect();
        let slowly = bytes.iter().fold(0, |sum: u64, byte| {
            (sum >> 8) ^ TABLES[0][usize::from(sum as u8 ^ byte)]
        });
        assert_eq!(crc64(&bytes), slowly);
        let (one, other) = bytes.split_at(13);
        assert_eq!(crc64_behind(crc64(one), other), slowly);
    }
}
