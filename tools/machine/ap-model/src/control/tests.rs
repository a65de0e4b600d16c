// SPDX-License-Identifier: GPL-2.0
//! Tests of the control language.

use super::*;
use crate::limits::Limits;
use crate::sie::Exit;
use proptest::prelude::*;

/// Returns the error of `request` on the preset machine. Panics if the request changes the machine.
fn error(request: &str) -> String {
    let mut machine = Machine::preset();
    let error = machine.control(request).expect_err(request);
    assert_eq!(machine, Machine::preset(), "{request}");
    error.to_string()
}

fn after(request: &str) -> Machine {
    let mut machine = Machine::preset();
    assert_eq!(machine.control(request), Ok(String::new()), "{request}");
    machine
}

#[test]
fn adapters_are_installed_in_all_notations() {
    let machine = after("adapter 5 cex4a; adapter 0x0a cex8p depth=4\nadapter 20-21,30 15c");
    let show = |apid| {
        let adapter = machine.adapters[&Apid(apid)];
        format!("{adapter} {}", adapter.depth)
    };
    assert_eq!(show(5), "cex4a 8");
    assert_eq!(show(10), "cex8p 4");
    for apid in [20, 21, 30] {
        assert_eq!(show(apid), "15c 8");
    }
}

#[test]
fn uninstalling_forgets_the_queues_and_a_new_type_does_not() {
    let mut machine = after("queue 01.0001 reset-polls 9");
    machine.control("adapter 1 cex5c").unwrap();
    assert_eq!(
        machine.queues[&Apqn::new(1, 1)].settings.reset_polls,
        Polls::Count(9)
    );
    machine.control("adapter 1 none; adapter 1 cex5c").unwrap();
    assert!(machine.queues.is_empty());
}

#[test]
fn masks_are_set_added_to_and_removed_from() {
    let machine =
        after("apm = 0-3,8;apm+4 ; apm -1-2\naqm=0x10 , 17 - 19 # not 20\n\n# nothing\nadm =\n");
    assert_eq!(machine.apm.to_string(), "0,3-4,8");
    assert_eq!(machine.aqm.to_string(), "16-19");
    assert_eq!(machine.adm, Mask::EMPTY);
}

#[test]
fn limits_are_set_by_name() {
    let machine = after(
        "limits apxa=on na=63 nd=84 rc8a=on; limits qci=off apft=off aqic=off apsc=off qact=off",
    );
    let expected = Limits {
        na: 63,
        nd: 84,
        rc8a: true,
        qci: false,
        apft: false,
        aqic: false,
        apsc: false,
        qact: false,
        ..Limits::default()
    };
    assert_eq!(machine.limits, expected);
}

#[test]
fn nothing_may_go_beyond_the_limits() {
    assert_eq!(
        error("limits na=1"),
        "line 1: installed adapter 2 beyond the limits"
    );
    assert_eq!(
        error("limits nd=2"),
        "line 1: aqm: domain 3 beyond the limits"
    );
    assert_eq!(
        error("limits na=15; apm + 20"),
        "line 1: apm: adapter 20 beyond the limits"
    );
    assert_eq!(
        error("limits apxa=off; adm + 16"),
        "line 1: adm: domain 16 beyond the limits"
    );
    assert_eq!(
        error("limits nd=15; queue 01.0010 state online"),
        "line 1: domain 16 is beyond the limit, 15"
    );
}

#[test]
fn queue_wildcards_reach_installed_adapters_and_allowed_domains() {
    let machine = after("limits nd=3; queue *.* reset-polls 2; queue 01.* state checkstopped");
    assert_eq!(machine.queues.len(), 3 * 4);
    let of = |apid, apqi| &machine.queues[&Apqn::new(apid, apqi)].settings;
    assert_eq!(of(0, 0).reset_polls, Polls::Count(2));
    assert_eq!(of(1, 3).state, State::Checkstopped);
    assert_eq!(of(2, 3).state, State::Online);
    assert_eq!(
        after("queue *.0002 irq-polls forever").queues.len(),
        3,
        "one per adapter"
    );
}

#[test]
fn faults_are_forced_and_cleared() {
    let mut machine = after("queue 01.0003 zapq rc=02 times=3; queue 01.0003 tapq rc=0x8a async");
    let faults = machine.queues[&Apqn::new(1, 3)].settings.faults;
    assert_eq!(
        faults[Function::Zapq.index()].unwrap().to_string(),
        "rc=02 times=3"
    );
    assert_eq!(
        faults[Function::Tapq.index()].unwrap().to_string(),
        "rc=8a async"
    );
    machine.control("queue 01.0003 zapq clear").unwrap();
    assert!(machine.queues[&Apqn::new(1, 3)].settings.faults[Function::Zapq.index()].is_none());
}

