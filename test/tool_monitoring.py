#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tool_monitoring.py: what others do with the metrics: Prometheus' own checks,
the alert rules, the dashboard, node exporter, and the systemd unit."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import unittest
import urllib.request

import tool_box
from tool_box import Case, EVERYTHING, Gateway, lines, main, run

try:
    from prometheus_client.openmetrics import parser
except ImportError:
    parser = None

HOSTILE = ['a"b', "a\\b", "a\nb", 'x"} 1\n# EOF\n', "\x1b[2J\x7f\x80", "zürich",
           "{name=\"\"}", "", "\U0001f600", 256 * "n"]
NODE_EXPORTER = "prometheus-node-exporter"


def needs(program):
    return unittest.skipIf(shutil.which(program) is None, f"needs {program}")


def hostile():
    """An answer with all that is told, and with names that need care."""
    named = [{"type": "connection", "name": name} for name in HOSTILE]
    return lines(*EVERYTHING, *named)


def samples(text):
    """The names of the samples in OpenMetrics text."""
    return set(re.findall(r"^(ipsec_qcd_\w+)[ {]", text, re.MULTILINE))


def document(*names):
    return os.path.join(tool_box.FOLDER, "..", "doc", *names)


def expressions():
    """The queries of the dashboard, with values for Grafana's variables."""
    with open(document("grafana", "qcd.json"), encoding="utf-8") as file:
        dashboard = json.load(file)
    found = [target["expr"] for panel in dashboard["panels"]
             for target in panel["targets"]]
    return [expr.replace("$__rate_interval", "5m").replace("$__range", "1h")
            .replace("$instance", ".*") for expr in found]


class Text(Case):
    def text(self):
        result, _ = self.ask(hostile(), "metrics")
        self.assertEqual(result.code, 0, result.err)
        return result.out

    @unittest.skipIf(parser is None, "needs python3-prometheus-client")
    def test_strict_parser(self):
        families = {family.name: family for family in
                    parser.text_string_to_metric_families(self.text())}
        self.assertEqual(families["ipsec_qcd_events"].type, "counter")
        times = families["ipsec_qcd_recovery_duration_seconds"]
        self.assertEqual((times.type, times.unit), ("histogram", "seconds"))
        self.assertEqual(len(times.samples), 7)
        names = {sample.labels["name"]
                 for sample in families["ipsec_qcd_connection_up"].samples}
        self.assertLessEqual(
            set(HOSTILE) - {"\x1b[2J\x7f\x80"} | {r"\x1b[2J\x7f\xc2\x80"},
            names)

    @needs("promtool")
    def test_promtool(self):
        """It reads the older text format, in which the help of a counter is
        that of its sample: that is all it misses."""
        text = self.text()
        result = subprocess.run(["promtool", "check", "metrics"], input=text,
                                capture_output=True, text=True, check=False)
        totals = sorted(name for name in samples(text)
                        if name.endswith("_total"))
        self.assertEqual(sorted(result.stderr.splitlines()),
                         [f"{name} no help text" for name in totals])


class Named(Case):
    """Names of metrics and events that a document uses."""

    def check_names(self, text):
        result, _ = self.ask(hostile(), "metrics")
        used = set(re.findall(r"\bipsec_qcd_\w+", text))
        self.assertGreater(len(used), 8)
        self.assertEqual(used - samples(result.out), set())
        events = set(re.findall(r'event="(\w+)"', result.out))
        for pattern in re.findall(r'event!?=~?"([^"]+)"', text):
            self.assertEqual(set(pattern.split("|")) - events, set())


class Rules(Named):
    @needs("promtool")
    def test_rules(self):
        for words in (["check", "rules", document("prometheus",
                                                  "qcd.rules.yml")],
                      ["test", "rules", document("prometheus",
                                                 "qcd.rules.test.yml")]):
            result = subprocess.run(["promtool", *words], capture_output=True,
                                    text=True, check=False)
            self.assertEqual(result.returncode, 0,
                             result.stdout + result.stderr)

    def test_names_of_the_rules(self):
        with open(document("prometheus", "qcd.rules.yml"),
                  encoding="utf-8") as file:
            self.check_names(file.read())

    def test_names_of_the_tests(self):
        with open(document("prometheus", "qcd.rules.test.yml"),
                  encoding="utf-8") as file:
            self.check_names(file.read())

    def test_every_alert_is_tested(self):
        with open(document("prometheus", "qcd.rules.yml"),
                  encoding="utf-8") as file:
            alerts = re.findall(r"- alert: (\w+)", file.read())
        with open(document("prometheus", "qcd.rules.test.yml"),
                  encoding="utf-8") as file:
            tested = file.read()
        for alert in alerts:
            self.assertIn(f'alertname="{alert}"', tested)


