# SPDX-License-Identifier: GPL-2.0-or-later
"""What a gateway does if its state_dir is damaged, in memory or another user's."""

import os
import re
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.admin import ask, counters
from lab.config import Config
from lab.crash import crash
from lab.gateway import Gateway
from lab.scenario import Lab
from lab.test_machine import ON, check_silent, told
from lab.traffic import Probe
from lab.wait import wait_until

NewLab = Callable[..., Lab]
NOBODY, NOGROUP = 65534, 65534
AS_NOBODY = Config(charon={"user": "nobody", "group": "nogroup"}, esp=True)
IN_MEMORY = " is in memory (tmpfs): after a reboot, "


def cut(path: Path) -> None:
    os.truncate(path, 0)


def halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2] ^= 1
    with path.open("r+b") as file:
        file.write(octets)


@pytest.mark.parametrize("harm", [cut, halve, flip])
@pytest.mark.parametrize("name", ["secrets", "run"])
def test_damaged(new_lab: NewLab, name: str, harm: Callable[[Path], None]) -> None:
    """The maker is on again by itself, and one line says what was lost."""
    lab = new_lab(Config(), b=Config(anywhere=True))
    sa = lab.up()
    state = lab.b.places.state
    lab.b.kill()
    harm(state / name)
    bad = (state / name).read_bytes()
    lab.b.start()
    assert ON in lab.b.log()
    (line,) = told(lab.b)
    assert f"/{name} is damaged: " in line
    aside = "secrets.damaged" if name == "secrets" else "run.old"
    assert (aside if name == "secrets" else "are kept as *.old") in line
    assert (state / aside).read_bytes() == bad
    check_silent(lab, lab.b, sa)
    lab.a.forget(sa)
    lab.a.initiate()
    with Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer()
        assert crash(lab.b, lab.a, pings).token_reply
    assert told(lab.b) == []


def test_map_without_octets(new_lab: NewLab) -> None:
    lab = new_lab(Config(esp=True))
    lab.up()
    lab.b.kill()
    cut(lab.b.places.state / "samap")
    lab.b.start()
    (line,) = told(lab.b)
    assert "/samap has lost all its octets: a new map was started" in line
    lab.b.restart()
    assert told(lab.b) == []


def test_in_memory(new_lab: NewLab) -> None:
    """A folder that a reboot empties is logged at each start."""
    lab = new_lab(Config(), a=Config(state_room=1 << 20))
    lab.a.start()
    (line,) = told(lab.a)
    assert IN_MEMORY in line
    assert "Set state_dir to a folder on a disk" in line


def test_first_start(new_lab: NewLab) -> None:
    """One line, and none at the next start."""
    lab = new_lab(Config())
    lab.b.start()
    new = f"QCD: made new secrets in {lab.b.places.state}/secrets. Peers of earlier SAs"
    assert lab.b.log().count(new) == 1
    lab.b.restart()
    assert "made new secrets" not in lab.b.log()


def user_of(gateway: Gateway) -> int:
    """Return the current user of charon."""
    status = Path(f"/proc/{gateway.pid}/status").read_text()
    found = re.search(r"^Uid:\s+(\d+)", status, re.MULTILINE)
    assert found
    return int(found[1])


def check_owner(gateway: Gateway) -> None:
    """The whole state belongs only to that user, and so does the socket."""
    state = gateway.places.state
    for path in (state, *state.iterdir(), gateway.places.qcd_socket):
        found = path.stat()
        assert (found.st_uid, found.st_gid) == (NOBODY, NOGROUP), path
        assert stat.S_IMODE(found.st_mode) & 0o077 == 0, path


@pytest.mark.parametrize("before", ["nothing", "root's"])
def test_as_another_user(new_lab: NewLab, before: str) -> None:
    """charon drops its privileges: the owner of the state changes as well."""
    lab = new_lab(Config(), b=AS_NOBODY)
    lab.folder.chmod(0o711)
    if before == "root's":
        lab.b.config = Config(esp=True)
    sa = lab.up()
    if before == "root's":
        lab.b.config = AS_NOBODY
        with Probe(lab.a.host, lab.b.host) as pings:
            pings.wait_answer()
            assert crash(lab.b, lab.a, pings, nudge=False).token_reply
        assert told(lab.b) == []
        sa = lab.a.wait_established(other_than=(sa,))
    assert user_of(lab.b) == NOBODY
    assert ON in lab.b.log()
    check_owner(lab.b)

    for generations in (2, 3, 4, 4):
        # It is refused while a peer is being sent a new token.
        wait_until("a rotation", lambda: ask(lab.b, "rotate")[0]["ok"], 5, lab.b.tail)
        assert counters(lab.b)["generations"] == generations
    check_owner(lab.b)
    run = counters(lab.b)["run"]
    with Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer()
        again = crash(lab.b, lab.a, pings, nudge=False)
        assert again.token_reply and not again.requests, "told by its ESP"
    assert counters(lab.b)["run"] == run + 1
    assert "SA map" not in lab.b.log()
    check_owner(lab.b)
    # Root's tool uses it, and leaves it to that user.
    lab.b.kill()
    lab.b.tool("secret", "show", "--state-dir", str(lab.b.places.state))
    lab.b.tool("secret", "adopt", "--state-dir", str(lab.b.places.state))
    check_owner(lab.b)
    lab.b.start()
    assert told(lab.b) == []


def test_folder_with_other_files(new_lab: NewLab) -> None:
    """A folder with files that are not the store's is not given to anybody."""
    lab = new_lab(Config(), b=AS_NOBODY)
    lab.folder.chmod(0o711)
    state = lab.b.places.state
    state.mkdir(mode=0o700)
    (state / "precious").write_text("root's")
    lab.b.start()
    assert "has other files in it, such as precious" in lab.b.log()
    assert counters(lab.b)["maker"] is False
    assert state.stat().st_uid == 0


def test_secrets_that_others_know(new_lab: NewLab) -> None:
    """As the guide says: stop, remove the folder, start. Nothing of them is left."""
    lab = new_lab(Config())
    sa = lab.up()
    state = lab.b.places.state
    known = (state / "secrets").read_bytes()
    lab.b.stop()
    shutil.rmtree(state)
    lab.b.start()
    assert "made new secrets in" in lab.b.log()
    lab.a.initiate()
    lab.a.wait_established(other_than=(sa,))
    assert {one.spis for one in lab.b.sas()}.isdisjoint({sa.spis})
    fresh = (state / "secrets").read_bytes()
    secrets = known[-64:]  # the only one, and a checksum, end the file
    windows = {secrets[at : at + 8] for at in range(len(secrets) - 7)}
    assert not [octets for octets in windows if octets in fresh]