#[test]
fn counters_are_asked_for_in_all_ways() {
    let mut machine = Machine::preset();
    for (apid, apqi) in [(1, 3), (1, 3), (1, 0), (2, 3)] {
        machine
            .counters
            .count(Function::Zapq, Some(Apqn::new(apid, apqi)));
    }
    machine.counters.count(Function::Qci, None);
    let mut ask = |request: &str| machine.control(request).unwrap();
    assert_eq!(ask("counters 01.0003 zapq"), "2\n");
    assert_eq!(ask("counters 01.* zapq"), "3\n");
    assert_eq!(ask("counters *.3 zapq"), "3\n");
    assert_eq!(ask("counters zapq"), "4\n");
    assert_eq!(ask("counters qci"), "1\n");
    assert_eq!(
        ask("counters 02.0003"),
        "tapq=0 rapq=0 zapq=1 aqic=0 qact=0 nqap=0 dqap=0\n"
    );
    assert!(ask("counters").starts_with("total tapq=0 rapq=0 zapq=4"));
    assert_eq!(ask("counters reset; counters zapq"), "0\n");
}

#[test]
fn a_bare_machine_remembers_nothing() {
    let mut machine = Machine::preset();
    let preset = machine.show();
    machine
        .control("limits qci=off ; queue *.* reset-polls forever ; queue 01.0003 zapq rc=02")
        .unwrap();
    assert_ne!(machine.show(), preset);
    assert_eq!(
        machine.control("bare ; show").unwrap(),
        Machine::bare().show()
    );
    machine
        .control(&format!("bare ; {}", preset.replace('\n', " ; ")))
        .unwrap();
    assert_eq!(machine.show(), preset);
}

#[test]
fn errors_tell_the_line_and_the_cause() {
    for (request, expected) in [
        (
            "frobnicate",
            "line 1: unknown command 'frobnicate'; see 'help'",
        ),
        ("\n# x\napm = 0-", "line 3: '' is no number from 0 to 255"),
        ("apm = 256", "line 1: '256' is no number from 0 to 255"),
        ("apm = 5-3", "line 1: the range '5-3' runs backwards"),
        ("apm +", "line 1: '' is no number from 0 to 255"),
        ("apm 1", "line 1: '=', '+' or '-' expected after 'apm'"),
        ("apm \u{e9}", "line 1: '=', '+' or '-' expected after 'apm'"),
        (
            "adapter 9 state online",
            "line 1: adapter 9 is not installed",
        ),
        ("adapter 9 none", "line 1: adapter 9 is not installed"),
        (
            "adapter 1",
            "line 1: TYPE, 'none' or 'state STATE' expected after the adapters",
        ),
        (
            "adapter 1 cex9c",
            "line 1: 'cex9c' is no adapter type: cex4 to cex8 or a number, then a, c or p",
        ),
        (
            "adapter 1 cex7",
            "line 1: 'cex7' is no adapter type: cex4 to cex8 or a number, then a, c or p",
        ),
        (
            "adapter 1 0c",
            "line 1: '0c' is no adapter type: cex4 to cex8 or a number, then a, c or p",
        ),
        ("adapter 1 cex7c depth=33", "line 1: the depth is 1 to 32"),
        (
            "adapter 1 cex7c deep",
            "line 1: 'depth=N' expected, not 'deep'",
        ),
        (
            "adapter 1 state broken",
            "line 1: unknown state 'broken': online, deconfigured, checkstopped",
        ),
        (
            "limits",
            "line 1: wrong number of words for 'limits'; see 'help'",
        ),
        ("limits ap", "line 1: NAME=VALUE expected, not 'ap'"),
        ("limits ap=yes", "line 1: 'ap' is on or off, not 'yes'"),
        (
            "limits sie=on",
            "line 1: unknown limit 'sie': ap, qci, apft, aqic, apxa, apsc, qact, rc8a, na or nd",
        ),
        (
            "queue 01 zapq rc=1",
            "line 1: '01' is no queue: as in 01.0003, or * for either part",
        ),
        (
            "queue 001.3 zapq rc=1",
            "line 1: '001.3' is no queue: as in 01.0003, or * for either part",
        ),
        (
            "queue 01.0100 zapq rc=1",
            "line 1: '01.0100' is no queue: as in 01.0003, or * for either part",
        ),
        (
            "queue 07.0000 zapq rc=1",
            "line 1: adapter 7 is not installed",
        ),
        (
            "queue 01.0000 zapq rc=100",
            "line 1: '100' is no response code: two hexadecimal digits",
        ),
        (
            "queue 01.0000 zapq rc=1 times=0",
            "line 1: '0' is no number of times, 1 or more",
        ),
        (
            "queue 01.0000 zapq rc=1 twice",
            "line 1: 'times=N' or 'async' expected, not 'twice'",
        ),
        ("queue 01.0000 qci rc=1", "line 1: qci concerns no queue"),
        (
            "queue 01.0000 sapq clear",
            "line 1: unknown function 'sapq': tapq, rapq, zapq, aqic, qci, qact, nqap, dqap",
        ),
        (
            "queue 01.0000 reset-polls never",
            "line 1: 'never' is neither a number of polls nor 'forever'",
        ),
        (
            "counters 01.0000 zapq now",
            "line 1: wrong number of words for 'counters'; see 'help'",
        ),
        (
            "show all",
            "line 1: wrong number of words for 'show'; see 'help'",
        ),
    ] {
        assert_eq!(error(request), expected);
    }
}

