#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""One bug for the core, from the lists in selftests/mutants (run.py there explains them).

usage: mutate.py NAME DIRECTORY

Writes the core's file with that bug into DIRECTORY and prints its name.
"""
import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def find(name):
    """Return file, [(old text, new text)]."""
    for path in "list.txt", "scenarios.txt":
        with open(os.path.join(TOP, "selftests/mutants", path), encoding="utf-8") as f:
            text = f.read()
        for part in re.split(r"^== ", text, flags=re.M)[1:]:
            head, body = part.split("\n", 1)
            if head.split()[0] != name:
                continue
            hunks = re.findall(r"^<<<<\n(.*?)^====\n(.*?)^>>>>$", body, flags=re.M | re.S)
            return head.split()[1], [(old[:-1], new[:-1]) for old, new in hunks]
    sys.exit("no mutant is named %s" % name)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    name, where = sys.argv[1:]
    path, hunks = find(name)
    with open(os.path.join(TOP, "kmod/core", path), encoding="utf-8") as f:
        text = f.read()
    if not path.endswith(".c") or not hunks:
        sys.exit("%s: replaces nothing in a .c file" % name)
    for old, new in hunks:
        if text.count(old) != 1:
            sys.exit("%s: a text to replace occurs %d times in %s" %
                     (name, text.count(old), path))
        text = text.replace(old, new)
    os.makedirs(where, exist_ok=True)
    with open(os.path.join(where, path), "w", encoding="utf-8") as f:
        f.write(text)
    print(path)


if __name__ == "__main__":
    main()
