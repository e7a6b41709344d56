# SPDX-License-Identifier: Apache-2.0
"""Seeds of the targets that play steps, and of those that read files and text."""

import json
import struct

from packet_seeds import IKE_SPI, UDP, esp, ipv4, ipv6, message, notify, token, udp

def notifies():
    """The body of a notify, with and without its own header."""
    for length in (15, 16, 32, 128, 129):
        kind, body = token(length)
        yield f"token-{length}", body
        yield f"data-{length}", body[4:]
    yield "with-spi", token(spi=b"\1")[1]
    yield "other-type", notify(IKE_SPI)[1]
    yield "spi-too-long", b"\0\xff\x40\x23" + bytes(20)


def key_files():
    """Whether it is the run file, its version, and a body of that version."""
    secret = struct.pack(">Q", 1700000000) + bytes(range(32))
    key, machine, nodes = bytes(range(16)), bytes(range(32)), bytes(32)
    print_of = b"\0" + machine + machine
    number = struct.pack(">HH", 7, 3)
    yield "secrets", b"\4" + key + machine + nodes + b"\1" + secret
    yield "secrets-4", b"\4" + key + machine + nodes + b"\4" + secret * 4
    yield "secrets-5", b"\4" + key + machine + nodes + b"\5" + secret * 5
    yield "secrets-1", b"\2" + key + b"\1" + secret
    yield "run", b"\7" + bytes(21) + print_of + key + number + nodes
    yield "run-none", b"\7" + bytes(21) + print_of + key + b"\0\1\xff\xff" + nodes
    yield "run-2", b"\5" + key + number
    yield "run-1", b"\3" + key + number[:2]
    yield "newer", b"\x0e" + key


def write_file(step, choice, body):
    return bytes([step, choice]) + struct.pack(">H", len(body)) + body


def folders():
    """Steps, see fuzz_store.c."""
    files = dict(key_files())
    secrets = write_file(1, 2, files["secrets"][1:])
    run = write_file(2, 3 | 4 | 8 | 16, files["run"][1:])
    machine = write_file(0, 4, b"machine\n") + write_file(
        0, 5, b"product\n") + b"\7\0"
    opened = b"\3\3\1"
    yield "first", opened + b"\4\1\6\3\3\2"
    yield "found", machine + secrets + run + opened + b"\6\4\1" + opened
    yield "copied", secrets + write_file(2, 3 | 4 | 8, files["run"][1:]) + opened
    yield "elsewhere", machine + secrets + write_file(
        2, 3 | 8 | 16, files["run"][1:]) + opened
    yield "damaged", write_file(0, 0, b"nothing") + opened
    yield "no-run", secrets + opened
    yield "other-run", secrets + write_file(2, 3 | 16, files["run"][1:]) + opened
    yield "last-run", machine + secrets + write_file(2, 3 | 4 | 8 | 16, files[
        "run"][1:].replace(b"\0\7\0\3", b"\xff\xfe\0\3")) + opened + b"\6" + opened
    yield "version-2", secrets + write_file(2, 2 | 8, files["run-2"][1:]) + opened
    yield "share", machine + secrets + run + b"\x09\0\1\2" + b"\x0a" + bytes(10)
    yield "adopt", machine + secrets + run + b"\x08" + opened
    yield "import", b"\x0a\2abcdefgh\1" + opened
    yield "newer", write_file(1, 3, files["secrets"][1:]) + opened
    yield "uninitialized", write_file(0, 4, b"uninitialized\n") + b"\7\0"
    yield "hidden-product", write_file(0, 4, b"machine\n") + write_file(
        0, 5, bytes(200)) + b"\7\0" + secrets + run + opened
    yield "no-file", b"\7\2" + write_file(0, 2, b"x") + b"\7\3"
    yield "long-machine", write_file(0, 4, bytes(200)) + b"\7\0"


