# SPDX-License-Identifier: GPL-2.0-or-later
"""A gateway of another vendor: libreswan's pluto on host b of a lab.

It is in a separate root file system, named by QCD_LIBRESWAN_ROOT, since its package
conflicts with strongSwan's.
"""

import os
import re
import subprocess
from pathlib import Path

from lab.config import SECRET
from lab.scenario import Lab
from lab.wait import PATIENCE, LabTimeout, wait_until

PLUTO = "/usr/libexec/ipsec/pluto"
WHACK = "/usr/libexec/ipsec/whack"
ADDCONN = "/usr/libexec/ipsec/addconn"
NAME = "lab"
# Each poll starts a process, and an emulated machine is slow.
POLL = 0.2
# /run in pluto's mount namespace, with all of its files.
PLACE = "/run/lab"

# A separate root that no other process sees; it ends with pluto.
SCRIPT = f"""
cd "$1"
mount --bind . . && cd "$1"
mount -t proc proc proc && mount --rbind /dev dev
mount -t tmpfs tmpfs run && mount -t tmpfs tmpfs tmp
mkdir -p run/pluto .{PLACE}
mount --bind "$2" .{PLACE}
exec chroot . {PLUTO} --nofork --stderrlog --config {PLACE}/ipsec.conf \
    --secretsfile {PLACE}/ipsec.secrets --nssdir {PLACE}/nss
"""


_database: dict[str, bytes] = {}


def conn_name(child: int = 0) -> str:
    """Return the name of the connection for that child."""
    return f"{NAME}{child}" if child else NAME


