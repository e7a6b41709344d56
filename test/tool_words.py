#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tool_words.py: the words of the qcd command, its help, pages, completion."""

import os
import re
import shutil
import subprocess
import sys
import unittest

import tool_box
from tool_box import Case, main, run

COMMANDS = ["status", "top", "events", "metrics", "probe", "decode",
            "secret show", "secret rotate", "secret export", "secret import",
            "secret adopt", "help", "version"]


class CommandLine(Case):
    MISTAKES = [
        [], ["frob"], ["--frob"], ["status", "--frob"], ["status", "x"],
        ["status", "--state-dir", "/x"], ["status", "--socket"],
        ["status", "--socket="], ["status", "--json=yes"], ["secret"],
        ["secret", "frob"], ["secret", "export", "x"],
        ["secret", "import", "x", "y"], ["secret", "rotate", "--state-dir=/x"],
        ["help", "frob"], ["help", "status", "frob"], ["help", "secret", "x"],
        ["help", "secret", "show", "x"], ["status", "--jso"], ["\x1b[31m"],
        ["secret", "import", "x", "--json"],
        ["decode"], ["decode", "x", "y"], ["decode", "--svg"],
        ["decode", "--socket", "x", "y"],
        ["probe"], ["probe", "::1", "x"], ["probe", "::1", "x", "y"],
        ["probe", "--port", "0", "::1"], ["probe", "--port=65536", "::1"],
        ["probe", "--port=000500", "::1"], ["probe", "--port=+500", "::1"],
        ["probe", "--port=5x", "::1"],
        ["probe", "::1", "0011223344556677_0000000000000000"],
        ["probe", "::1", "0011223344556677-8899aabbccddeeff"],
        ["probe", "::1", "0011223344556677_8899aabbccddeeff0"],
        ["probe", "--socket=/x", "::1"],
    ]

    def test_mistakes(self):
        for words in self.MISTAKES:
            with self.subTest(words):
                result = run(*words)
                self.assertEqual(result.code, 2, result.err)
                self.assertTrue(words == ["secret"] or result.err)
                self.check_plain(result)

    def test_version(self):
        result = run("version")
        self.assertRegex(result.out, r"\Aqcd \d+\.\d+\.\d+\n\Z")
        self.assertEqual(run("--version").out, result.out)
        self.assertEqual(run("version", "--json").objects[1]["type"], "version")

    def test_help(self):
        overview = run("help").out
        self.assertEqual(run("--help").out, overview)
        for name in COMMANDS:
            self.assertIn(f"\n  {name} ", overview)
            result = run("help", *name.split())
            self.assertEqual(result.code, 0)
            self.assertEqual(result.out, run(*name.split(), "--help").out)
            self.assertTrue(result.out.startswith(f"usage: qcd {name} "))
        self.assertEqual(run("secret", "--help").code, 0)


def options_of(name):
    return set(re.findall(r"^  (--[a-z-]+)", run("help", *name.split()).out,
                          re.MULTILINE))


class Documents(Case):
    def page(self, name):
        with open(os.path.join(tool_box.FOLDER, "man", name + ".8"),
                  encoding="ascii") as file:
            return file.read()

    def test_every_command_and_option_has_its_place(self):
        for name in COMMANDS:
            first = name.split()[0]
            page = self.page("qcd" if first in ("help", "version")
                             else f"qcd-{first}")
            self.assertIn(name.split()[-1], page)
            if page == self.page("qcd"):
                continue
            synopsis = page[page.index(f"qcd {name}\n"):]
            block = re.match(r".*\n(\.Op .*\n)*", synopsis).group(0)
            found = {"-" + word for word in re.findall(r"Fl (-[a-z-]+)", block)}
            self.assertEqual(found, options_of(name) - {"--help"}, name)

    def test_what_the_plugin_tells_has_its_place(self):
        for file, pattern, page in (
                ("qcd_events.c", r'\] = (?:LOGGED\(|\{ )"(\w+)"', "qcd-status"),
                ("qcd_control.c", r'json->add_\w+\(json, "(\w+)"', None),
                ("qcd_events.c", r'\] = LOGGED\("(\w+)"', "qcd-events"),
                ("qcd_maker.c", r'json->add_\w+\(json, "(\w+)"', None)):
            path = os.path.join(tool_box.FOLDER, "..", "plugin", file)
            with open(path, encoding="ascii") as source:
                names = re.findall(pattern, source.read())
            self.assertTrue(names)
            pages = ([self.page(page)] if page else
                     [self.page(name) for name in ("qcd", "qcd-status",
                                                   "qcd-secret")])
            for name in names:
                self.assertTrue(any(re.search(rf"\b{name}\b", text)
                                    for text in pages), name)

    @unittest.skipIf(shutil.which("mandoc") is None, "needs mandoc")
    def test_pages(self):
        folder = os.path.join(tool_box.FOLDER, "man")
        for name in sorted(os.listdir(folder)):
            result = subprocess.run(
                ["mandoc", "-Tlint", "-Wwarning", os.path.join(folder, name)],
                capture_output=True, check=False)
            self.assertEqual((name, result.stdout, result.returncode),
                             (name, b"", 0))

    def complete(self, *words):
        script = ('source "$0"; COMP_WORDS=("$@"); '
                  'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _qcd; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        result = subprocess.run(
            ["bash", "-c", script,
             os.path.join(tool_box.FOLDER, "completion", "qcd"),
             "qcd", *words], capture_output=True, check=True, text=True,
            cwd=self.folder)
        self.assertEqual(result.stderr, "")
        return set(result.stdout.split())

    def test_completion(self):
        self.assertEqual(self.complete("s"), {"status", "secret"})
        self.assertEqual(self.complete("secret", "e"), {"export"})
        self.assertEqual(self.complete("status", "--so"), {"--socket"})
        self.assertEqual(self.complete("status", "--socket", "ph"), {"phrase"})
        self.assertEqual(self.complete("secret", "import", "ph"), {"phrase"})
        self.assertEqual(self.complete("help", "secret", "sh"), {"show"})
        firsts = {name.split()[0] for name in COMMANDS}
        self.assertEqual(self.complete("") - {"--help", "--version"}, firsts)
        for name in COMMANDS:
            if name != "help":
                self.assertEqual(self.complete(*name.split(), "--"),
                                 options_of(name), name)


if __name__ == "__main__":
    sys.exit(main())
