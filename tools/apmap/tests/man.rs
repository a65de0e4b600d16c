// SPDX-License-Identifier: GPL-2.0
//! Compares the man pages, which are generated from the command line. `UPDATE=1` writes them.

mod common;

use std::io::Write;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

fn check(command: &Command, name: &'static str) {
    let command = command.clone().name(name);
    let more = command.get_after_long_help().map(ToString::to_string);
    let has_subcommands = command.has_subcommands();
    let man = Man::new(command.after_long_help(None::<&str>));
    let mut page = b".\\\" SPDX-License-Identifier: GPL-2.0\n".to_vec();
    man.render_title(&mut page).unwrap();
    man.render_name_section(&mut page).unwrap();
    man.render_synopsis_section(&mut page).unwrap();
    man.render_description_section(&mut page).unwrap();
    man.render_options_section(&mut page).unwrap();
    if has_subcommands {
        man.render_subcommands_section(&mut page).unwrap();
    }
    for section in more.iter().flat_map(|more| more.split("\n\n")) {
        let (title, text) = section.split_once(":\n").unwrap();
        let text = text.replace('-', "\\-");
        let title = title.to_uppercase();
        writeln!(page, ".SH \"{title}\"\n.nf\n{text}\n.fi").unwrap();
    }
    let path = Path::new("man").join(name).with_extension("1");
    common::expect(&path, &String::from_utf8(page).unwrap());
}

fn subcommand(name: &str) -> Command {
    let mut command = apmap::cli::Cli::command();
    command.build();
    command.find_subcommand(name).unwrap().clone()
}

#[test]
fn of_apmap() {
    check(&apmap::cli::Cli::command(), "apmap");
}

#[test]
fn of_plan() {
    check(&subcommand("plan"), "apmap-plan");
}

#[test]
fn of_why() {
    check(&subcommand("why"), "apmap-why");
}

#[test]
fn of_record() {
    check(&subcommand("record"), "apmap-record");
}
