# SPDX-License-Identifier: GPL-2.0-or-later
"""Settings: a bad value is a clear line in the log, and charon runs on without the role."""

from collections.abc import Callable

import pytest

from lab.admin import ask, counters, rows
from lab.config import PLUGINS, Config
from lab.scenario import Lab

NewLab = Callable[..., Lab]

# key, value, what the log says behind "<key> = <value> ", maker and taker on?
BAD = [
    ("maker", "perhaps", "is not yes or no: the token maker is off", False, True),
    ("taker", "", "is not yes or no: the token taker is off", True, False),
    ("state_dir", "secrets", "is not an absolute path: the token maker", False, True),
    ("token_length", "15", "is not a number from 16 to 32: the token maker", False, True),
    ("token_length", "33", "is not a number from 16 to 32: the token maker", False, True),
    ("token_length", "-1", "is not a number from 16 to 32: the token maker", False, True),
    ("bind", "ip", "is not one of spi address: the token maker", False, True),
    ("rotate", "1w", "is not a time such as", False, True),
    ("rotate", "99999999d", "is not a time such as", False, True),
    ("reply_rate", "many", "is not a number from 0 to 1000000", False, True),
    ("reply_burst", "1000001", "is not a number from 0 to 1000000", False, True),
    ("reply_rate_source", "1.5", "is not a number from 0 to", False, True),
    ("verify_rate_source", "0x10", "is not a number from 0 to", True, False),
    ("recover", "restart", "is not one of auto reconnect trap none", True, False),
    ("node", "256", "is not a number from 0 to 255", False, True),
    ("takes_over", "1, 300", "is not a list of numbers from 0 to 255", False, True),
    ("takes_over_address", "b.lab.", "is not an IP address", False, True),
]
GOOD = [
    {"token_length": "16", "bind": "address", "rotate": "30d", "reply_rate": "0"},
    {"token_length": "32", "node": "255", "recover": "none", "verify_rate_source": "0"},
    {"takes_over": "1, 2 3", "takes_over_address": "10.0.1.200", "rotate": "0"},
    {"maker": "yes", "taker": "true", "reply_rate": "1000000"},
]


def on_and_off(maker: bool, taker: bool) -> str:
    words = {True: "on", False: "off"}
    return f"QCD: token maker is {words[maker]}, token taker is {words[taker]}"


@pytest.mark.parametrize(("key", "value", "text", "maker", "taker"), BAD)
def test_bad_value(
    new_lab: NewLab, key: str, value: str, text: str, maker: bool, taker: bool
) -> None:
    lab = new_lab(Config(qcd_options={key: value}))
    lab.b.start()
    log = lab.b.log()
    assert f"plugins.qcd.{key} = {value} {text}" in log
    assert on_and_off(maker, taker) in log
    lab.check()


@pytest.mark.parametrize("options", GOOD, ids=lambda o: " ".join(o))
def test_good_values(new_lab: NewLab, options: dict[str, str]) -> None:
    lab = new_lab(Config(qcd_options=options))
    lab.up()
    assert on_and_off(True, True) in lab.b.log()
    assert " is not " not in "".join(
        line for line in lab.b.log().splitlines() if "QCD" in line
    )


def test_half_a_takeover(new_lab: NewLab) -> None:
    lab = new_lab(Config(qcd_options={"takes_over": "1"}))
    lab.b.start()
    assert "takes_over and takes_over_address need each other" in lab.b.log()
    assert on_and_off(False, True) in lab.b.log()


def test_misspelt_key(new_lab: NewLab) -> None:
    lab = new_lab(Config(qcd_options={"token_lenght": "16"}))
    lab.b.start()
    assert "plugins.qcd.token_lenght is no key that this version knows" in lab.b.log()
    assert on_and_off(True, True) in lab.b.log()


@pytest.mark.parametrize("key", ["spi_mask", "spi_label"])
def test_unsafe_spis(new_lab: NewLab, key: str) -> None:
    lab = new_lab(Config(charon={key: "0x00000000000000ff"}))
    lab.b.start()
    assert f"{key} is set, which breaks the seal" in lab.b.log()
    assert on_and_off(False, True) in lab.b.log()


@pytest.mark.parametrize("configured", [False, True])
def test_ha_plugin(new_lab: NewLab, configured: bool) -> None:
    """Debian loads it always; at work, and unsafe, it is once it is configured."""
    addresses = {"local": "10.0.2.1", "remote": "10.0.2.9"} if configured else {}
    charon = {"load": " ".join([*PLUGINS, "ha", "qcd"]), "plugins": {"ha": addresses}}
    lab = new_lab(Config(charon=charon))
    lab.b.start()
    assert ("the ha plugin is configured" in lab.b.log()) is configured
    assert on_and_off(not configured, True) in lab.b.log()


def test_state_dir_too_open(new_lab: NewLab) -> None:
    lab = new_lab(Config())
    lab.b.start()
    lab.b.kill()
    secrets = lab.b.places.state / "secrets"
    before = secrets.read_bytes()
    secrets.chmod(0o644)
    lab.b.start()
    assert str(secrets) in lab.b.log()
    assert on_and_off(False, True) in lab.b.log()
    assert secrets.read_bytes() == before


def test_two_daemons_on_one_state_dir(new_lab: NewLab) -> None:
    """Each would take the other's SAs for dead."""
    lab = new_lab(Config())
    lab.b.start()
    lab.a.places.state.symlink_to(lab.b.places.state)
    lab.a.start()
    assert on_and_off(False, True) in lab.a.log()

    again = new_lab(Config(qcd_options={"state_dir": str(lab.b.places.state)}))
    again.a.start()
    assert str(lab.b.pid) in again.a.log()
    assert on_and_off(False, True) in again.a.log()


@pytest.mark.parametrize("role", ["maker", "taker"])
def test_role_off_for_one_connection(new_lab: NewLab, role: str) -> None:
    options = {"connections": {"a": {role: "no"}}}
    lab = new_lab(Config(), b=Config(qcd_options=options))
    lab.up()
    sent = rows(lab.b, "sa")[0]["token_sent"]
    assert sent is (role != "maker")
    assert rows(lab.a, "sa")[0]["token_held"] is (role != "maker")
    assert rows(lab.a, "sa")[0]["token_sent"] is True


def test_both_roles_off(new_lab: NewLab) -> None:
    lab = new_lab(Config(qcd_options={"maker": "no", "taker": "no"}))
    lab.up()
    status = counters(lab.b)
    assert (status["maker"], status["taker"]) == (False, False)
    assert ask(lab.b, "rotate")[0]["ok"] is False
    row = rows(lab.b, "sa")[0]
    assert (row["token_sent"], row["token_held"]) == (False, False)
