# SPDX-License-Identifier: GPL-2.0-or-later
"""Settings: an invalid value is logged, and charon runs on without the role."""

import os
import re
import signal
from collections.abc import Callable
from typing import Any

import pytest

from lab.admin import ask, counters, rows
from lab.config import PLUGINS, Config, strongswan_conf
from lab.gateway import Gateway
from lab.scenario import Lab
from lab.test_readme import built_in
from lab.wait import wait_until

NewLab = Callable[..., Lab]

# key, value, log text after "<key> = <value> ", whether maker and taker are on
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


def held(gateway: Gateway) -> list[bool]:
    return [row["token_held"] for row in rows(gateway, "sa")]


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
    assert "takes_over and takes_over_address must be set together" in lab.b.log()
    assert on_and_off(False, True) in lab.b.log()


def test_misspelt_key(new_lab: NewLab) -> None:
    lab = new_lab(Config(qcd_options={"token_lenght": "16"}))
    lab.b.start()
    log = lab.b.log()
    assert "plugins.qcd.token_lenght is not a key that this version knows" in log
    assert on_and_off(True, True) in lab.b.log()


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"connection": {"b": {"taker": "no"}}}, "connection is not a section that this"),
    ({"connections": {"taker": "no"}}, "connections.taker is not a key that this"),
    ({"connections": {"b": {"takr": "no"}}}, "connections.b.takr is not a key that"),
    (
        {"connections": {"b": {"taker": "maybe"}}},
        "connections.b.taker = maybe is not yes or no: the token taker is off for this",
    ),
    (
        {"connections": {"b": {"maker": "maybe"}}},
        "connections.b.maker = maybe is not yes or no: the token maker is off for this",
    ),
]


@pytest.mark.parametrize(("options", "text"), WRONG, ids=[row[1] for row in WRONG])
def test_wrong_role(new_lab: NewLab, options: dict[str, Any], text: str) -> None:
    """It is logged at the start and at a reload, and not for each handshake."""
    lab = new_lab(Config(), a=Config(qcd_options=options))
    lab.up()
    assert lab.a.log().count(text) == 1
    assert on_and_off(True, True) in lab.a.log()
    row = rows(lab.a, "sa")[0]
    assert row["token_sent"] is ("maker is off" not in text)
    assert row["token_held"] is ("taker is off" not in text)
    assert text in reload(lab.a, options)
    assert lab.a.log().count(text) == 2


@pytest.mark.parametrize("key", ["spi_mask", "spi_label"])
def test_unsafe_spis(new_lab: NewLab, key: str) -> None:
    lab = new_lab(Config(charon={key: "0x00000000000000ff"}))
    lab.b.start()
    assert f"{key} is set, which breaks the seal" in lab.b.log()
    assert on_and_off(False, True) in lab.b.log()


@pytest.mark.parametrize("configured", [False, True])
def test_ha_plugin(new_lab: NewLab, configured: bool) -> None:
    """Debian always loads it; it is active, and unsafe, only once it is configured."""
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
    assert rows(lab.b, "sa")[0]["token_held"] is (role != "taker")
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


# --- reload ---------------------------------------------------------------

NOW = "QCD: changed settings that now apply: "
LATER = "QCD: changed settings that need a restart of the daemon: "
# Every key with another value, and the old value as the log gives it.
RESTART = [
    ("maker", "no", "yes"),
    ("taker", "no", "yes"),
    ("state_dir", "/nowhere", None),
    ("node", "7", "0"),
    ("takes_over", "1, 2", ""),
    ("takes_over_address", "10.0.1.200", ""),
    ("token_length", "16", "32"),
    ("bind", "address", "spi"),
    ("rotate", "30d", "0"),
    ("reply_rate", "1", "1000"),
    ("reply_burst", "1", "2000"),
    ("reply_rate_source", "1", "10"),
    ("esp", "yes", "no"),
    ("announce", "yes", "no"),
    ("verify_rate_source", "1", "100"),
    ("socket", "unix:///run/other", None),
]


def reload(gateway: Gateway, options: dict[str, Any]) -> str:
    """Change the plugin's options and reload them; return the new log."""
    since = gateway.mark()
    config = gateway.config.but(qcd_options={**gateway.config.qcd_options, **options})
    gateway.places.strongswan_conf.write_text(strongswan_conf(config, gateway.places))
    gateway.command("reload-settings")
    lines = gateway.log(everything=True).encode()[since:].decode().splitlines()
    return "\n".join(line for line in lines if "QCD: " in line)


def test_reload_of_what_needs_a_restart(new_lab: NewLab) -> None:
    lab = new_lab(Config())
    lab.up()
    before = counters(lab.b)
    for key, value, old in RESTART:
        told = reload(lab.b, {key: value})
        was = f" (still '{old}')" if old is not None else " (still '"
        assert LATER + key + was in told, key
        assert NOW not in told, key
    # all of them in one line, and all unchanged
    told = reload(lab.b, {key: value for key, value, _ in RESTART})
    assert told.count(LATER) == 1
    for key, _, _ in RESTART:
        assert f" {key} (still '" in told, key
    after = counters(lab.b)
    assert {**after, "newest_age": 0} == {**before, "newest_age": 0}
    # after a change back, nothing is logged
    assert reload(lab.b, {}) == ""


