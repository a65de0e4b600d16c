// SPDX-License-Identifier: GPL-2.0
//! apmap draws the host's matrix of AP adapters and domains. This file dispatches the command line
//! to the other modules and returns the exit status.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};
use anyhow::Result;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use serde::Serialize;

use apmap::cli::{Cli, Command, MapArgs};
use apmap::draw::{self, Layout};
use apmap::host::Host;
use apmap::json::Map;
use apmap::plan::Plan;
use apmap::sysfs::Sysfs;
use apmap::watch::Uevents;
use apmap::why::{self, Why};

/// The exit status for a plan with an obstacle, or for something missing.
const NOT_ALL: u8 = 1;
/// The exit status for a host that could not be read. (2 is for errors on the command line.)
const FAILED: u8 = 3;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.command.is_some() && cli.map.is_given() {
        let text = "--all, --json, --watch and --width before a command are for the picture only\n";
        Cli::command()
            .error(ErrorKind::ArgumentConflict, text)
            .exit();
    }
    cli.color.write_global();
    match run(&cli) {
        Ok(status) => ExitCode::from(status),
        // The reader has closed the pipe.
        Err(e) if is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("apmap: {e:#}");
            ExitCode::from(FAILED)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    kind == Some(io::ErrorKind::BrokenPipe)
}

fn run(cli: &Cli) -> Result<u8> {
    let root = &cli.source.sysfs;
    match &cli.command {
        None if cli.map.watch => watch(root, &cli.map),
        None => {
            let host = read(root)?;
            if cli.map.json {
                print(&pretty(&Map::new(&host))?)?;
            } else {
                print(&picture(&host, &cli.map))?;
            }
            Ok(0)
        }
        Some(Command::Plan(args)) => {
            let plan = Plan::new(&read(root)?, args)?;
            if args.json {
                print(&pretty(&plan)?)?;
            } else {
                print(&plan.to_string())?;
            }
            Ok(if plan.is_clear() { 0 } else { NOT_ALL })
        }
        Some(Command::Why(args)) => {
            let sysfs = Sysfs::open(root)?;
            let why = Why::new(&sysfs, &mut Host::read(&sysfs)?, &args.subject)?;
            if args.json {
                print(&pretty(&why)?)?;
            } else {
                print(&why.text(width(args.width)))?;
            }
            Ok(if why.is_well() { 0 } else { NOT_ALL })
        }
        Some(Command::Record) => {
            let sysfs = Sysfs::open(root)?;
            why::read_all(&sysfs)?;
            print(&sysfs.recording()?)?;
            Ok(0)
        }
    }
}

fn read(root: &Path) -> Result<Host> {
    Host::read(&Sysfs::open(root)?)
}

fn pretty(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Prints a text.
fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Returns a picture, without colours if they are not requested.
fn picture(host: &Host, args: &MapArgs) -> String {
    let picture = draw::draw(host, &layout(args));
    match AutoStream::choice(&io::stdout()) {
        ColorChoice::Never => strip_str(&picture).to_string(),
        _ => picture,
    }
}

fn layout(args: &MapArgs) -> Layout {
    Layout {
        width: width(args.width),
        all: args.all,
    }
}

/// Returns the requested width, or that of the terminal.
fn width(asked: Option<usize>) -> usize {
    asked.unwrap_or_else(|| match terminal_size::terminal_size() {
        Some((width, _)) => width.0.into(),
        None => 80,
    })
}

/// Shows the host again after each visible change.
fn watch(root: &Path, args: &MapArgs) -> Result<u8> {
    let uevents = Uevents::listen()?;
    let interval = Duration::from_secs(args.interval.into());
    let mut last = String::new();
    loop {
        let host = read(root)?;
        let text = if args.json {
            serde_json::to_string(&Map::new(&host))? + "\n"
        } else {
            screen(picture(&host, args))
        };
        if text != last {
            print(&text)?;
            last = text;
        }
        uevents.wait(interval)?;
    }
}

/// Returns the text for a terminal. The picture replaces the last one and is truncated at the end
/// of the terminal.
fn screen(picture: String) -> String {
    let height = terminal_size::terminal_size().map(|(_, height)| usize::from(height.0));
    let Some(height) = height.filter(|_| io::stdout().is_terminal()) else {
        return picture + "\n";
    };
    const HOME: &str = "\x1b[H";
    const ERASE_LINE: &str = "\x1b[K\n";
    const ERASE_BELOW: &str = "\x1b[J";
    let lines: Vec<&str> = picture.lines().collect();
    let shown = if lines.len() < height {
        lines.len()
    } else {
        height.saturating_sub(2)
    };
    let mut text = HOME.to_owned();
    for line in &lines[..shown] {
        text += line;
        text += ERASE_LINE;
    }
    if shown < lines.len() {
        text += &format!("({} more lines){ERASE_LINE}", lines.len() - shown);
    }
    text + ERASE_BELOW
}
