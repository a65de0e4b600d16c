// SPDX-License-Identifier: GPL-2.0
//! The functions of the AP instructions, with codes and names.

use std::fmt;

/// A function of PQAP, or one of the two message instructions.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Function {
    /// PQAP 0, test AP queue.
    Tapq,
    /// PQAP 1, reset AP queue.
    Rapq,
    /// PQAP 2, reset and zeroize AP queue.
    Zapq,
    /// PQAP 3, AP-queue interruption control.
    Aqic,
    /// PQAP 4, query AP configuration information. It has no queue.
    Qci,
    /// PQAP 5, query AP compatibility type.
    Qact,
    /// NQAP, enqueue a message.
    Nqap,
    /// DQAP, dequeue a reply.
    Dqap,
}

impl Function {
    /// All functions, in the order of lists.
    pub const ALL: [Self; 8] = [
        Self::Tapq,
        Self::Rapq,
        Self::Zapq,
        Self::Aqic,
        Self::Qci,
        Self::Qact,
        Self::Nqap,
        Self::Dqap,
    ];

    /// Returns the function of PQAP with code `fc`, if this machine has it.
    ///
    /// BAPQ (7) and AAPQ (8) belong to secure execution, which this machine does not have. They are
    /// undefined, as all other codes are.
    #[must_use]
    pub const fn from_pqap(fc: u8) -> Option<Self> {
        Some(match fc {
            0 => Self::Tapq,
            1 => Self::Rapq,
            2 => Self::Zapq,
            3 => Self::Aqic,
            4 => Self::Qci,
            5 => Self::Qact,
            _ => return None,
        })
    }

    /// Returns the function with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.name() == name)
    }

    /// Returns the name, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tapq => "tapq",
            Self::Rapq => "rapq",
            Self::Zapq => "zapq",
            Self::Aqic => "aqic",
            Self::Qci => "qci",
            Self::Qact => "qact",
            Self::Nqap => "nqap",
            Self::Dqap => "dqap",
        }
    }

    /// Returns the index in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_and_list_agree() {
        for (i, function) in Function::ALL.into_iter().enumerate() {
            assert_eq!(function.index(), i);
            assert_eq!(Function::from_name(function.name()), Some(function));
        }
    }
}
