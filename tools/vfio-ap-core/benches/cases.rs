// SPDX-License-Identifier: GPL-2.0

//! Decisions of the core at sizes that the emulated machine cannot have. `core.rs` times them on the build
//! host, and `apcore` in `tools/machine-programs` counts their instructions on an IBM Z.

use std::hint::black_box;

use vfio_ap_core::{
    mask::{Apid, Apqi, Apqn, Mask, IDS},
    matrix::{Host, Masks, Matrix, QueueSet, User},
    queues::{response, Entry, Instructions, Queues},
    text::{parse_matrix, Listing},
};

/// The numbers of adapters and domains: the largest z16, and the limits of the architecture.
pub(crate) const SIZES: [(u16, u16); 2] = [(60, 85), (256, 256)];

/// The name and the function of a measurement.
pub(crate) type Case = (&'static str, Box<dyn Fn()>);

/// Hardware whose resets end immediately.
struct Hardware;

impl Instructions for Hardware {
    fn zapq(&mut self, _: Apqn) -> u8 {
        response::NORMAL
    }
    fn tapq(&mut self, _: Apqn) -> u8 {
        response::NORMAL
    }
}

fn matrix(adapters: u16, domains: u16) -> Matrix {
    Matrix {
        apm: Mask::up_to((adapters - 1) as u8),
        aqm: Mask::up_to((domains - 1) as u8),
        adm: Mask::up_to((domains - 1) as u8),
    }
}

/// Returns a host with these numbers of adapters and domains. All queues are usable.
fn host(adapters: u16, domains: u16) -> Host<Vec<Entry>> {
    let mut queues = Queues::new(vec![Entry::NONE; IDS]);
    for apid in 0..adapters {
        for apqi in 0..domains {
            queues.bind(Apqn::new(Apid(apid as u8), Apqi(apqi as u8)));
        }
        queues.step(Apid(apid as u8), &mut Hardware, |_, _, _| {});
    }
    assert!(queues.resetting().is_empty());
    Host::new(matrix(adapters, domains), queues)
}

/// Returns the text for `ap_config`.
fn text(adapters: u16, domains: u16) -> String {
    let mask = |bits: u16| -> String {
        let digit = |first: u16| (first..first + 4).fold(0, |d, id| d << 1 | u8::from(id < bits));
        let digits = (0..256).step_by(4).map(|id| format!("{:x}", digit(id)));
        format!("0x{}", digits.collect::<String>())
    };
    format!("{},{},{}", mask(adapters), mask(domains), mask(domains))
}

/// Returns all cases for a guest with these numbers of adapters and domains.
pub(crate) fn all(adapters: u16, domains: u16) -> Vec<Case> {
    let everything = matrix(adapters, domains);
    let half = matrix(adapters, domains / 2);
    let masks = Masks {
        assigned: everything,
        granted: everything,
        due: everything,
        apcb: everything,
        user: User::Guest,
        ..Masks::default()
    };
    let (settled, mut scanning) = (host(adapters, domains), host(adapters, domains));
    scanning.scan_begins(everything);
    let ap_config = text(adapters, domains);
    assert_eq!(parse_matrix(ap_config.as_bytes()).ok(), Some(everything));
    assert_eq!(masks.due_apcb(&settled), everything);
    vec![
        (
            "masks of a guest",
            Box::new(move || {
                black_box(black_box(&masks).due_apcb(&settled));
            }),
        ),
        (
            "masks during a scan",
            Box::new(move || {
                black_box(black_box(&masks).due_apcb(&scanning));
            }),
        ),
        (
            "revoked queues",
            Box::new(move || {
                let lost = QueueSet::new(black_box(&everything), black_box(&half));
                black_box(lost.rows().fold(Mask::EMPTY, |all, (_, row)| all | row));
            }),
        ),
        (
            "parse ap_config",
            Box::new(move || {
                let _ = black_box(parse_matrix(black_box(ap_config.as_bytes())));
            }),
        ),
        (
            "the first page of the list of queues",
            Box::new(move || {
                black_box(Listing::new(black_box(&everything)).read(0, &mut [0; 4096]));
            }),
        ),
    ]
}
