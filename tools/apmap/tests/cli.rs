// SPDX-License-Identifier: GPL-2.0
//! Tests the output of apmap for the recorded hosts. The files in `transcripts/` have commands with
//! their output and, if it is not 0, their exit status.

mod common;

use std::path::Path;
use std::process::Command;

fn run(command: &str) -> String {
    let mut words = command.split(' ');
    assert_eq!(words.next(), Some("apmap"));
    let output = Command::new(env!("CARGO_BIN_EXE_apmap"))
        .args(words)
        .env("TZ", "UTC")
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    let mut text = String::from_utf8(text).unwrap();
    if !output.status.success() {
        text += &format!("? {}\n", output.status.code().unwrap());
    }
    text
}

/// Returns the transcript with the current output of its commands.
fn replay(transcript: &str) -> String {
    let mut replayed = String::new();
    let mut is_console = false;
    for line in transcript.lines() {
        let command = line.strip_prefix("$ ");
        if line.starts_with("```") {
            is_console = !is_console;
        } else if is_console && command.is_none() {
            continue;
        }
        replayed += line;
        replayed += "\n";
        replayed += &command.map(run).unwrap_or_default();
    }
    replayed
}

fn check(name: &str) {
    let path = Path::new("tests/transcripts").join(name);
    let transcript = std::fs::read_to_string(&path).unwrap();
    common::expect(&path, &replay(&transcript));
}

#[test]
fn pictures() {
    check("map.md");
}

#[test]
fn plans() {
    check("plan.md");
}

#[test]
fn reasons() {
    check("why.md");
}