def test_reload_covers_every_key() -> None:
    told = {key for key, _, _ in RESTART} | {"recover"}
    assert told == set(built_in())


def test_reload_of_recover(new_lab: NewLab) -> None:
    lab = new_lab(Config())
    old = lab.up()
    assert reload(lab.a, {"recover": "none"}).endswith(NOW + "recover")
    lab.b.restart()
    lab.a.nudge(old)
    lab.a.wait_for("the SA to go", lambda: not lab.a.sas())
    assert counters(lab.a)["verified"] == 1
    lab.a.wait_idle()
    assert not lab.a.sas()

    assert reload(lab.a, {"recover": "reconnect"}).endswith(NOW + "recover")
    old = lab.up()
    lab.b.restart()
    lab.a.nudge(old)
    lab.a.wait_established(other_than=(old,))


def test_reload_of_one_connection(new_lab: NewLab) -> None:
    lab = new_lab(Config())
    old = lab.up()
    assert rows(lab.b, "sa")[0]["token_sent"] is True
    off = {"connections": {"a": {"maker": "no"}}}
    assert reload(lab.b, off).endswith(NOW + "connections.a.maker")
    assert reload(lab.b, off) == ""
    lab.a.terminate(old)
    lab.up()
    assert rows(lab.b, "sa")[0]["token_sent"] is False
    assert reload(lab.b, {}).endswith(NOW + "connections.a.maker")


@pytest.mark.parametrize("initiator", ["a", "b"])
def test_taker_of_one_connection_off_and_on(new_lab: NewLab, initiator: str) -> None:
    """A responder learns which connection it is after it got the first token."""
    off = {"connections": {"b": {"taker": "no"}}}
    on: dict[str, Any] = {"connections": {}}
    lab = new_lab(Config(), a=Config(qcd_options=off))
    lab.a.start()
    lab.b.start()
    lab[initiator].initiate()
    old = lab.a.wait_established()
    assert held(lab.a) == [False]

    # switched on: the next token counts
    assert reload(lab.a, on).endswith(NOW + "connections.b.taker")
    assert held(lab.a) == [False]
    lab.b.command("rekey", {"ike-id": lab.b.established()[0].unique_id})
    wait_until("the token of a new SA", lambda: held(lab.a) == [True], 5.0, lab.a.tail)

    # switched off: the crash goes unnoticed
    old = lab.a.wait_established(other_than=(old,))
    assert reload(lab.a, off).endswith(NOW + "connections.b.taker")
    assert held(lab.a) == [False]
    lab.b.restart()
    lab.a.nudge(old)
    lab.a.wait_log("QCD: unknown")
    assert [sa.spis for sa in lab.a.sas()] == [old.spis]
    assert counters(lab.a)["verified"] == 0

    # switched on again: the next reply to the same request counts
    assert reload(lab.a, on).endswith(NOW + "connections.b.taker")
    assert held(lab.a) == [True]
    lab.a.wait_established(other_than=(old,))
    assert counters(lab.a)["verified"] == 1


@pytest.mark.parametrize(("key", "value", "text"), [row[:3] for row in BAD])
def test_reload_of_a_bad_value(
    new_lab: NewLab, key: str, value: str, text: str
) -> None:
    """Both roles stay on: their settings do not change."""
    lab = new_lab(Config())
    lab.b.start()
    before = counters(lab.b)
    told = reload(lab.b, {key: value})
    assert f"plugins.qcd.{key} = {value} {text.split(':')[0]}" in told
    assert ": nothing changes" in told
    assert NOW not in told and LATER not in told
    after = counters(lab.b)
    assert {**after, "newest_age": 0} == {**before, "newest_age": 0}


def test_reload_of_what_was_a_bad_value(new_lab: NewLab) -> None:
    """The role is off since the start, and stays off until the next one."""
    lab = new_lab(Config(qcd_options={"recover": "restart"}))
    lab.b.start()
    told = reload(lab.b, {"recover": "trap"})
    assert told.endswith(LATER + "recover (was invalid)")
    assert counters(lab.b)["taker"] is False


def test_reload_of_many_connections(new_lab: NewLab) -> None:
    """The line has a maximum length."""
    lab = new_lab(Config())
    lab.b.start()
    many = {f"connection{number}": {"maker": "no"} for number in range(500)}
    told = reload(lab.b, {"connections": many})
    named = len(re.findall(r"connections\.connection\d+\.maker", told))
    assert 10 < named < 500
    assert told.endswith(f" and {500 - named} more")


@pytest.mark.parametrize("legacy", [False, True], ids=["systemd", "legacy"])
def test_reload_by_a_signal(new_lab: NewLab, legacy: bool) -> None:
    lab = new_lab(Config(legacy=legacy))
    lab.b.start()
    config = Config(qcd_options={"recover": "trap", "node": "7"})
    text = strongswan_conf(config, lab.b.places)
    lab.b.places.strongswan_conf.write_text(text)
    os.kill(lab.b.pid, signal.SIGHUP)
    lab.b.wait_log(NOW + "recover\n")
    lab.b.wait_log(re.escape(LATER + "node (still '0')\n"))
