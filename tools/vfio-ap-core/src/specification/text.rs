// SPDX-License-Identifier: GPL-2.0

//! The meaning of the texts that administrators write, and the format of texts for output, in the
//! simplest form.

use std::collections::BTreeSet;

use super::Sets;
use crate::text::ParseError;

/// Parses a number as `kstrtoul()` does with base 0.
///
/// # Errors
///
/// Returns the errors of [`crate::text::parse_number`].
pub fn number(text: &[u8]) -> Result<u64, ParseError> {
    // Only ASCII bytes have a meaning, and the conversion turns no other byte into one of them.
    let text: String = text.iter().map(|b| char::from(*b)).collect();
    let text = text.strip_prefix('+').unwrap_or(&text);
    let lower = text.to_ascii_lowercase();
    let is_hexadecimal =
        lower.starts_with("0x") && lower.chars().nth(2).is_some_and(|c| c.is_ascii_hexdigit());
    let (radix, text) = if is_hexadecimal {
        (16, &text[2..])
    } else if text.starts_with('0') {
        (8, text)
    } else {
        (10, text)
    };
    let end = text
        .find(|c: char| !c.is_digit(radix))
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() {
        return Err(ParseError::Syntax);
    }
    let significant = digits.trim_start_matches('0');
    let number = match significant.len() {
        0 => 0,
        // 2^64 has 22 octal digits, and fewer digits in any other base.
        1..=22 => u128::from_str_radix(significant, radix).map_err(|_| ParseError::Syntax)?,
        _ => u128::MAX,
    };
    match (u64::try_from(number), rest) {
        (Err(_), _) => Err(ParseError::Overflow),
        (Ok(number), "" | "\n") => Ok(number),
        _ => Err(ParseError::Syntax),
    }
}

/// Parses three masks, as written to `ap_config`.
///
/// # Errors
///
/// Returns the errors of [`crate::text::parse_matrix`].
pub fn matrix(text: &[u8]) -> Result<Sets, ParseError> {
    let text = String::from_utf8(text.to_vec()).map_err(|_| ParseError::Syntax)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let masks: Vec<&str> = text.split(',').collect();
    let [adapters, domains, control_domains] = masks[..] else {
        return Err(ParseError::Syntax);
    };
    let set = |mask: &str| {
        let digits = mask.strip_prefix("0x").unwrap_or(mask);
        if !(1..=64).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(ParseError::Syntax);
        }
        // Number 0 is the leftmost bit of the first digit.
        let bits = digits.chars().flat_map(|digit| {
            let value = digit.to_digit(16).unwrap_or(0);
            [8, 4, 2, 1].map(|bit| value & bit != 0)
        });
        Ok((0..=255)
            .zip(bits)
            .filter(|(_, bit)| *bit)
            .map(|(n, _)| n)
            .collect())
    };
    Ok(Sets {
        adapters: set(adapters)?,
        domains: set(domains)?,
        control_domains: set(control_domains)?,
    })
}

/// Returns the text of `matrix` and `guest_matrix` in one line.
pub fn listing(sets: &Sets) -> String {
    let lines: Vec<_> = if sets.domains.is_empty() {
        sets.adapters.iter().map(|a| format!("{a:02x}.")).collect()
    } else if sets.adapters.is_empty() {
        sets.domains.iter().map(|d| format!(".{d:04x}")).collect()
    } else {
        let queues = sets.queues().into_iter();
        queues.map(|(a, d)| format!("{a:02x}.{d:04x}")).collect()
    };
    lines.join(" ")
}

/// Returns masks in the format of the machine's programs for the CRYCB: `apm=0-3,8 aqm=1 adm=none`.
pub fn masks(sets: &Sets) -> String {
    let list = |set: &BTreeSet<u8>| {
        let mut runs: Vec<(u8, u8)> = Vec::new();
        for &n in set {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == n => *last = n,
                _ => runs.push((n, n)),
            }
        }
        let run = |(first, last): &(u8, u8)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        match runs.is_empty() {
            true => "none".into(),
            false => runs.iter().map(run).collect::<Vec<_>>().join(","),
        }
    };
    format!(
        "apm={} aqm={} adm={}",
        list(&sets.adapters),
        list(&sets.domains),
        list(&sets.control_domains)
    )
}
