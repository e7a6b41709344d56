# SPDX-License-Identifier: GPL-2.0-or-later
"""A lab for one scenario: a network and its gateways, cleaned up at the end."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from lab.certs import Authority
from lab.config import MEMORY, Config, connection_name
from lab.gateway import Gateway, Sa
from lab.net import CHILDREN, Host, Network


FOLDER = "qcdlab-"


def _lock(folder: Path, wait: bool) -> int | None:
    """Lock a folder like the lab that owns it; None if that is not possible."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None  # removed meanwhile, or not a lab's
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        if os.path.samestat(os.fstat(fd), os.lstat(folder)):
            return fd
    except OSError:
        pass  # another lab has it, or has removed it
    os.close(fd)
    return None


def _remove(folder: Path) -> None:
    """Remove a lab's folder, and the one in memory that belongs to it."""
    for place in (folder, MEMORY / folder.name):
        shutil.rmtree(place, ignore_errors=True)


def _clear(folders: Iterable[Path]) -> None:
    """Remove the folders that no lab holds."""
    for old in folders:
        fd = _lock(old, wait=False)
        if fd is not None:
            _remove(old)
            os.close(fd)


def _new_folder() -> tuple[Path, int]:
    """Return a new folder and its lock; folders of killed labs are removed.

    It is in /tmp because its path must fit into the address of a socket. Other labs may
    run in other PID namespaces, so a lock tells which labs are alive.
    """
    _clear(Path("/tmp").glob(f"{FOLDER}*"))
    while True:
        folder = Path(tempfile.mkdtemp(prefix=FOLDER, dir="/tmp"))
        fd = _lock(folder, wait=True)
        if fd is not None:  # otherwise another lab removed it before we had the lock
            return folder, fd


class Lab:
    """Gateways around a router; use it in a `with`.

        with Lab(Config(dpd_delay="30s")) as lab:
            lab.up()
            lab.b.kill()

    `configs` gives the differences of single gateways. Every gateway has a connection
    to the first one (`a`), and `a` to all of them.
    """

    def __init__(
        self,
        config: Config | None = None,
        names: tuple[str, ...] = ("a", "b"),
        **configs: Config,
    ) -> None:
        self._stack = ExitStack()
        self.folder, lock = _new_folder()
        self._stack.callback(os.close, lock)
        self._stack.callback(_remove, self.folder)
        self.gateways: dict[str, Gateway] = {}
        try:
            every = [config or Config(), *configs.values()]
            children = max(item.tunnels * item.children for item in every)
            self.network = Network(names, max(children, CHILDREN))
            self._stack.callback(self.network.close)
            self._authority: Authority | None = None
            for name in names:
                self._add(name, names, configs.get(name, config or Config()))
        except BaseException:
            self.close()
            raise

    def _add(self, name: str, names: tuple[str, ...], config: Config) -> None:
        others = names[1:] if name == names[0] else names[:1]
        identity = None
        if config.auth in ("cert", "chain"):
            if not self._authority:
                self._authority = Authority(self.folder / "ca")
            chain = config.auth == "chain"
            issue = self._authority.issue_chain if chain else self._authority.issue
            identity = issue(name)
        gateway = Gateway(
            self.network[name],
            [self.network[other] for other in others],
            config,
            self.folder / name,
            self.folder,
            identity,
        )
        self._stack.callback(gateway.close)
        self.gateways[name] = gateway

    def __getitem__(self, name: str) -> Gateway:
        return self.gateways[name]

    @property
    def a(self) -> Gateway:
        return self.gateways["a"]

    @property
    def b(self) -> Gateway:
        return self.gateways["b"]

    @property
    def stranger(self) -> Host:
        return self.network.stranger

    def up(self) -> Sa:
        """Start all gateways; `a` connects to the others. Return the last SA.

        Gateways whose start_action says so connect by themselves.
        """
        for gateway in self.gateways.values():
            if not gateway.alive:
                gateway.start()
        for peer in self.a.peers:
            other = self[peer.name]
            if "start" not in (self.a.config.start_action, other.config.start_action):
                self.initiate_all(peer.name)
            other.wait_established()
        return self.a.wait_established(self.a.peers[-1].name)

    def initiate_all(self, peer: str) -> None:
        """Bring up all connections of `a` with a peer."""
        config = self.a.config
        for child in range(config.tunnels * config.children):
            self.a.initiate(connection_name(peer, child // config.children), child)

    def check(self) -> None:
        """Fail if a gateway has died or AddressSanitizer has reported anything."""
        for gateway in self.gateways.values():
            gateway.check()

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
