//! Amounts in the notation of packs.

/// `512Mi`.
pub(super) fn bytes(count: u64) -> String {
    let units = [("Gi", 30), ("Mi", 20), ("Ki", 10)];
    let fits = units.into_iter().find(|(_, bits)| count != 0 && count.trailing_zeros() >= *bits);
    fits.map_or_else(|| count.to_string(), |(unit, bits)| format!("{}{unit}", count >> bits))
}

/// `90s`.
pub(super) fn duration(ms: u64) -> String {
    let units = [("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    let fits = units.into_iter().find(|(_, length)| ms != 0 && ms.is_multiple_of(*length));
    fits.map_or_else(|| format!("{ms}ms"), |(unit, length)| format!("{}{unit}", ms / length))
}

/// `1500m`, or whole CPUs.
pub(super) fn cpus(milli: u64) -> String {
    if milli.is_multiple_of(1_000) { (milli / 1_000).to_string() } else { format!("{milli}m") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_they_are_written() {
        assert_eq!([1 << 30, 600 << 20, 3 << 10, 1_500, 0].map(bytes), ["1Gi", "600Mi", "3Ki", "1500", "0"]);
        assert_eq!(
            [7_200_000, 90_000, 31_000, 1_500, 0].map(duration),
            ["2h", "90s", "31s", "1500ms", "0ms"]
        );
        assert_eq!([2_000, 1_500].map(cpus), ["2", "1500m"]);
    }
}
