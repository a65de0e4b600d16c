// SPDX-License-Identifier: GPL-2.0
//! What is printed for the recorded hosts: the commands and texts in `cmd/`.
//! `TRYCMD=overwrite` writes down what is printed now.

#[test]
fn commands() {
    trycmd::TestCases::new().case("tests/cmd/*.md");
}
