#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""maintainer_scripts.py DEBIAN: postinst and postrm of strongswan-qcd, on folders of
the test's own in place of the machine's."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

DEBIAN = Path()
STATE = "/var/lib/strongswan-qcd"
APPARMOR = "/etc/apparmor.d"
PROFILE = "usr.sbin.charon-systemd"
LINE = "#include if exists <abstractions/strongswan-qcd>\n"

MAY_MOUNT = subprocess.run(
    ["unshare", "--mount", "true"], capture_output=True, check=False
).returncode == 0


class MaintainerScripts(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="qcd-scripts-")
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.state = self.root / STATE[1:]
        self.local = self.root / APPARMOR[1:] / "local" / PROFILE
        self.state.mkdir(parents=True)
        self.local.parent.mkdir(parents=True)
        (self.local.parent.parent / PROFILE).touch()
        (self.root / "bin").mkdir()
        self.play("aa-enabled", "exit 1")

    def play(self, name, text):
        """Put a command before the machine's own, whose profiles stay as they are."""
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
        path.chmod(0o755)

    def run_script(self, name, *arguments, prefix=()):
        text = (DEBIAN / f"strongswan-qcd.{name}").read_text("utf-8")
        for path in (STATE, APPARMOR):
            text = text.replace(path, f"{self.root}{path}")
        script = self.root / name
        script.write_text(text, "utf-8")
        environment = {"PATH": f"{self.root}/bin:/usr/bin:/bin", "LC_ALL": "C"}
        done = subprocess.run(
            [*prefix, "sh", script, *arguments],
            capture_output=True, text=True, env=environment, check=False,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""), name)
        return done.stdout

    def test_local_part(self):
        """The administrator's lines stay, whatever they are."""
        for text in ("", "\n", "/a r,\n", "/a r,", "# b", "/a r,\n\n\n", "# \xe4\n"):
            with self.subTest(text):
                self.local.write_text(text, "utf-8")
                for action in ("configure", "triggered", "configure"):
                    self.run_script("postinst", action)
                whole = text if not text or text.endswith("\n") else text + "\n"
                self.assertEqual(self.local.read_text("utf-8"), whole + LINE)
                with self.local.open("a", encoding="utf-8") as file:
                    file.write("/later r,\n")
                for action in ("remove", "purge", "purge"):
                    self.run_script("postrm", action)
                    self.state.mkdir(exist_ok=True)
                self.assertEqual(self.local.read_text("utf-8"), whole + "/later r,\n")

    def test_no_local_part(self):
        self.run_script("postinst", "configure")
        self.assertEqual(self.local.read_text("utf-8"), LINE)
        self.run_script("postrm", "purge")
        self.assertEqual(self.local.read_text("utf-8"), "")
        self.local.unlink()
        self.run_script("postrm", "purge")
        self.assertFalse(self.local.exists())

    def test_reload(self):
        """The profile is loaded with its line; an error does not fail the package."""
        self.play("aa-enabled", "exit 0")
        self.play("apparmor_parser", f'cat {self.local}; echo "$@"; exit 1')
        said = self.run_script("postinst", "configure")
        self.assertEqual(said, f"{LINE}-r -T -W {self.local.parent.parent / PROFILE}\n")

    def test_no_profile(self):
        (self.local.parent.parent / PROFILE).unlink()
        self.run_script("postinst", "configure")
        self.assertFalse(self.local.exists())

    def test_local_part_is_a_link(self):
        kept = self.root / "kept"
        kept.write_text("/a r,\n", "utf-8")
        self.local.symlink_to(kept)
        self.run_script("postinst", "configure")
        self.assertEqual(kept.read_text("utf-8"), "/a r,\n" + LINE)
        self.run_script("postrm", "purge")
        self.assertTrue(self.local.is_symlink())
        self.assertEqual(kept.read_text("utf-8"), "/a r,\n")

    def test_state(self):
        self.state.chmod(0o755)
        self.run_script("postinst", "configure")
        self.assertEqual(self.state.stat().st_mode & 0o7777, 0o700)
        (self.state / "secrets").touch()
        self.run_script("postrm", "remove")
        self.assertTrue((self.state / "secrets").exists())
        self.run_script("postrm", "purge")
        self.assertFalse(self.state.exists())

    def test_no_state(self):
        """A trigger of another package must not fail because it was removed."""
        self.state.rmdir()
        self.run_script("postinst", "triggered")
        self.assertEqual(self.local.read_text("utf-8"), LINE)
        self.run_script("postrm", "purge")

    def test_state_is_a_link(self):
        """What it points to is not the package's."""
        (self.state / "secrets").touch()
        other = self.state.rename(self.root / "other")
        self.state.symlink_to(other)
        self.run_script("postrm", "purge")
        self.assertFalse(self.state.is_symlink())
        self.assertTrue((other / "secrets").exists())

    @unittest.skipUnless(MAY_MOUNT, "needs the right to mount")
    def test_state_is_a_mount(self):
        mount = (
            "unshare", "--mount", "sh", "-euc",
            'mount -t tmpfs tmpfs "$0"; touch "$0/secrets"; "$@"; test -z "$(ls -A "$0")"',
            self.state,
        )
        self.run_script("postrm", "purge", prefix=mount)


if __name__ == "__main__":
    DEBIAN = Path(sys.argv.pop(1))
    unittest.main()
