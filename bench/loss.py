#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What each way costs while no gateway crashes: probes, and tunnels torn down.

    bench/loss.py [TUNNELS [SECONDS [SETTLING]]]

For each way and each loss there is a lab with many idle tunnels, and all labs run at
the same time. The router drops packets at random, in both directions. Nobody crashes:
each tunnel that a peer gives up was healthy. A peer with charon's default timers needs
195 s from its last answer until it gives up: its count begins after that, at SETTLING.
Hours count only while a tunnel is up.
"""

import multiprocessing
import re
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.results import Row, events, save  # noqa: E402
from bench.ways import WAYS  # noqa: E402
from lab import ike  # noqa: E402
from lab.gateway import Gateway  # noqa: E402
from lab.scenario import Lab  # noqa: E402
from lab.wire import Sniffer  # noqa: E402

TUNNELS = 200
SECONDS = 210.0  # a whole number of the 30 s between probes
SETTLING = 200.0
STEP = 2.0
LOSSES = (0, 5, 10, 20)  # percent
GAVE_UP = "giving up after"
# One of these follows if it gave up a handshake or a delete, not a healthy tunnel.
OTHER = re.compile(
    "peer not responding, trying again|establishing IKE_SA failed|delete failed"
)


def torn_down(log: str) -> int:
    """Return how many established tunnels charon gave up, from its log."""
    return log.count(GAVE_UP) - len(OTHER.findall(log))


def watch(gateway: Gateway, seconds: float) -> float:
    """Return the hours in which its tunnels were up, of all of them together."""
    hours = 0.0
    begin = before = time.monotonic()
    while before - begin < seconds:
        time.sleep(min(STEP, begin + seconds - before))
        sas = gateway.command("stats")["ikesas"]
        now = time.monotonic()
        hours += (int(sas["total"]) - int(sas["half-open"])) * (now - before) / 3600
        before = now
    return hours


def play(
    name: str, loss: int, tunnels: int, seconds: float, settling: float
) -> Row:
    """Leave the tunnels of one lab alone for a time; return what happened."""
    way = WAYS[name]
    # A peer that gives up tries again until it succeeds.
    forever = {"keyingtries": 0}
    quiet = way.config.but(tunnels=tunnels, log={"default": 0}, ike_options=forever)
    peer = quiet.but(log={"default": 0, "ike": 1})
    with Lab(a=peer, b=quiet.but(dpd_delay="0s")) as lab:
        lab.up()
        if loss:
            lab.network.router.drop(f"numgen random mod 100 < {loss}")
        if way.long:
            time.sleep(settling)  # until the first of them may give up
        with Sniffer(lab.a.host, outgoing=True) as wire:
            since = len(lab.a.log())
            hours = watch(lab.a, seconds)
            requests = [
                (packet.message.spi_i, packet.message.message_id)
                for packet in wire.packets
                if packet.message.exchange == ike.INFORMATIONAL
                and not packet.message.is_response
            ]
        log = lab.a.log()[since:]
        lab.check()
    return {
        "way": name,
        "title": way.title,
        "loss": loss,
        "torn_down": events(torn_down(log), hours),
        "probes": len(set(requests)) / hours,
        "packets": len(requests) / hours,
    }


def submit(
    pool: ProcessPoolExecutor, tunnels: int, seconds: float, settling: float
) -> list["Future[Row]"]:
    """Start all labs."""
    return [
        pool.submit(play, name, loss, tunnels, seconds, settling)
        for name, way in WAYS.items()
        if not way.nudged
        for loss in LOSSES
    ]


def report(rows: list[Row], tunnels: int, seconds: float) -> None:
    save("loss", __doc__.splitlines()[0], rows, tunnels=tunnels, seconds=seconds)
    for row in rows:
        low, high = row["torn_down"]["interval"]
        print(
            f"{row['title']:<40} {row['loss']:3} % loss {row['probes']:8.1f} probes, "
            f"{row['torn_down']['rate']:7.2f} torn down an hour ({low:.2f} to {high:.2f})"
        )


def main() -> None:
    given = [float(word) for word in sys.argv[1:]]
    tunnels, seconds, settling = given + [TUNNELS, SECONDS, SETTLING][len(given) :]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(WAYS) * len(LOSSES), mp_context=context) as pool:
        labs = submit(pool, int(tunnels), seconds, settling)
        report([lab.result() for lab in labs], int(tunnels), seconds)


if __name__ == "__main__":
    main()
