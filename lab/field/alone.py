# SPDX-License-Identifier: GPL-2.0-or-later
"""Section A.1, A.3, A.5: something else happens during a recovery."""

from collections.abc import Callable

from lab.field.outcome import add, case
from lab.field.stage import BASE, Link, Stage
from lab.ike import CREATE_CHILD_SA, IKE_AUTH
from lab.net import Drop
from lab.relay import Relay, Way
from lab.scenario import Lab


# With MOBIKE, charon probes for a path from its new address about every 2 s. Until a
# probe is answered, it sends nothing else.
PROBED = 3.5


def two(stage: Stage) -> Lab:
    stage.make()
    return stage.up()


@case("A", "b is killed and started again")
def plain_crash(stage: Stage) -> None:
    lab = two(stage)
    for _ in range(stage.slow_rounds):
        lab.b.restart()
        stage.again()


@case("A", "the same over 40 ms in each direction", within=1.0)
def plain_crash_far_away(stage: Stage) -> None:
    lab = two(stage)
    relay = Relay(lab.network.router, lab.a.host, lab.b.host, Way(delay=0.04))
    with relay:
        for _ in range(stage.slow_rounds):
            lab.b.restart()
            stage.again()


@case("A", "the same with updown scripts, whose calls must stay balanced")
def plain_crash_with_scripts(stage: Stage) -> None:
    stage.make(BASE.but(updown=True))
    lab = stage.up()
    lab.b.restart()
    stage.again()
    for gateway in (lab.a, lab.b):
        told = [verb for verb, *_ in gateway.updowns()]
        # b's first run ended without a call of the script
        lost = 1 if gateway is lab.b else 0
        balance = told.count("up-client") - told.count("down-client") - lost
        stage.claim(balance == 1, f"scripts of {gateway.name} were told {told}")
        stage.claim(told[-1:] == ["up-client"], f"the last on {gateway.name}: {told}")


@case("A", "b is killed and started five times, 0.3 s apart")
def crash_after_crash(stage: Stage) -> None:
    lab = two(stage)
    for _ in range(5):
        lab.b.restart()
        stage.outage(0.3)
    stage.again()


def crash_while(stage: Stage, drop: Drop, what: str) -> None:
    """Drop a message of the handshake while b returns, then kill b again."""
    lab = stage.lab
    with drop:
        lab.b.restart()
        stage.trigger(what, lambda: drop.count)
        lab.b.kill()
    lab.b.start()
    stage.again()


@case("A.1", "b is killed again after its IKE_AUTH response was lost", stock_first=240)
def second_crash_after_auth(stage: Stage) -> None:
    lab = two(stage)
    drop = lab.network.router.drop_ike(
        lab.b.host, lab.a.host, exchange=IKE_AUTH, response=True
    )
    crash_while(stage, drop, "the IKE_AUTH response")


@case("A.1", "b is killed again after its IKE_SA_INIT response", stock_first=240)
def second_crash_after_init(stage: Stage) -> None:
    lab = two(stage)
    drop = lab.network.router.drop_ike(
        lab.a.host, lab.b.host, exchange=IKE_AUTH, response=False
    )
    crash_while(stage, drop, "the IKE_AUTH request")


@case("A.1", "b is killed again after it told a, before a's IKE_SA_INIT arrived", stock_first=240)
def second_crash_before_init(stage: Stage) -> None:
    lab = two(stage)
    ends = f"ip saddr {lab.a.host.address} ip daddr {lab.b.host.address}"
    drop = lab.network.router.drop(f"{ends} udp dport 500")
    crash_while(stage, drop, "the IKE_SA_INIT request")


# --- A.3: the client moves ---------------------------------------------------


def roamer(stage: Stage, mobike: str) -> Lab:
    options = {"mobike": mobike}
    client = BASE.but(ike_options={**options, "local_addrs": ["%any"]})
    stage.make(a=client, b=BASE.but(anywhere=True, ike_options=options))
    return stage.up()


@case("A.3", "a, with local_addrs %any, gets another address while b is down")
def roamed_while_down(stage: Stage) -> None:
    lab = roamer(stage, "no")
    lab.b.kill()
    lab.a.host.roam(7)
    lab.b.start()
    stage.again()


