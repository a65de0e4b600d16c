// SPDX-License-Identifier: GPL-2.0
//! Tests pictures in colour, and the picture of a large host. `UPDATE=1` writes them.

mod common;

use std::path::Path;

use apmap::draw::{Layout, draw};
use apmap::host::Host;
use apmap::sysfs::{Entry, Recording, Sysfs};
use vfio_ap_core::mask::{Apid, Apqi, Apqn, Mask};

/// 16 adapters with 85 domains, and four mdevs.
struct Large(Recording);

impl Large {
    fn text(&mut self, path: &str, text: &str) {
        self.0.insert(path.into(), Entry::Text(format!("{text}\n")));
    }

    fn mdev(&mut self, digit: char, apm: Mask<Apid>, aqm: Mask<Apqi>, guest: Mask<Apid>) {
        let uuid = "xxxxxxxx-0000-4000-8000-000000000000".replace('x', &digit.to_string());
        let mdev = format!("devices/vfio_ap/matrix/{uuid}");
        self.text(&format!("{mdev}/ap_config"), &format!("{apm},{aqm},{aqm}"));
        let queues = guest
            .iter()
            .flat_map(|apid| aqm.iter().map(move |apqi| Apqn::new(apid, apqi)));
        let lines: String = queues.map(|apqn| format!("{apqn}\n")).collect();
        self.0
            .insert(format!("{mdev}/guest_matrix"), Entry::Text(lines));
    }

    fn host() -> Host {
        let mut large = Self(Recording::new());
        let adapters = Mask::<Apid>::up_to(15);
        let domains = Mask::<Apqi>::up_to(84);
        let given = adapters - Mask::up_to(3);
        for (name, text) in [
            ("apmask", (Mask::ALL - given).to_string()),
            ("aqmask", Mask::<Apqi>::ALL.to_string()),
            ("ap_adapter_mask", adapters.to_string()),
            ("ap_usage_domain_mask", domains.to_string()),
            ("ap_control_domain_mask", domains.to_string()),
            ("ap_max_adapter_id", "255".into()),
            ("ap_max_domain_id", "255".into()),
        ] {
            large.text(&format!("bus/ap/{name}"), &text);
        }
        large.text(
            "devices/vfio_ap/matrix/features",
            "guest_matrix hotplug ap_config",
        );
        for apid in adapters.iter() {
            let card = format!("bus/ap/devices/card{:02x}", apid.0);
            large.text(
                &format!("{card}/type"),
                ["CEX8C", "CEX8P"][usize::from(apid.0 % 2)],
            );
            for apqi in domains.iter() {
                let apqn = Apqn::new(apid, apqi);
                let queue = format!("bus/ap/devices/{apqn}");
                // One queue is unbound.
                let driver = match (given.contains(apid), apqn.to_raw()) {
                    (_, 0x0a21) => continue,
                    (true, _) => "vfio_ap",
                    (false, _) => "cex4queue",
                };
                large
                    .0
                    .insert(format!("{queue}/driver"), Entry::Link(driver.into()));
                let in_use = (4..8).contains(&apid.0) && apqi.0 < 16;
                let status = if in_use { "in use" } else { "unassigned" };
                large.text(&format!("{queue}/status"), status);
            }
        }
        let middle = Mask::up_to(7) - Mask::up_to(3);
        large.mdev('1', middle, Mask::up_to(15), middle);
        let upper = Mask::up_to(11) - Mask::up_to(7);
        let scattered = (Mask::up_to(40) - Mask::up_to(31)).filter(|apqi: Apqi| apqi.0 % 2 == 1);
        large.mdev('2', upper, scattered, upper - Mask::only(Apid(10)));
        let highest = adapters - Mask::up_to(11);
        large.mdev('3', highest, Mask::only(Apqi(84)), highest);
        // All queues of this mdev are bound, and none is passed on.
        large.mdev('4', highest, Mask::only(Apqi(83)), Mask::EMPTY);
        Host::read(&large.0.into()).unwrap()
    }
}

fn check(width: usize, all: bool, name: &str) {
    let coloured = draw(&Large::host(), &Layout { width, all });
    let plain = anstream::adapter::strip_str(&coloured).to_string();
    common::expect(&Path::new("tests/expected").join(name), &plain);
}

#[test]
fn a_large_host_is_small_as_neighbours_share_a_column() {
    check(80, false, "large.txt");
}

#[test]
fn all_domains_in_80_columns() {
    check(80, true, "large-all-80.txt");
}

#[test]
fn all_domains_in_240_columns() {
    check(240, true, "large-all-240.txt");
}

/// The picture in colour, which can be viewed with `cat`.
#[test]
fn colours() {
    let host = Sysfs::open(Path::new("tests/hosts/guests.json")).unwrap();
    let layout = Layout {
        width: 100,
        all: false,
    };
    let coloured = draw(&Host::read(&host).unwrap(), &layout);
    common::expect(Path::new("tests/expected/guests.ansi"), &coloured);
}

/// A terminal would break longer lines, and `--watch` would count them wrongly.
#[test]
fn no_line_is_longer_than_the_terminal_is_wide() {
    let hosts = [
        "again",
        "broken",
        "emptied",
        "emptied-c",
        "emptied-user",
        "guests",
        "overrides",
        "trouble",
        "untouched",
    ];
    let hosts =
        hosts.map(|name| Sysfs::open(&Path::new("tests/hosts").join(name).with_extension("json")));
    let hosts = hosts.map(|sysfs| Host::read(&sysfs.unwrap()).unwrap());
    for host in hosts.iter().chain([&Large::host()]) {
        for width in [60, 80, 100] {
            let picture = draw(host, &Layout { width, all: true });
            for line in anstream::adapter::strip_str(&picture).to_string().lines() {
                assert!(line.chars().count() <= width, "in {width} columns: {line}");
            }
        }
    }
}
