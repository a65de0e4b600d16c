// SPDX-License-Identifier: GPL-2.0
//! KVM's record of the masks of guests in its debug feature. It is an independent record of all
//! changes of a guest's CRYCB.

use std::collections::BTreeSet;
use std::{fmt, io};

use vfio_ap_core::specification::{Sets, text};

/// A change of a guest's CRYCB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commit {
    /// All three masks were set.
    Set(Sets),
    /// All three masks were cleared.
    Clear,
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(sets) => f.write_str(&text::masks(sets)),
            Self::Clear => f.write_str("clear"),
        }
    }
}

/// Returns the numbers of the bits that are set in a word. The leftmost bit has number `first`.
pub(crate) fn numbers(word: u64, first: usize) -> impl Iterator<Item = u8> {
    (0..64)
        .filter(move |bit| word << bit >> 63 == 1)
        .filter_map(move |bit| u8::try_from(first + bit).ok())
}

/// Returns all changes in chronological order, from the `sprintf` view of a virtual machine's debug
/// feature. KVM records a CRYCB of format 0 or 1 (a guest without APXA) in one line, and a CRYCB of
/// format 2 in three lines.
pub fn parse(debug: &str) -> Vec<Commit> {
    let mut commits = Vec::new();
    for line in debug.lines() {
        if line.contains("CLR CRYCB:") {
            commits.push(Commit::Clear);
        } else if let Some((_, text)) = line.split_once("SET CRYCB: ") {
            parse_set(text, &mut commits);
        }
    }
    commits
}

/// Adds the masks of one line. `apm` begins a new change, and the others complete it.
fn parse_set(line: &str, commits: &mut Vec<Commit>) {
    let mut name = "";
    let mut first = 0;
    for word in line.split_whitespace() {
        if matches!(word, "apm" | "aqm" | "adm") {
            (name, first) = (word, 0);
            if name == "apm" {
                commits.push(Commit::Set(Sets::default()));
            }
            continue;
        }
        let (Some(Commit::Set(sets)), Ok(value)) =
            (commits.last_mut(), u64::from_str_radix(word, 16))
        else {
            continue;
        };
        let set: &mut BTreeSet<u8> = match name {
            "apm" => &mut sets.adapters,
            "aqm" => &mut sets.domains,
            _ => &mut sets.control_domains,
        };
        // A short mask is the beginning of a long one.
        set.extend(numbers(value << (64 - 4 * word.len().min(16)), first));
        first += 64;
    }
}

/// Returns the recorded changes for the virtual machine of process `pid`.
///
/// # Errors
///
/// Returns an error if KVM has no record of the process.
pub fn read(pid: u32) -> io::Result<Vec<Commit>> {
    let path = format!("/sys/kernel/debug/s390dbf/kvm-{pid}/sprintf");
    Ok(parse(&std::fs::read_to_string(path)?))
}

/// A query of the changes of a guest's CRYCB.
#[derive(Clone, Copy, Debug)]
pub enum Question {
    /// The masks after the last change.
    Masks,
    /// The number of changes.
    Commits,
    /// The list of all changes.
    History,
}

impl Question {
    /// Returns the query with this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "masks" => Some(Self::Masks),
            "commits" => Some(Self::Commits),
            "history" => Some(Self::History),
            _ => None,
        }
    }

    /// Returns the answer for the virtual machine of process `pid`.
    ///
    /// # Errors
    ///
    /// Returns an error if the virtual machine does not exist.
    pub fn answer(self, pid: u32) -> io::Result<String> {
        let commits = read(pid)?;
        Ok(match self {
            Self::Masks => match commits.last() {
                Some(commit) => commit.to_string(),
                None => "never set".into(),
            },
            Self::Commits => commits.len().to_string(),
            Self::History => {
                let lines: Vec<_> = commits.iter().map(ToString::to_string).collect();
                lines.join("\n")
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_numbered_from_the_left() {
        let all = |word, first| numbers(word, first).collect::<Vec<_>>();
        assert_eq!(all(1 << 63, 0), [0]);
        assert_eq!(all(0x7000_0000_0000_0001, 192), [193, 194, 195, 255]);
        assert_eq!(all(u64::MAX, 64).len(), 64);
    }

    #[test]
    fn format_2() {
        let log = "\
00 01766 1:2 3 - 00 0000 create cpu
00 01766 1:2 3 - 00 0000 SET CRYCB: apm 6000000000000000 0000000000000000 0000000000000000 0000000000000000
00 01766 1:2 3 - 00 0000 SET CRYCB: aqm 4000000000000000 0000000000000000 0000000000000000 0000000000000001
00 01766 1:2 3 - 00 0000 SET CRYCB: adm 0000000000000000 0000000000000000 0000000000000000 0000000000000000
00 01766 1:2 3 - 00 0000 CLR CRYCB:
";
        let commits: Vec<_> = parse(log).iter().map(ToString::to_string).collect();
        assert_eq!(commits, ["apm=1-2 aqm=1,255 adm=none", "clear"]);
    }

    #[test]
    fn format_0() {
        let log = "x 3 - 00 0 SET CRYCB: apm 4000000000000000 aqm 4000 adm 8000\n";
        let commits: Vec<_> = parse(log).iter().map(ToString::to_string).collect();
        assert_eq!(commits, ["apm=1 aqm=1 adm=0"]);
    }
}
