// SPDX-License-Identifier: GPL-2.0

//! The texts of attributes, of debugfs and of messages.
//!
//! Owns their formats. The attributes have the formats of the C driver, which mdevctl, libvirt and
//! scripts parse. The other formats are for people.
//!
//! Part of the functional core: pure, without any dependency on the kernel.

use core::fmt;

use crate::{
    matrix::{
        mask::{
            hex_digit,
            Mask, //
            IDS,
        },
        queues::Unusable,
        Matrix, //
    }, //
};

/// An error of parsing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ParseError {
    /// The text does not have the expected form.
    Syntax,
    /// The number has more than 64 bits.
    Overflow,
}

/// Parses a number as `kstrtoul(text, 0, …)` does.
///
/// The number is decimal, octal with a leading `0`, or hexadecimal with a leading `0x`. One `+` may go
/// before it, and one newline may follow.
///
/// # Errors
///
/// - [`ParseError::Overflow`] if the number has more than 64 bits.
/// - [`ParseError::Syntax`] if the text has any other form.
///
/// # Examples
///
/// ```
/// use vfio_ap_core::text::{parse_number, ParseError};
///
/// assert_eq!(parse_number(b"0x1f\n"), Ok(31));
/// assert_eq!(parse_number(b"1f"), Err(ParseError::Syntax));
/// ```
pub fn parse_number(text: &[u8]) -> Result<u64, ParseError> {
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let (radix, text) = match text {
        [b'0', b'x' | b'X', rest @ ..] if rest.first().is_some_and(u8::is_ascii_hexdigit) => {
            (16, rest)
        }
        [b'0', ..] => (8, text),
        _ => (10, text),
    };
    let (mut number, mut rest) = (0u64, text);
    while let [c, behind @ ..] = rest {
        let Some(digit) = char::from(*c).to_digit(radix) else {
            break;
        };
        number = number
            .checked_mul(radix.into())
            .and_then(|number| number.checked_add(digit.into()))
            .ok_or(ParseError::Overflow)?;
        rest = behind;
    }
    match rest {
        b"" | b"\n" if rest.len() < text.len() => Ok(number),
        _ => Err(ParseError::Syntax),
    }
}

/// Parses the three masks of `ap_config`: adapters, domains and control domains, separated by commas.
///
/// A mask has up to 64 hexadecimal digits, of which the first has numbers 0 to 3. `0x` may go before it.
/// One newline may follow the masks.
///
/// # Errors
///
/// [`ParseError::Syntax`] if the text has any other form.
///
/// # Examples
///
/// ```
/// use vfio_ap_core::mask::{Apid, Mask};
/// use vfio_ap_core::text::parse_matrix;
///
/// assert_eq!(parse_matrix(b"0x4,0x0,0x0\n").unwrap().apm, Mask::only(Apid(1)));
/// ```
pub fn parse_matrix(text: &[u8]) -> Result<Matrix, ParseError> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let mut texts = text.split(|&c| c == b',');
    let mut masks = [[0; 4]; 3];
    for mask in &mut masks {
        *mask = parse_mask(texts.next().ok_or(ParseError::Syntax)?)?;
    }
    if texts.next().is_some() {
        return Err(ParseError::Syntax);
    }
    let [apm, aqm, adm] = masks;
    Ok(Matrix {
        apm: Mask::from_words(apm),
        aqm: Mask::from_words(aqm),
        adm: Mask::from_words(adm),
    })
}

fn parse_mask(text: &[u8]) -> Result<[u64; 4], ParseError> {
    const DIGITS: usize = IDS / 4;

    let digits = text.strip_prefix(b"0x").unwrap_or(text);
    if digits.is_empty() || digits.len() > DIGITS {
        return Err(ParseError::Syntax);
    }
    let mut words = [0; 4];
    for (i, &c) in digits.iter().enumerate() {
        let digit = char::from(c).to_digit(16).ok_or(ParseError::Syntax)?;
        words[i / 16] |= u64::from(digit) << (60 - 4 * (i % 16));
    }
    Ok(words)
}

/// The text of `matrix` and `guest_matrix`, with a line for each queue.
///
/// Without domains, there is a line for each adapter. Without adapters, there is a line for each domain.
/// All lines have the same length, so that the text can be read from any offset.
pub struct Listing {
    apids: ([u8; IDS], usize),
    apqis: ([u8; IDS], usize),
}

impl Listing {
    /// Creates the text of a matrix.
    pub fn new(matrix: &Matrix) -> Self {
        Self {
            apids: members(matrix.apm),
            apqis: members(matrix.aqm),
        }
    }

