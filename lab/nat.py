# SPDX-License-Identifier: GPL-2.0-or-later
"""The router as a NAT whose mappings change, as cheap ones do."""

import re
from pathlib import Path

from lab.net import Host, Router
from lab.wait import wait_until

_CHAIN = ("ip", "qcd_nat", "leaving")


class Nat:
    """Hides hosts behind the router's address on the other host's cable.

    It masquerades, because the mappings are then forgotten when the cable is pulled:
    after it is plugged in again, a host gets other ports.
    """

    def __init__(self, router: Router, hidden: Host | list[Host], other: Host) -> None:
        self._router = router
        self._hidden = [hidden] if isinstance(hidden, Host) else hidden
        self._other = other
        chain = "type nat hook postrouting priority 100; policy accept;"
        self._nft(f"table ip {_CHAIN[1]} {{\n chain {_CHAIN[2]} {{\n  {chain}\n }}\n}}")

    @property
    def address(self) -> str:
        """Return the address that the hidden hosts seem to have."""
        return self._other.gateway

    def _nft(self, text: str) -> None:
        self._router.ns.run("/usr/sbin/nft", "-f", "-", text=text + "\n")

    def use_ports(self, first: int, last: int) -> None:
        """Forget all mappings, and use ports from this range for new ones."""
        self._masquerade(f"to :{first}-{last}")
        cable = f"to-{self._other.name}"
        self._router.ns.ip(f"link set {cable} down", f"link set {cable} up")
        # The kernel may lose the first packet after that, with its question for the
        # other host's Ethernet address, and asks again only a second later.
        self._router.ns.run("ping", "-q", "-c", "1", "-W", "5", self._other.address)
        wait_until(
            "the old mappings to be forgotten",
            lambda: all(first <= port <= last for port in self._ports()),
        )

    def _ports(self) -> list[int]:
        """Return the ports of all mappings; the kernel forgets old ones in a job."""
        with self._router.ns.entered():
            table = Path("/proc/thread-self/net/nf_conntrack")
            text = table.read_text() if table.exists() else ""
        other = self._other.address
        ends = rf"dst={other} .* src={other} dst={self.address} "
        found = re.findall(rf"{ends}sport=4?500 dport=(\d+)", text)
        return [int(port) for port in found]

    def use_any_ports(self) -> None:
        """Keep the port of a host unless another one uses it."""
        self._masquerade("")

    def _masquerade(self, ports: str) -> None:
        chain = " ".join(_CHAIN)
        sources = ", ".join(host.address for host in self._hidden)
        match = f"ip saddr {{ {sources} }} ip daddr {self._other.address}"
        rule = f"{match} udp dport {{ 500, 4500 }} masquerade {ports}"
        self._nft(f"flush chain {chain}\nadd rule {chain} {rule}")
