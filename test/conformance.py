#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""conformance.py SCRIPT: script/conformance finds what it is there to find."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = ""

HEADER = """\
# Conformance

## RFC 6290

| § | level | who | requirement | met | code | tests |
|---|---|---|---|---|---|---|
"""
CODE = """\
/* a.c: RFC 6290
 * sections 4.1, 4.2 and 5.1 */
#define LIMIT 4
static int
helper(int a,
       int b)
{
    return called(a) + b; /* RFC 6290 section 9.2 */
}

METHOD(thing_t, act, bool, int a)
{
}

int declared(int a);
"""
TEST = """\
def test_it() -> None:
    helper()
"""
ROW = "| 4.1 | MUST | M | do it | yes | `src/a.c: helper, LIMIT` | `lab/t.py: test_it` |"
REST = "\n".join(
    f"| {clause} | text | both | do it | yes | `src/a.c: act` | |"
    for clause in ("4.2", "5.1", "9.2")
)


class Conformance(unittest.TestCase):
    """Each case spoils one thing in a project in which all is well."""

    def run_on(self, rows: str = ROW, code: str = CODE, rest: str = REST, notes: str = ""):
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            for folder in ("doc", "src", "lab"):
                (root / folder).mkdir()
            text = f"{HEADER}{rows}\n{rest}\n\n## Notes\n\n{notes}\n"
            (root / "doc" / "conformance.md").write_text(text, "utf-8")
            (root / "src" / "a.c").write_text(code, "utf-8")
            (root / "lab" / "t.py").write_text(TEST, "utf-8")
            return subprocess.run(
                [SCRIPT, name], capture_output=True, text=True, check=False
            )

    def assert_wrong(self, words: str, **spoilt: str) -> None:
        done = self.run_on(**spoilt)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertEqual(done.stderr, "")
        self.assertIn(words, done.stdout)
        self.assertEqual(done.stdout.count("\n"), 1, done.stdout)

    def test_all_is_well(self) -> None:
        done = self.run_on()
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertEqual(done.stdout, "4 rows, 4 of them met in full\n")

    def test_rows(self) -> None:
        cells = (
            ("`src/a.c: helper, LIMIT` | `lab/t.py: test_it`", "|", "neither code nor"),
            ("`lab/t.py: test_it`", "", "a MUST without a test"),
            ("src/a.c", "src/b.c", "no file src/b.c"),
            ("helper", "helped", "does not define 'helped'"),
            ("helper", "called", "does not define 'called'"),
            ("helper", "declared", "does not define 'declared'"),
            ("test_it", "test_not", "does not define 'test_not'"),
            ("test_it", "helper", "does not define 'helper'"),
            ("| yes |", "| part [why] |", "there is no note [why]"),
            ("| yes |", "| almost |", "not a level, a role or a state"),
            ("| MUST |", "| OUGHT |", "not a level, a role or a state"),
            ("do it", "do | it", "8 columns"),
        )
        for old, new, words in cells:
            with self.subTest(old=old, new=new):
                if words == "8 columns":
                    done = self.run_on(rows=ROW.replace(old, new))
                    self.assertEqual(done.returncode, 1)
                    self.assertIn(words, done.stdout)
                else:
                    self.assert_wrong(words, rows=ROW.replace(old, new))

    def test_tag_without_a_row(self) -> None:
        for tag in ("RFC 6290 section 8.1", "RFC 6290 9.3", "RFC 7296 section 1.5"):
            with self.subTest(tag=tag):
                self.assert_wrong("which has no row", code=f"{CODE}/* {tag} */\n")
        broken = CODE + "/* RFC 6290\n * section 8.1. */\n"
        self.assert_wrong("RFC 6290 section 8.1, which has no row", code=broken)

    def test_numbers_behind_a_tag_are_none(self) -> None:
        done = self.run_on(code=CODE + "/* RFC 6290 section 5.1, 16 octets */\n")
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_row_without_a_tag(self) -> None:
        code = CODE.replace("RFC 6290 section 9.2", "section 9.2")
        self.assert_wrong("RFC 6290 section 9.2: no tag of it in src/a.c", code=code)

    def test_note_without_a_row(self) -> None:
        self.assert_wrong("[why] belongs to no row", notes="- [why] Because.")

    def test_no_rows(self) -> None:
        done = self.run_on(rows="", rest="")
        self.assertEqual(done.returncode, 1)
        self.assertIn("there is no row", done.stdout)


if __name__ == "__main__":
    SCRIPT = str(Path(sys.argv.pop(1)).resolve())
    unittest.main()
