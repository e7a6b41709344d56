# SPDX-License-Identifier: GPL-2.0-or-later
"""The set-ups of the administrator's guide, as swanctl and charon read them."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.certs import Authority
from lab.config import Config
from lab.control import REPO
from lab.scenario import Lab

NewLab = Callable[..., Lab]
GUIDE = (REPO / "doc" / "admin.md").read_text().split("## Set-ups")[1].split("\n## ")[0]
BLOCKS = re.findall(r"### (.*?)\n.*?```\n(.*?)```", GUIDE, re.DOTALL)


def test_there_are_blocks() -> None:
    assert {title for title, _ in BLOCKS} == {"Two sites", "Remote access"}


@pytest.mark.parametrize(("title", "block"), BLOCKS, ids=[t for t, _ in BLOCKS])
def test_set_up(new_lab: NewLab, tmp_path: Path, title: str, block: str) -> None:
    gateway = new_lab(Config()).a
    gateway.start(load=False)
    folder = gateway.places.folder
    (folder / "x509").mkdir()
    (folder / "x509" / "gateway.pem").write_bytes(
        Authority(tmp_path).issue("gateway").certs[0]
    )
    file = folder / "guide.conf"
    file.write_text(block)
    names = re.findall(r"^    (\w+) \{", block, re.MULTILINE)
    for what in ("pools", "conns"):
        done = subprocess.run(
            ["swanctl", f"--load-{what}", "--file", str(file), "--uri",
             f"unix://{gateway.places.vici}"],
            env={"SWANCTL_DIR": str(folder), "PATH": "/usr/sbin:/usr/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        loaded = re.findall(rf"loaded {what.rstrip('s')}\w* '(\w+)'", done.stdout)
        assert set(loaded) <= set(names)
        assert loaded or what == "pools"