def exports():
    files = dict(key_files())
    plain = b"\0\2" + files["secrets-4"][1:]
    yield "export", b"\1" + plain
    yield "passes-0", b"\0" + plain
    yield "too-many-passes", b"\x1f" + plain
    yield "no-memory", b"\x0d" + plain
    yield "too-much-memory", b"\x41" + plain
    yield "newer-export", b"\x81" + plain
    yield "newer-secrets", b"\1\0\3" + plain[2:]
    yield "cut-off", b"\x21" + plain
    yield "damaged", b"\1\0\2abc"
    yield "first-line", b"-----BEGIN QCD SECRETS-----\n"
    yield "both-lines", b"-----BEGIN QCD SECRETS-----\nUUND\n" \
        b"-----END QCD SECRETS-----\n"


def lines(*objects):
    return "".join(json.dumps(o) + "\n" for o in objects).encode()


def told_answers():
    """How it is read, the size of the screen, and a gateway's answer."""
    names = ["told", "limited", "verified", "mismatched", "recovered"]
    gateway = {"type": "gateway", "maker": True, "taker": True, "run": 3,
               "generations": 1, "newest_made_at": 1700000000, "waiting": 0,
               "lost_children": 2, "announced": 0, **dict.fromkeys(names, 1)}
    times = {"type": "recovery_times", "count": 2, "sum_ms": 700,
             "limits_ms": [250, 1000], "within": [1, 2]}
    sa = {"type": "sa", "connection": "site", "id": 1, "spi_i": "01" * 8,
          "spi_r": "02" * 8, "local": "192.0.2.2", "remote": "192.0.2.1",
          "state": "ESTABLISHED", "token_sent": True, "token_held": True}
    up = {"type": "connection", "name": "site", "state": "up", "ike_sas": 1,
          "last_recovery": 1700000000}
    down = {"type": "connection", "name": "q\x1b\x85\n\"", "state": "down",
            "ike_sas": 0}
    trying = {"type": "recovery", "connection": "other", "peer": "192.0.2.3",
              "tries": 4, "next_ms": 1500, "last_failure": "silent"}
    waiting = {"type": "recovery", "connection": "site", "waiting": True}
    event = {"type": "event", "event": "told", "time_ms": 1700000000000,
             "connection": "site", "peer": "192.0.2.1", "detail": "x"}
    whole = lines({"ok": True}, gateway, times, sa, sa, up, down, trying, waiting)
    for mode, name in enumerate(("sample", "metrics", "json")):
        yield name, bytes([mode, 40]) + whole
        yield name + "-refused", bytes([mode, 8]) + lines(
            {"ok": False, "error": "no"})
    yield "large-screen", bytes([0, 255]) + whole
    large = {**gateway, **dict.fromkeys(names, 10 ** 15)}
    names_of = [{**up, "name": "n" * 30 + str(i)} for i in range(40)]
    for size in (11, 12, 13, 20, 29, 33, 61, 83, 121, 161, 255):
        yield f"screen-{size}", bytes([0, size]) + lines(
            {"ok": True}, large, times, sa, *names_of, trying, waiting, down)
    yield "far-future", b"\3\0" + lines({"ok": True}, {
        **event, "time_ms": 2 ** 63 - 1})
    yield "small-screen", bytes([0, 9]) + whole
    yield "events", b"\3\0" + lines({"ok": True}, event, {**event, "time": 1.5},
                                     trying, waiting)
    yield "no-verdict", b"\0\0" + lines({"type": "gateway"})
    yield "no-json", b"\0\0" + lines({"ok": True}) + b"what\n"
    yield "cut-off", b"\0\0" + whole[:-5]
    yield "nothing", b"\0\0"
    yield "wrong-types", b"\1\0" + lines({"ok": True}, *(
        dict.fromkeys(o, v) | {"type": o["type"]}
        for o in (gateway, times, sa, up, trying) for v in (-1, "x", None)))
    yield "long-name", b"\1\0" + lines({"ok": True}, {**up, "name": "n" * 300})
    yield "long-line", b"\0\0" + lines({"ok": True}, {**up, "name": "n" * 66000})


