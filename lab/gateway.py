# SPDX-License-Identifier: GPL-2.0-or-later
"""A gateway: charon on a host, to be started, killed, queried and made to send."""

import os
import re
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lab.certs import Identity
from lab.config import (
    Config,
    Places,
    child_name,
    connection,
    connection_name,
    shared_secret,
    strongswan_conf,
)
from lab.control import REPO, CommandException, Control, Section
from lab.net import Host
from lab.process import Charon, on_machine
from lab.wait import PATIENCE, LabTimeout, wait_until

# Number of changes of the SA map that wait: see shared_t in plugin/qcd_changes.c.
WAITING = slice(28, 32)

TAIL = 60
TOOL = Path(os.environ.get("QCD_TOOL", REPO / "build" / "tool" / "qcd"))
CARRYING = ("INSTALLED", "REKEYING")
UPDOWN_SCRIPT = """#!/bin/sh
echo "$PLUTO_VERB $PLUTO_CONNECTION $PLUTO_PEER_CLIENT" >>{log}
"""
# In the order of loading.
PARTS = ("certs", "ca", "key", "before", "secrets", "connections")
UPDOWN = ("ike-updown", "child-updown", "ike-rekey", "child-rekey")


@dataclass(frozen=True)
class Sa:
    """An IKE SA as the gateway knows it."""

    peer: str
    unique_id: int
    state: str
    initiator: bool
    spi_i: bytes
    spi_r: bytes
    children: tuple[Section, ...] = field(compare=False)

    @classmethod
    def parse(cls, item: Section) -> "Sa":
        return cls(
            peer=item["name"],
            unique_id=int(item["uniqueid"]),
            state=item["state"],
            initiator=item.get("initiator") == "yes",
            spi_i=bytes.fromhex(item["initiator-spi"]),
            spi_r=bytes.fromhex(item["responder-spi"]),
            children=tuple(item.get("child-sas", {}).values()),
        )

    @property
    def spis(self) -> tuple[bytes, bytes]:
        return self.spi_i, self.spi_r

    @property
    def installed(self) -> int:
        """Return the number of children that carry traffic."""
        return sum(child["state"] in CARRYING for child in self.children)


