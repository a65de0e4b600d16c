// SPDX-License-Identifier: GPL-2.0
//! Reduces a long failing list to a short failing list.

/// Removes pieces of decreasing size until each further removal makes the list pass. `fails` tests
/// a list. It returns the length of the beginning that is enough for the failure, or `None` if the
/// list passes.
pub fn shrink<T: Clone>(mut list: Vec<T>, mut fails: impl FnMut(&[T]) -> Option<usize>) -> Vec<T> {
    let mut size = list.len().div_ceil(2);
    while size > 0 {
        let before = list.len();
        // The loop starts at the end, because later operations depend on earlier ones.
        let mut end = list.len();
        while end > 0 {
            let begin = end.saturating_sub(size);
            let mut candidate = list[..begin].to_vec();
            candidate.extend_from_slice(&list[end..]);
            if let Some(enough) = fails(&candidate) {
                candidate.truncate(enough);
                list = candidate;
            }
            end = begin.min(list.len());
        }
        size = match size {
            1 if list.len() < before => 1,
            _ => size / 2,
        };
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_left() {
        let list: Vec<u32> = (0..500).collect();
        let mut asked = 0;
        let small = shrink(list, |list| {
            asked += 1;
            let place = |n: u32| list.iter().position(|m| *m == n);
            Some(place(17)?.max(place(250)?).max(place(251)?) + 1)
        });
        assert_eq!(small, [17, 250, 251]);
        assert!(asked < 60, "{asked}");
    }

    #[test]
    fn what_does_not_fail_alone_stays_as_it_is() {
        assert_eq!(shrink(vec![1, 2, 3], |_| None), [1, 2, 3]);
        assert!(shrink(Vec::<u8>::new(), |_| None).is_empty());
    }
}
