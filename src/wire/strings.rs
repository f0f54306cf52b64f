//! Strings that end in the same way stand in one place: which string each of many can be found in.

use rayon::prelude::*;

/// For each of `strings`, one of them that ends with it and that nothing longer ends with, and where in that it begins. Of
/// equal strings the first stands for all. Depends on the strings and their order only.
pub(crate) fn hosts(strings: &[&[u8]]) -> Vec<(u32, u32)> {
    let mut order: Vec<u32> = (0..strings.len() as u32).collect();
    // Backwards and downwards: behind each string come those that it ends with.
    order.par_sort_unstable_by(|a, b| {
        let (left, right) = (strings[*a as usize], strings[*b as usize]);
        right.iter().rev().cmp(left.iter().rev()).then(a.cmp(b))
    });
    let mut hosts = vec![(0, 0); strings.len()];
    let mut host = None;
    for at in order {
        let string = strings[at as usize];
        let found = host.filter(|host| strings[*host as usize].ends_with(string));
        let found = *host.insert(found.unwrap_or(at));
        let start = strings[found as usize].len() - string.len();
        hosts[at as usize] = (found, start as u32);
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_string_is_in_its_host(strings in prop::collection::vec("[ab]{0,4}", 0..40)) {
            let strings: Vec<&[u8]> = strings.iter().map(|string| string.as_bytes()).collect();
            let hosts = hosts(&strings);
            for (string, (host, start)) in strings.iter().zip(&hosts) {
                prop_assert_eq!(&strings[*host as usize][*start as usize..], *string);
                // A host is its own, and no other is needed where one would do.
                prop_assert_eq!(hosts[*host as usize], (*host, 0));
            }
            for (at, a) in strings.iter().enumerate().filter(|(at, _)| hosts[*at] == (*at as u32, 0)) {
                let others = strings.iter().enumerate().filter(|(other, _)| *other != at);
                for (other, b) in others.filter(|(other, _)| hosts[*other] == (*other as u32, 0)) {
                    prop_assert!(!b.ends_with(a), "{at} is in {other}");
                }
            }
        }
    }
}
