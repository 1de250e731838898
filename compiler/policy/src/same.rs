//! Equality of texts where many are compared.

/// Whether two texts are the same. Empty ones, the commonest (a field that is not set compared with `''`, the
/// core API group), are not passed to `memcmp`: they need not be anywhere in memory, and on processors with
/// AVX-512 its masked load of nothing from an address that is not mapped takes thirty times as long as
/// comparing a word.
#[inline]
pub(crate) fn same_text(left: &str, right: &str) -> bool {
    left.len() == right.len() && (left.is_empty() || left == right)
}

#[cfg(test)]
mod tests {
    use super::same_text;

    #[test]
    fn is_equality() {
        let texts = ["", "a", "b", "ab", "é", "securityContext"].map(str::to_owned);
        for left in &texts {
            for right in &texts {
                assert_eq!(same_text(left, right), left == right, "{left} {right}");
            }
        }
        let empty = String::new();
        assert!(same_text(&empty, &Box::<str>::default()));
    }
}
