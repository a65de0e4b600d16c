#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Check third-party crates against deny.toml, or list them with their licences.

    licences.py check    says what is wrong, and nothing if all is well
    licences.py list     a table in reStructuredText

Reads what `cargo metadata` says about all crates of the lock file. It stands in for
cargo-deny, which alone is built from more crates than all of tools/.
"""

import collections
import json
import pathlib
import re
import subprocess
import sys
import tomllib

TOOLS = pathlib.Path(__file__).resolve().parent.parent


def third_party():
    """The crates that are not ours."""
    command = ["cargo", "metadata", "--locked", "--format-version=1"]
    metadata = subprocess.run(command, cwd=TOOLS, check=True, stdout=subprocess.PIPE)
    packages = json.loads(metadata.stdout)["packages"]
    return [package for package in packages if package["source"] is not None]


def satisfied(expression, allowed):
    """Whether an SPDX expression can be satisfied by allowed licences alone."""
    # An old syntax for OR.
    expression = expression.replace("/", " OR ")
    words = re.findall(r"[()]|[^\s()]+(?:\s+WITH\s+[^\s()]+)?", expression)

    def either():
        result = both()
        while words and words[0] == "OR":
            words.pop(0)
            result = both() or result
        return result

    def both():
        result = one()
        while words and words[0] == "AND":
            words.pop(0)
            result = one() and result
        return result

    def one():
        word = words.pop(0)
        if word != "(":
            return word in allowed
        result = either()
        assert words.pop(0) == ")", expression
        return result

    result = either()
    assert not words, expression
    return result


def check(packages):
    """All complaints: about licences, versions and sources."""
    rules = tomllib.loads((TOOLS / "deny.toml").read_text())
    allowed = set(rules["licenses"]["allow"])
    exceptions = {e["crate"]: set(e["allow"]) for e in rules["licenses"]["exceptions"]}
    names = collections.Counter(package["name"] for package in packages)
    for name in exceptions.keys() - names.keys():
        yield f"deny.toml: the exception for {name} is of no use any more"
    skipped = {entry["crate"] for entry in rules["bans"]["skip"]}
    for name, versions in names.items():
        if versions > 1 and name not in skipped:
            yield f"{name}: {versions} versions of it"
    for package in packages:
        name, licence = package["name"], package["license"]
        if licence is None:
            yield f"{name}: does not say what its licence is"
        elif not satisfied(licence, allowed | exceptions.get(name, set())):
            yield f"{name}: deny.toml does not allow {licence}"
        if not package["source"].startswith("registry+https://github.com/rust-lang/"):
            yield f"{name}: comes from {package['source']}"


def table(packages):
    """The lines of a table."""
    rows = [("crate", "version", "licence")]
    rows += sorted((p["name"], p["version"], p["license"]) for p in packages)
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return [rule, lines[0], rule, *lines[1:], rule]


def main():
    """Do what is asked for."""
    match sys.argv[1:]:
        case ["check"]:
            complaints = list(check(third_party()))
            print("\n".join(complaints), end="\n" if complaints else "")
            return 1 if complaints else 0
        case ["list"]:
            print("\n".join(table(third_party())))
            return 0
    print(__doc__, file=sys.stderr)
    return 2


sys.exit(main())