def commands():
    """Steps, see fuzz_control.c; after each comes a socket to wake by mistake."""
    def steps(*rows):
        return b"".join(bytes(row) + b"\x1e" for row in rows)

    connect, take, time = (0, 1), (3, 1), (5, 120)
    event = (4, 65, 66, 2, 1, 3)
    for i, name in enumerate(("status", "events", "rotate", "secret-show")):
        # 0xf0 is 240, which is 0 modulo 6
        yield name, steps(connect, (1, 1, 0xf0 + i), take, event, take)
    yield "in-parts", steps(connect, (1, 1, 0xf4), (1, 1, 0xf5), take, take)
    yield "too-long", steps(connect, (1, 1, 33, *b"x" * 33), take)
    yield "late", steps(connect, time, time, take)
    yield "left", steps(connect, (1, 1, 0xf0), (2, 1, 0), event)
    yield "many", steps(*((0, i) for i in range(20)))
    full = bytes([7, 0, 255])
    yield "unread", bytes([0, 1, 30, 1, 1, 0xf1, 30, 3, 1, 30]) + (
        full + b"\x1e" + bytes([4, 65, 66, 250] + [i % 13 for i in range(250)]) +
        b"\x1e\5\x15\x1e") * 30
    yield "interrupted", bytes([0, 1, 30, 7, 1, 3, 30, 1, 1, 0xf0, 30, 3, 1, 30])
    yield "broken", bytes([0, 1, 30, 7, 2, 9, 30, 1, 1, 0xf0, 30, 3, 1, 30])
    yield "no-thread", b"\xf1"
    yield "long-path", b"\xf2"
    yield "no-socket", b"\xf3"


