# SPDX-License-Identifier: GPL-2.0-or-later
"""Signals to a charon with the plugin: charon handles them, no thread dies."""

import errno
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.config import Config
from lab.scenario import Lab
from lab.wait import wait_until

NewLab = Callable[..., Lab]
HANDLED = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
DAEMONS = pytest.mark.parametrize("legacy", [False, True], ids=["systemd", "legacy"])


def unblocked(pid: int) -> list[str]:
    """Return the threads that a signal for charon's main thread could terminate."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        status = (task / "status").read_text()
        blocked = int(re.search(r"^SigBlk:\s*(\w+)", status, re.M)[1], 16)
        names = [s.name for s in HANDLED if not blocked >> (s - 1) & 1]
        # the main thread waits for them, so there they are unblocked
        if names and int(task.name) != pid:
            found.append(f"thread {task.name}: {' '.join(names)}")
    return found


@DAEMONS
def test_every_thread_blocks_signals(new_lab: NewLab, legacy: bool) -> None:
    lab = new_lab(Config(legacy=legacy, esp=True, qcd_options={"announce": "yes"}))
    lab.up()
    assert unblocked(lab.b.pid) == []
    lab.b.restart()  # with lost SAs
    lab.b.wait_log("QCD: token maker is on")
    lab.b.wait_idle()
    assert unblocked(lab.b.pid) == []


def let_open(fifo: Path) -> bool:
    """Release the reader that waits for a writer; False if there is none."""
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        assert error.errno == errno.ENXIO
        return False
    return True


@DAEMONS
def test_signal_during_a_reload(new_lab: NewLab, legacy: bool) -> None:
    """systemctl reload twice: the second one while charon reads its files."""
    lab = new_lab(Config(legacy=legacy))
    lab.b.start()
    conf, fifo = lab.b.places.strongswan_conf, lab.b.places.folder / "fifo"
    os.mkfifo(fifo)
    plain = conf.rename(conf.with_suffix(".plain"))
    conf.write_text(f"{plain.read_text()}\ninclude {fifo}\n")
    os.kill(lab.b.pid, signal.SIGHUP)
    lab.b.wait_log("SIGHUP received")
    plain.rename(conf)  # for the second reload, which must not block
    os.kill(lab.b.pid, signal.SIGHUP)
    wait_until("charon to read", lambda: let_open(fifo), 5.0, lab.b.tail)
    wait_until(
        "the second signal",
        lambda: lab.b.log().count("SIGHUP received") == 2,
        explain=lab.b.tail,
    )
    lab.b.wait_idle()


# charon-systemd leaves SIGINT blocked and unhandled.
@pytest.mark.parametrize(
    ("legacy", "signum"),
    [(False, signal.SIGTERM), (True, signal.SIGTERM), (True, signal.SIGINT)],
)
def test_signal_is_repeated_at_the_end(
    new_lab: NewLab, legacy: bool, signum: int
) -> None:
    """starter repeats it while charon still notifies its peers: they are notified."""
    lab = new_lab(Config(legacy=legacy))
    sa = lab.up()
    os.kill(lab.b.pid, signum)
    lab.b.wait_log("shutting down")
    assert lab.b.end_again(signum) == 0
    lab.a.wait_log("received DELETE for IKE_SA")
    lab.a.wait_for("the SA to go", lambda: sa not in lab.a.sas())
    assert not lab.b.places.qcd_socket.exists()
