// SPDX-License-Identifier: GPL-2.0
//! Tests the harness with scenarios that must fail, each with its own reason. The test boots
//! machines. `tools/testbed/vm selftest` runs it.

use std::fs;

use clap::Parser;
use harness::artifacts::Artifacts;
use harness::console::Verdict;
use harness::run;
use harness::scenario::{Driver, Flavour};

/// The options, which all come from the environment.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    artifacts: Artifacts,
}

/// The name, the script, and a part of the expected reason of the failure.
const FAILING: &[(&str, &str, &str)] = &[
    (
        "wrong-matrix",
        "# X.\n\
         give_to_vfio_ap 1 ''; load_driver; mdev A; assign A adapter 1 domain 1 2\n\
         expect matrix '01.0001' matrix A\n",
        "expected '01.0001', got '01.0001 01.0002'",
    ),
    (
        "wrong-errno",
        "# X.\n\
         give_to_vfio_ap 1 ''; load_driver; mdev A\n\
         expect_error EBUSY assign A adapter 256\n",
        "EBUSY was expected, got: write",
    ),
    (
        "no-error",
        "# X.\n\
         give_to_vfio_ap 1 ''; load_driver; mdev A\n\
         expect_error EBUSY assign A adapter 1\n",
        "succeeded: EBUSY was expected",
    ),
    (
        "wrong-commits",
        "# X.\n\
         give_to_vfio_ap 1 ''; load_driver; mdev A; vm_open A; assign A adapter 1\n\
         expect_commits 0 A assign A domain 1\n",
        "expected 0, got 1",
    ),
    (
        "failing-command",
        "# X.\n# machine: none\nktry write /nonexistent 1\necho @PASS\n",
        "a command failed with status 1",
    ),
    (
        "unknown-variable",
        "# X.\n# machine: none\necho $nonsense\n",
        "a command failed with status 2",
    ),
    (
        "verdict-of-its-own",
        "# X.\n# machine: none\necho @PASS\nfail it did not\n",
        "it did not",
    ),
    (
        "warning",
        "# X.\n# machine: none\necho '<4>WARNING: x.c:1 at f+0x1' >/dev/kmsg\n",
        "the kernel reports: WARNING: x.c:1",
    ),
    (
        "warning-that-does-not-come",
        "# X.\n# machine: none\n# expect-kernel: at f\ntrue\n",
        "the kernel did not report: at f",
    ),
    (
        "crash",
        "# X.\n# machine: none\necho c >/proc/sysrq-trigger\n",
        "Kernel panic",
    ),
    (
        "endless",
        "# X.\n# machine: none\n# timeout: 8\nsleep 1000\n",
        "no verdict within the time limit",
    ),
    (
        "off",
        "# X.\n# machine: none\npoweroff -f\n",
        "the machine ended without a verdict",
    ),
    (
        "impossible-machine",
        "# X.\n# machine: adapter 1 cex99\ntrue\n",
        "QEMU ended with status 1",
    ),
];

const PASSING: &[(&str, &str, Verdict)] = &[
    (
        "expected-warning",
        "# X.\n# machine: none\n# expect-kernel: at f\n\
         echo '<4>WARNING: x.c:1 at f+0x1' >/dev/kmsg\n",
        Verdict::Pass,
    ),
    ("nothing", "# X.\n# machine: none\ntrue\n", Verdict::Pass),
];

#[test]
#[ignore = "boots machines: tools/testbed/vm selftest"]
fn scenarios_fail_as_they_should() {
    let original = Options::parse_from(["selftest"]).artifacts;
    let directory = tempfile::tempdir().unwrap();
    for file in ["lib.sh", "default.machine"] {
        fs::copy(original.scenarios.join(file), directory.path().join(file)).unwrap();
    }
    let artifacts = Artifacts {
        scenarios: directory.path().into(),
        logs: directory.path().join("logs"),
        flavour: Flavour::Usual,
        ..original
    };
    let judge = |name: &str, script: &str| {
        fs::write(directory.path().join(format!("{name}.sh")), script).unwrap();
        let verdict = run::scenario(&artifacts, name, Driver::C, |_| {})
            .unwrap()
            .verdict;
        println!("{name}: {verdict:?}");
        verdict
    };
    for (name, script, part) in FAILING {
        match judge(name, script) {
            Verdict::Fail(reason) => assert!(reason.contains(part), "{name}: {reason}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    for (name, script, expected) in PASSING {
        assert_eq!(judge(name, script), *expected, "{name}");
    }
    let skipped = judge("another-kernel", "# X.\n# kernel: debug\nfalse\n");
    assert!(matches!(skipped, Verdict::Skip(_)), "{skipped:?}");
}
