# SPDX-License-Identifier: GPL-2.0-or-later
"""A gateway as before swanctl: ipsec.conf, and starter, which monitors charon."""

import os
import signal
import subprocess
from pathlib import Path

from lab.config import (
    ESP_PROPOSAL,
    PROPOSAL,
    SECRET,
    Config,
    child_name,
    strongswan_conf,
)
from lab.control import Control
from lab.gateway import Gateway, Sa
from lab.process import LEGACY, STOCK, mounts, vici_answers
from lab.wait import wait_until

IPSEC = LEGACY.parents[1] / "sbin" / "ipsec"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
RESTART = 5  # seconds until starter restarts charon


def _children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Starter:
    """Runs a gateway's charon in place of the gateway itself; use it in a `with`."""

    def __init__(self, gateway: Gateway, shared: Path) -> None:
        self._gateway = gateway
        self._shared = shared

    def _write(self) -> Config:
        """Write its files, and return the configuration that needs them."""
        me, peer = self._gateway.host, self._gateway.peers[0]
        folder = self._gateway.places.folder
        (folder / "ipsec.secrets").write_text(
            f'{me.name}.lab {peer.name}.lab : PSK "{SECRET}"\n'
        )
        (folder / "ipsec.conf").write_text(
            f"conn {child_name()}\n"
            "  keyexchange=ikev2\n  authby=psk\n  mobike=no\n  auto=add\n"
            f"  forceencaps=yes\n  ike={PROPOSAL}!\n  esp={ESP_PROPOSAL}!\n"
            f"  left={me.address}\n  leftid={me.name}.lab\n"
            f"  leftsubnet={me.inside_net(0)}\n"
            f"  right={peer.address}\n  rightid={peer.name}.lab\n"
            f"  rightsubnet={peer.inside_net(0)}\n"
        )
        config = self._gateway.config
        stroke = {"stroke": {"secrets_file": folder / "ipsec.secrets"}}
        config = config.but(legacy=True, plugins=("stroke",), charon={"plugins": stroke})
        text = strongswan_conf(config, self._gateway.places)
        self._gateway.places.strongswan_conf.write_text(text)
        return config

    def __enter__(self) -> "Starter":
        places = self._gateway.places
        config = self._write()
        script = (
            f"{mounts(config, self._shared)} && "
            f'exec {STOCK}/starter --daemon charon --nofork --conf "$1"'
        )
        # In a separate PID namespace, all processes end with it.
        argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        argv += ["sh", "-c", script, "starter", str(places.folder / "ipsec.conf")]
        with self._gateway.host.ns.entered(), places.output.open("ab") as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**ENVIRONMENT, "STRONGSWAN_CONF": str(places.strongswan_conf)},
            )
        self.wait_ready()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    @property
    def _pid(self) -> int:
        """Return the process ID of starter."""
        return _children(self._process.pid)[0]

    @property
    def charon(self) -> int | None:
        """Return the process ID of charon, None if there is none."""
        found = _children(self._pid)
        return found[0] if found else None

    def wait_ready(self) -> None:
        """Return when charon responds and has loaded its connection."""
        places = self._gateway.places
        wait_until(
            "starter to start charon",
            lambda: vici_answers(places) and self._loaded(),
            RESTART + 10.0,
            self.tail,
        )

    def _loaded(self) -> bool:
        control = Control(self._gateway.places.vici)
        try:
            return bool(control.stream("list-conns", "list-conn", {}))
        finally:
            control.close()

    def tail(self) -> str:
        return self._gateway.tail()

    def sas(self) -> list[Sa]:
        control = Control(self._gateway.places.vici)
        try:
            return [Sa.parse(item) for item in control.sas()]
        finally:
            control.close()

    def crash(self) -> None:
        """Kill charon, and wait until starter has restarted it."""
        old = self.charon
        assert old is not None, f"no charon\n{self.tail()}"
        os.kill(old, signal.SIGKILL)
        wait_until(
            "another charon",
            lambda: self.charon not in (None, old),
            RESTART + 5.0,
            self.tail,
        )
        self.wait_ready()

    def stop(self) -> int:
        """Do what `ipsec stop` does; return starter's status."""
        argv = ["nsenter", "--target", str(self._pid), "--mount", "--pid", "--root"]
        # starter is the first process of its namespace: the command ends with it
        subprocess.run([*argv, str(IPSEC), "stop"], check=False, env=ENVIRONMENT)
        return self._process.wait(15)
