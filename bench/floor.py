#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A recovery by IKE against its floor: a round trip and a cold handshake.

    bench/floor.py [ROUNDS]

Each round has a cold handshake, from IKE_SA_INIT to the first answer through the
tunnel, then a crash, from the peer's request on the dead SA to that answer. Both are
seen at the peer, in the same lab, over paths of several lengths.
"""

import re
import statistics
import sys
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.results import Row, paired, save, spread  # noqa: E402
from bench.ways import WAYS  # noqa: E402
from lab.gateway import Sa  # noqa: E402
from lab.ike import IKE_SA_INIT, Message  # noqa: E402
from lab.relay import Relay, Way  # noqa: E402
from lab.scenario import Lab  # noqa: E402
from lab.traffic import Probe  # noqa: E402
from lab.wire import Sniffer  # noqa: E402

ROUNDS = 25
ROUND_TRIPS = (0.0, 0.020, 0.100)
INTERVAL = 0.001
PINGS = 5
GOAL = 1.3
# charon's default log: the floor begins with a message, and what the lab logs before
# it would only count in a recovery.
CONFIG = WAYS["qcd-ike"].config.but(log={})
TIME = re.compile(r"time=([0-9.]+) ms")


class Course:
    """A peer and its gateway, so far from each other."""

    def __init__(self, stack: ExitStack, round_trip: float) -> None:
        self.lab = stack.enter_context(Lab(CONFIG))
        if round_trip:
            ends = (self.lab.a.host, self.lab.b.host)
            way = Way(delay=round_trip / 2)
            stack.enter_context(Relay(self.lab.network.router, *ends, way))
        self.sa = self.lab.up()

    def round_trip(self) -> float:
        """Return the time of a ping outside the tunnel."""
        ends = (self.lab.a.host, self.lab.b.host)
        argv = ["ping", "-n", "-c", str(PINGS), "-i", "0.002", ends[1].address]
        times = TIME.findall(ends[0].ns.run(*argv))
        return statistics.median(float(value) for value in times) / 1000

    def _from(self, wire: Sniffer, probe: Probe, begin: float, spis: Sa | None) -> float:
        """Return the time from the first message of an SA, or of a new one, until an
        answer comes through the tunnel.
        """

        def first(message: Message) -> bool:
            if spis is None:
                return message.exchange == IKE_SA_INIT
            return (message.spi_i, message.spi_r) == spis.spis

        sent = wire.wait(
            "the first message", lambda p: p.time >= begin and first(p.message)
        )
        return probe.wait_answer(sent.time) - sent.time

    def cold(self, wire: Sniffer) -> float:
        """Measure a handshake without anything before it."""
        self.lab.a.terminate(self.sa)
        with Probe(self.lab.a.host, self.lab.b.host, INTERVAL) as probe:
            begin = time.time()
            self.lab.a.begin()
            spent = self._from(wire, probe, begin, None)
        self.sa = self.lab.a.wait_established(other_than=(self.sa,))
        return spent

    def recovery(self, wire: Sniffer) -> float:
        """Measure a recovery from the peer's first request after the restart."""
        with Probe(self.lab.a.host, self.lab.b.host, INTERVAL) as probe:
            probe.wait_answer()
            self.lab.b.restart()
            begin = time.time()
            self.lab.a.nudge(self.sa)
            spent = self._from(wire, probe, begin, self.sa)
        self.sa = self.lab.a.wait_established(other_than=(self.sa,))
        return spent

    def rounds(self, count: int) -> Row:
        trips, floors, recoveries = [], [], []
        with Sniffer(self.lab.a.host, outgoing=True) as wire:
            for _ in range(count):
                trips.append(self.round_trip())
                floors.append(trips[-1] + self.cold(wire))
                recoveries.append(self.recovery(wire))
        return {
            "round_trip_s": spread(trips),
            "floor_s": spread(floors),
            "took_s": spread(recoveries),
            **paired(list(zip(floors, recoveries))),
            "at_most": GOAL,
        }


def measure(round_trip: float, count: int) -> Row:
    with ExitStack() as stack:
        path = Course(stack, round_trip)
        row = path.rounds(count)
        path.lab.check()
    return {"delay_s": round_trip, **row}


def main() -> None:
    count = int(sys.argv[1]) if sys.argv[1:] else ROUNDS
    rows = [measure(round_trip, count) for round_trip in ROUND_TRIPS]
    save("floor", __doc__.splitlines()[0], rows)
    for row in rows:
        floor, took = (row[key]["median"] * 1000 for key in ("floor_s", "took_s"))
        low, high = row["interval"]
        print(
            f"round trip {row['round_trip_s']['median'] * 1000:6.1f} ms: floor "
            f"{floor:6.1f} ms, recovery {took:6.1f} ms, {row['ratio']:.2f} x, "
            f"95 % of it between {low:.2f} and {high:.2f}"
        )


if __name__ == "__main__":
    main()
