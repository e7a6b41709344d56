# SPDX-License-Identifier: GPL-2.0-or-later
"""Network namespaces: gateways and a stranger around a router that can drop packets.

The namespaces have no names. Each exists only as long as a file descriptor of this
process or a process inside it. However the lab ends, nothing is left behind: the kernel
cleans up.

    a 10.0.1.1 ---.
                  router ---- stranger 10.0.99.1 (may send from any address)
    b 10.0.2.1 ---'

Each gateway contains the network that the tunnel connects: 10.1.N.0/24, with the
address 10.1.N.1 on its loopback device.
"""

import ctypes
import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CLONE_NEWNET = 0x40000000
STRANGER = "stranger"
STRANGER_NUMBER = 99
CHILDREN = 4  # a host has addresses for at least this many

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *args: int) -> None:
    if getattr(_libc, name)(*args) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)} (the lab needs root)")


class Netns:
    """A network namespace without a name."""

    def __init__(self, name: str) -> None:
        self.name = name
        failed: list[BaseException] = []

        def make() -> None:
            try:
                _call("unshare", CLONE_NEWNET)
                self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
            except OSError as error:
                failed.append(error)

        maker = threading.Thread(target=make)
        maker.start()
        maker.join()
        if failed:
            raise failed[0]
        self.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
        self.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        for scope in ("all", "default"):
            self.sysctl(f"net.ipv4.conf.{scope}.rp_filter", 0)
        self.ip("link set lo up")

    @property
    def path(self) -> str:
        """Return a path of the namespace that other processes can open."""
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Run the calling thread, and processes that it starts, in the namespace."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _call("setns", self.fd, CLONE_NEWNET)
            try:
                yield
            finally:
                _call("setns", before, CLONE_NEWNET)
        finally:
            os.close(before)

    def socket(self, family: int, kind: int, proto: int = 0) -> socket.socket:
        """Return a socket that belongs to the namespace and can be used anywhere."""
        with self.entered():
            return socket.socket(family, kind, proto)

    def run(self, *argv: str, text: str | None = None) -> str:
        """Run a program inside and return its output; an error gives both."""
        with self.entered():
            done = subprocess.run(
                argv, input=text, capture_output=True, text=True, check=False
            )
        if done.returncode != 0:
            raise RuntimeError(
                f"{' '.join(argv)} in namespace {self.name} failed:\n"
                f"{done.stderr}{text or ''}"
            )
        return done.stdout

    def ip(self, *commands: str) -> None:
        """Run commands of ip(8), one for each string."""
        self.run("/sbin/ip", "-batch", "-", text="\n".join(commands) + "\n")

    def sysctl(self, key: str, value: int) -> None:
        with self.entered():
            Path("/proc/sys", *key.split(".")).write_text(str(value))

    def _udp_sockets(self, port: int) -> list[list[str]]:
        """Return the lines of /proc/net/udp about that port, split into fields."""
        with self.entered():
            lines = Path("/proc/thread-self/net/udp").read_text().splitlines()
        sockets = [line.split() for line in lines[1:]]
        return [s for s in sockets if int(s[1].split(":")[1], 16) == port]

    def udp_drops(self, port: int) -> int:
        """Return the number of datagrams dropped by full sockets of that port."""
        return sum(int(fields[-1]) for fields in self._udp_sockets(port))

    def udp_waiting(self, port: int) -> int:
        """Return the number of octets queued in the sockets of that port."""
        waiting = (fields[4].split(":")[1] for fields in self._udp_sockets(port))
        return sum(int(octets, 16) for octets in waiting)

    def received(self, device: str = "eth0") -> int:
        """Return the number of packets that the device received."""
        with self.entered():
            lines = Path("/proc/thread-self/net/dev").read_text().splitlines()
        fields = {line.split(":")[0].strip(): line.split(":")[1] for line in lines[2:]}
        return int(fields[device].split()[1])

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


@dataclass(frozen=True)
class Host:
    """A machine of the network: its address and what lies behind it."""

    name: str
    number: int
    ns: Netns
    device: str = "eth0"

    @property
    def address(self) -> str:
        return f"10.0.{self.number}.1"

    @property
    def gateway(self) -> str:
        return f"10.0.{self.number}.254"

    @property
    def inside(self) -> str:
        """Return the address that sends through the tunnel."""
        return self.inside_of(0)

    def inside_of(self, child: int) -> str:
        return f"10.{child + 1}.{self.number}.1"

    def inside_net(self, child: int = 0) -> str:
        return f"10.{child + 1}.{self.number}.0/24"

    def unplug(self) -> None:
        """Take its link down: its routes are removed, its addresses stay."""
        self.ns.ip(f"link set {self.device} down")

    def plug(self) -> None:
        """Bring its link up again, with the route to the other hosts."""
        self.ns.ip(
            f"link set {self.device} up",
            f"route replace default via {self.gateway}",
        )

    def roam(self, number: int) -> str:
        """Change to another address on the same cable; return it.

        The old address and its routes are removed before the new one is added.
        """
        address = f"10.0.{self.number}.{number}"
        self.ns.ip(f"addr flush dev {self.device}")
        self.ns.ip(
            f"addr add {address}/24 dev {self.device}",
            f"route replace default via {self.gateway}",
        )
        return address


