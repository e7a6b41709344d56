# SPDX-License-Identifier: GPL-2.0-or-later
"""What a gateway loads and how it is configured: the one place that says so."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lab.certs import Identity
from lab.control import Section
from lab.net import Host

# kernel-libipsec stands before kernel-netlink: ESP is then done in user space,
# since many kernels of build machines have none. Without it the kernel does it.
USER_ESP = "kernel-libipsec"
PLUGINS = (
    "nonce openssl kdf pem pkcs1 pkcs8 x509 pubkey constraints revocation random "
    "kernel-libipsec kernel-netlink socket-default vici"
).split()

PROPOSAL = "aes128-sha256-x25519"
ESP_PROPOSAL = "aes128gcm16-x25519"
SECRET = "not a secret, only the lab's"

Settings = dict[str, Any]


@dataclass(frozen=True)
class Config:
    """How a gateway is set up; the defaults are those of the demo's tunnel."""

    auth: str = "psk"  # or "cert", or "chain": with an authority in between
    qcd: bool = True
    qcd_options: Settings = field(default_factory=dict)
    dpd_delay: str = "0s"
    dpd_action: str = "restart"
    close_action: str = "none"
    start_action: str = "none"
    children: int = 1  # of each connection
    # Connections with each peer, between the same two addresses: their children
    # are numbered on, and each has identities of its own.
    tunnels: int = 1
    same_ids: bool = False  # all of them have the same identities instead
    anywhere: bool = False  # takes its peers from any address
    ike_options: Section = field(default_factory=dict)
    child_options: Section = field(default_factory=dict)
    # what single connections have beside ike_options, by their names
    connection_options: dict[str, Section] = field(default_factory=dict)
    # vici commands before the connections: credentials, pools
    before: tuple[tuple[str, Section], ...] = ()
    plugins: tuple[str, ...] = ()  # of strongSwan, beside PLUGINS
    charon: Settings = field(default_factory=dict)
    log: dict[str, int] = field(default_factory=lambda: {"ike": 2})
    asan: bool = False
    tsan: bool = False
    leaks: bool = False  # count what is leaked at a clean end; with asan
    # Octets of a file system of its own for the state_dir, which goes with charon.
    state_room: int | None = None
    # The image that its state_dir comes from, as a container's; what it changes
    # there stands in folders of its own.
    state_image: Path | None = None
    machine_id: str | None = None  # its /etc/machine-id; None: this machine's
    nameserver: str | None = None  # all of its /etc/resolv.conf; None: the machine's
    hosts: str | None = None  # its /etc/hosts; None: this machine's
    updown: bool = False  # children have a script that writes down what it is told
    legacy: bool = False  # the daemon without systemd, which ipsec.conf goes with
    product_uuid: str | None = None  # of its board; None: this machine's, if any
    kernel_esp: bool = False  # the kernel has to be able to: see lab/kernel
    # Answer ESP of lost SAs, as is qcd's default: off here, since most scenarios
    # are about IKE and let traffic flow to see when it is back.
    esp: bool = False
    encap: bool = True  # ESP in UDP even where no NAT asks for it
    # Octets of room in charon's UDP sockets; None: the machine's default, about
    # 270 packets. Administrators of big gateways raise net.core.rmem_default,
    # which is the whole machine's and thus not for a lab to touch.
    socket_room: int | None = None

    def but(self, **changes: Any) -> "Config":
        """The same with some changes."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Places:
    """Where the files of one gateway are; they outlive its crashes."""

    folder: Path

    @property
    def strongswan_conf(self) -> Path:
        return self.folder / "strongswan.conf"

    @property
    def vici(self) -> Path:
        return self.folder / "vici"

    @property
    def log(self) -> Path:
        return self.folder / "charon.log"

    @property
    def output(self) -> Path:
        """What charon and the programs before it wrote on the terminal."""
        return self.folder / "output"

    @property
    def state(self) -> Path:
        """Our plugin's state_dir."""
        return self.folder / "state"

    @property
    def machine_id(self) -> Path:
        """What the gateway has for /etc/machine-id, if it has one of its own."""
        return self.folder / "machine-id"

    @property
    def resolv_conf(self) -> Path:
        """What the gateway has for /etc/resolv.conf, if it has one of its own."""
        return self.folder / "resolv.conf"

    @property
    def hosts(self) -> Path:
        """What the gateway has for /etc/hosts, if it has one of its own."""
        return self.folder / "hosts"

    @property
    def updown(self) -> Path:
        """The script of its children, if they have one."""
        return self.folder / "updown"

    @property
    def updown_log(self) -> Path:
        """What that script was told: a verb, a connection and a remote network."""
        return self.folder / "updown.log"

    @property
    def layer(self) -> Path:
        """What the gateway changed in the image of its state_dir."""
        return self.folder / "layer"

    @property
    def asan(self) -> Path:
        """AddressSanitizer's reports begin with this path."""
        return self.folder / "asan"

    @property
    def qcd_socket(self) -> Path:
        return self.folder / "qcd.ctl"

    @property
    def ready(self) -> Path:
        return self.folder / "ready"


