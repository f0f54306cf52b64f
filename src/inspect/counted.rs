//! How many there are of something, in words. It knows no language's exceptions: what takes more than an `s` is said otherwise.

/// `1 item`, `2 items`. Without the thousands set apart, since these texts are compared.
pub(super) fn counted(count: impl TryInto<u64>, what: &str) -> String {
    match count.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_several() {
        assert_eq!(counted(0, "slot"), "0 slots");
        assert_eq!(counted(1, "slot"), "1 slot");
        assert_eq!(counted(1200, "slot"), "1200 slots");
    }
}
