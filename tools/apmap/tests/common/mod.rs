// SPDX-License-Identifier: GPL-2.0
//! Functions that several tests use.

use std::fs;
use std::path::Path;

/// Compares a text with a file. With `UPDATE=1`, the file is written instead.
pub(crate) fn expect(path: &Path, actual: &str) {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, actual).unwrap();
        return;
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert!(
        actual == expected,
        "not what {} has (UPDATE=1 writes it anew):\n{actual}",
        path.display()
    );
}