def _render(settings: Settings, indent: int = 0) -> str:
    lines = []
    pad = "  " * indent
    for key, value in settings.items():
        if isinstance(value, dict):
            lines += [f"{pad}{key} {{", _render(value, indent + 1), f"{pad}}}"]
            continue
        if isinstance(value, bool):
            value = "yes" if value else "no"
        lines.append(f'{pad}{key} = "{value}"')
    return "\n".join(lines)


def _merged(base: Settings, extra: Settings) -> Settings:
    result = dict(base)
    for key, value in extra.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = _merged(result[key], value)
        else:
            result[key] = value
    return result


def strongswan_conf(config: Config, places: Places) -> str:
    """The text of strongswan.conf."""
    plugins: Settings = {"vici": {"socket": f"unix://{places.vici}"}}
    load = [name for name in PLUGINS if not (config.kernel_esp and name == USER_ESP)]
    load += config.plugins + (("updown",) if config.updown else ())
    if config.qcd:
        load.append("qcd")
        plugins["qcd"] = {
            "state_dir": places.state,
            "socket": f"unix://{places.qcd_socket}",
            "esp": config.esp,
            **config.qcd_options,
        }
    charon: Settings = {
        "load": " ".join(load),
        "plugins": plugins,
        "filelog": {
            "lab": {
                "path": places.log,
                "append": True,
                "flush_line": True,
                "time_format": "%s",
                "time_add_ms": True,
                "default": 1,
                **config.log,
            }
        },
    }
    journal = {"charon-systemd": {"journal": {"default": -1}}}
    return _render({"charon": _merged(charon, config.charon), **journal}) + "\n"


def connection(
    config: Config, me: Host, peer: Host, identity: Identity | None, tunnel: int = 0
) -> Section:
    """One connection of swanctl.conf, as load-conn takes it."""
    own = 0 if config.same_ids else tunnel
    local: Section = {"id": identity_name(me, own), "auth": "psk"}
    remote: Section = {"id": identity_name(peer, own), "auth": "psk"}
    first = tunnel * config.children
    if identity:
        local.update(auth="pubkey", certs=[identity.cert])
        remote.update(auth="pubkey", cacerts=[identity.ca_cert])
    section: Section = {
        "version": "2",
        "local_addrs": [me.address],
        "remote_addrs": [peer.address] + (["%any"] if config.anywhere else []),
        "encap": "yes" if config.encap else "no",
        # An address list after the handshake is a request that nobody asked for.
        "mobike": "no",
        "proposals": [PROPOSAL],
        "dpd_delay": config.dpd_delay,
        "local": local,
        "remote": remote,
        "children": {
            child_name(number): {
                "local_ts": [me.inside_net(number)],
                "remote_ts": [peer.inside_net(number)],
                "esp_proposals": [ESP_PROPOSAL],
                "dpd_action": config.dpd_action,
                "close_action": config.close_action,
                "start_action": config.start_action,
                **config.child_options,
            }
            for number in range(first, first + config.children)
        },
    }
    name = connection_name(peer.name, tunnel)
    own_options = config.connection_options.get(name, {})
    return _merged(_merged(section, config.ike_options), own_options)


def child_name(number: int = 0) -> str:
    """The name of a connection's child with that number."""
    return f"net{number}"


def connection_name(peer: str, tunnel: int = 0) -> str:
    """The name of the connection with that number to a peer."""
    return f"{peer}-{tunnel}" if tunnel else peer


def identity_name(host: Host, tunnel: int = 0) -> str:
    """The identity of a host in its connection with that number."""
    return f"{connection_name(host.name, tunnel)}.lab"


def shared_secret(me: Host, peer: Host, tunnel: int = 0) -> Section:
    """The pre-shared key of a connection, as load-shared takes it."""
    return {
        "id": f"{me.name}-{connection_name(peer.name, tunnel)}",
        "type": "IKE",
        "data": SECRET,
        "owners": [identity_name(me, tunnel), identity_name(peer, tunnel)],
    }
