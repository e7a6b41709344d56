# SPDX-License-Identifier: GPL-2.0-or-later
"""A gateway's metrics, served by qcd and scraped by a real Prometheus beside it."""

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.control import REPO
from lab.gateway import TOOL, Gateway
from lab.wait import wait_until

PROGRAM = "prometheus"
RULES = REPO / "doc" / "prometheus" / "qcd.rules.yml"
METRICS = "127.0.0.1:9814"
API = "127.0.0.1:9090"
TIMEOUT = 30.0

CONFIG = f"""\
global:
  scrape_interval: INTERVAL
  evaluation_interval: 1s
rule_files: ['{RULES}']
scrape_configs:
  - job_name: qcd
    static_configs:
      - targets: ['{METRICS}']
"""

Samples = dict[tuple[tuple[str, str], ...], float]


def get(gateway: Gateway, url: str) -> str:
    """Return what a URL gives on the gateway's machine."""
    with gateway.host.ns.entered(), urllib.request.urlopen(url, timeout=TIMEOUT) as got:
        return str(got.read().decode())


@contextmanager
def running(gateway: Gateway, argv: list[str], log: Path) -> Iterator[None]:
    """Run a program on the gateway's machine while in a `with`; it must end well."""
    with gateway.host.ns.entered(), log.open("wb") as output:
        process = subprocess.Popen(argv, stdout=output, stderr=output)
    try:
        yield
        assert process.poll() is None, f"{argv[0]} ended:\n{log.read_text()}"
        process.terminate()
        assert process.wait(TIMEOUT) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


@contextmanager
def metrics(gateway: Gateway) -> Iterator[Path]:
    """Serve the gateway's metrics while in a `with`; yield the log of the server."""
    log = gateway.places.folder / "metrics.log"
    socket = str(gateway.places.qcd_socket)
    argv = [str(TOOL), "metrics", "--socket", socket, "--listen", METRICS]
    with running(gateway, argv, log):
        wait_until("the metrics", lambda: "serving" in log.read_text(), TIMEOUT)
        yield log


class Prometheus:
    """A Prometheus that scrapes the gateway's metrics."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data of a response of the HTTP API, which must be a success."""
        url = f"http://{API}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        answer = json.loads(get(self._gateway, url))
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> Samples:
        """Return the samples by their labels, without the name."""
        return {
            tuple(sorted((k, v) for k, v in row["metric"].items() if k != "__name__")): (
                float(row["value"][1])
            )
            for row in self.ask("query", query=expression)["result"]
        }

    def value(self, expression: str) -> float | None:
        """Return the only sample; None if there is none."""
        samples = self.query(expression)
        assert len(samples) < 2, samples
        return next(iter(samples.values()), None)

    def wait_value(self, expression: str, value: float) -> None:
        """Wait until the only sample has that value."""
        seen: list[float | None] = []

        def check() -> bool:
            seen[:] = [self.value(expression)]
            return seen == [value]

        what = f"{expression} to be {value:g}"
        wait_until(what, check, TIMEOUT, lambda: f"it is {seen}", poll=0.1)


@contextmanager
def prometheus(gateway: Gateway, interval: str = "1s") -> Iterator[Prometheus]:
    """Run Debian's Prometheus on the gateway's machine while in a `with`.

    A scrape may take as long as the interval between two, and at most ten seconds.
    """
    assert shutil.which(PROGRAM), f"no {PROGRAM}: ./dev setup"
    folder = gateway.places.folder
    config = folder / "prometheus.yml"
    config.write_text(CONFIG.replace("INTERVAL", interval))
    argv = [PROGRAM, f"--config.file={config}", f"--web.listen-address={API}"]
    argv.append(f"--storage.tsdb.path={folder / 'prometheus'}")
    made = Prometheus(gateway)

    def ready() -> bool:
        try:
            return "Ready" in get(gateway, f"http://{API}/-/ready")
        except OSError:
            return False

    log = folder / "prometheus.log"
    with running(gateway, argv, log):
        wait_until("Prometheus", ready, TIMEOUT, log.read_text, poll=0.1)
        yield made
