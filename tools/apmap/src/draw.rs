// SPDX-License-Identifier: GPL-2.0
//! Draws the picture: adapters downwards, domains across, the meaning of the signs, and the matrix
//! of each mediated device.
//!
//! Equal neighbouring domains share a column, unless all columns are requested. A picture
//! that is wider than the terminal continues below.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use vfio_ap_core::mask::{Apid, Apqi, Apqn, Mask};

use crate::explain::{self, Cause, Owner, Share, Trouble};
use crate::host::{Host, Mdev};
use crate::json;
use crate::names;
use crate::report::User;

const TITLE: Style = Style::new().bold();
const QUIET: Style = Style::new().dimmed();
const MDEVS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::BrightCyan,
    AnsiColor::BrightMagenta,
    AnsiColor::BrightBlue,
];

/// The layout of the picture.
pub struct Layout {
    /// The width of the terminal in columns.
    pub width: usize,
    /// True for a column for each domain.
    pub all: bool,
}

/// Returns the sign for a queue.
fn sign(owner: Owner) -> String {
    match owner {
        Owner::Absent => String::new(),
        Owner::Unbound => "?".into(),
        Owner::Host => "#".into(),
        Owner::Free => ".".into(),
        Owner::Mdev(place, share) => {
            let letter = names::letter(place);
            match share {
                Share::InUse => letter,
                Share::Ready => letter.to_lowercase(),
                Share::Broken { in_use: true } => letter + "x",
                Share::Broken { in_use: false } => letter.to_lowercase() + "x",
                Share::Missing => letter.to_lowercase() + "!",
                Share::Filtered => letter.to_lowercase() + "-",
                Share::NotInHost => letter.to_lowercase() + "~",
            }
        }
    }
}

fn style(owner: Owner) -> Style {
    let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
    match owner {
        Owner::Absent => Style::new(),
        Owner::Host => QUIET,
        Owner::Unbound => colour(AnsiColor::Red),
        Owner::Free => colour(AnsiColor::Green),
        Owner::Mdev(_, Share::Missing | Share::Broken { .. }) => colour(AnsiColor::Red).bold(),
        Owner::Mdev(_, Share::Filtered) => colour(AnsiColor::Yellow),
        Owner::Mdev(place, share) => {
            let style = colour(MDEVS[place % MDEVS.len()]);
            match share {
                Share::InUse => style.bold(),
                Share::NotInHost => style.dimmed(),
                _ => style,
            }
        }
    }
}

/// A range of equal domains.
struct Column {
    heading: String,
    cells: Vec<Owner>,
}

impl Column {
    fn width(&self) -> usize {
        let signs = self.cells.iter().map(|owner| sign(*owner).len());
        signs.max().unwrap_or(0).max(self.heading.len())
    }
}

/// Returns the picture of a host.
pub fn draw(host: &Host, layout: &Layout) -> String {
    let (apm, aqm) = extent(host);
    let columns = columns(host, apm, aqm, layout.all);
    let mut out = String::new();

    let line = |out: &mut String, title: &str, text: &str| {
        let _ = writeln!(
            out,
            "{TITLE}{title:<20}{TITLE:#}{}",
            wrap(text, layout.width, 20)
        );
    };
    line(&mut out, "Driver", &driver(host));
    line(&mut out, "Host configuration", &names::matrix(&host.config));
    line(&mut out, "Not the host's own", &not_the_hosts(host));
    out.push('\n');

    if columns.is_empty() || apm.is_empty() {
        out.push_str("There are no queues.\n");
    } else {
        grid(&mut out, host, apm, &columns, layout.width);
        out.push('\n');
        legend(&mut out, host, &columns, layout.width);
    }
    mdevs(&mut out, host, layout.width);
    out
}

/// Returns the name of the driver, and the release of the kernel.
pub fn driver(host: &Host) -> String {
    let mut text = match (&host.version, json::driver(host)) {
        (_, None) => "vfio_ap is not loaded".into(),
        (Some(version), _) => format!("vfio_ap in Rust, version {version}"),
        (None, Some("c")) => "vfio_ap in C".into(),
        (None, Some(_)) => "vfio_ap in Rust".into(),
    };
    if let Some(kernel) = &host.kernel {
        text += &format!(", Linux {kernel}");
    }
    text
}

/// Returns the adapters and domains of the picture.
fn extent(host: &Host) -> (Mask<Apid>, Mask<Apqi>) {
    let mut apm = host.config.apm;
    let mut aqm = host.config.aqm;
    for apid in host.adapters.keys() {
        apm.insert(*apid);
    }
    for apqn in host.queues.keys() {
        aqm.insert(apqn.apqi);
    }
    for mdev in &host.mdevs {
        apm = apm | mdev.assigned.apm;
        aqm = aqm | mdev.assigned.aqm;
    }
    (apm, aqm)
}

