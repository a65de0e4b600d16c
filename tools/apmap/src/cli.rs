// SPDX-License-Identifier: GPL-2.0
//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use vfio_ap_core::mask::{Apqi, Mask};

use crate::request::{By, MdevName, QueueSet, Subject, parse_domains};

/// The text after the options. Each part is a section of the man page.
const MAP_HELP: &str = "\
Signs:
  #   one of the host's own drivers has the queue
  .   vfio_ap has the queue, and no mediated device has it
  ?   no driver has the queue
  A   assigned to mediated device A, and in use by its guest
  a   assigned to mediated device A, which has no guest at present
  a!  assigned to A, but not usable: its adapter is kept from the guest
  a-  assigned to A, and kept from the guest together with its adapter
  a~  assigned to A, but not in the host configuration
  Ax  the guest of A has it, but its adapter is deconfigured or in check stop
  ax  as this, without a guest

Exit status:
  0   success; for plan, there is no obstacle; for why, nothing is missing
  1   for plan, there is an obstacle; for why, something is missing
  2   the command line is wrong
  3   the host cannot be read

Examples:
  apmap --watch                       follow changes
  apmap why A                         why the guest of mdev A lacks something
  apmap plan A 01-02.0003             plan to give mdev A these two queues
  apmap record >host.json             record the host for a problem report
  apmap --sysfs host.json             draw a recorded host";

const PLAN_HELP: &str = "\
Exit status:
  0   there is no obstacle
  1   there is an obstacle: the kernel would refuse a write, the guest would lack a queue,
      or the host would lose queues that nobody has asked for
  2   the command line is wrong
  3   the host cannot be read, or has no such mediated device

Examples:
  apmap plan A 01.0003 02.0003        two additional queues for mdev A
  apmap plan A 01-02.0003 --only      these two queues, and no others
  apmap plan $(uuidgen) 01.0003 --control 03 | sh -e
                                      a new mdev with a queue and its control domain
  apmap plan A --migrate other.json   room in mdev A for a guest of another host";

const WHY_HELP: &str = "\
Exit status:
  0   nothing is missing: the guest has all that is assigned, and it works
  1   something is missing, or does not work
  2   the command line is wrong
  3   the host cannot be read, or has no such mediated device

Examples:
  apmap why A                         all that is assigned to mdev A
  apmap why 8c0f                      the same for the mdev whose UUID begins so
  apmap why 02.0001                   this queue alone
  apmap --sysfs host.json why A       the same for a recorded host";

/// Draw the host's matrix of AP adapters and domains, with the owner of each queue, and
/// the reason if a guest does not have an assigned queue.
///
/// Adapters (Crypto Express cards) are rows and domains are columns. Numbers are
/// hexadecimal, as in the names of queues in sysfs. Equal neighbouring domains share a
/// column. apmap works with the C driver vfio_ap and with the driver in Rust. It needs no
/// privilege and changes nothing.
#[derive(Parser)]
#[command(version, disable_help_subcommand = true, after_long_help = MAP_HELP)]
pub struct Cli {
    /// An action other than drawing.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of the picture.
    #[command(flatten)]
    pub map: MapArgs,
    /// The source of data.
    #[command(flatten)]
    pub source: SourceArgs,
    /// The use of colour; NO_COLOR is respected
    #[command(flatten)]
    pub color: colorchoice_clap::Color,
}

/// Options of the picture.
#[derive(Args)]
pub struct MapArgs {
    /// Draw a column for each domain, even for equal ones
    #[arg(short, long)]
    pub all: bool,
    /// Print JSON
    #[arg(short, long)]
    pub json: bool,
    /// Draw again after each change, until interrupted
    ///
    /// Changes without a uevent, such as assignments with the C driver, appear after the interval.
    /// With --json, each line is one document.
    #[arg(short, long)]
    pub watch: bool,
    /// The interval of --watch for changes without a uevent
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = clap::value_parser!(u16).range(1..))]
    pub interval: u16,
    /// The width in columns; the default is that of the terminal
    #[arg(long, value_name = "COLUMNS")]
    pub width: Option<usize>,
}

