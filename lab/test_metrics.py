# SPDX-License-Identifier: GPL-2.0-or-later
"""The metrics of a real gateway, scraped by a real Prometheus with our alert rules."""

import json
import os
import signal
import time
from collections.abc import Callable

import pytest

from lab.admin import counters, rows
from lab.config import Config
from lab.control import REPO
from lab.crash import crash
from lab.prometheus import RULES, Prometheus, metrics, prometheus
from lab.scenario import Lab
from lab.traffic import Probe
from lab.wait import wait_until

NewLab = Callable[..., Lab]
DURATION = "ipsec_qcd_recovery_duration_seconds"


def printed(lab: Lab, name: str) -> dict[str, float]:
    """Return the samples that `qcd metrics` prints."""
    gateway = lab[name]
    text = gateway.tool("metrics", "--socket", str(gateway.places.qcd_socket))
    assert text.endswith("\n# EOF\n")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (row.rsplit(" ", 1) for row in lines)}


def event(name: str) -> str:
    return f'ipsec_qcd_events_total{{event="{name}"}}'


def check_recovery(scraper: Prometheus, longest: float) -> None:
    """Prometheus has the recovery: its counters, its time and its connection."""
    scraper.wait_value(event("recovered"), 1)
    assert scraper.value(event("verified")) == 1
    assert scraper.value(event("mismatched")) == 0
    scraper.wait_value(f"{DURATION}_count", 1)
    took = scraper.value(f"{DURATION}_sum")
    assert took is not None and 0 < took < longest
    buckets = scraper.query(f"{DURATION}_bucket")
    for labels, count in buckets.items():
        assert count == (took <= float(dict(labels)["le"])), buckets
    assert len(buckets) == 14
    for name in ("up", "ike_sas", "tokens_sent", "tokens_held"):
        scraper.wait_value(f'ipsec_qcd_connection_{name}{{name="b"}}', 1)


def check_rules(scraper: Prometheus) -> None:
    """Prometheus has loaded all our rules, and evaluates them."""
    (group,) = scraper.ask("rules")["groups"]
    assert len(group["rules"]) == RULES.read_text().count("- alert:")
    wait_until(
        "the evaluation of all rules",
        lambda: {rule["health"] for rule in scraper.ask("rules")["groups"][0]["rules"]}
        == {"ok"},
    )


def check_dashboard(scraper: Prometheus) -> None:
    """Every query of the dashboard gives a sample, for each panel that has one."""
    dashboard = json.loads((REPO / "doc/grafana/qcd.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            expression = target["expr"].replace("$instance", ".*")
            for name in ("$__rate_interval", "$__range"):
                expression = expression.replace(name, "1m")
            assert scraper.query(expression), expression


def test_recovery_is_scraped(new_lab: NewLab) -> None:
    lab = new_lab(Config())
    lab.up()
    with metrics(lab.a), prometheus(lab.a) as scraper:
        scraper.wait_value("up", 1)
        scraper.wait_value('ipsec_qcd_connection_tokens_held{name="b"}', 1)
        before = time.time()
        with Probe(lab.a.host, lab.b.host) as pings:
            pings.wait_answer()
            crash(lab.b, lab.a, pings)
        check_recovery(scraper, time.time() - before)
        last = scraper.value("ipsec_qcd_connection_last_recovery_timestamp_seconds")
        assert last is not None and int(before) <= last <= time.time()
        check_rules(scraper)
        check_dashboard(scraper)


def test_dead_gateway_is_scraped(new_lab: NewLab) -> None:
    """The scrape succeeds and says so, the alert is pending, and the log says why."""
    lab = new_lab(Config())
    lab.a.start()
    with metrics(lab.a) as log, prometheus(lab.a) as scraper:
        scraper.wait_value("ipsec_qcd_up", 1)
        lab.a.kill()
        scraper.wait_value("ipsec_qcd_up", 0)
        assert scraper.value("up") == 1
        assert scraper.query("ipsec_qcd_run") == {}
        pending = 'ALERTS{alertname="QcdGatewayDoesNotAnswer",alertstate="pending"}'
        scraper.wait_value(pending, 1)
        lab.a.start()
        scraper.wait_value("ipsec_qcd_run", 2)
        said = log.read_text().splitlines()
    assert [line.split(" serves ")[0] for line in said] == [
        "qcd: serving http://127.0.0.1:9814/metrics",
        "qcd: no gateway",
        "qcd: the gateway answers again",
    ]


def test_hung_gateway_is_scraped(new_lab: NewLab) -> None:
    """charon is stopped, so that its socket accepts and never answers."""
    lab = new_lab(Config())
    lab.a.start()
    with metrics(lab.a), prometheus(lab.a, interval="10s") as scraper:
        scraper.wait_value("ipsec_qcd_up", 1)
        os.kill(lab.a.pid, signal.SIGSTOP)
        try:
            scraper.wait_value("ipsec_qcd_up", 0)
            assert scraper.value("up") == 1, "the scrape was in time"
        finally:
            os.kill(lab.a.pid, signal.SIGCONT)
        scraper.wait_value("ipsec_qcd_up", 1)


def test_both_sides_agree(new_lab: NewLab) -> None:
    """What is printed is what the plugin says, on both sides of a crash."""
    lab = new_lab(Config())
    lab.up()
    with Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer()
        crash(lab.b, lab.a, pings)
    wait_until("the recovery", lambda: counters(lab.a)["recovered"] == 1)
    a, b = printed(lab, "a"), printed(lab, "b")
    assert (a[event("verified")], a[f"{DURATION}_count"]) == (1, 1)
    assert (b[event("told")], b[f"{DURATION}_count"]) == (1, 0)
    assert b["ipsec_qcd_run"] == 2
    made_at = counters(lab.b)["newest_made_at"]
    assert b["ipsec_qcd_newest_secret_timestamp_seconds"] == made_at
    times = rows(lab.a, "recovery_times")[0]
    assert a[f"{DURATION}_sum"] == pytest.approx(times["sum_ms"] / 1000)


def test_times_of_two_recoveries(new_lab: NewLab) -> None:
    """The second time begins with the second proof, though the first is just over."""
    lab = new_lab(Config())
    lab.up()
    down = 3.0
    with Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer()
        crash(lab.b, lab.a, pings)
        crash(lab.b, lab.a, pings, down=down)
    wait_until("both recoveries", lambda: counters(lab.a)["recovered"] == 2)
    times = rows(lab.a, "recovery_times")[0]
    assert times["count"] == 2
    assert times["sum_ms"] < down * 1000
