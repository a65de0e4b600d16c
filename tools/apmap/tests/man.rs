// SPDX-License-Identifier: GPL-2.0
//! The man pages are those of the command line as it is. `SNAPSHOTS=overwrite` writes
//! them anew.

use std::io::Write;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use snapbox::{assert_data_eq, file};

fn page(command: &Command, name: &'static str) -> String {
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
    String::from_utf8(page).unwrap()
}

fn subcommand(name: &str) -> Command {
    let mut command = apmap::cli::Cli::command();
    command.build();
    command.find_subcommand(name).unwrap().clone()
}

#[test]
fn of_apmap() {
    let page = page(&apmap::cli::Cli::command(), "apmap");
    assert_data_eq!(page, file!["../man/apmap.1"].raw());
}

#[test]
fn of_plan() {
    let page = page(&subcommand("plan"), "apmap-plan");
    assert_data_eq!(page, file!["../man/apmap-plan.1"].raw());
}

#[test]
fn of_record() {
    let page = page(&subcommand("record"), "apmap-record");
    assert_data_eq!(page, file!["../man/apmap-record.1"].raw());
}