class Dashboard(Named):
    def test_names(self):
        self.check_names("\n".join(expressions()))

    def test_panels(self):
        with open(document("grafana", "qcd.json"), encoding="utf-8") as file:
            dashboard = json.load(file)
        ids = [panel["id"] for panel in dashboard["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        cells = [(x, y) for panel in dashboard["panels"]
                 for place in [panel["gridPos"]]
                 for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])]
        self.assertEqual(len(cells), len(set(cells)), "panels overlap")
        self.assertLess(max(x for x, _ in cells), 24)
        for panel in dashboard["panels"]:
            self.assertTrue(panel["title"] and panel["description"])
            refs = [target["refId"] for target in panel["targets"]]
            self.assertEqual(len(refs), len(set(refs)))

    @needs("promtool")
    def test_queries(self):
        """promtool reads each query, as a rule."""
        rules = [{"record": f"q{i}", "expr": expr}
                 for i, expr in enumerate(expressions())]
        path = self.write("rules.yml", json.dumps(
            {"groups": [{"name": "dashboard", "rules": rules}]}))
        result = subprocess.run(["promtool", "check", "rules", path],
                                capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn(f"{len(rules)} rules found", result.stdout)


class Textfile(Case):
    """The recipe of the manual, and node exporter's textfile collector."""

    def cron(self, socket_path):
        path = os.path.join(tool_box.FOLDER, "man", "qcd-metrics.8")
        with open(path, encoding="ascii") as file:
            command = re.search(r"^\* \* \* \* \* root (.*)$", file.read(),
                                re.MULTILINE).group(1)
        self.assertTrue(command.startswith("/usr/sbin/qcd metrics >"))
        command = command.replace(
            "/usr/sbin/qcd metrics",
            f"{tool_box.QCD} metrics --socket {socket_path}")
        return subprocess.run(["/bin/sh", "-c", command], check=False,
                              stderr=subprocess.PIPE,
                              env=dict(os.environ, DIR=self.folder))

    def prom_files(self):
        return sorted(name for name in os.listdir(self.folder)
                      if name.startswith("qcd."))

    def test_recipe(self):
        with Gateway(hostile()) as gateway:
            self.cron(gateway.path)
            printed = run("metrics", "--socket", gateway.path).out
        self.assertEqual(self.prom_files(), ["qcd.prom"])
        with open(self.path("qcd.prom"), encoding="utf-8") as file:
            self.assertEqual(file.read(), printed)
        done = self.cron(self.path("none"))
        self.assertIn(b"no gateway serves", done.stderr)
        self.assertEqual(self.prom_files(), [])

    @needs(NODE_EXPORTER)
    def test_node_exporter(self):
        with Gateway(hostile()) as gateway:
            self.cron(gateway.path)
        text = self.collect()
        self.assertIn("\nnode_textfile_scrape_error 0\n", text)
        for line in ("ipsec_qcd_up 1",
                     'ipsec_qcd_events_total{event="told"} 99',
                     'ipsec_qcd_recovery_duration_seconds_bucket{le="0.25"} 1',
                     "ipsec_qcd_recovery_duration_seconds_sum 600.35",
                     r'ipsec_qcd_connection_up{name="a\"b"} 0',
                     r'ipsec_qcd_connection_up{name="a\nb"} 0'):
            self.assertIn(f"\n{line}\n", text)
        self.assertIn("# TYPE ipsec_qcd_recovery_duration_seconds histogram\n",
                      text)

    def collect(self):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        process = subprocess.Popen(
            [NODE_EXPORTER, "--collector.disable-defaults",
             "--collector.textfile",
             f"--collector.textfile.directory={self.folder}",
             f"--web.listen-address=127.0.0.1:{port}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            return self.wait_page(f"http://127.0.0.1:{port}/metrics", process)
        finally:
            process.kill()
            process.wait()

    def wait_page(self, url, process):
        until = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < until:
            try:
                with urllib.request.urlopen(url, timeout=10) as page:
                    return page.read().decode()
            except OSError:
                time.sleep(0.1)
        self.fail(f"no page at {url}")
        return ""


class Unit(Case):
    def unit(self):
        """The unit, with the command that was built."""
        path = os.path.join(os.path.dirname(tool_box.QCD),
                            "qcd-metrics.service")
        with open(path, encoding="utf-8") as file:
            text, count = re.subn(r"(?m)^ExecStart=\S+",
                                  f"ExecStart={tool_box.QCD}", file.read())
        self.assertEqual(count, 1)
        return self.write("qcd-metrics.service", text)

    def systemd_analyze(self, *words):
        result = subprocess.run(["systemd-analyze", *words],
                                capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result

    @needs("systemd-analyze")
    def test_unit(self):
        result = self.systemd_analyze("verify", "--man=no", self.unit())
        self.assertEqual(result.stderr, "")

    @needs("systemd-analyze")
    def test_sandbox(self):
        """Its exposure, of 10, is at most 1.5."""
        self.systemd_analyze("security", "--offline=true", "--no-pager",
                             "--threshold=15", self.unit())


if __name__ == "__main__":
    sys.exit(main())
