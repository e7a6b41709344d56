# SPDX-License-Identifier: GPL-2.0-or-later
"""The plugin's socket: what it reports, and that no client blocks charon."""

import json
import os
import socket
import stat
import time
from collections.abc import Callable

import pytest

from lab.admin import ask, connect, counters, events, rows, sa_rows
from lab.config import Config
from lab.crash import crash
from lab.scenario import Lab
from lab.traffic import Probe
from lab.wait import wait_until

NewLab = Callable[..., Lab]
CLIENTS = 16


def test_status(new_lab: NewLab) -> None:
    lab = new_lab(Config(), names=("a", "b", "c"))
    lab.a.start()
    lab.b.start()
    lab.a.initiate("b")
    sa = lab.b.wait_established()
    connections = {row["name"]: row["state"] for row in rows(lab.a, "connection")}
    assert connections == {"b": "up", "c": "down"}
    row = sa_rows(lab.a)[sa.spis[0].hex(), sa.spis[1].hex()]
    assert row["connection"] == "b"
    assert row["state"] == "ESTABLISHED"
    assert (row["token_sent"], row["token_held"], row["generation"]) == (True, True, 0)
    assert row["remote"] == f"{lab.b.host.address}[4500]"


def test_recovery_is_told(new_lab: NewLab) -> None:
    lab = new_lab(Config())
    lab.up()
    before = time.time()
    with Probe(lab.a.host, lab.b.host) as pings, events(lab.a) as happens:
        pings.wait_answer()
        crash(lab.b, lab.a, pings)
        seen = [next(happens), next(happens)]
    assert [row["event"] for row in seen] == ["verified", "recovered"]
    assert {row["connection"] for row in seen} == {"b"}
    assert counters(lab.a)["verified"] == counters(lab.a)["recovered"] == 1
    assert counters(lab.b)["told"] == 1
    assert rows(lab.a, "connection")[0]["last_recovery"] >= int(before)


def test_no_secret_is_told(new_lab: NewLab) -> None:
    lab = new_lab(Config(log={"default": 2}))
    lab.up()
    with Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer()
        recovery = crash(lab.b, lab.a, pings)
    assert recovery.token_reply
    secrets = (lab.b.places.state / "secrets").read_bytes()
    told = json.dumps([ask(lab.b, "status"), ask(lab.b, "secret-show")])
    told += lab.b.log(everything=True) + lab.a.log(everything=True)
    for start in range(0, len(secrets) - 8):
        octets = secrets[start : start + 8]
        if len(set(octets)) > 4:  # not a number with leading zeroes
            assert octets.hex() not in told.lower()


def test_socket_is_for_root_only(new_lab: NewLab) -> None:
    lab = new_lab(Config())
    lab.b.start()
    path = lab.b.places.qcd_socket
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (lab.folder, lab.b.places.folder):
        folder.chmod(0o711)
    path.chmod(0o666)
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(str(path))
            try:
                sock.sendall(b"status\n")
                told = sock.recv(100)
            except (BrokenPipeError, ConnectionResetError):
                told = b""
        os._exit(1 if told else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


HOSTILE = [
    ("nothing", b""),
    ("no newline", b"status"),
    ("too long", b"s" * 100_000),
    ("zeroes", bytes(31) + b"\n"),
    ("unknown", b"halt\n"),
    ("empty", b"\n"),
    ("two at once", b"status\nrotate\n"),
    ("not ASCII", b"\xff\xfe\n"),
]


@pytest.mark.parametrize(("name", "octets"), HOSTILE)
def test_hostile_client(new_lab: NewLab, name: str, octets: bytes) -> None:
    lab = new_lab(Config())
    lab.b.start()
    with connect(lab.b) as sock:
        try:
            sock.sendall(octets)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert counters(lab.b)["maker"] is True
    assert counters(lab.b)["generations"] == 1, "nothing behind the line is done"


def test_client_that_closes_its_side(new_lab: NewLab) -> None:
    """A client with nothing more to ask closes its side, and gets its response."""
    lab = new_lab(Config())
    lab.b.start()
    with connect(lab.b) as sock:
        sock.sendall(b"status\n")
        sock.shutdown(socket.SHUT_WR)
        with sock.makefile("r", encoding="utf-8") as lines:
            kinds = [json.loads(line).get("type") for line in lines]
    assert kinds == [None, "gateway", "recovery_times", "connection"]


def test_clients_that_say_nothing_are_closed(new_lab: NewLab) -> None:
    """Silent clients use all places; after some seconds the places are free again."""
    lab = new_lab(Config())
    lab.b.start()
    silent = [connect(lab.b) for _ in range(CLIENTS)]
    try:
        with connect(lab.b) as surplus:
            assert surplus.recv(1) == b""
        lab.b.wait_idle()
        for sock in silent:
            assert sock.recv(1) == b""
        assert counters(lab.b)["maker"] is True
    finally:
        for sock in silent:
            sock.close()


def test_listeners_come_and_go(new_lab: NewLab) -> None:
    """Each gets what happens while it listens, whether others did before or not."""
    lab = new_lab(Config())
    lab.b.start()
    for rotations in (0, 1):  # five in all, as many events as are told in a second
        for _ in range(rotations):
            assert ask(lab.b, "rotate")[0]["ok"]
        begin = int(time.time() * 1000)
        with events(lab.b) as first, events(lab.b) as second:
            for _ in range(2):
                assert ask(lab.b, "rotate")[0]["ok"]
                for row in (next(first), next(second)):
                    assert row["event"] == "rotated" and row["time_ms"] >= begin


def test_listener_that_does_not_read(new_lab: NewLab) -> None:
    """Events queue up for it, and it is disconnected; charon continues."""
    lab = new_lab(Config())
    lab.b.start()
    with connect(lab.b) as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        lazy.sendall(b"events\n")
        for number in range(200):
            assert ask(lab.b, "rotate")[0]["ok"]
        assert counters(lab.b)["maker"] is True


def test_socket_of_a_crash_is_taken_over(new_lab: NewLab) -> None:
    lab = new_lab(Config())
    lab.b.start()
    lab.b.kill()
    assert lab.b.places.qcd_socket.is_socket()
    lab.b.start()
    assert counters(lab.b)["run"] == 2
    lab.b.stop()
    assert not lab.b.places.qcd_socket.exists()


def test_socket_that_cannot_be(new_lab: NewLab) -> None:
    lab = new_lab(Config())
    lab.b.places.qcd_socket.write_text("somebody's file")
    lab.b.start()
    assert f"no socket {lab.b.places.qcd_socket} for the qcd command" in lab.b.log()
    assert lab.b.places.qcd_socket.read_text() == "somebody's file"
    wait_until("both roles on all the same", lambda: "maker is on" in lab.b.log(), 5.0)
