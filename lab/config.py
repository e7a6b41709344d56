# SPDX-License-Identifier: GPL-2.0-or-later
"""What a gateway loads and how it is configured, in one place."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lab.certs import Identity
from lab.control import Section
from lab.net import Host

# kernel-libipsec comes before kernel-netlink: ESP is then done in user space, since the
# kernels of many build machines have none. Without it, the kernel does ESP.
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

    auth: str = "psk"  # or "cert", or "chain": with an intermediate authority
    qcd: bool = True
    qcd_options: Settings = field(default_factory=dict)
    dpd_delay: str = "0s"
    dpd_action: str = "restart"
    close_action: str = "none"
    start_action: str = "none"
    children: int = 1  # of each connection
    # Number of connections to each peer, all between the same two addresses. Their
    # children are numbered consecutively, and each has its own identities.
    tunnels: int = 1
    same_ids: bool = False  # all connections have the same identities
    anywhere: bool = False  # accepts peers from any address
    ike_options: Section = field(default_factory=dict)
    child_options: Section = field(default_factory=dict)
    # additional options of single connections beside ike_options, by name
    connection_options: dict[str, Section] = field(default_factory=dict)
    # vici commands to run before loading the connections: credentials, pools
    before: tuple[tuple[str, Section], ...] = ()
    plugins: tuple[str, ...] = ()  # additional plugins of strongSwan, beside PLUGINS
    charon: Settings = field(default_factory=dict)
    log: dict[str, int] = field(default_factory=lambda: {"ike": 2})
    journal: bool = False  # log to journald's socket in the gateway's /run as well
    asan: bool = False
    tsan: bool = False
    leaks: bool = False  # count leaks at a clean end; with asan
    faults: bool = False  # calls of the plugin can be made to fail: see lab/faults.py
    # Threads keep no freed memory of their own, which mallinfo counts as used.
    exact_heap: bool = False
    # Size in octets of a separate file system for the state_dir, unmounted with charon.
    state_room: int | None = None
    # File with a file system for the state_dir, which is mounted while charon runs.
    state_disk: Path | None = None
    # Image that its state_dir is based on, like a container's. Changes are stored in
    # separate folders.
    state_image: Path | None = None
    machine_id: str | None = None  # its /etc/machine-id; None: that of this machine
    nameserver: str | None = None  # contents of /etc/resolv.conf; None: this machine's
    hosts: str | None = None  # its /etc/hosts; None: that of this machine
    updown: bool = False  # children have a script that records how it is called
    legacy: bool = False  # the daemon without systemd, which belongs to ipsec.conf
    product_uuid: str | None = None  # UUID of its board; None: this machine's, if any
    kernel_esp: bool = False  # the kernel must support it: see lab/kernel
    # Reply to ESP of lost SAs, which is qcd's default. It is off here: most scenarios
    # are about IKE, and use traffic only to see when the tunnel works again.
    esp: bool = False
    encap: bool = True  # ESP in UDP even if there is no NAT
    # Octets of buffer in charon's UDP sockets; None: the machine's default, about 270
    # packets. Administrators of big gateways raise net.core.rmem_default, which affects
    # the whole machine, so a lab must not change it.
    socket_room: int | None = None

    def but(self, **changes: Any) -> "Config":
        """Return a copy with some changes."""
        return replace(self, **changes)


MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Places:
    """Paths of the files of one gateway; they outlive its crashes."""

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
        """Return the path of the output of charon and the programs that start it."""
        return self.folder / "output"

    @property
    def state(self) -> Path:
        """Return the path of the plugin's state_dir."""
        return self.folder / "state"

    @property
    def machine_id(self) -> Path:
        """Return the path of the gateway's /etc/machine-id, if it has its own."""
        return self.folder / "machine-id"

    @property
    def resolv_conf(self) -> Path:
        """Return the path of the gateway's /etc/resolv.conf, if it has its own."""
        return self.folder / "resolv.conf"

    @property
    def hosts(self) -> Path:
        """Return the path of the gateway's /etc/hosts, if it has its own."""
        return self.folder / "hosts"

    @property
    def updown(self) -> Path:
        """Return the path of the updown script of its children, if they have one."""
        return self.folder / "updown"

    @property
    def updown_log(self) -> Path:
        """Return the path of that script's records: verb, child and remote network."""
        return self.folder / "updown.log"

    @property
    def layer(self) -> Path:
        """Return the path of the gateway's changes to the image of its state_dir."""
        return self.folder / "layer"

    @property
    def asan(self) -> Path:
        """Return the prefix of the paths of AddressSanitizer's reports."""
        return self.folder / "asan"

    @property
    def memory(self) -> Path:
        """Return a folder in memory (tmpfs), as /run is."""
        return MEMORY / self.folder.parent.name

    @property
    def qcd_socket(self) -> Path:
        return self.memory / f"{self.folder.name}.ctl"

    @property
    def faults(self) -> Path:
        """Return the path of the page that says which calls fail."""
        return self.folder / "faults"

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
    """Return the text of strongswan.conf."""
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
    level = 1 if config.journal else -1
    journal = {"charon-systemd": {"journal": {"default": level}}}
    return _render({"charon": _merged(charon, config.charon), **journal}) + "\n"


def connection(
    config: Config, me: Host, peer: Host, identity: Identity | None, tunnel: int = 0
) -> Section:
    """Return a connection of swanctl.conf, as load-conn accepts it."""
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
        # An address list after the handshake would be an additional request.
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
    """Return the name of a connection's child with that number."""
    return f"net{number}"


def connection_name(peer: str, tunnel: int = 0) -> str:
    """Return the name of the connection with that number to a peer."""
    return f"{peer}-{tunnel}" if tunnel else peer


def identity_name(host: Host, tunnel: int = 0) -> str:
    """Return the identity of a host in its connection with that number."""
    return f"{connection_name(host.name, tunnel)}.lab"


def shared_secret(me: Host, peer: Host, tunnel: int = 0) -> Section:
    """Return the pre-shared key of a connection, as load-shared accepts it."""
    return {
        "id": f"{me.name}-{connection_name(peer.name, tunnel)}",
        "type": "IKE",
        "data": SECRET,
        "owners": [identity_name(me, tunnel), identity_name(peer, tunnel)],
    }