    /// Copies a part of the text.
    ///
    /// Returns the number of copied bytes. It is less than the length of `out` only at the end.
    pub fn read(&self, offset: usize, out: &mut [u8]) -> usize {
        let (apids, apqis) = (&self.apids.0[..self.apids.1], &self.apqis.0[..self.apqis.1]);
        if apids.is_empty() && apqis.is_empty() {
            return 0;
        }
        // `01.0002`, `01.` or `.0002`, and the newline.
        let width = match (apids, apqis) {
            (_, []) => 4,
            ([], _) => 6,
            _ => 8,
        };
        let columns = apqis.len().max(1);
        let lines = apids.len().max(1) * columns;

        let (mut line, mut skip) = (offset / width, offset % width);
        let mut written = 0;
        while line < lines && written < out.len() {
            let mut text = [0; 8];
            let mut rest = text.as_mut_slice();
            if let Some(&apid) = apids.get(line / columns) {
                rest = put_hex(rest, apid, 2);
            }
            rest = put(rest, b'.');
            if let Some(&apqi) = apqis.get(line % columns) {
                rest = put_hex(rest, apqi, 4);
            }
            put(rest, b'\n');

            let part = &text[skip..width];
            let n = part.len().min(out.len() - written);
            out[written..written + n].copy_from_slice(&part[..n]);
            written += n;
            skip = 0;
            line += 1;
        }
        written
    }
}

fn members<I: Copy + From<u8> + Into<u8>>(mask: Mask<I>) -> ([u8; IDS], usize) {
    let mut ids = [0; IDS];
    let mut n = 0;
    for id in mask.iter() {
        ids[n] = id.into();
        n += 1;
    }
    (ids, n)
}

fn put(text: &mut [u8], c: u8) -> &mut [u8] {
    text[0] = c;
    &mut text[1..]
}

fn put_hex(mut text: &mut [u8], value: u8, digits: u32) -> &mut [u8] {
    for i in (0..digits).rev() {
        text = put(text, hex_digit((u32::from(value) >> (4 * i)) as u8));
    }
    text
}

/// Formats a set as ranges: `00-03,07` or `none`.
pub struct Ranges<I> {
    /// The set.
    pub mask: Mask<I>,
    /// The number of digits of each number.
    pub width: usize,
}

impl<I: Copy + From<u8> + Into<u8>> fmt::Display for Ranges<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mask, width } = *self;
        if mask.is_empty() {
            return f.write_str("none");
        }
        let mut ids = mask.iter().map(I::into);
        let mut separator = "";
        while let Some(first) = ids.next() {
            write!(f, "{separator}{first:0width$x}")?;
            separator = ",";
            let mut last = first;
            while last < u8::MAX && mask.contains(I::from(last + 1)) {
                ids.next();
                last += 1;
            }
            if last != first {
                write!(f, "-{last:0width$x}")?;
            }
        }
        Ok(())
    }
}

/// Formats a matrix: `apm=00-03 aqm=0001 adm=none`
impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { apm, aqm, adm } = *self;
        write!(
            f,
            "apm={} aqm={} adm={}",
            Ranges {
                mask: apm,
                width: 2
            },
            Ranges {
                mask: aqm,
                width: 4
            },
            Ranges {
                mask: adm,
                width: 4
            }
        )
    }
}