#[test]
fn a_request_takes_effect_as_a_whole_or_not_at_all() {
    error("apm = 0; queue 01.0001 reset-polls 7; adapter 1 none; nonsense");
    error("apm = 0; adapter 1 none; queue 01.0001 state online");
}

#[test]
fn help_is_the_documentation() {
    let help = Machine::preset().control("help").unwrap();
    for word in [
        "adapter", "apm", "limits", "queue", "counters", "show", "help",
    ] {
        assert!(help.lines().any(|line| line.starts_with(word)), "{word}");
    }
}

#[test]
fn what_can_not_be_configured_is_shown_in_comments() {
    let mut machine = after("queue 01.0001 reset-polls forever");
    machine.queues.get_mut(&Apqn::new(1, 1)).unwrap().reset();
    let text = machine.control("show").unwrap();
    assert!(
        text.contains("# 01.0001: reset under way, polls left: forever\n"),
        "{text}"
    );
}

fn any_list() -> impl Strategy<Value = String> {
    prop::collection::vec(0_u8..=255, 1..8).prop_map(|bits| {
        let bits: Mask = bits.into_iter().collect();
        bits.to_string()
    })
}

fn any_command() -> impl Strategy<Value = String> {
    let state = prop::sample::select(vec!["online", "deconfigured", "checkstopped"]);
    let polls = prop_oneof![
        Just("forever".to_string()),
        (0_u32..100).prop_map(|n| n.to_string())
    ];
    let kind = (
        1_u8..=255,
        prop::sample::select(vec!['a', 'c', 'p']),
        1_u8..=32,
    );
    let flag = prop::sample::select(vec!["apft", "aqic", "qact", "rc8a", "apsc", "qci", "ap"]);
    let queue = "0[0-2]\\.000[0-9a-f]";
    let function =
        prop::sample::select(vec!["tapq", "rapq", "zapq", "aqic", "qact", "nqap", "dqap"]);
    prop_oneof![
        (any_list(), kind).prop_map(|(l, (t, m, d))| format!("adapter {l} {t}{m} depth={d}")),
        (0_u8..3, state.clone()).prop_map(|(a, s)| format!("adapter {a} state {s}")),
        ("a[pqd]m", "[=+-]", any_list()).prop_map(|(m, op, l)| format!("{m} {op} {l}")),
        (flag, any::<bool>())
            .prop_map(|(f, on)| format!("limits {f}={}", if on { "on" } else { "off" })),
        (queue, state).prop_map(|(q, s)| format!("queue {q} state {s}")),
        (queue, "reset|irq", polls).prop_map(|(q, w, p)| format!("queue {q} {w}-polls {p}")),
        (
            queue,
            function,
            any::<u8>(),
            prop::option::of(1_u32..9),
            any::<bool>()
        )
            .prop_map(|(q, f, rc, times, asynchronous)| {
                let times = times.map(|n| format!(" times={n}")).unwrap_or_default();
                let flag = if asynchronous { " async" } else { "" };
                format!("queue {q} {f} rc={rc:02x}{times}{flag}")
            }),
    ]
}

proptest! {
    /// The output of `show` configures a bare machine to the same state.
    #[test]
    fn show_can_be_read_back(commands in prop::collection::vec(any_command(), 0..20)) {
        let mut machine = Machine::preset();
        machine.control(&commands.join("\n")).unwrap();
        let text = machine.control("show").unwrap();
        let mut copy = Machine::bare();
        copy.control(&text).unwrap();
        prop_assert_eq!(copy.control("show").unwrap(), text);
        // A queue with default settings equals a queue without settings.
        machine.queues.retain(|_, queue| *queue != crate::queue::Queue::default());
        prop_assert_eq!(copy, machine);
    }

    /// No text causes a panic of the parser, and a request with an error changes nothing.
    #[test]
    fn any_text_is_answered(text in "(adapter|apm|limits|queue|counters)?[ -~\n\u{e9}]{0,40}") {
        let mut machine = Machine::preset();
        if machine.control(&text).is_err() {
            prop_assert_eq!(machine, Machine::preset());
        }
    }
}

#[test]
fn exits_of_guests_can_be_asked_for() {
    let mut machine = Machine::preset();
    machine.sie().entered(0x1000, 2);
    machine.sie().left(0x1000, Exit::Interception(0x28), true);
    let mut ask = |request: &str| machine.control(request).unwrap();
    assert_eq!(ask("sie"), "cpu 2 at 1000 entries=1 kicks=1 stop=1\n");
    assert_eq!(
        ask("sie stop; sie 2 kicks; sie 0 stop; sie wait"),
        "1\n1\n0\n0\n"
    );
    assert_eq!(ask("sie reset; sie"), "");
    assert!(error("sie kick").contains("unknown count 'kick'"));
    assert!(error("sie one stop").contains("no number of a CPU"));
}