fn columns(host: &Host, apm: Mask<Apid>, aqm: Mask<Apqi>, all: bool) -> Vec<Column> {
    let domains: Vec<(u8, Vec<Owner>)> = aqm
        .iter()
        .map(|apqi| {
            let cells = apm
                .iter()
                .map(|apid| explain::owner(host, Apqn::new(apid, apqi)));
            (apqi.0, cells.collect())
        })
        .collect();
    domains
        .chunk_by(|(a, left), (b, right)| !all && a + 1 == *b && left == right)
        .map(|same| {
            let ids: Vec<u8> = same.iter().map(|(id, _)| *id).collect();
            Column {
                heading: names::ranges(&ids),
                cells: same[0].1.clone(),
            }
        })
        .collect()
}

/// Returns the queues that are not reserved for the host's own drivers.
fn not_the_hosts(host: &Host) -> String {
    let overridden: Vec<Apqn> = host
        .queues
        .iter()
        .filter(|(_, queue)| queue.driver_override.is_some())
        .map(|(apqn, _)| *apqn)
        .collect();
    let adapters = Mask::ALL - host.apmask;
    let domains = Mask::ALL - host.aqmask;
    let mut parts = Vec::new();
    if !adapters.is_empty() {
        parts.push(format!("adapters {} (apmask)", names::set(adapters)));
    }
    if !domains.is_empty() {
        parts.push(format!("domains {} (aqmask)", names::set(domains)));
    }
    if !overridden.is_empty() {
        parts.push(format!("by driver_override {}", names::queues(&overridden)));
    }
    if parts.is_empty() {
        "nothing".into()
    } else {
        parts.join(", ")
    }
}

/// Returns the label of an adapter.
fn label(host: &Host, apid: Apid) -> String {
    let mut label = format!("{:02x}", apid.0);
    match host.adapters.get(&apid) {
        Some(adapter) => {
            label += &format!(" {}", adapter.kind);
            if let Some(trouble) = Trouble::of(adapter) {
                label += &format!(" {}", trouble.text());
            }
        }
        None if host.config.apm.contains(apid) => label += " not found",
        None => label += " not in host",
    }
    label
}

fn grid(out: &mut String, host: &Host, apm: Mask<Apid>, columns: &[Column], width: usize) {
    const HEADING: &str = "adapter \\ domain";

    let labels: Vec<String> = apm.iter().map(|apid| label(host, apid)).collect();
    let margin = labels.iter().map(String::len).max().unwrap_or(0);
    let margin = margin.max(HEADING.len()) + 1;

    let mut rest = columns;
    while !rest.is_empty() {
        let mut used = margin;
        let fitting = rest
            .iter()
            .take_while(|column| {
                used += column.width() + 1;
                used <= width
            })
            .count();
        let (band, later) = rest.split_at(fitting.max(1));
        rest = later;

        let _ = write!(out, "{TITLE}{HEADING:<margin$}");
        for column in band {
            let _ = write!(out, " {:<1$}", column.heading, column.width());
        }
        end_line(out);
        let _ = write!(out, "{TITLE:#}");
        for (row, label) in labels.iter().enumerate() {
            let _ = write!(out, "{label:<margin$}");
            for column in band {
                let owner = column.cells[row];
                let (sign, style) = (sign(owner), style(owner));
                let padding = column.width() - sign.len();
                let _ = write!(out, " {style}{sign}{style:#}{:padding$}", "");
            }
            end_line(out);
        }
        if !rest.is_empty() {
            out.push('\n');
        }
    }
}

/// Ends a line without trailing spaces.
fn end_line(out: &mut String) {
    out.truncate(out.trim_end_matches(' ').len());
    out.push('\n');
}