class Gateway:
    """charon on one host, with all files in a separate folder."""

    def __init__(
        self,
        host: Host,
        peers: list[Host],
        config: Config,
        folder: Path,
        shared: Path,
        identity: Identity | None = None,
    ) -> None:
        folder.mkdir()
        self.host = host
        self.peers = peers
        self.config = config
        self.places = Places(folder)
        self.places.memory.mkdir(exist_ok=True)
        self._shared = shared
        self._identity = identity
        self._charon: Charon | None = None
        self._control: Control | None = None

    @property
    def name(self) -> str:
        return self.host.name

    # --- its life -------------------------------------------------------

    def start(self, *, load: bool = True, timeout: float = 10.0) -> None:
        """Start charon; return when it is up and its connections are loaded."""
        if self.alive:
            raise RuntimeError(f"gateway {self.name} runs already")
        self.places.vici.unlink(missing_ok=True)
        conf = strongswan_conf(self.config, self.places)
        self.places.strongswan_conf.write_text(conf)
        if self.config.updown:
            script = UPDOWN_SCRIPT.format(log=self.places.updown_log)
            self.places.updown.write_text(script)
            self.places.updown.chmod(0o755)
        self._log_start = self._log_size()
        self._close_charon()
        self._charon = Charon(self.host.ns, self.config, self.places, self._shared)
        try:
            self._charon.wait_ready(timeout)
            self._control = Control(self.places.vici)
        except (LabTimeout, OSError) as error:
            raise LabTimeout(f"gateway {self.name}: {error}\n{self.tail()}") from None
        if self.config.socket_room:
            self._charon.give_room(self.config.socket_room)
        if load:
            self.load()

    def load(self, *parts: str) -> None:
        """Load the credentials and the connections to all peers.

        With arguments, load only these of PARTS, for a gateway whose files arrive one
        by one.
        """
        for part in PARTS:
            if not parts or part in parts:
                getattr(self, f"_load_{part}")()

    def _load_certs(self) -> None:
        for cert in self._identity.certs if self._identity else ():
            self._load_cert("NONE", cert)

    def _load_ca(self) -> None:
        if self._identity:
            self._load_cert("CA", self._identity.ca_cert)

    def _load_cert(self, flag: str, cert: bytes) -> None:
        self.command("load-cert", {"type": "X509", "flag": flag, "data": cert})

    def _load_key(self) -> None:
        if self._identity:
            self.command("load-key", {"type": "any", "data": self._identity.key})

    def _load_before(self) -> None:
        for name, message in self.config.before:
            self.command(name, message)

    def _load_secrets(self) -> None:
        for peer, tunnel in self.tunnels():
            if not self._identity:
                secret = shared_secret(self.host, peer, tunnel)
                self.command("load-shared", secret)

    def _load_connections(self) -> None:
        for peer, tunnel in self.tunnels():
            self.load_connection(peer, tunnel)

    def tunnels(self) -> list[tuple[Host, int]]:
        """Return each connection: its peer and its number among those to that peer."""
        numbers = range(self.config.tunnels)
        return [(peer, number) for peer in self.peers for number in numbers]

    def load_connection(self, peer: Host, tunnel: int = 0) -> None:
        """Load one connection, or load it again with the current configuration."""
        identity = self._identity
        section = connection(self.config, self.host, peer, identity, tunnel)
        if self.config.updown:
            for child in section["children"].values():
                child["updown"] = str(self.places.updown)
        self.command("load-conn", {connection_name(peer.name, tunnel): section})

    def kill(self) -> None:
        """Crash it with SIGKILL: nothing is written, sent or closed."""
        self._end(signal.SIGKILL)

    def stop(self, timeout: float = 10.0) -> None:
        """Stop it cleanly; it notifies its peers."""
        self._end(signal.SIGTERM, timeout)

    def end_again(self, signum: int, timeout: float = 10.0) -> int:
        """Repeat the signal until it ends; return its exit status."""
        if not self._charon:
            raise RuntimeError(f"gateway {self.name} does not run")
        charon = self._charon

        def ended() -> bool:
            if charon.alive:
                charon.process.send_signal(signum)
            return not charon.alive

        wait_until(f"gateway {self.name} to end", ended, timeout, self.tail)
        self._close_charon()
        return charon.process.returncode

    def restart(self, *, load: bool = True) -> None:
        """Kill it if it runs, and start it again."""
        if self.alive:
            self.kill()
        self.start(load=load)

    def _end(self, signum: int, timeout: float = 10.0) -> None:
        if not self._charon or not self._charon.alive:
            raise RuntimeError(f"gateway {self.name} does not run\n{self.tail()}")
        try:
            self._charon.end(signum, timeout)
        except LabTimeout as error:
            raise LabTimeout(f"gateway {self.name}: {error}\n{self.tail()}") from None
        self._close_charon()

    def _close_charon(self) -> None:
        if self._control:
            self._control.close()
            self._control = None
        if self._charon:
            self._charon.close()
            self._charon = None

    @property
    def alive(self) -> bool:
        return self._charon is not None and self._charon.alive

    @property
    def pid(self) -> int:
        if not self._charon:
            raise RuntimeError(f"gateway {self.name} does not run")
        return self._charon.process.pid

    def close(self) -> None:
        """End it in any state."""
        self._close_charon()

    def check(self) -> None:
        """Fail if charon has died or AddressSanitizer has reported anything."""
        reports = sorted(self.places.folder.glob(f"{self.places.asan.name}.*"))
        if reports:
            text = reports[0].read_text(errors="replace")
            raise AssertionError(f"AddressSanitizer on gateway {self.name}:\n{text}")
        if self._charon and not self._charon.alive:
            status = self._charon.process.returncode
            raise AssertionError(
                f"gateway {self.name} died by itself (status {status})\n{self.tail()}"
            )

    # --- what it says ---------------------------------------------------

    @property
    def control(self) -> Control:
        if not self._control:
            raise RuntimeError(f"gateway {self.name} does not run")
        return self._control

    def command(self, name: str, message: Section | None = None) -> Section:
        """Run a vici command; an error shows charon's log."""
        try:
            return self.control.command(name, message)
        except (CommandException, LabTimeout, OSError) as error:
            raise AssertionError(
                f"gateway {self.name}: vici {name}: {error}\n{self.tail()}"
            ) from None

    def sas(self) -> list[Sa]:
        return [Sa.parse(item) for item in self.control.sas()]

    def established(self, peer: str | None = None) -> list[Sa]:
        """Return its working SAs: established, with all children installed."""
        wanted = self.config.children
        return [
            sa
            for sa in self.sas()
            if sa.state == "ESTABLISHED"
            and sa.installed >= wanted
            and peer in (None, sa.peer)
        ]

    def wait_for(
        self, what: str, check: Callable[[], object], timeout: float = 10.0
    ) -> None:
        """Call check after each change of an SA until it returns something true."""
        try:
            self.control.wait(what, check, UPDOWN, timeout)
        except (LabTimeout, OSError) as error:
            raise LabTimeout(
                f"gateway {self.name}: {error}\nits SAs: {self.sas()}\n{self.tail()}"
            ) from None

    def wait_established(
        self,
        peer: str | None = None,
        *,
        other_than: tuple[Sa, ...] = (),
        timeout: float = 10.0,
    ) -> Sa:
        """Wait for a working SA that isn't one of the given ones, and return it."""
        old = {sa.spis for sa in other_than}
        found: list[Sa] = []

        def check() -> bool:
            found[:] = [sa for sa in self.established(peer) if sa.spis not in old]
            return bool(found)

        self.wait_for("a working SA", check, timeout)
        return found[0]

    def wait_idle(self, timeout: float = 10.0) -> None:
        """Return when charon twice in a row has no queued and no critical job."""
        seen = 0

        def idle() -> bool:
            nonlocal seen
            stats = self.command("stats")
            left = sum(int(count) for count in stats["queues"].values())
            left += int(stats["workers"]["active"]["high"])
            seen = 0 if left else seen + 1
            return seen > 1

        wait_until(f"gateway {self.name} to be idle", idle, timeout, self.tail)

    def wait_written(self) -> None:
        """Return when no change of the SA map is left that is only in memory."""
        changes = Path(f"{self.places.qcd_socket}.changes")
        wait_until(
            f"the SA map of gateway {self.name} to be written",
            lambda: not any(changes.read_bytes()[WAITING]),
            explain=self.tail,
        )

    # --- what it is made to do ------------------------------------------

    def initiate(
        self, peer: str | None = None, child: int | None = 0, timeout: float = 10.0
    ) -> None:
        """Bring up a child, and its IKE SA if there is none; or only the IKE SA."""
        message = {
            **({} if child is None else {"child": child_name(child)}),
            "ike": peer or self.peers[0].name,
            "timeout": int(timeout * 1000),
            "loglevel": -1,
        }
        self._streamed("initiate", message)

    def begin(self, peer: str | None = None, child: int = 0) -> None:
        """Start to bring up a child without waiting for the result."""
        ike = peer or self.peers[0].name
        message = {"child": child_name(child), "ike": ike, "timeout": -1}
        self._streamed("initiate", message)

    def terminate(self, sa: Sa, timeout: float = 10.0, *, wait: bool = True) -> None:
        """Delete an IKE SA cleanly, and wait until the peer has agreed."""
        message: Section = {"ike-id": sa.unique_id, "loglevel": -1}
        message["timeout"] = int(timeout * 1000) if wait else -1
        self._streamed("terminate", message)

    def terminate_all(self, peer: str | None = None) -> None:
        """Start to delete all IKE SAs of a connection, without waiting for the result."""
        ike = peer or self.peers[0].name
        self._streamed("terminate", {"ike": ike, "timeout": -1, "loglevel": -1})

    def terminate_child(self, child: int) -> None:
        """Delete a child cleanly, and wait until the peer has agreed."""
        message = {"child": child_name(child), "timeout": 10000, "loglevel": -1}
        self._streamed("terminate", message)

    def forget(self, sa: Sa) -> None:
        """Delete an IKE SA immediately: one DELETE is sent, no response awaited."""
        message = {"ike-id": sa.unique_id, "force": "yes", "timeout": -1}
        self._streamed("terminate", message)

    def _streamed(self, name: str, message: Section) -> None:
        # charon itself ends the command after this timeout.
        timeout = int(message["timeout"])
        if timeout > 0:
            message = {**message, "timeout": int(timeout * PATIENCE)}
        bound = max(0.0, timeout / 1000 + 5) * PATIENCE
        try:
            self.control.stream(name, "control-log", message, bound)
        except (CommandException, LabTimeout, OSError) as error:
            raise AssertionError(
                f"gateway {self.name}: vici {name}: {error}\n{self.tail()}"
            ) from None

    def nudge(self, sa: Sa | None = None) -> None:
        """Make it send an IKE request to its (dead) peer now.

        charon only sends to an idle peer for DPD, whose delay is in whole seconds and
        which traffic postpones. Rekeying a child requires a CREATE_CHILD_SA
        immediately. Of all commands, this has the fewest effects later: the task ends
        with the SA (`reestablish` only keeps tasks that create children, not those that
        rekey them), the IKE SA stays ESTABLISHED, and the child carries traffic
        meanwhile. If the peer is alive, the child is rekeyed.

        A gateway with an unanswered request repeats that one, when due.
        """
        target = self._now(sa) if sa else self.established()[0]
        for child in target.children:
            if child["state"] == "INSTALLED":
                ids = {"ike-id": target.unique_id, "child-id": int(child["uniqueid"])}
                self.command("rekey", ids)
                return

    def _now(self, sa: Sa) -> Sa:
        for current in self.sas():
            if current.unique_id == sa.unique_id:
                return current
        raise AssertionError(f"gateway {self.name} has lost {sa}\n{self.tail()}")

    def tool(self, *arguments: str) -> str:
        """Run the qcd command on its machine; return the output, or fail as it does."""
        argv = [*on_machine(self.config, self.places), str(TOOL), *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"qcd {' '.join(arguments)}:\n{done.stderr}"
        return done.stdout

    def updowns(self) -> list[tuple[str, ...]]:
        """Return the calls of its updown script: verb, child, the peer's network."""
        path = self.places.updown_log
        lines = path.read_text().splitlines() if path.exists() else []
        return [tuple(line.split()) for line in lines]

    # --- its log --------------------------------------------------------

    def _log_size(self) -> int:
        return self.places.log.stat().st_size if self.places.log.exists() else 0

    def log(self, *, everything: bool = False) -> str:
        """Return charon's log since its last start, or all of it."""
        if not self.places.log.exists():
            return ""
        with self.places.log.open("rb") as file:
            file.seek(0 if everything else self._log_start)
            return file.read().decode("utf-8", "replace")

    def mark(self) -> int:
        """Return the position in the log of the next line."""
        return self._log_size()

    def wait_log(
        self, pattern: str, timeout: float = 5.0, since: int | None = None
    ) -> "re.Match[str]":
        """Wait for a line in the log of this run, or in the log since a mark."""
        regex = re.compile(pattern)

        def found() -> "re.Match[str] | None":
            with self.places.log.open("rb") as file:
                file.seek(self._log_start if since is None else since)
                return regex.search(file.read().decode("utf-8", "replace"))

        what = f"the line {pattern!r} in the log of gateway {self.name}"
        return wait_until(what, found, timeout, self.tail)

    def tail(self, lines: int = TAIL) -> str:
        """Return the end of charon's log and output, for the text of an error."""
        shown = self.log(everything=True).splitlines()[-lines:]
        output = self.places.output
        extra = output.read_text(errors="replace") if output.exists() else ""
        return "\n".join(
            [f"--- log of gateway {self.name}, its last {len(shown)} lines:", *shown]
            + ([f"--- its output:\n{extra[-4000:]}"] if extra else [])
        )

    def memory(self) -> int:
        """Return charon's memory use in octets."""
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