class Libreswan:
    """pluto with a connection to gateway a of the lab for each of its children.

    If several have the same ends, pluto puts them into one IKE SA.
    """

    def __init__(
        self, lab: Lab, *, options: dict[str, str] | None = None, timeout: float = 30.0
    ) -> None:
        self.me, self.peer = lab.network["b"], lab.network["a"]
        self._identity = lab.b._identity
        self._encap = lab.a.config.encap
        self._children = lab.a.config.children
        self._options = options or {}
        self._root = os.environ["QCD_LIBRESWAN_ROOT"]
        self._timeout = timeout
        self._process: "subprocess.Popen[bytes] | None" = None
        self.folder = lab.folder / "libreswan"
        self.folder.mkdir()
        self.log_file = self.folder / "pluto.log"
        # Without these routes, the packets would not get as far as XFRM.
        self.me.ns.ip(
            *(
                f"route add {self.peer.inside_net(child)} via {self.me.gateway} "
                f"src {self.me.inside_of(child)}"
                for child in range(self._children)
            )
        )
        self._write()

    def _write(self) -> None:
        (self.folder / "ipsec.conf").write_text(self._conf())
        ids = f"@{self.me.name}.lab @{self.peer.name}.lab"
        (self.folder / "ipsec.secrets").write_text(f'{ids} : PSK "{SECRET}"\n')
        self._make_database()
        if self._identity:
            self._import()

    def _conf(self) -> str:
        lines = ["config setup", "    dnssec-enable=no"]
        for child in range(self._children):
            lines.append(f"conn {conn_name(child)}")
            settings = self._settings(child)
            lines += [f"    {key}={value}" for key, value in settings.items() if value]
        return "\n".join(lines) + "\n"

    def _settings(self, child: int) -> dict[str, str]:
        """Return the options of a connection; an empty option removes one."""
        cert = self._identity is not None
        return {
            "left": self.me.address,
            "leftid": f"@{self.me.name}.lab",
            "leftsubnet": self.me.inside_net(child),
            "leftupdown": "%disabled",
            "right": self.peer.address,
            "rightid": f"@{self.peer.name}.lab",
            "rightsubnet": self.peer.inside_net(child),
            "authby": "ecdsa-sha2_256" if cert else "secret",
            "ikev2": "insist",
            "ike": "aes128-sha2_256-dh31",
            "esp": "aes_gcm128-null",
            "encapsulation": "yes" if self._encap else "no",
            "rekey": "yes",
            "auto": "ignore",
            **({"leftcert": "b", "leftsendcert": "always"} if cert else {}),
            **self._options,
        }

    def _chroot(self, *argv: str) -> str:
        """Run a program in libreswan's root; "NSS" stands for its database."""
        script = (
            f'cd "$1"; mount --bind . . && cd "$1"; mount -t tmpfs tmpfs run; '
            f"mount --rbind /dev dev; mkdir -p .{PLACE}; "
            f'mount --bind "$2" .{PLACE}; shift 2; exec chroot . "$@"'
        )
        command = [item.replace("NSS", f"{PLACE}/nss") for item in argv]
        head = ["unshare", "--mount", "sh", "-c", script, "sh"]
        return _run(*head, self._root, str(self.folder), *command)

    def _import(self) -> None:
        """Import its key and certificate, and the authority's, into its database."""
        assert self._identity
        for name, data in (
            ("key.pem", self._identity.key),
            ("cert.pem", self._identity.cert),
            ("ca.pem", self._identity.ca_cert),
            *((f"{n}.pem", pem) for n, pem in enumerate(self._identity.between)),
        ):
            (self.folder / name).write_bytes(data)
        path = f"{PLACE}/"
        self._chroot(
            *("openssl", "pkcs12", "-export", "-name", "b", "-passout", "pass:lab"),
            *("-inkey", f"{path}key.pem", "-in", f"{path}cert.pem"),
            *("-iter", "1", "-out", f"{path}b.p12"),
        )
        self._chroot("pk12util", "-i", f"{path}b.p12", "-d", "sql:NSS", "-W", "lab")
        batch = [f"-A -n ca -t CT,, -i {path}ca.pem"]
        for number in range(len(self._identity.between)):
            batch.append(f"-A -n between{number} -t ,, -i {path}{number}.pem")
        (self.folder / "batch").write_text("\n".join(batch) + "\n")
        self._chroot("certutil", "-B", "-d", "sql:NSS", "-i", f"{path}batch")

    def _make_database(self) -> None:
        """Make an empty database; the first one is kept, since NSS needs seconds."""
        folder = self.folder / "nss"
        folder.mkdir()
        if not _database:
            self._chroot("certutil", "-N", "--empty-password", "-d", "sql:NSS")
            _database.update({p.name: p.read_bytes() for p in folder.iterdir()})
        for name, data in _database.items():
            (folder / name).write_bytes(data)

    # --- its life -------------------------------------------------------

    def start(self) -> None:
        """Start it; return when it has loaded its connection."""
        mark = self.mark()
        argv = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount"]
        argv += ["sh", "-ec", SCRIPT, "pluto", self._root, str(self.folder)]
        with self.me.ns.entered(), self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.wait_log("seccomp security|listening for IKE messages", since=mark)
        names = [conn_name(child) for child in range(self._children)]
        self._inside(ADDCONN, "--config", f"{PLACE}/ipsec.conf", *names)
        self._inside(WHACK, "--listen")

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """Crash it."""
        assert self._process
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        if self.alive:
            self.kill()

    def _inside(self, *argv: str, check: bool = True) -> str:
        """Run a program in pluto's namespaces."""
        assert self._process
        head = ["nsenter", "--target", str(self._process.pid), "--all", "--root"]
        try:
            return _run(*head, "--wd=/", *argv, check=check, timeout=self._timeout * PATIENCE)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            raise AssertionError(f"libreswan: {error}\n{self.tail()}") from None

    def whack(self, *arguments: str, check: bool = True) -> str:
        return self._inside(WHACK, *arguments, check=check)

    # --- what it is made to do ------------------------------------------

    def initiate(self, child: int = 0) -> None:
        self.whack("--initiate", "--name", conn_name(child))

    def rekey_ike(self) -> None:
        """Rekey the IKE SA. If connections share it, the newest of them owns it."""
        shown = self.whack("--showstates", check=False)
        owner = re.search(r'#\d+: "(\w+)".*ESTABLISHED_IKE_SA', shown)
        assert owner, f"{shown}\n{self.tail()}"
        self.whack("--rekey-ike", "--name", owner[1])

    def rekey_child(self, child: int = 0) -> None:
        self.whack("--rekey-ipsec", "--name", conn_name(child))

    def terminate(self) -> None:
        # The first one last: the IKE SA that it established ends with it.
        for child in reversed(range(self._children)):
            self.whack("--terminate", "--name", conn_name(child))

    def liveness(self) -> None:
        """Ask the peer now whether it is alive; wait for the response or the end."""
        ike, _ = self.states()
        self.whack("--impair", f"initiate-v2-liveness:{ike[-1]}", check=False)

    # --- what it says ---------------------------------------------------

    def states(self) -> tuple[list[int], list[int]]:
        """Return the numbers of its established IKE SAs and of its children."""
        shown = self.whack("--showstates", check=False)
        found: tuple[list[int], list[int]] = ([], [])
        for number, state in re.findall(r"#(\d+): .*?STATE_(\S+)", shown):
            if "ESTABLISHED_IKE_SA" in state:
                found[0].append(int(number))
            elif "ESTABLISHED_CHILD_SA" in state:
                found[1].append(int(number))
        return found

    def wait_states(self, ike: int, children: int, timeout: float = 20.0) -> None:
        """Wait until it has exactly these numbers of established SAs."""
        wait_until(
            f"libreswan to have {ike} IKE SAs and {children} children",
            lambda: tuple(map(len, self.states())) == (ike, children),
            timeout,
            lambda: self.whack("--showstates", check=False) + self.tail(),
            POLL,
        )

    def log(self) -> str:
        if not self.log_file.exists():
            return ""
        return self.log_file.read_text(errors="replace")

    def mark(self) -> int:
        return len(self.log())

    def wait_log(self, pattern: str, since: int = 0, timeout: float = 30.0) -> None:
        def found() -> bool:
            if not self.alive:
                raise LabTimeout(f"libreswan has ended\n{self.tail()}")
            return bool(re.search(pattern, self.log()[since:]))

        wait_until(f"{pattern!r} in libreswan's log", found, timeout, self.tail, 0.05)

    def tail(self, lines: int = 60) -> str:
        shown = self.log().splitlines()[-lines:]
        return "\n".join(["--- libreswan's log:", *shown])


def _run(*argv: str, check: bool = True, timeout: float = 240.0) -> str:
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, timeout=timeout
    )
    if check and done.returncode != 0:
        raise RuntimeError(
            f"{' '.join(argv)} failed ({done.returncode}):\n{done.stdout}{done.stderr}"
        )
    return done.stdout + done.stderr
