// SPDX-License-Identifier: GPL-2.0
//! The names of sets of adapters, domains and queues.

use uuid::Uuid;
use vfio_ap_core::mask::{Apid, Apqn, Mask};
use vfio_ap_core::matrix::Matrix;
use vfio_ap_core::text::Ranges;

/// Returns the letter of the mediated device with this index: A to Z, then AA and so on.
pub fn letter(mut place: usize) -> String {
    let mut letters = Vec::new();
    loop {
        // The remainder is less than 26.
        letters.insert(0, b'A' + (place % 26) as u8);
        match place / 26 {
            0 => return String::from_utf8_lossy(&letters).into_owned(),
            rest => place = rest - 1,
        }
    }
}

/// Returns the members of a set.
pub fn ids<I: Copy + From<u8> + Into<u8>>(mask: Mask<I>) -> Vec<u8> {
    mask.iter().map(Into::into).collect()
}

/// Returns the set of these numbers as `00-03,0a`, or `none`.
pub fn ranges(ids: &[u8]) -> String {
    let mask = ids
        .iter()
        .fold(Mask::EMPTY, |mask, &id| mask | Mask::only(Apid(id)));
    set(mask)
}

/// Returns a set as `00-03,0a`, or `none`.
pub fn set<I: Copy + From<u8> + Into<u8>>(mask: Mask<I>) -> String {
    Ranges { mask, width: 2 }.to_string()
}

/// Returns the description of a matrix.
pub fn matrix(matrix: &Matrix) -> String {
    format!(
        "adapters {}, domains {}, control domains {}",
        set(matrix.apm),
        set(matrix.aqm),
        set(matrix.adm)
    )
}

/// Returns the queues in ascending order, such as `01.0003, 01.0004`. A long list is truncated.
pub fn queues<'a>(queues: impl IntoIterator<Item = &'a Apqn>) -> String {
    const NAMED: usize = 8;

    let mut queues = queues.into_iter();
    let mut text = queues
        .by_ref()
        .take(NAMED)
        .map(Apqn::to_string)
        .collect::<Vec<_>>()
        .join(" ");
    match queues.count() {
        0 => {}
        more => text += &format!(" and {more} more"),
    }
    text
}

/// Returns the letter and the UUID of a mediated device.
pub fn mdev(place: usize, uuid: &Uuid) -> String {
    format!("{} ({uuid})", letter(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_go_on_behind_z() {
        let letters = [0, 1, 25, 26, 27, 51, 52, 701, 702].map(letter);
        assert_eq!(
            letters,
            ["A", "B", "Z", "AA", "AB", "AZ", "BA", "ZZ", "AAA"]
        );
    }

    #[test]
    fn ranges_are_short() {
        assert_eq!(ranges(&[]), "none");
        assert_eq!(ranges(&[3]), "03");
        assert_eq!(ranges(&[0, 1, 2, 10, 254, 255]), "00-02,0a,fe-ff");
    }
}
