# SPDX-License-Identifier: GPL-2.0-or-later
"""The disk of the state_dir hangs, is full, read-only or gone, files vanish, the clock
steps, and descriptors or memory are used up: IKE goes on. All works again afterwards.

A full disk under a running gateway is in test_esp_errors.py.
"""

import errno
import fcntl
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import esp
from lab.admin import ask, connect, counters, rows
from lab.config import Config
from lab.crash import crash
from lab.faults import Faults, How, Kind
from lab.field.leaks import check_closed, descriptors, same_descriptors
from lab.gateway import Gateway, Sa
from lab.scenario import Lab
from lab.test_esp import lose, probe
from lab.wait import LabTimeout, wait_until

NewLab = Callable[..., Lab]
SOON = 1.0
FIFREEZE, FITHAW = 0xC0045877, 0xC0045878
BASE = Config(esp=True, anywhere=True, children=2)
FAULTY = BASE.but(faults=True)


def rekey(gateway: Gateway, sa: Sa) -> None:
    """Rekey an IKE SA, and wait for the new one."""
    gateway.command("rekey", {"ike-id": sa.unique_id})
    gateway.wait_established(other_than=(sa,))


def check_tunnel(lab: Lab) -> None:
    """A handshake, and rekeyings."""
    for child in range(BASE.children):
        lab.a.initiate(child=child)
    sa = lab.a.wait_established()
    lab.a.nudge(sa)
    lab.a.wait_for("the new child", lambda: lab.a.sas()[0].children != sa.children)
    rekey(lab.a, lab.a.wait_established())


def check_ike(lab: Lab) -> None:
    """A tunnel comes, recovers from a crash of the peer, and ends; status answers."""
    check_tunnel(lab)
    rekey(lab.b, lab.b.wait_established())
    sa = lab.b.wait_established()
    lab.a.restart()
    lab.b.nudge(sa)  # the peer replies with its token
    lab.b.wait_established(other_than=(sa,))
    begin = time.monotonic()
    assert counters(lab.b)["maker"] is True
    assert time.monotonic() - begin < SOON
    lab.b.terminate(lab.b.wait_established())


def check_recovers(lab: Lab) -> None:
    """A tunnel comes, and is brought up again after a crash."""
    for child in range(BASE.children):
        lab.a.initiate(child=child)
    lab.a.wait_established()
    check_crash(lab)


def check_crash(lab: Lab) -> None:
    """The peer learns of a crash by its ESP, and the map is whole."""
    with probe(lab) as pings:
        pings.wait_answer(count=3)
        lab.b.wait_idle()
        recovery = crash(lab.b, lab.a, pings, nudge=False)
        assert recovery.token_reply and not recovery.requests, str(recovery)
        pings.wait_answer(count=3)
    wait_until("no lost SA", lambda: not esp.dead(lab.b), 10, lab.b.tail)


def check_map_error(gateway: Gateway, why: str) -> None:
    """The status says that the SA map can't be written, why, and since when."""
    status = wait_until(
        "an error", lambda: (now := counters(gateway))["map"] is False and now, 10, gateway.tail
    )
    assert why in status["map_error"]
    assert time.time() - 60 < status["map_error_since"] <= time.time()
    said = gateway.tool("status", "--socket", str(gateway.places.qcd_socket))
    assert "The SA map can't be written since 20" in said and why in said


@pytest.mark.parametrize("kinds", [Kind.FILES, Kind.SYNC], ids=["all", "sync"])
def test_hung(new_lab: NewLab, kinds: Kind) -> None:
    """Each access to the state, or each sync, waits for ever."""
    lab = new_lab(BASE, b=FAULTY)
    lab.up()
    lab.a.terminate(lab.a.wait_established())
    faults = Faults(lab.b)
    assert counters(lab.b)["map"] is True
    with same_descriptors(lab.b), faults.hanging(kinds):
        check_ike(lab)
        # changes of the SA map are written a little later
        wait_until("a call that hangs", lambda: faults.waiting, 5, lab.b.tail)
        assert faults.waiting < 4, "threads of charon are used up"
        check_ike(lab)
        assert faults.waiting < 4, "threads of charon are used up"
        check_map_error(lab.b, "the disk does not answer")
    wait_until("the map", lambda: counters(lab.b)["map"], 10, lab.b.tail)
    check_recovers(lab)