@case("A.3", "the same with MOBIKE", within=PROBED)
def roamed_while_down_mobike(stage: Stage) -> None:
    lab = roamer(stage, "yes")
    lab.b.kill()
    lab.a.host.roam(7)
    lab.b.start()
    stage.again()


@case("A.3", "a gets another address while b is up again and a's path is cut")
def roamed_while_cut(stage: Stage) -> None:
    lab = roamer(stage, "no")
    lab.b.kill()
    lab.a.host.unplug()
    lab.b.start()
    stage.outage(2.0)
    lab.a.host.plug()
    lab.a.host.roam(8)
    stage.again()


@case(
    "A.3",
    "a, with MOBIKE, moves four times, and b crashes each time",
    within=PROBED,
)
def roamed_again_mobike(stage: Stage) -> None:
    lab = roamer(stage, "yes")
    for number in range(4 if stage.qcd else 1):
        lab.b.kill()
        lab.a.host.roam(20 + number)
        lab.b.start()
        if not stage.again():
            return
        stage.outage(1.0)


def moved_within(exchange: int, mobike: str) -> Callable[[Stage], None]:
    """Give a another address while it waits for a response, which is lost."""

    def play(stage: Stage) -> None:
        options = {"mobike": mobike}
        client = BASE.but(children=2, ike_options={**options, "local_addrs": ["%any"]})
        stage.make(a=client, b=BASE.but(children=2, anywhere=True, ike_options=options))
        lab = stage.up()
        ends = lab.b.host, lab.a.host
        with lab.network.router.drop_ike(*ends, exchange=exchange, response=True) as drop:
            lab.b.restart()
            stage.trigger("the response", lambda: drop.count)
            lab.a.host.roam(7)
        stage.again()

    return play


for _what, _exchange in (("IKE_AUTH", IKE_AUTH), ("CREATE_CHILD_SA", CREATE_CHILD_SA)):
    for _mobike in ("no", "yes"):
        add(
            f"moved_within_{_what.lower()}" + ("_mobike" if _mobike == "yes" else ""),
            "A.3",
            f"a{', with MOBIKE,' if _mobike == 'yes' else ''} moves while it waits for "
            f"the {_what} response",
            moved_within(_exchange, _mobike),
            within=PROBED,
            stock_first=240,
        )


@case("A.3", "a's link is down while b crashes, and comes up again")
def link_down_while_crashed(stage: Stage) -> None:
    lab = two(stage)
    lab.a.host.unplug()
    lab.b.restart()
    stage.outage(2.0)
    lab.a.host.plug()
    stage.again()


# --- A.5: the configuration changes ------------------------------------------


def reload_both(stage: Stage, **changes: object) -> None:
    """Change the configuration of both while b is down."""
    lab = stage.lab
    lab.b.kill()
    for gateway in (lab.a, lab.b):
        gateway.config = gateway.config.but(**changes)
    lab.a.load("connections")
    lab.b.start()
    stage.forget_remains()


def links(*nets: int) -> list[Link]:
    return [Link("a", "b", f"net{net}", net) for net in nets]


@case("A.5", "a child that starts is added to the configuration meanwhile")
def added_child(stage: Stage) -> None:
    two(stage)
    reload_both(stage, children=2, start_action="start")
    stage.relink(links(0, 1))
    stage.again()


@case("A.5", "a child is removed from the configuration meanwhile")
def removed_child(stage: Stage) -> None:
    stage.make(BASE.but(children=2))
    stage.up()
    reload_both(stage, children=1)
    stage.relink(links(0))
    stage.again()


@case("A.5", "a child's selectors are changed meanwhile")
def changed_selectors(stage: Stage) -> None:
    lab = two(stage)
    lab.b.kill()
    for gateway, peer in ((lab.a, lab.b), (lab.b, lab.a)):
        moved = {
            "local_ts": [gateway.host.inside_net(1)],
            "remote_ts": [peer.host.inside_net(1)],
        }
        gateway.config = gateway.config.but(child_options=moved)
    lab.a.load("connections")
    lab.b.start()
    stage.forget_remains()
    stage.relink([Link("a", "b", "net0", 1)])
    stage.again()
