#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""into_strongswan.py SCRIPT TREE: script/into-strongswan, on some files of a tree."""

import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path()
TREE = Path()

INIT = "configure.ac"
CHARON = "src/libcharon/Makefile.am"
CONF = "conf/Makefile.am"
RECEIVER = "src/libcharon/network/receiver.h"
FILES = (
    INIT,
    CHARON,
    CONF,
    RECEIVER,
    "src/libcharon/bus/listeners/listener.h",
    "src/libcharon/sa/child_sa.h",
    "src/libcharon/sa/ikev2/tasks/child_create.h",
    "src/libcharon/tests/utils/mock_net.c",
)
PLUGIN = "src/libcharon/plugins/qcd"
MAKEFILE = f"{PLUGIN}/Makefile.am"


class IntoStrongswan(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="qcd-into-")
        self.addCleanup(folder.cleanup)
        self.tree = Path(folder.name)
        for name in FILES:
            (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TREE / name, self.tree / name)

    def run_on(self, *arguments):
        argv = [SCRIPT, *(arguments or [self.tree])]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    def lay(self):
        done = self.run_on()
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def refuse(self, said):
        """Check that it names the fault and writes nothing."""
        before = self.files()
        done = self.run_on()
        self.assertEqual(done.returncode, 1)
        self.assertIn(said, done.stderr)
        self.assertEqual(self.files(), before)

    def files(self):
        found = (path for path in self.tree.rglob("*") if path.is_file())
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in found}

    def text(self, name):
        return (self.tree / name).read_text("utf-8")

    def change(self, name, old, new):
        text = self.text(name)
        self.assertIn(old, text)
        (self.tree / name).write_text(text.replace(old, new), "utf-8")

    def test_sources(self):
        """Each file of the plugin is there, and built."""
        self.lay()
        makefile = self.text(MAKEFILE).split()
        sources = list((SCRIPT.parent.parent / "plugin").glob("*.[ch]"))
        self.assertGreater(len(sources), 2)
        for path in sources:
            self.assertEqual(self.text(f"{PLUGIN}/{path.name}"), path.read_text())
            self.assertIn(path.name, makefile)
        for path in (self.tree / PLUGIN / "suites").iterdir():
            self.assertIn(f"suites/{path.name}", makefile)
        self.assertIn("../../tests/utils/mock_net.c", makefile)
        self.assertIn("charon.plugins.qcd", self.text("conf/plugins/qcd.opt"))
        self.assertNotIn("%", self.text(MAKEFILE))

    def test_lines_of_another_version(self):
        """They are not added a second time."""
        self.lay()
        for name, old, new in (
            (INIT, "[enable quick crash detection", "[enable crash detection"),
            (INIT, "[c charon])\nADD_PLUGIN([certexpire]", "[s])\nADD_PLUGIN([certexpire]"),
            (INIT, "[qcd-store qcd-watch", "[qcd-store"),
            (CHARON, "plugins/qcd/libstrongswan-qcd.la", "plugins/qcd/qcd.la"),
        ):
            with self.subTest(new):
                before = self.text(name)
                self.change(name, old, new)
                self.refuse("from another version")
                (self.tree / name).write_text(before, "utf-8")

    def test_lines(self):
        """Each added line is there once, and no other line has changed."""
        before = {name: self.text(name).splitlines() for name in (INIT, CHARON, CONF)}
        self.lay()
        for name, old in before.items():
            new = self.text(name).splitlines()
            left = iter(new)
            self.assertTrue(all(line in left for line in old), name)
            self.assertGreater(len(new), len(old), name)
        for line in ("ARG_ENABL_SET([qcd]", "ADD_PLUGIN([qcd]", "USE_QCD", "qcd/Make"):
            self.assertEqual(self.text(INIT).count(line), 1, line)

    def test_again(self):
        """A second time changes nothing, not even a file's time."""
        self.lay()
        before = self.files()
        self.lay()
        self.assertEqual(self.files(), before)

    def test_old_source(self):
        self.lay()
        old = self.tree / PLUGIN / "qcd_old.c"
        old.write_text("")
        self.lay()
        self.assertFalse(old.exists())

    def test_features(self):
        """The Makefile follows a tree that changes after the first time."""
        self.lay()
        self.assertNotIn("QCD_HAVE_IKE_CB", self.text(MAKEFILE))
        self.change(RECEIVER, "(*add_esp_cb)", "(*add_ike_cb)")
        self.lay()
        self.assertIn("-DQCD_HAVE_IKE_CB", self.text(MAKEFILE))

    def test_no_tree(self):
        (self.tree / INIT).unlink()
        self.refuse("is not a strongSwan source tree")

    def test_other_project(self):
        self.change(INIT, "AC_INIT([strongSwan]", "AC_INIT([weakSwan]")
        self.refuse("is not a strongSwan source tree")

    def test_unknown_tree(self):
        for name, line in (
            (INIT, "ADD_PLUGIN([certexpire]"),
            (CHARON, "if USE_CERTEXPIRE"),
            (CONF, "\tplugins/radattr.opt"),
        ):
            with self.subTest(name):
                self.change(name, line, f"#{line}")
                self.refuse(f"{self.tree / name} has no line that begins with")
                self.change(name, f"#{line}", line)

    def test_missing_file(self):
        (self.tree / RECEIVER).unlink()
        self.refuse(f"cannot read {self.tree / RECEIVER}")

    def test_misuse(self):
        for arguments in (["-x"], [self.tree, self.tree], [""]):
            with self.subTest(arguments):
                done = self.run_on(*arguments)
                self.assertEqual(done.returncode, 2)
                self.assertIn("usage: into-strongswan TREE", done.stderr)
        self.assertEqual(self.run_on("--help").returncode, 0)


if __name__ == "__main__":
    SCRIPT, TREE = Path(sys.argv[1]), Path(sys.argv[2])
    unittest.main(argv=sys.argv[:1])