impl MapArgs {
    /// Returns true if an option of the picture is given. The interval is not checked, because it
    /// has a default.
    pub fn is_given(&self) -> bool {
        self.all || self.json || self.watch || self.width.is_some()
    }
}

/// The source of data.
#[derive(Args)]
pub struct SourceArgs {
    /// Root of sysfs, or a file that `apmap record` has written
    #[arg(long, global = true, value_name = "PATH", default_value = "/sys")]
    pub sysfs: PathBuf,
}

/// The actions other than drawing.
#[derive(Subcommand)]
pub enum Command {
    /// Print the writes that give queues to a mediated device
    ///
    /// The output is a shell script for the reader or for `sh -e`. apmap itself changes
    /// nothing. Obstacles come first, as comments, and the exit status is 1 then. A guest
    /// gets every queue in the product of its adapters and domains. The plan names the
    /// queues that the guest gets in addition to the requested ones.
    #[command(after_long_help = PLAN_HELP)]
    Plan(PlanArgs),
    /// Say why a guest does not have a queue, or why a queue does not work
    ///
    /// apmap asks one question after the other, beginning with the host configuration, until an
    /// answer shows the cause. It prints a remedy for the cause, and the history of the guest. As
    /// root, apmap finds more: debugfs has the states of resets and the history of the guest, and
    /// only root may see the program that uses a mediated device. The messages come from the
    /// journal or the kernel's own buffer. apmap lists the information that the loaded driver does
    /// not provide.
    #[command(after_long_help = WHY_HELP)]
    Why(WhyArgs),
    /// Print all data that apmap reads, for --sysfs on another machine
    ///
    /// The data are the state of the AP bus and of vfio_ap in sysfs, the driver's reports in
    /// debugfs and its messages, the programs that use mediated devices, and the versions of the
    /// driver and the kernel. They contain no keys, and only the queue numbers of guests. Record as
    /// root, because other users may not read all data.
    Record,
}

/// The subject of a question.
#[derive(Args)]
pub struct WhyArgs {
    /// A queue such as 02.0001, or a mediated device: its letter in the picture, its UUID or the
    /// beginning of the UUID
    pub subject: Subject,
    /// Print JSON
    #[arg(short, long)]
    pub json: bool,
    /// The width in columns; the default is that of the terminal
    #[arg(long, value_name = "COLUMNS")]
    pub width: Option<usize>,
}

/// The request.
#[derive(Args)]
pub struct PlanArgs {
    /// The mediated device: its letter in the picture, its UUID or the beginning of the UUID;
    /// a complete UUID that does not exist is created
    pub mdev: MdevName,
    /// Queues such as 01.0003, or a product of adapters and domains: 01-03,0a.0003,0004
    #[arg(required_unless_present = "migrate")]
    pub queues: Vec<QueueSet>,
    /// Control domains, such as 03 or 00-04
    #[arg(short, long, value_name = "DOMAINS", value_parser = parse_domains)]
    pub control: Option<Mask<Apqi>>,
    /// Unassign the other queues, and with --control the other control domains
    #[arg(long)]
    pub only: bool,
    /// Allow the host's own drivers to lose queues that are not requested
    #[arg(long)]
    pub take_others: bool,
    /// Prepare the mediated device for a guest of another host, which migrates to it
    ///
    /// The file is a recording of that host, by `apmap record`. The request is for all queues
    /// and control domains of the guest. A reason for which the driver would refuse the guest is
    /// an obstacle. Only the migration itself shows if the guest can be interrupted.
    #[arg(long, value_name = "FILE")]
    pub migrate: Option<PathBuf>,
    /// The mediated device of the guest on the other host; the default is the one with the same
    /// UUID, or the only one in use
    #[arg(long, value_name = "MDEV", requires = "migrate")]
    pub guest: Option<MdevName>,
    /// The method to take queues from the host's drivers
    #[arg(long, value_name = "METHOD", default_value = "auto")]
    pub by: By,
    /// Print JSON
    #[arg(short, long)]
    pub json: bool,
}
