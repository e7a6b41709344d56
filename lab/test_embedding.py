# SPDX-License-Identifier: GPL-2.0-or-later
"""What an embedder gets: the installed libraries, and the programs in examples/.

Each program is built against only the installed headers. It runs in a root folder that
contains nothing but the program, the libraries, and their dependencies.
"""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import esp, ike
from lab.control import REPO
from lab.lost import MAKE_LOST
from lab.net import Netns

PACKAGES = ("qcd", "qcd-store", "qcd-watch")
GATEWAY, PEER = "192.0.2.1", "198.18.0.1"
LIBRARY_PATH = re.compile(r"(/\S+) \(0x")
CALL = re.compile(r"\b(qcd_\w+)\(")


def run(*argv: str | Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [*map(str, argv)], capture_output=True, text=True, env={**os.environ, **(env or {})}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder into which `meson install` installed everything."""
    root = tmp_path_factory.mktemp("installed")
    run("meson", "install", "-C", REPO / "build", "--no-rebuild", "--destdir", root)
    return root


def flags(root: Path, option: str) -> list[str]:
    """Return pkg-config's output for our libraries and their dependencies."""
    [folder] = root.rglob("qcd.pc")
    # A sysroot is prepended to all paths, also those of other libraries.
    text = run(
        "pkg-config", option, *PACKAGES, env={"PKG_CONFIG_PATH": str(folder.parent)}
    )
    return [word.replace("/usr/local", f"{root}/usr/local") for word in text.split()]


@pytest.fixture(scope="module")
def bare(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a root folder with the programs and the libraries, and nothing else."""
    root = tmp_path_factory.mktemp("bare")
    [folder] = {path.parent for path in installed.rglob("libqcd*.so")}
    programs = [Path(shutil.copy(MAKE_LOST, root))]
    for source in (REPO / "examples").glob("*.c"):
        programs.append(root / source.stem)
        run(
            *("cc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror"),
            *(*flags(installed, "--cflags"), source, "-o", programs[-1]),
            *flags(installed, "--libs"),
        )
    for program in programs:
        needed = run("ldd", program, env={"LD_LIBRARY_PATH": str(folder)})
        for found in LIBRARY_PATH.findall(needed):
            path = Path(found)
            at = "/lib" if path.parent == folder else str(path.parent)
            (root / at[1:]).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, root / at[1:])
    return root


def test_a_daemon(bare: Path) -> None:
    """Run it twice with the same folders: the second run finds the first's state."""
    for number in range(2):
        done = subprocess.run(
            ["/usr/sbin/chroot", str(bare), "/daemon", "/state"],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == ["established", "crashed", "lost", "established"]
        # What each of the three starts reports to the administrator.
        told = done.stderr.splitlines()
        assert len(told) == 3
        assert ["made new secrets" in line for line in told] == [number == 0] * 2 + [False]
        assert all("this machine has no /etc/machine-id" in line for line in told)
    assert sorted(path.name for path in (bare / "state").iterdir()) == [
        *("lock", "run", "secrets")
    ]


def test_a_daemon_says_what_is_wrong(bare: Path) -> None:
    (bare / "file").write_text("")
    for argv, text in (
        ((), "usage: daemon FOLDER"),
        (("/file",), "cannot open /file"),
    ):
        done = subprocess.run(
            ["/usr/sbin/chroot", str(bare), "/daemon", *argv], capture_output=True, text=True
        )
        assert done.returncode == 1 and text in done.stderr


@pytest.fixture
def ns() -> Iterator[Netns]:
    """Two addresses of one device: the gateway receives what the peer sends."""
    made = Netns("embedder")
    made.ip(*(f"addr add {address}/32 dev lo" for address in (GATEWAY, PEER)))
    yield made
    made.close()


def test_esp(bare: Path, ns: Netns) -> None:
    """A sender with a lost SPI is told, one with another SPI is not."""
    # Outside of it, the folder would come from another machine.
    inside = ("/usr/sbin/chroot", bare)
    made = run(*inside, "/make_lost", "/lost", "0", GATEWAY, PEER, "100", "0")
    lost = [list(map(bytes.fromhex, line.split()[:3])) for line in made.splitlines()]
    peer = ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.bind((PEER, 4500))
    peer.settimeout(10.0)
    with ns.entered():
        process = subprocess.Popen(
            [*map(str, inside), "/esp", "/lost"], stdout=subprocess.PIPE, text=True
        )
    try:
        assert process.stdout and process.stdout.readline() == "watching for 100\n"
        for spi in (bytes.fromhex("deadbeef"), lost[7][0]):
            peer.sendto(esp.payload(spi), (GATEWAY, 4500))
        answer = ike.Message.parse(peer.recv(2048)[4:])
    finally:
        process.kill()
        process.wait()
        peer.close()
    assert (answer.spi_i, answer.spi_r) == tuple(lost[7][1:])
    kinds = {item.kind: item.data for item in answer.notifies()}
    assert kinds[ike.INVALID_SPI] == lost[7][0]
    assert len(kinds[ike.QCD_TOKEN]) == 32


def test_calls_of_the_guide() -> None:
    """doc/embedding.md names only existing functions, and all the main ones."""
    headers = "".join(path.read_text() for path in (REPO / "include/qcd").glob("*.h"))
    guide = (REPO / "doc" / "embedding.md").read_text()
    named = set(re.findall(r"`(qcd_\w+)`", guide))
    assert named - set(re.findall(r"\bqcd_\w+", headers)) == set()
    used = {
        call
        for source in (REPO / "examples").glob("*.c")
        for call in CALL.findall(source.read_text())
    }
    assert used - named == set()
