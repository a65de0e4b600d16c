// SPDX-License-Identifier: GPL-2.0
//! The arguments of the plugin on QEMU's command line, and the configuration file.

use ap_model::Machine;
use std::fs;
use std::path::PathBuf;

/// The arguments of the plugin.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Arguments {
    /// `config=FILE`: commands that configure a bare machine.
    pub(crate) config: Option<PathBuf>,
    /// `socket=PATH`: the path of the socket for commands.
    pub(crate) socket: Option<PathBuf>,
    /// `trace=on`: print each AP instruction.
    pub(crate) trace: bool,
    /// `count=on`: count instructions.
    pub(crate) count: bool,
}

impl Arguments {
    /// Parses the arguments.
    ///
    /// # Errors
    ///
    /// Returns the error of the first wrong argument.
    pub(crate) fn parse<S: AsRef<str>>(arguments: &[S]) -> Result<Self, String> {
        let mut parsed = Self::default();
        for argument in arguments.iter().map(AsRef::as_ref) {
            match argument.split_once('=') {
                Some(("config", path)) => parsed.config = Some(path.into()),
                Some(("socket", path)) => parsed.socket = Some(path.into()),
                Some(("trace", "on")) => parsed.trace = true,
                Some(("trace", "off")) => parsed.trace = false,
                Some(("count", "on")) => parsed.count = true,
                Some(("count", "off")) => parsed.count = false,
                _ => {
                    return Err(format!(
                        "unknown argument '{argument}': config=FILE, socket=PATH, trace=on|off, \
                         count=on|off"
                    ));
                }
            }
        }
        Ok(parsed)
    }

    /// Returns the machine of these arguments.
    ///
    /// # Errors
    ///
    /// Returns the error in the configuration file, with its line.
    pub(crate) fn machine(&self) -> Result<Machine, String> {
        let Some(path) = &self.config else {
            return Ok(Machine::preset());
        };
        let file = path.display();
        let text = fs::read_to_string(path).map_err(|error| format!("{file}: {error}"))?;
        let mut machine = Machine::bare();
        machine
            .control(&text)
            .map_err(|error| format!("{file}:{}: {}", error.line, error.message))?;
        Ok(machine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_arguments() {
        assert_eq!(
            Arguments::parse(&["config=a=b", "socket=/x", "trace=on", "count=on"]),
            Ok(Arguments {
                config: Some("a=b".into()),
                socket: Some("/x".into()),
                trace: true,
                count: true
            })
        );
        assert_eq!(Arguments::parse::<&str>(&[]), Ok(Arguments::default()));
    }

    #[test]
    fn wrong_arguments_are_named() {
        for wrong in ["trace=maybe", "verbose=on", "config"] {
            let error = Arguments::parse(&[wrong]).unwrap_err();
            assert!(error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn an_error_in_the_file_has_a_place() {
        let path = std::env::temp_dir().join(format!("ap-plugin-{}", std::process::id()));
        fs::write(&path, "adapter 1 cex7c\n\nadapter 1 cex9c\n").unwrap();
        let arguments = Arguments {
            config: Some(path.clone()),
            ..Arguments::default()
        };
        let error = arguments.machine().unwrap_err();
        fs::remove_file(&path).unwrap();
        let place = format!("{}:3: 'cex9c'", path.display());
        assert!(error.starts_with(&place), "{error}");
    }
}
