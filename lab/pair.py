# SPDX-License-Identifier: GPL-2.0-or-later
"""A pair of gateways, b and c, that take turns at one address, and their client a."""

from lab.config import SECRET, Config
from lab.control import Section
from lab.gateway import Gateway
from lab.scenario import Lab

SHARED = "10.0.77.1"
INSIDE = "10.1.2.0/24"  # behind both of them
NAMES = ("a", "b", "c")
BOTH_SECRET: Section = {
    "id": "both",
    "type": "IKE",
    "data": SECRET,
    "owners": ["a.lab", "both.lab"],
}
BASE = Config(before=(("load-shared", BOTH_SECRET),))
CLIENT = BASE.but(
    ike_options={"remote_addrs": [SHARED], "remote": {"id": "both.lab"}},
    child_options={"remote_ts": [INSIDE]},
)
SERVER = BASE.but(
    ike_options={"local_addrs": [SHARED], "local": {"id": "both.lab"}},
    child_options={"local_ts": [INSIDE]},
)


def server(node: int, takes_over: int) -> Config:
    options = {"takes_over": str(takes_over), "takes_over_address": SHARED}
    return SERVER.but(qcd_options={"node": str(node), **options})


def share(lab: Lab, source: Gateway, target: Gateway) -> None:
    """Copy the secrets from a running gateway to one that is stopped."""
    phrase = lab.folder / "passphrase"
    phrase.write_text("correct horse battery staple\n")
    phrase.chmod(0o600)
    text = lab.folder / "export"
    secret = ("--passphrase-file", str(phrase))
    states = [str(gateway.places.state) for gateway in (source, target)]
    text.write_text(source.tool("secret", "export", "--state-dir", states[0], *secret))
    target.tool("secret", "import", "--state-dir", states[1], *secret, str(text))


def hold(lab: Lab, holder: Gateway) -> None:
    """Move the shared address to a gateway, as VRRP or its owner's script does."""
    for name in ("b", "c"):
        host = lab[name].host
        lose = f"ip addr del {SHARED}/32 dev {host.device} || true"
        host.ns.run("/bin/sh", "-c", lose)
    device = holder.host.device
    holder.host.ns.ip(f"addr add {SHARED}/32 dev {device}")
    lab.network.router.ns.ip(f"route replace {SHARED}/32 via {holder.host.address}")