def test_killed_while_hung(new_lab: NewLab) -> None:
    """What waited for the disk when charon was killed is there at the next start."""
    lab = new_lab(BASE.but(children=1), b=FAULTY.but(children=1))
    lab.b.start()
    lab.a.start()
    faults = Faults(lab.b)
    faults.begin(Kind.READ | Kind.WRITE | Kind.SYNC, how=How.HANG)
    lab.a.initiate()
    sa = lab.a.wait_established()
    wait_until("a call that hangs", lambda: faults.waiting, 5, lab.b.tail)
    lab.b.kill()
    faults.end()
    lab.b.start()
    wait_until("the lost SA", lambda: esp.child_spi(sa, "out") in esp.dead(lab.b), 5, lab.b.tail)


def test_hung_command(new_lab: NewLab) -> None:
    """A rotation waits for the disk; other commands do not, and it says so in time."""
    lab = new_lab(BASE, b=FAULTY)
    lab.up()
    faults = Faults(lab.b)
    before = Counter(descriptors(lab.b.pid))
    with faults.hanging(Kind.SYNC):
        with connect(lab.b) as gone, connect(lab.b) as waiting:
            gone.sendall(b"rotate\n")
            wait_until("a rotation that hangs", lambda: faults.waiting, 5)
            begin = time.monotonic()
            gone.shutdown(socket.SHUT_WR)  # as a client may after its command
            waiting.sendall(b"rotate\n")
            assert b"the last command still waits" in waiting.recv(1000)
            assert ask(lab.b, "secret-show")[0]["ok"]
            assert counters(lab.b)["maker"] is True
            assert time.monotonic() - begin < SOON
            assert processor_time(lab.b, 1.0) < 0.1, "a thread runs in circles"
            said = gone.recv(1000)
        assert b"the disk of state_dir does not answer. Check it" in said
        with connect(lab.b) as waiting:
            waiting.sendall(b"rotate\n")
            assert b"the last command still waits" in waiting.recv(1000)
    wait_until("the new secret", lambda: counters(lab.b)["generations"] == 2)
    with connect(lab.b) as gone:
        with faults.hanging(Kind.SYNC):
            gone.sendall(b"rotate\n")
            wait_until("a rotation that hangs", lambda: faults.waiting, 5)
            gone.close()
            assert processor_time(lab.b, 1.0) < 0.1, "a thread runs in circles"
    wait_until("the third secret", lambda: counters(lab.b)["generations"] == 3)
    check_closed(lab.b, before)
    check_rotates(lab.b)


def test_hung_while_a_secret_is_due(new_lab: NewLab) -> None:
    """The rotation by age waits for the disk; status and IKE do not."""
    lab = new_lab(BASE, b=FAULTY.but(qcd_options={"rotate": "1s"}))
    lab.up()
    lab.a.terminate(lab.a.wait_established())
    faults = Faults(lab.b)
    with same_descriptors(lab.b), faults.hanging(Kind.SYNC | Kind.RENAME | Kind.OPEN):
        wait_until(
            "a rotation that hangs",
            lambda: faults.waiting and counters(lab.b)["newest_age"] > 2,
            10,
            lab.b.tail,
        )
        check_ike(lab)
        ask(lab.b, "secret-show")
    wait_until("a new secret", lambda: counters(lab.b)["newest_age"] < 2, 10)
    check_recovers(lab)


