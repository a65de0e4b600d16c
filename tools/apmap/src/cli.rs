// SPDX-License-Identifier: GPL-2.0
//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use vfio_ap_core::mask::{Apqi, Mask};

use crate::request::{By, MdevName, QueueSet, Subject, parse_domains};

/// What the options do not tell. In the man page each part is a section.
const MAP_HELP: &str = "\
Signs:
  #   one of the host's own drivers has the queue
  .   vfio_ap has it, and no mediated device
  ?   no driver has it
  A   mediated device A has it, and so does a guest
  a   mediated device A has it, and a guest would; there is none now
  a!  assigned to A, but vfio_ap does not have it: its adapter is kept from the guest
  a-  kept from the guest of A together with its adapter
  a~  assigned to A, but not in the host configuration
  Ax  the guest of A has it, but its adapter is deconfigured or in check stop
  ax  as this, without a guest

Exit status:
  0   all is done; for plan: nothing stands in the way; for why: nothing is missing
  1   plan: something stands in the way; why: something is missing
  2   the command line was not understood
  3   the host could not be read

Examples:
  apmap --watch                       see what happens
  apmap why A                         why the guest of mdev A lacks something
  apmap plan A 01-02.0003             what would give mdev A these two queues
  apmap record >host.json             for a report of a problem
  apmap --sysfs host.json             look at such a report";

const PLAN_HELP: &str = "\
Exit status:
  0   nothing stands in the way
  1   something stands in the way: what the kernel would refuse, what keeps the guest
      from a queue, or what the host would lose and nobody has asked for
  2   the command line was not understood
  3   the host could not be read, or has no such mediated device

Examples:
  apmap plan A 01.0003 02.0003        two queues more for mdev A
  apmap plan A 01-02.0003 --only      these two, and no others
  apmap plan $(uuidgen) 01.0003 --control 03 | sh -e
                                      a new mdev with a queue and its control domain";

const WHY_HELP: &str = "\
Exit status:
  0   nothing is missing: what is assigned is with the guest, and works
  1   something is missing, or does not work
  2   the command line was not understood
  3   the host could not be read, or has no such mediated device

Examples:
  apmap why A                         all that is assigned to mdev A
  apmap why 8c0f                      that to the mdev whose UUID begins so
  apmap why 02.0001                   this queue alone
  apmap --sysfs host.json why A       as a report of a problem tells";

/// Draw the host's matrix of AP adapters and domains: who has each queue, and why a
/// guest does not have what is assigned to it.
///
/// Adapters (Crypto Express cards) are drawn downwards and domains across. Numbers are
/// hexadecimal, as in the names of queues in sysfs. Neighbouring domains that look the
/// same share a column. Works with the C driver vfio_ap and with the one in Rust; needs
/// no privilege, and changes nothing.
#[derive(Parser)]
#[command(version, disable_help_subcommand = true, after_long_help = MAP_HELP)]
pub struct Cli {
    /// What to do other than draw.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to draw.
    #[command(flatten)]
    pub map: MapArgs,
    /// Where to read from.
    #[command(flatten)]
    pub source: SourceArgs,
    /// When to use colour; NO_COLOR is respected
    #[command(flatten)]
    pub color: colorchoice_clap::Color,
}

/// Options of the picture.
#[derive(Args)]
pub struct MapArgs {
    /// Draw a column for each domain, even if many look the same
    #[arg(short, long)]
    pub all: bool,
    /// Print JSON
    #[arg(short, long)]
    pub json: bool,
    /// Draw again whenever something changes, until interrupted
    ///
    /// What changes without a uevent, such as assignments with some drivers, is
    /// noticed after the interval. With --json, one document a line.
    #[arg(short, long)]
    pub watch: bool,
    /// How often --watch looks without being told to
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = clap::value_parser!(u16).range(1..))]
    pub interval: u16,
    /// Columns to draw in, instead of those of the terminal
    #[arg(long, value_name = "COLUMNS")]
    pub width: Option<usize>,
}

impl MapArgs {
    /// Whether there is an option about the picture. (The interval has a default.)
    pub fn is_given(&self) -> bool {
        self.all || self.json || self.watch || self.width.is_some()
    }
}

/// Where to read from.
#[derive(Args)]
pub struct SourceArgs {
    /// Root of sysfs, or a file that `apmap record` has written
    #[arg(long, global = true, value_name = "PATH", default_value = "/sys")]
    pub sysfs: PathBuf,
}

/// What there is beside the picture.
#[derive(Subcommand)]
pub enum Command {
    /// Say which writes would give queues to a mediated device
    ///
    /// Prints a shell script, for the reader or for `sh -e`, and changes nothing. What
    /// stands in the way comes first, as comments, and makes the exit status 1. A guest
    /// gets every queue in the product of its adapters and domains, so more may come
    /// with those that are asked for; the plan says so.
    #[command(after_long_help = PLAN_HELP)]
    Plan(PlanArgs),
    /// Say why a guest does not have a queue, or why a queue does not work
    ///
    /// Asks one question after the other, beginning with the host configuration, until the
    /// answer tells the cause; says what to do about it; and shows what has happened to the
    /// guest. Root is told more: debugfs has the states of resets and the history of the
    /// guest, and only root may see which program uses a mediated device. The journal, or
    /// the kernel's own buffer, has the messages. What the driver that is loaded cannot tell
    /// is said.
    #[command(after_long_help = WHY_HELP)]
    Why(WhyArgs),
    /// Print all that apmap reads, for --sysfs on another machine
    ///
    /// That is the state of the AP bus and of vfio_ap in sysfs, what the driver tells in
    /// debugfs, its messages, which programs use mediated devices, and the versions of the
    /// driver and the kernel. There are no keys in it, and nothing of guests but the
    /// numbers of their queues. Record as root: others may not read all of that.
    Record,
}

/// What is asked about.
#[derive(Args)]
pub struct WhyArgs {
    /// A queue such as 02.0001, or a mediated device: its letter in the picture, its UUID or
    /// the beginning of that
    pub subject: Subject,
    /// Print JSON
    #[arg(short, long)]
    pub json: bool,
    /// Columns to write in, instead of those of the terminal
    #[arg(long, value_name = "COLUMNS")]
    pub width: Option<usize>,
}

/// What is asked for.
#[derive(Args)]
pub struct PlanArgs {
    /// The mediated device: its letter in the picture, its UUID or the beginning of that;
    /// a whole UUID that does not exist is created
    pub mdev: MdevName,
    /// Queues such as 01.0003, or all of some adapters and domains: 01-03,0a.0003,0004
    #[arg(required = true)]
    pub queues: Vec<QueueSet>,
    /// Control domains, such as 03 or 00-04
    #[arg(short, long, value_name = "DOMAINS", value_parser = parse_domains)]
    pub control: Option<Mask<Apqi>>,
    /// Take away the queues that are not asked for, and with --control such domains
    #[arg(long)]
    pub only: bool,
    /// Agree that the host's own drivers lose queues that are not asked for
    #[arg(long)]
    pub take_others: bool,
    /// How to take queues from the host's drivers
    #[arg(long, value_name = "WAY", default_value = "auto")]
    pub by: By,
    /// Print JSON
    #[arg(short, long)]
    pub json: bool,
}