/// Draws the meaning of the signs that the picture contains.
fn legend(out: &mut String, host: &Host, columns: &[Column], width: usize) {
    let cells = || {
        columns
            .iter()
            .flat_map(|column| column.cells.iter().copied())
    };
    let mut drivers: Vec<&str> = host
        .queues
        .values()
        .filter(|queue| !queue.is_with_vfio_ap())
        .filter_map(|queue| queue.driver.as_deref())
        .collect();
    drivers.sort_unstable();
    drivers.dedup();

    let meaning = |owner: Owner| match owner {
        Owner::Absent => String::new(),
        Owner::Host => format!("host driver ({})", drivers.join(", ")),
        Owner::Free => "vfio_ap, free".into(),
        Owner::Unbound => "no driver".into(),
        Owner::Mdev(_, share) => match share {
            Share::InUse => "in use by the guest of that mdev",
            Share::Ready => "of that mdev, no guest has it now",
            Share::Broken { in_use: true } => "in use by the guest of that mdev, and does not work",
            Share::Broken { in_use: false } => "of that mdev, and does not work",
            Share::Missing => "missing: keeps its adapter from the guest",
            Share::Filtered => "kept from the guest with its adapter",
            Share::NotInHost => "assigned, but not in the host configuration",
        }
        .into(),
    };
    // The first cell of each kind represents all cells of that kind.
    let kinds: [fn(Owner) -> bool; 10] = [
        |owner| owner == Owner::Host,
        |owner| owner == Owner::Free,
        |owner| owner == Owner::Unbound,
        |owner| matches!(owner, Owner::Mdev(_, Share::InUse)),
        |owner| matches!(owner, Owner::Mdev(_, Share::Ready)),
        |owner| matches!(owner, Owner::Mdev(_, Share::Broken { in_use: true })),
        |owner| matches!(owner, Owner::Mdev(_, Share::Broken { in_use: false })),
        |owner| matches!(owner, Owner::Mdev(_, Share::Missing)),
        |owner| matches!(owner, Owner::Mdev(_, Share::Filtered)),
        |owner| matches!(owner, Owner::Mdev(_, Share::NotInHost)),
    ];
    let mut used = 0;
    for owner in kinds
        .iter()
        .filter_map(|is| cells().find(|owner| is(*owner)))
    {
        let (sign, style) = (sign(owner), style(owner));
        let text = meaning(owner);
        let length = sign.len() + 1 + text.len();
        if used > 0 && used + 3 + length > width {
            out.push('\n');
            used = 0;
        }
        if used > 0 {
            out.push_str("   ");
            used += 3;
        }
        let _ = write!(out, "{style}{sign}{style:#} {text}");
        used += length;
    }
    out.push('\n');
}

fn mdevs(out: &mut String, host: &Host, width: usize) {
    for (place, mdev) in host.mdevs.iter().enumerate() {
        let ready = Owner::Mdev(place, Share::InUse);
        let style = style(ready);
        let letter = names::letter(place);
        let _ = writeln!(
            out,
            "\n{style}{letter}{style:#}  {TITLE}{}{TITLE:#}  {}",
            mdev.uuid,
            use_of(mdev)
        );
        let mut item = |title: &str, text: &str| {
            let _ = writeln!(out, "   {title:<9} {}", wrap(text, width, 13));
        };
        item("assigned", &names::matrix(&mdev.assigned));
        if mdev.guest != mdev.assigned {
            item("guest", &names::matrix(&mdev.guest));
        }
        match mdev.user {
            Some(User::Guest) if !mdev.has_queues() => item("no queues", "the guest has none"),
            Some(User::Leaving) => item("leaving", "the guest has been asked to give it back"),
            None => item("use", "root may see whether a guest uses it"),
            _ => {}
        }
        for (apid, trouble) in explain::broken(host, mdev) {
            let text = format!(
                "adapter {:02x}: {}, the guest keeps it and requests to it fail",
                apid.0,
                trouble.text()
            );
            item("no use", &text);
        }
        let domains = mdev.assigned.aqm - host.config.aqm;
        if !domains.is_empty() {
            let text = format!(
                "domains {}: not in the host configuration",
                names::set(domains)
            );
            item("not there", &text);
        }
        let filtered: Vec<(u8, String)> = explain::filtered(host, mdev)
            .iter()
            .map(|filtered| match &filtered.cause {
                Cause::Missing(queues) => (filtered.apid.0, by_reason(queues)),
                cause => (filtered.apid.0, cause.text().into()),
            })
            .collect();
        for same in filtered.chunk_by(|(_, a), (_, b)| a == b) {
            let adapters: Vec<u8> = same.iter().map(|(apid, _)| *apid).collect();
            let text = format!("adapter {}: {}", names::ranges(&adapters), same[0].1);
            item("filtered", &text);
        }
    }
    if host.vfio_ap.is_none() {
        out.push_str("\nvfio_ap is not loaded: there can be no mediated devices.\n");
    } else if host.mdevs.is_empty() {
        out.push_str("\nThere are no mediated devices.\n");
    }
}

/// Returns the text about the user of a mediated device.
fn use_of(mdev: &Mdev) -> &'static str {
    match mdev.user {
        Some(User::Guest | User::Leaving) => "in use by a guest",
        Some(User::Nobody) => "not in use",
        None => "use not known",
    }
}

/// Returns the queues by reason. Queues with the same reason are listed together.
pub fn by_reason(queues: &[(Apqn, explain::Reason)]) -> String {
    let mut parts = Vec::new();
    for same in queues.chunk_by(|(_, a), (_, b)| a == b) {
        let names = names::queues(same.iter().map(|(apqn, _)| apqn));
        parts.push(format!("{names} {}", same[0].1));
    }
    parts.join("; ")
}

/// Breaks a text between words. Lines after the first begin at column `indent`.
pub fn wrap(text: &str, width: usize, indent: usize) -> String {
    let mut lines = String::new();
    let mut used = indent;
    for word in text.split(' ') {
        if used > indent {
            if used + 1 + word.len() > width {
                let _ = write!(lines, "\n{:indent$}", "");
                used = indent;
            } else {
                lines.push(' ');
                used += 1;
            }
        }
        lines.push_str(word);
        used += word.len();
    }
    lines
}