class Drop:
    """A rule of the router that drops packets, until removed."""

    def __init__(self, router: "Router", match: str, handle: int) -> None:
        self._router = router
        self._match = match
        self._handle = handle

    @property
    def count(self) -> int:
        """Return the number of packets dropped so far."""
        listing = self._router.ns.run("/usr/sbin/nft", "-a", "list", "chain", *CHAIN)
        for line in listing.splitlines():
            if line.endswith(f"# handle {self._handle}"):
                found = re.search(r"counter packets (\d+)", line)
                return int(found.group(1)) if found else 0
        raise RuntimeError(f"the router has lost its rule: {self._match}")

    def remove(self) -> None:
        self._router.ns.run(
            "/usr/sbin/nft", "delete", "rule", *CHAIN, "handle", str(self._handle)
        )

    def __enter__(self) -> "Drop":
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


CHAIN = ("inet", "lab", "passing")


class Router:
    """The namespace in the middle."""

    def __init__(self) -> None:
        self.ns = Netns("router")
        self.ns.sysctl("net.ipv4.ip_forward", 1)
        self.ns.run(
            "/usr/sbin/nft",
            "-f",
            "-",
            text="table inet lab {\n chain passing {\n"
            "  type filter hook forward priority 0; policy accept;\n }\n}\n",
        )

    def attach(self, host: Host) -> None:
        """Connect the host to the router with a cable."""
        port = f"to-{host.name}"
        self.ns.ip(
            f"link add {port} type veth peer name {host.device} netns {host.ns.path}",
            f"addr add {host.gateway}/24 dev {port}",
            f"link set {port} up",
        )
        host.ns.ip(
            f"addr add {host.address}/24 dev {host.device}",
            f"link set {host.device} up",
            f"route add default via {host.gateway}",
        )

    def drop(self, match: str, count: int | None = None) -> Drop:
        """Drop passing packets that match an nftables expression.

        With a count, only that many packets are dropped.
        """
        limit = f"limit rate {count}/week burst {count} packets " if count else ""
        made = self.ns.run(
            "/usr/sbin/nft",
            "--echo",
            "--handle",
            *("add", "rule", *CHAIN),
            f"{match} {limit}counter drop",
        )
        found = re.search(r"# handle (\d+)", made)
        if not found:
            raise RuntimeError(f"nft did not tell the rule's handle: {made}")
        return Drop(self, match, int(found.group(1)))

    def drop_ike(
        self,
        source: Host,
        target: Host,
        *,
        exchange: int | None = None,
        response: bool | None = None,
        count: int | None = None,
    ) -> Drop:
        """Drop IKE packets from source to target; ESP in UDP passes.

        The packets may be limited to an exchange type and to requests or responses.
        Only packets to port 4500 are then considered: there IKE goes after IKE_SA_INIT.
        """
        match = f"ip saddr {source.address} ip daddr {target.address} "
        if exchange is None and response is None:
            return self.drop(match + "udp dport { 500, 4500 }", count)
        match += "udp dport 4500 @th,64,32 0 "
        if exchange is not None:
            match += f"@th,240,8 {exchange} "
        if response is not None:
            match += f"@th,248,8 & 0x20 == {0x20 if response else 0} "
        return self.drop(match, count)

    def drop_init_requests(self, source: Host) -> Drop:
        """Drop the requests of IKE_SA_INIT from source; its responses pass."""
        match = f"ip saddr {source.address} udp dport 500 @th,216,8 & 0x20 == 0"
        return self.drop(match)

    def drop_all(self, source: Host, target: Host) -> Drop:
        """Drop everything from source to target, like a cut cable."""
        return self.drop(f"ip saddr {source.address} ip daddr {target.address}")


class Network:
    """The router with its hosts, which always include a stranger."""

    def __init__(
        self, names: tuple[str, ...] = ("a", "b"), children: int = CHILDREN
    ) -> None:
        self.hosts: dict[str, Host] = {}
        self.router = Router()
        try:
            for number, name in enumerate(names, start=1):
                self._add(name, number, children)
            self._add(STRANGER, STRANGER_NUMBER, 0)
            # Packets to an address that nobody has end at the stranger.
            self.router.ns.ip(f"route add default via {self.stranger.address}")
        except BaseException:
            self.close()
            raise

    def _add(self, name: str, number: int, children: int) -> None:
        host = Host(name, number, Netns(name))
        self.hosts[name] = host
        self.router.attach(host)
        for child in range(children):
            host.ns.ip(
                f"addr add {host.inside_of(child)}/32 dev lo",
                # Nothing for the other side's network leaves in cleartext.
                f"route add blackhole 10.{child + 1}.0.0/16",
            )

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    @property
    def stranger(self) -> Host:
        return self.hosts[STRANGER]

    def close(self) -> None:
        for host in self.hosts.values():
            host.ns.close()
        self.router.ns.close()
