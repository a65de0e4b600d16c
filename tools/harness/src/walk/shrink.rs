// SPDX-License-Identifier: GPL-2.0
//! Reduces a long list that fails to a short list that fails.

/// Leaves out what is not needed, in ever smaller pieces, until nothing can be left out that
/// `fails` would not miss. It is asked about a list, and says how much of its beginning is
/// enough to go wrong, or nothing if all is well.
pub fn shrink<T: Clone>(mut list: Vec<T>, mut fails: impl FnMut(&[T]) -> Option<usize>) -> Vec<T> {
    let mut size = list.len().div_ceil(2);
    while size > 0 {
        let before = list.len();
        // From the end: what comes late depends on what is early, not the other way round.
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
