// SPDX-License-Identifier: GPL-2.0
//! What KVM wrote down in its debug feature about the masks it was given: an
//! independent witness of each change to a guest's CRYCB.

use std::{fmt, io};

/// 256 bits in AP order: the most significant bit of the first word is number 0.
pub type Mask = [u64; 4];

/// One change to a guest's CRYCB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// All three masks were set.
    Set {
        /// Adapters.
        apm: Mask,
        /// Usage domains.
        aqm: Mask,
        /// Control domains.
        adm: Mask,
    },
    /// All three masks were cleared.
    Clear,
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set { apm, aqm, adm } => {
                write!(f, "apm={} aqm={} adm={}", list(apm), list(aqm), list(adm))
            }
            Self::Clear => f.write_str("clear"),
        }
    }
}

/// The numbers of the bits that are set, as in `0-3,8`; `none` if there are none.
pub fn list(mask: &Mask) -> String {
    let set = |n: usize| mask[n / 64] << (n % 64) >> 63 == 1;
    let mut text = String::new();
    let mut n = 0;
    while n < 256 {
        if !set(n) {
            n += 1;
            continue;
        }
        let first = n;
        while n < 256 && set(n) {
            n += 1;
        }
        if !text.is_empty() {
            text.push(',');
        }
        text += &match n - first {
            1 => format!("{first}"),
            _ => format!("{first}-{}", n - 1),
        };
    }
    if text.is_empty() { "none".into() } else { text }
}

/// All changes in the order in which they happened, from the `sprintf` view of a
/// virtual machine's debug feature. A CRYCB of format 0 or 1 (a guest without
/// APXA) is written down in one line, one of format 2 in three.
pub fn parse(debug: &str) -> Vec<Commit> {
    let mut commits = Vec::new();
    for line in debug.lines() {
        if line.contains("CLR CRYCB:") {
            commits.push(Commit::Clear);
        } else if let Some((_, text)) = line.split_once("SET CRYCB: ") {
            let mut name = "";
            let mut next = 0;
            for word in text.split_whitespace() {
                if matches!(word, "apm" | "aqm" | "adm") {
                    (name, next) = (word, 0);
                    if name == "apm" {
                        commits.push(Commit::Set {
                            apm: [0; 4],
                            aqm: [0; 4],
                            adm: [0; 4],
                        });
                    }
                    continue;
                }
                let Some(Commit::Set { apm, aqm, adm }) = commits.last_mut() else {
                    continue;
                };
                let mask = match name {
                    "apm" => apm,
                    "aqm" => aqm,
                    _ => adm,
                };
                if let (Some(slot), Ok(value)) = (mask.get_mut(next), u64::from_str_radix(word, 16))
                {
                    // A short mask is the beginning of a long one.
                    *slot = value << (64 - 4 * word.len().min(16));
                    next += 1;
                }
            }
        }
    }
    commits
}

/// All changes that are remembered for the virtual machine of process `pid`.
pub fn read(pid: u32) -> io::Result<Vec<Commit>> {
    let path = format!("/sys/kernel/debug/s390dbf/kvm-{pid}/sprintf");
    Ok(parse(&std::fs::read_to_string(path)?))
}

/// A question about the changes to a guest's CRYCB.
#[derive(Clone, Copy, Debug)]
pub enum Question {
    /// What was put into it last?
    Masks,
    /// How often was it changed?
    Commits,
    /// What was each change?
    History,
}

impl Question {
    /// Finds a question by its name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "masks" => Some(Self::Masks),
            "commits" => Some(Self::Commits),
            "history" => Some(Self::History),
            _ => None,
        }
    }

    /// Answers it for the virtual machine of process `pid`.
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
    fn lists() {
        assert_eq!(list(&[0; 4]), "none");
        assert_eq!(list(&[1 << 63, 0, 0, 0]), "0");
        assert_eq!(list(&[0x7000_0000_0000_0000, 0, 0, 1]), "1-3,255");
        assert_eq!(list(&[u64::MAX; 4]), "0-255");
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
