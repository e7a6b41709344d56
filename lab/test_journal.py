# SPDX-License-Identifier: GPL-2.0-or-later
"""What systemd's journal gets of the events: an ID for each kind, and the connection."""

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from lab.config import Config
from lab.control import REPO
from lab.crash import crash
from lab.gateway import Gateway
from lab.scenario import Lab
from lab.traffic import Probe
from lab.wait import wait_until

NewLab = Callable[..., Lab]
Entry = dict[str, str]
EVENT = re.compile(r"^QCD: (\w+): ")
ROW = re.compile(r"^\.It Li (\w+)\n\.Li ([0-9a-f-]{36})$", re.MULTILINE)


def ids_of_the_manual() -> dict[str, str]:
    """Return the MESSAGE_ID of each event as qcd-events(8) has them."""
    page = (REPO / "tool" / "man" / "qcd-events.8").read_text()
    return dict(ROW.findall(page.split(".Ss The journal", 1)[1]))


def entry(datagram: bytes) -> Entry:
    """Return the fields of an entry that have one line."""
    lines = datagram.decode().split("\n")
    return dict(line.split("=", 1) for line in lines if "=" in line)


@contextmanager
def journal(gateway: Gateway) -> Iterator[list[Entry]]:
    """Be journald on a gateway: yield a list that grows with its events.

    A thread reads, because charon waits if the socket is full.
    """
    folder = Path(f"/proc/{gateway.pid}/root/run/systemd/journal")
    folder.mkdir(parents=True)
    events: list[Entry] = []

    def read() -> None:
        while datagram := sock.recv(65536):
            found = entry(datagram)
            if EVENT.match(found.get("MESSAGE", "")):
                events.append(found)

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(folder / "socket"))
        reader = Thread(target=read)
        reader.start()
        try:
            yield events
        finally:
            sock.shutdown(socket.SHUT_RD)
            reader.join()


def kind(entry: Entry) -> str:
    found = EVENT.match(entry["MESSAGE"])
    assert found
    return found[1]


def test_a_crash_in_the_journal(new_lab: NewLab) -> None:
    lab = new_lab(Config(journal=True))
    lab.up()
    with journal(lab.a) as seen, Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer()
        crash(lab.b, lab.a, pings)
        wait_until("both events", lambda: len(seen) == 2, 5)
    assert [kind(e) for e in seen] == ["verified", "recovered"]
    ids = ids_of_the_manual()
    for e in seen:
        assert e["MESSAGE_ID"] == ids[kind(e)]
        assert e["IKE_SA_NAME"] == "b"
        assert e["PRIORITY"] == "6"
