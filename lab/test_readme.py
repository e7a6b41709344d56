# SPDX-License-Identifier: GPL-2.0-or-later
"""What README.md says of the settings is what the plugin has."""

import re

from lab.control import REPO

ROW = re.compile(r"^\| (`[^|]+) \|([^|]*)\|", re.MULTILINE)
SETTING = re.compile(r'\{ "(\w+)", offsetof.*?,\s*QCD_KIND_\w+,\s*"([^"]*)"', re.DOTALL)


def documented() -> dict[str, str]:
    """Keys and defaults of the table in README.md."""
    text = (REPO / "README.md").read_text()
    table = text.split("### Settings")[1].split("###")[0]
    found = {}
    for keys, defaults in ROW.findall(table):
        names = re.findall(r"`([^`]+)`", keys)
        values = [value.strip().strip("`") for value in defaults.split(",")]
        for number, name in enumerate(names):
            found[name] = values[min(number, len(values) - 1)]
    return found


def built_in() -> dict[str, str]:
    return dict(SETTING.findall((REPO / "plugin" / "qcd_config.c").read_text()))


def test_settings_of_the_readme() -> None:
    told = documented()
    for name in [name for name in told if name.startswith((".", "connections."))]:
        del told[name]
    assert told == built_in()
