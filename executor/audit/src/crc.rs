//! CRC-32 (IEEE 802.3, reflected; zlib's `crc32`) of a line: it distinguishes a torn or corrupted line from a
//! whole one.
//!
//! It is not a defence, because anyone who edits a line can recompute it. The chain and the signatures are
//! the defence.

/// Bytes taken in one step.
const STEP: usize = 16;

static TABLES: [[u32; 256]; STEP] = tables();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses an index out of range")]
const fn tables() -> [[u32; 256]; STEP] {
    let mut tables = [[0; 256]; STEP];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = crc >> 1 ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut table = 1;
    while table < STEP {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = before >> 8 ^ tables[0][(before & 0xFF) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

/// Bytes of each of the two lanes that are summed side by side: a step waits for the one before it, and a
/// processor has time for two.
const LANE: usize = 128;

/// The sum after [`LANE`] more bytes of zero, by byte of the sum before: it is linear in its bits.
static OVER_A_LANE: [[u32; 256]; 4] = over_a_lane();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses an index out of range")]
const fn over_a_lane() -> [[u32; 256]; 4] {
    let steps = tables();
    let mut of_bit = [0; 32];
    let mut bit = 0;
    while bit < 32 {
        let mut crc = 1 << bit;
        let mut byte = 0;
        while byte < LANE {
            crc = crc >> 8 ^ steps[0][(crc & 0xFF) as usize];
            byte += 1;
        }
        of_bit[bit] = crc;
        bit += 1;
    }
    let mut tables = [[0; 256]; 4];
    let mut entry = 0;
    while entry < 4 * 256 {
        let mut bit = 0;
        while bit < 8 {
            if entry >> bit & 1 == 1 {
                tables[entry / 256][entry % 256] ^= of_bit[entry / 256 * 8 + bit];
            }
            bit += 1;
        }
        entry += 1;
    }
    tables
}

fn look_up(table: &[u32; 256], byte: u32) -> u32 {
    table.get((byte & 0xFF) as usize).copied().unwrap_or_default()
}

fn step(crc: u32, [a, b, c, d, others @ ..]: &[u8; STEP]) -> u32 {
    let [ends @ .., t12, t13, t14, t15] = &TABLES;
    let low = crc ^ u32::from_le_bytes([*a, *b, *c, *d]);
    let head = look_up(t15, low) ^ look_up(t14, low >> 8) ^ look_up(t13, low >> 16) ^ look_up(t12, low >> 24);
    let looked_up = others.iter().zip(ends.iter().rev());
    looked_up.fold(head, |crc, (byte, table)| crc ^ look_up(table, u32::from(*byte)))
}

/// The checksum of these bytes.
#[must_use]
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let [t0, ..] = &TABLES;
    let [o0, o1, o2, o3] = &OVER_A_LANE;
    let (lanes, rest) = bytes.as_chunks::<LANE>();
    let (pairs, single) = lanes.as_chunks::<2>();
    let mut crc = u32::MAX;
    for [first, second] in pairs {
        let mut other = 0;
        for (one, two) in first.as_chunks().0.iter().zip(second.as_chunks().0) {
            crc = step(crc, one);
            other = step(other, two);
        }
        let over = look_up(o0, crc) ^ look_up(o1, crc >> 8) ^ look_up(o2, crc >> 16) ^ look_up(o3, crc >> 24);
        crc = over ^ other;
    }
    let (steps, last) = rest.as_chunks();
    for bytes in single.as_flattened().as_chunks().0.iter().chain(steps) {
        crc = step(crc, bytes);
    }
    for byte in last {
        crc = crc >> 8 ^ look_up(t0, crc ^ u32::from(*byte));
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_checksum_of_zlib() {
        // The check value of the catalogue of CRCs, and two of Python's zlib.crc32.
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
        assert_eq!(crc32(b"The quick brown fox jumps over the lazy dog"), 0x414F_A339);
        // Every length of the remainder behind whole steps and pairs of lanes, against the definition, bit by
        // bit.
        let bytes: Vec<u8> = (0..5 * LANE as u32).map(|n| (n * 37 + n / 256 + 11) as u8).collect();
        for length in 0..bytes.len() {
            let by_bits = |crc: u32, byte: &u8| {
                (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                    crc >> 1 ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
                })
            };
            assert_eq!(crc32(&bytes[..length]), !bytes[..length].iter().fold(u32::MAX, by_bits), "{length}");
        }
    }
}
