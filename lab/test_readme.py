# SPDX-License-Identifier: GPL-2.0-or-later
"""README.md and doc/admin.md are right about settings and installation."""

import re
import subprocess
import sys
from pathlib import Path

from lab.control import REPO, SOURCE

ROW = re.compile(r"^\| (`[^|]+) \|([^|]*)\|", re.MULTILINE)
OPTION = re.compile(r"^charon\.plugins\.qcd\.(\S+) =[ ]?(.*)$", re.MULTILINE)
SETTING = re.compile(r'\{ "(\w+)", offsetof.*?,\s*QCD_KIND_\w+,\s*"([^"]*)"', re.DOTALL)


def documented() -> dict[str, str]:
    """Return keys and defaults from the table in doc/admin.md."""
    text = (REPO / "doc" / "admin.md").read_text()
    table = text.split("## Settings")[1].split("## ")[0]
    found = {}
    for keys, defaults in ROW.findall(table):
        names = re.findall(r"`([^`]+)`", keys)
        values = [value.strip().strip("`") for value in defaults.split(",")]
        for number, name in enumerate(names):
            found[name] = values[min(number, len(values) - 1)]
    return found


def built_in() -> dict[str, str]:
    return dict(SETTING.findall((REPO / "plugin" / "qcd_config.c").read_text()))


def described() -> dict[str, str]:
    """Return keys and defaults from plugin/qcd.opt, which is in strongSwan's format."""
    text = (REPO / "plugin" / "qcd.opt").read_text()
    return dict(OPTION.findall(text))


def without_connections(settings: dict[str, str]) -> dict[str, str]:
    """Remove what the C file's table can't contain: each connection has a section."""
    return {
        name: value
        for name, value in settings.items()
        if not name.startswith((".", "connections."))
    }


def test_settings_of_the_guide() -> None:
    assert without_connections(documented()) == built_in()


def test_settings_of_the_options_file() -> None:
    """It has the plugin's settings, in order, and strongSwan's own tool can read it."""
    found = described()
    assert without_connections(found) == built_in()
    assert list(found) == sorted(found)
    tool = SOURCE / "conf" / "format-options.py"
    for form in ("conf", "man"):
        done = subprocess.run(
            [sys.executable, str(tool), "-f", form, str(REPO / "plugin" / "qcd.opt")],
            capture_output=True,
            text=True,
            check=True,
        )
        for name in without_connections(found):
            assert re.search(rf"\b{name}\b", done.stdout), f"{form}: {name}"
        # what the tool can't read as markup, it prints as it is
        assert not re.search(r"(?<!\w)(_\w|\*\*)", done.stdout), form


def test_page_of_the_settings() -> None:
    page = REPO / "build" / "plugin" / "strongswan-qcd.conf.5"
    done = subprocess.run(
        ["mandoc", "-Tlint", "-Wwarning", str(page)], capture_output=True, check=False
    )
    assert (done.stdout, done.returncode) == (b"", 0)
    for name in described():
        assert f"charon.plugins.qcd.{name}" in page.read_text()


EVENT = re.compile(r'\[QCD_EVENT_\w+\] = (LOGGED\(|\{ )"(\w+)",')
MAN = REPO / "tool" / "man"


def items(page: str, begin: str) -> list[str]:
    """Return the names in the first list after that line."""
    text = page.split(begin, 1)[1].split(".El", 1)[0]
    return re.findall(r"^\.It Li \"?([\w ]+?)\"?$", text, re.MULTILINE)


def test_names_of_the_events() -> None:
    """One table names events and counters, in the order in which they are shown."""
    table = EVENT.findall((REPO / "plugin" / "qcd_events.c").read_text())
    logged = [name for form, name in table if form == "LOGGED("]
    assert len(table) > len(logged) > 0
    assert items((MAN / "qcd-events.8").read_text(), "The events are:") == logged
    status = (MAN / "qcd-status.8").read_text()
    counted = [name.replace(" ", "_") for name in items(status, ".Xr qcd-events 8 :")]
    assert counted == [name for _, name in table]
    json = status.split(".Ss JSON")[1]
    assert [n for n in re.findall(r"^\.Li (\w+)", json, re.MULTILINE) if n in counted] == counted


def test_apparmor_of_the_guide() -> None:
    """What the guide has an administrator write is what the package installs."""
    guide = (REPO / "doc" / "admin.md").read_text().split("**AppArmor.**")[1]
    block = guide.split("```")[1].strip().splitlines()
    installed = (REPO / "debian" / "apparmor" / "strongswan-qcd").read_text()
    rules = [line.strip() for line in installed.splitlines() if line[:1] != "#"]
    assert len(rules) > 3 and block == rules


HELPERS = {"sa", "compat", "json", "config", "setting", "notify", "listeners"}
USED_BY_MOST = {"events", "pending"}


def test_picture_of_the_plugin() -> None:
    """Its arrows are the includes of the source, and the SVG is made from that text."""
    folder = REPO / "plugin"
    arrows = set()
    modules = {path.stem.removeprefix("qcd_") for path in folder.glob("qcd_*.c")}
    for name in modules - HELPERS:
        text = "".join((folder / f"qcd_{name}.{kind}").read_text() for kind in "ch")
        for other in re.findall(r'#include "qcd_(\w+)\.h"', text):
            if other not in HELPERS | USED_BY_MOST | {name}:
                arrows.add((name, other))
    shown = (REPO / "doc" / "plugin.dot").read_text()
    assert set(re.findall(r"qcd_(\w+) -> qcd_(\w+);", shown)) == arrows
    assert set(re.findall(r"^\t\tqcd_(\w+) \[", shown, re.MULTILINE)) == modules - HELPERS
    for name in ("plugin", "layers"):
        text = (REPO / "doc" / f"{name}.dot").read_text()
        edges = {f"{a}-&gt;{b}" for a, b in re.findall(r"(\w+) -> (\w+)(?!.*invis)", text)}
        drawn = re.findall(r"<title>(\w+&#45;&gt;\w+)</title>", (REPO / "doc" / f"{name}.svg").read_text())
        assert {edge.replace("&#45;", "-") for edge in drawn} >= edges


def test_installation_from_source(tmp_path: Path) -> None:
    """`meson install` installs what CONTRIBUTING.md names, where charon looks for it."""
    command = ["meson", "install", "-C", str(REPO / "build"), "--no-rebuild"]
    subprocess.run([*command, "--destdir", str(tmp_path)], check=True, stdout=subprocess.DEVNULL)
    guide = (REPO / "CONTRIBUTING.md").read_text()
    assert " ".join(["sudo", *command[:3], "build`"]) in guide
    copied = re.findall(r"^\| `(build/\S+)` \| `(/\S+)` \|$", guide, re.MULTILINE)
    assert len(copied) == 2
    for built, folder in copied:
        assert (tmp_path / folder[1:] / Path(built).name).is_file()
        needed = subprocess.run(["ldd", REPO / built], capture_output=True, text=True).stdout
        assert "libc.so" in needed and "libqcd" not in needed, needed
    for path in (
        "usr/lib/ipsec/plugins/libstrongswan-qcd.so",
        "usr/local/sbin/qcd",
        "usr/local/share/man/man8/qcd.8",
        "usr/local/share/man/man8/qcd-secret.8",
    ):
        assert (tmp_path / path).is_file(), path
    said = subprocess.run(
        [tmp_path / "usr/local/sbin/qcd", "help"], capture_output=True, text=True
    )
    assert said.returncode == 0 and "status" in said.stdout