/// Formats the reasons: `domains 0001 not bound, 0002-0003 not reset yet`
impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = "domains ";
        for (mask, what) in [
            (self.unbound, "not bound"),
            (self.unfinished, "not reset yet"),
            (self.failed, "not reset, as that failed"),
        ] {
            if !mask.is_empty() {
                write!(f, "{before}{} {what}", Ranges { mask, width: 4 })?;
                before = ", ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_like_kstrtoul() {
        for (text, number) in [
            ("0", 0),
            ("7\n", 7),
            ("+12", 12),
            ("0x1F", 0x1f),
            ("0Xa\n", 10),
            ("017", 0o17),
            ("00", 0),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_number(text.as_bytes()), Ok(number), "{text:?}");
        }
        for text in [
            "", "\n", "+", "++1", "-1", " 1", "1 ", "1\n\n", "0x", "08", "1a", "x1", "1,2", "0x1g",
        ] {
            assert_eq!(
                parse_number(text.as_bytes()),
                Err(ParseError::Syntax),
                "{text:?}"
            );
        }
        for text in [
            "18446744073709551616",
            "0x10000000000000000",
            "99999999999999999999x",
        ] {
            assert_eq!(
                parse_number(text.as_bytes()),
                Err(ParseError::Overflow),
                "{text:?}"
            );
        }
    }

    fn matrix(apids: &[u8], apqis: &[u8], domains: &[u8]) -> Matrix {
        fn mask<I: Copy + From<u8> + Into<u8>>(ids: &[u8]) -> Mask<I> {
            ids.iter()
                .fold(Mask::EMPTY, |mask, &id| mask | Mask::only(id.into()))
        }
        Matrix {
            apm: mask(apids),
            aqm: mask(apqis),
            adm: mask(domains),
        }
    }

    #[test]
    fn matrices_are_read_from_the_left() {
        assert_eq!(
            parse_matrix(b"0x6,8,00c\n"),
            Ok(matrix(&[1, 2], &[0], &[8, 9]))
        );
        let all = "f".repeat(64);
        let text = format!("0x{all},{all},0x0");
        assert_eq!(
            parse_matrix(text.as_bytes()).map(|m| (m.apm, m.adm)),
            Ok((Mask::ALL, Mask::EMPTY))
        );
    }

    #[test]
    fn what_is_written_can_be_read() {
        let m = matrix(&[0, 1, 255], &[64, 128], &[3]);
        let text = format!("{},{},{}\n", m.apm, m.aqm, m.adm);
        assert_eq!(parse_matrix(text.as_bytes()), Ok(m));
    }

    #[test]
    fn other_matrices_are_refused() {
        let long = "0".repeat(65);
        for text in [
            "",
            "1",
            "1,2",
            "1,2,3,",
            "1,2,3,4",
            "1,2,",
            ",,",
            "1,2,3\n\n",
            "1\n2\n3",
            "1,2,3 ",
            "0X1,2,3",
            "x1,2,3",
            "g,2,3",
            "-1,2,3",
            &format!("{long},0,0"),
        ] {
            assert_eq!(
                parse_matrix(text.as_bytes()),
                Err(ParseError::Syntax),
                "{text:?}"
            );
        }
    }

    fn listing(m: &Matrix) -> String {
        let mut text = [0; 600_000];
        let n = Listing::new(m).read(0, &mut text);
        String::from_utf8(text[..n].to_vec()).unwrap()
    }

    #[test]
    fn listings_have_the_formats_of_the_c_driver() {
        assert_eq!(listing(&Matrix::EMPTY), "");
        assert_eq!(listing(&matrix(&[1, 0x1a], &[], &[7])), "01.\n1a.\n");
        assert_eq!(listing(&matrix(&[], &[2, 0xff], &[])), ".0002\n.00ff\n");
        assert_eq!(
            listing(&matrix(&[1, 2], &[0, 0x1b], &[])),
            "01.0000\n01.001b\n02.0000\n02.001b\n"
        );
    }

    #[test]
    fn a_listing_can_be_read_in_pieces() {
        for m in [
            matrix(&[1, 2, 9], &[0, 5], &[]),
            matrix(&[1, 2], &[], &[]),
            matrix(&[], &[3, 4], &[]),
            Matrix {
                apm: Mask::ALL,
                aqm: Mask::ALL,
                adm: Mask::EMPTY,
            },
        ] {
            let whole = listing(&m);
            for size in [1, 3, 7, 8, 4096] {
                let (mut text, mut piece) = (Vec::new(), vec![0; size]);
                loop {
                    let n = Listing::new(&m).read(text.len(), &mut piece);
                    text.extend_from_slice(&piece[..n]);
                    if n < size {
                        break;
                    }
                    if text.len() > 5000 {
                        text.clear();
                        break;
                    }
                }
                assert!(text.is_empty() || text == whole.as_bytes(), "size {size}");
            }
            assert_eq!(Listing::new(&m).read(whole.len(), &mut [0; 8]), 0);
            assert_eq!(Listing::new(&m).read(usize::MAX, &mut [0; 8]), 0);
        }
    }

    #[test]
    fn ranges_are_short() {
        let text = |ids: &[u8], width| {
            let mask = ids.iter().fold(Mask::EMPTY, |mask, &id| {
                mask | Mask::only(crate::matrix::mask::Apid(id))
            });
            Ranges { mask, width }.to_string()
        };
        assert_eq!(text(&[], 2), "none");
        assert_eq!(text(&[0, 1, 2, 7, 0xfe, 0xff], 2), "00-02,07,fe-ff");
        assert_eq!(text(&[3], 4), "0003");
    }

    #[test]
    fn what_is_missing_is_said() {
        let only = |id| Mask::only(crate::matrix::mask::Apqi(id));
        let missing = Unusable {
            unbound: only(1),
            unfinished: Mask::EMPTY,
            failed: only(4),
        };
        assert_eq!(
            missing.to_string(),
            "domains 0001 not bound, 0004 not reset, as that failed"
        );
    }
}