def make_disk(folder: Path) -> Path:
    """Make a file system that can be mounted; skip where there are no loop devices."""
    image, place = folder / "disk", folder / "place"
    with image.open("wb") as file:
        file.truncate(8 << 20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    place.mkdir()
    script = 'mount -o loop "$0" "$1" && chmod 700 "$1"'
    argv = ["unshare", "--mount", "sh", "-c", script, str(image), str(place)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no loop device or no ext4 here: {done.stderr.strip()}")
    return image


@contextmanager
def frozen(gateway: Gateway) -> Iterator[None]:
    """Freeze the state_dir's file system while in a `with`: who writes, waits.

    The kernel itself does that, as with a disk that does not answer: nothing ends the
    wait, not even SIGKILL.
    """
    state = f"/proc/{gateway.pid}/root{gateway.places.state}"
    fd = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(fd, FIFREEZE, 0)
        try:
            yield
        finally:
            fcntl.ioctl(fd, FITHAW, 0)
    finally:
        os.close(fd)


def stuck(gateway: Gateway) -> int:
    """Return the number of threads that wait for the disk in the kernel."""
    tasks = Path(f"/proc/{gateway.pid}/task").iterdir()
    lines = [(task / "stat").read_text() for task in tasks]
    return sum(line.rpartition(")")[2].split()[0] == "D" for line in lines)


def test_frozen(new_lab: NewLab, tmp_path: Path) -> None:
    """A real disk hangs: whatever is written waits in the kernel."""
    lab = new_lab(BASE, b=BASE.but(state_disk=make_disk(tmp_path)))
    lab.up()
    lab.a.terminate(lab.a.wait_established())
    with same_descriptors(lab.b), frozen(lab.b):
        check_ike(lab)
        wait_until("a thread that hangs", lambda: stuck(lab.b), 5, lab.b.tail)
        check_ike(lab)
        assert stuck(lab.b) < 4, "threads of charon are used up"
    wait_until("them to go on", lambda: not stuck(lab.b), 10, lab.b.tail)
    check_rotates(lab.b)
    check_recovers(lab)


class Held(AssertionError):
    """A killed daemon does not end."""


@pytest.mark.xfail(
    reason="a thread that waits for the disk keeps a killed daemon, and its ports",
    raises=Held,
    strict=True,
)
def test_killed_while_the_disk_hangs(new_lab: NewLab, tmp_path: Path) -> None:
    """A killed daemon leaves its port to the next one, as a stock daemon does."""
    lab = new_lab(BASE, b=BASE.but(state_disk=make_disk(tmp_path)))
    lab.up()
    lab.b.wait_written()
    try:
        with frozen(lab.b):
            lab.a.terminate(lab.a.wait_established())
            wait_until("a thread that hangs", lambda: stuck(lab.b), 5, lab.b.tail)
            try:
                lab.b.end_again(signal.SIGKILL, 2)
            except LabTimeout as error:
                raise Held from error
    finally:
        lab.b.close()


def test_hung_with_lost_sas(new_lab: NewLab) -> None:
    """ESP of a lost SA arrives, and its row can't be read: IKE tells the peer."""
    lab = new_lab(BASE, b=FAULTY)
    sa = lose(lab)
    faults = Faults(lab.b)
    with faults.hanging(Kind.FILES), probe(lab):
        wait_until("a call that hangs", lambda: faults.waiting, 5, lab.b.tail)
        lab.a.nudge(sa)
        lab.a.wait_established(other_than=(sa,))
        lab.a.terminate(lab.a.wait_established())
        check_ike(lab)
        assert faults.waiting < 5, "threads of charon are used up"
    check_recovers(lab)


def check_rotates(gateway: Gateway) -> None:
    """A new secret can be made."""
    (result, *_) = ask(gateway, "rotate")
    assert result["ok"], result


def check_refused(gateway: Gateway, why: str) -> None:
    """A new secret can't be made: the error names the file and the reason."""
    before = ask(gateway, "secret-show")
    (result, *_) = ask(gateway, "rotate")
    assert not result["ok"]
    assert f"{gateway.places.state}" in result["error"], result
    assert why in result["error"], result
    assert ask(gateway, "secret-show") == before


def test_read_only(new_lab: NewLab) -> None:
    """As a kernel mounts a file system that has errors."""
    lab = new_lab(BASE, b=FAULTY)
    lab.b.start()
    lab.a.start()
    check_ike(lab)
    faults = Faults(lab.b)
    before = Counter(descriptors(lab.b.pid))
    changes = Kind.WRITE | Kind.RENAME | Kind.UNLINK | Kind.TRUNCATE
    faults.begin(changes, how=How.NTH_ON, why=errno.EROFS)
    check_refused(lab.b, "the file system is read-only")
    check_ike(lab)
    lab.b.wait_log("QCD: the SA map can't be written: .* is read-only")
    check_map_error(lab.b, "is read-only")
    assert faults.end()
    wait_until("the map", lambda: counters(lab.b)["map"], 10, lab.b.tail)
    check_rotates(lab.b)
    check_closed(lab.b, before)
    check_recovers(lab)


def started(new_lab: NewLab) -> Lab:
    """Return a lab in which both gateways run and have had a tunnel."""
    lab = new_lab(BASE)
    lab.b.start()
    lab.a.start()
    check_ike(lab)
    return lab


def test_folder_moved_away(new_lab: NewLab) -> None:
    """It is away for a while, as if somebody moved it to another disk."""
    lab = started(new_lab)
    state = lab.b.places.state
    away = lab.folder / "away"
    with same_descriptors(lab.b):
        state.rename(away)
        check_ike(lab)
        away.rename(state)
        check_rotates(lab.b)
    check_recovers(lab)


@pytest.mark.parametrize("what", ["secrets", "samap", "all", "folder"])
def test_deleted(new_lab: NewLab, what: str) -> None:
    """Files vanish under a running gateway: at its next start it makes new ones."""
    lab = started(new_lab)
    state = lab.b.places.state
    for name in ["secrets", "run", "lock", "samap"] if what == "all" else [what]:
        if what != "folder":
            (state / name).unlink()
    if what == "folder":
        shutil.rmtree(state)
    check_ike(lab)
    if what == "folder":
        check_refused(lab.b, "/secrets: it has vanished")
    else:
        check_rotates(lab.b)
    check_ike(lab)
    lab.b.kill()
    lab.b.start()
    assert counters(lab.b)["maker"] is True
    check_recovers(lab)


def test_removed_while_in_use(new_lab: NewLab) -> None:
    """The files of the SA map are made again, with what is live."""
    lab = new_lab(BASE)
    lab.up()
    lab.b.wait_written()
    files = [lab.b.places.state / "samap", Path(f"{lab.b.places.qcd_socket}.changes")]
    before = Counter(descriptors(lab.b.pid))
    for file in files:
        file.unlink()
    lab.b.wait_log("QCD: .*/samap was removed or replaced while it was in use")
    lab.a.terminate_child(1)
    lab.b.wait_log(r"QCD: .*\.changes was removed or replaced while it was in use")
    assert all(file.is_file() for file in files)
    check_closed(lab.b, before)
    check_crash(lab)


YEAR = 365 * 86400


@pytest.mark.parametrize("step", [YEAR, -YEAR], ids=["forward", "back"])
def test_clock_steps(new_lab: NewLab, step: int) -> None:
    """The wall clock is set while the gateway runs, and before it starts again."""
    lab = new_lab(BASE, b=FAULTY)
    lab.up()
    faults = Faults(lab.b)
    faults.step(step)
    lab.a.terminate(lab.a.wait_established())
    check_ike(lab)
    check_rotates(lab.b)
    check_recovers(lab)
    faults.step(0)
    lab.a.terminate(lab.a.wait_established())
    check_ike(lab)
    check_recovers(lab)


def test_no_descriptors(new_lab: NewLab) -> None:
    """All descriptors are in use, for a while."""
    lab = started(new_lab)
    before = resource.prlimit(lab.b.pid, resource.RLIMIT_NOFILE)
    limit = (first_free(lab.b), before[1])
    resource.prlimit(lab.b.pid, resource.RLIMIT_NOFILE, limit)
    with same_descriptors(lab.b), connect(lab.b) as waiting:
        waiting.sendall(b"status\n")
        check_tunnel(lab)
        lab.a.terminate(lab.a.wait_established())
        assert processor_time(lab.b, 1.0) < 0.1, "a thread runs in circles"
        resource.prlimit(lab.b.pid, resource.RLIMIT_NOFILE, before)
        assert waiting.recv(100).startswith(b'{"ok":true}')
    check_rotates(lab.b)
    check_recovers(lab)


def test_hardly_any_descriptors(new_lab: NewLab) -> None:
    """Even poll() is refused: the control socket works again after it."""
    lab = new_lab(BASE)
    lab.b.start()
    before = resource.prlimit(lab.b.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(lab.b.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    with same_descriptors(lab.b), connect(lab.b) as waiting:
        waiting.sendall(b"status\n")
        lab.b.wait_log("QCD: waiting for clients failed: Invalid argument")
        resource.prlimit(lab.b.pid, resource.RLIMIT_NOFILE, before)
        assert waiting.recv(100).startswith(b'{"ok":true}')


def first_free(gateway: Gateway) -> int:
    """Return the descriptor that charon would get next."""
    used = {int(name) for name in os.listdir(f"/proc/{gateway.pid}/fd")}
    return min(set(range(len(used) + 1)) - used)


def processor_time(gateway: Gateway, period: float) -> float:
    """Return the seconds of processor time that charon uses in so many seconds."""

    def used() -> float:
        stat = Path(f"/proc/{gateway.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    before = used()
    time.sleep(period)  # the time that is measured
    return used() - before


def test_no_more_memory(new_lab: NewLab) -> None:
    """The kernel refuses each new mapping, for a while.

    What charon has it keeps, room in its heaps too: without a small object, all of
    strongSwan ends. What the plugin maps anew is the change queue, and that is refused.
    """
    lab = started(new_lab)
    lab.b.wait_written()
    changes = Path(f"{lab.b.places.qcd_socket}.changes")
    before = resource.prlimit(lab.b.pid, resource.RLIMIT_AS)
    pages = int(Path(f"/proc/{lab.b.pid}/statm").read_text().split()[0])
    half = pages * resource.getpagesize() // 2
    held = Counter(descriptors(lab.b.pid))
    resource.prlimit(lab.b.pid, resource.RLIMIT_AS, (half, before[1]))
    changes.unlink()
    check_ike(lab)
    lab.b.wait_log(r"QCD: .*\.changes .* can't be made again, .*: Cannot allocate memory")
    assert not changes.exists(), "an empty file is left"
    for _ in range(2):
        check_ike(lab)
    check_rotates(lab.b)
    check_closed(lab.b, held)
    resource.prlimit(lab.b.pid, resource.RLIMIT_AS, before)
    check_recovers(lab)
    assert changes.is_file(), "the next run has no change queue"


def begin_off(lab: Lab, kinds: Kind, how: How) -> tuple[Faults, str]:
    """Start b while its disk fails: IKE works, no peer gets a token; return why."""
    lab.b.start()
    lab.b.stop()
    faults = Faults(lab.b)
    faults.begin(kinds, how=how)
    lab.b.start(timeout=5.0)
    lab.a.start()
    check_tunnel(lab)
    status = counters(lab.b)
    assert status["maker"] is False
    assert not rows(lab.b, "sa")[0]["token_sent"]
    assert ask(lab.b, "rotate")[0]["error"].endswith(status["maker_error"])
    assert status["maker_error"] in lab.b.tool(
        "status", "--socket", str(lab.b.places.qcd_socket)
    )
    return faults, str(status["maker_error"])


def check_comes_on(lab: Lab, faults: Faults) -> None:
    """The disk works again: the maker starts, and gives SAs their token."""
    faults.end()
    lab.b.wait_log("QCD: token maker is on$", timeout=20)
    assert counters(lab.b)["maker"] is True
    assert len(re.findall("QCD: the token maker is off", lab.b.log())) == 1
    # A rekeying gives the SA from before an SPI that is evidence after a crash.
    rekey(lab.b, lab.b.wait_established())
    lab.b.wait_for("the token", lambda: rows(lab.b, "sa")[0]["token_sent"])
    sa = lab.a.wait_established()
    lab.b.restart()
    lab.a.nudge(sa)
    lab.a.wait_established(other_than=(sa,))
    assert counters(lab.b)["told"] == 1
    lab.a.terminate(lab.a.wait_established())
    check_recovers(lab)


@pytest.mark.parametrize("kinds", [Kind.FILES, Kind.SYNC, Kind.READ], ids=["all", "sync", "read"])
def test_hung_at_start(new_lab: NewLab, kinds: Kind) -> None:
    """charon starts without its state, which is read as soon as that is possible."""
    lab = new_lab(BASE, b=FAULTY)
    faults, why = begin_off(lab, kinds, How.HANG)
    assert "can't be read in time. Check its disk" in why
    assert faults.waiting == 1
    check_comes_on(lab, faults)


@pytest.mark.parametrize(
    ("kinds", "why", "tries"),
    [
        (Kind.WRITE, "no space is left. Make room", 3),
        (Kind.OPEN, "input/output error", 1),
        (Kind.RANDOM, "cannot get random octets", 1),
    ],
    ids=["full", "unreadable", "no random octets"],
)
def test_failed_at_start(new_lab: NewLab, kinds: Kind, why: str, tries: int) -> None:
    """The maker could not start. It tries again until it can."""
    lab = new_lab(BASE, b=FAULTY)
    faults, said = begin_off(lab, kinds, How.NTH_ON)
    assert why in said
    lab.b.wait_log(f"QCD: the token maker is off: .*{why}")
    for _ in range(1, tries):
        before = faults.failed
        wait_until("another try", lambda n=before: faults.failed > n, 10, lab.b.tail)
    check_comes_on(lab, faults)


def test_folder_is_wrong_at_start(new_lab: NewLab) -> None:
    """Others can read it. The maker starts once that is mended."""
    lab = new_lab(BASE)
    lab.up()
    sa = lab.a.wait_established()
    lab.b.kill()
    lab.b.places.state.chmod(0o755)
    lab.b.start()
    assert str(lab.b.places.state) in counters(lab.b)["maker_error"]
    lab.b.places.state.chmod(0o700)
    lab.b.wait_log("QCD: token maker is on$", timeout=20)
    lab.a.nudge(sa)  # of the run before: its token is there after all
    lab.a.wait_established(other_than=(sa,))
    assert counters(lab.b)["told"] == 1