def watches():
    """Rate and port, how the kernel answers, and steps, see fuzz_watch.c."""
    def logged(*packets):
        return bytes([3, len(packets)]) + b"".join(
            bytes([len(p) // 2]) + p[:len(p) // 2 * 2] for p in packets)

    def added(*numbers, plans=b"\0"):
        return bytes([0, len(numbers), *numbers]) + plans

    def removed(*numbers, plans=b"\0"):
        return bytes([1, len(numbers), *numbers]) + plans

    start = bytes([100, 1, 0])
    yield "changes", start + added(1, 2, 0) + added(3) + removed(2) + removed(1, 3)
    yield "refused", start + added(1, plans=b"\1\5") + added(2) + added(
        3, plans=b"\1\1") + removed(2, plans=b"\1\1") + added(4)
    # Neither the removal nor the set without it is accepted.
    yield "removal-refused", start + added(1, 2) + removed(1, plans=b"\2\5\5")
    yield "lost", start + added(1) + b"\2" + added(2)
    yield "no-right", bytes([100, 1, 6, 0, 0, 0, 1, 1, 0])
    yield "owned", bytes([100, 1, 6, 0, 0, 0, 1, 1, 0, 9])
    yield "packets", start + logged(ipv4(esp()), ipv6(esp()), b"\x45\0")
    yield "udp", start + logged(ipv4(udp(esp()), UDP), ipv4(udp(b"\xff"), UDP))
    yield "noise", start + b"\4\1\x20" + bytes(64)
    yield "short-error", start + added(1, plans=b"\1\x4a") + b"\x08" + \
        struct.pack("=IHHII", 16, 2, 0, 0, 0)
    yield "too-large", start + added(1, plans=b"\1" + bytes([6 * 4 + 3]))


def maps():
    """Steps, see fuzz_map.c."""
    def put(spi):
        return bytes([0, spi, spi * 7 & 255])

    many = b"".join(put(i) for i in range(24))
    yield "rows", many + b"\4\1\5\0\6\7\3\5\5\x1b"
    yield "again", put(1) + put(1) + b"\3\0\3\1"
    yield "cut-off", many + b"\x08\1\4\0"
    yield "emptied", many + b"\x08\1\0\0"
    yield "twins", many + b"\x08\2\2\0\1"
    yield "no-head", many + b"\x08\0\0\0\0\4abcd"
    more = b"".join(put(i) for i in range(48))
    yield "more-rows", more + b"\5\0\7\5\0"
    yield "newer", many + b"\x08\4\0\3"
    yield "rot-inside", many + b"\x0a\0\xc6abcd"
    yield "rot", many + b"\x0a\0\x85abcd\x0b"
    yield "bad-rows", many + b"".join(
        bytes([8, 0]) + struct.pack(">HH", 128 * i + 40, 2) + b"zz"
        for i in range(1, 9))
    yield "lmdb", many + b"\x08\0\0\0\0\x14" + bytes(16) + b"\xde\xc0\xef\xbe"


def histories():
    """Settings, and steps, see fuzz_peers.c."""
    start = bytes([16, 255, 3, 100, 50])
    mint, crash, rotate = bytes([0, 0, 1, 7]), b"\3", bytes([6, 1, 2])
    second, wait = b"\x0b\xf0", b"\x0b\xe0" * 5

    def offer(number, taker=0, choice=0):
        return bytes([1, number, choice, taker])

    def close(number, how=0):
        return bytes([7, number, how])

    def asked(initiator, responder, flags=8, source=0, to=0, words=40):
        return bytes([8, words, 1, 37, flags, 9]) + initiator + responder + bytes(
            [source, to, 0])

    def lost(number, choice=0, length=200, source=0):
        return bytes([9, number, 5, 0, 80, choice, source, 80, length])

    ours, theirs, other, stranger = (bytes([0, i]) for i in (0, 1, 2, 6))
    ask = asked(theirs, ours)
    yield "lost", start + mint + offer(0) + crash + ask + wait + ask
    yield "rotated", start + mint + offer(0) + rotate + offer(0) + rotate * 2 + \
        offer(0) + rotate + crash + ask
    yield "many-rotated", start + mint + b"".join(
        offer(0, i % 2) + rotate * 3 for i in range(6)) + crash + ask
    yield "buried", start + mint + offer(0) + close(0) + ask + asked(
        ours, theirs, flags=0) + asked(theirs, ours, flags=0) + asked(ours, ours)
    yield "live", start + mint + offer(0) + ask + lost(0) + lost(0, 2)
    yield "esp", start + mint + offer(0) + crash + lost(0) + lost(0) + wait + lost(0)
    # The reply with a token of 32 octets has 80, so the packet must have 27.
    yield "esp-too-short", start + mint + offer(0) + crash + lost(
        0, length=26) + lost(0, length=27)
    yield "announced", start + mint + offer(0) + crash + lost(0, 2) + lost(0, 2)
    yield "flood", bytes([0x50, 255, 3, 100, 50]) + mint + offer(0) + crash + \
        ask * 9 + lost(0) + lost(0, 2) + second * 8 + ask * 9
    yield "bound", bytes([0x30, 255, 3, 100, 50]) + mint + offer(0) + offer(
        0, 2) + crash + ask + asked(theirs, ours, source=2)
    yield "taken-over", bytes([0x90, 255, 3, 100, 50]) + mint + asked(
        theirs, other, to=1) + asked(theirs, other) + asked(
        theirs, stranger, to=1)
    yield "answered", start + mint + offer(0, 0, 0x31) + bytes([2, 0, 3]) + crash + ask
    yield "used-up", start + bytes([5, 1]) + mint * 4 + bytes([4, 1, 1]) + mint
    yield "forged", start + mint + offer(0) + bytes([10, 0, 0, 16]) + bytes(
        range(16)) + b"\1" + bytes([0]) * 4
    yield "slow", start + (bytes([12, 35, 0, 0]) + b"\x0b\xe0") * 12
    # Sixteen handshakes are completed: one that fails is tolerated.
    yield "tolerated", start + bytes([12, 10, 1]) * 16 + bytes([12, 10, 2, 12, 10, 7])
    yield "refused-long", start + bytes([13, 5, 0, 13, 1, 0]) + \
        b"\x0b\xff" * 4 + bytes([13, 5, 0])
    yield "invalid", start + b"".join(bytes([14, i]) for i in range(8))


def received():
    for ports in (0, 5, 10, 21, 26, 31):
        yield f"ike-{ports}", bytes([ports]) + message([token()])
        yield f"marked-{ports}", bytes([ports]) + bytes(4) + message([token()])
        yield f"esp-{ports}", bytes([ports]) + esp()
        yield f"short-{ports}", bytes([ports]) + b"\xff"
