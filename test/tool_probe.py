#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tool_probe.py: qcd probe against gateways that are played, on loopback."""

import os
import socket
import struct
import sys
import threading

from tool_box import Case, main, run

HEADER = struct.Struct("!8s8sBBBBII")
MARKER = bytes(4)
SPIS = "0011223344556677_8899aabbccddeeff"


def answer_of(asked, payload, first=41, exchange=None):
    """A response with the SPIs and the Message ID of what was asked."""
    spi_i, spi_r, _, _, kind, flags, number, _ = HEADER.unpack_from(asked)
    return HEADER.pack(spi_i, spi_r, first, 0x20, exchange or kind,
                       flags ^ 0x28, number, 28 + len(payload)) + payload


def is_unknown(asked):
    """A protected request for an unknown IKE SA, except for zero SPIs."""
    spi_i, spi_r, first, version, kind, flags, _, _ = HEADER.unpack_from(asked)
    return (bytes(8) not in (spi_i, spi_r) and (first, version) == (46, 0x20)
            and kind == 37 and not flags & 0x20)


def notify(kind, data=b"", following=0):
    return struct.pack("!BBHBBH", following, 0, 8 + len(data), 0, 0,
                       kind) + data


def show(asked):
    token = notify(16419, asked[:16] * 2)
    return answer_of(asked, notify(4, following=41) + token)


class Responder:
    """A gateway on loopback that answers with what a function returns."""

    def __init__(self, answer, address="127.0.0.1"):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.answer = answer
        self.asked = []
        self.thread = threading.Thread(target=self.serve, daemon=True)

    @property
    def port(self):
        return str(self.socket.getsockname()[1])

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        with socket.socket(self.socket.family, socket.SOCK_DGRAM) as one:
            one.sendto(b"end", self.socket.getsockname())
        self.thread.join()
        self.socket.close()

    def serve(self):
        while True:
            data, source = self.socket.recvfrom(65536)
            if data == b"end":
                return
            assert data.startswith(MARKER), data
            self.asked.append(data[4:])
            for octets in self.answer(data[4:]):
                self.socket.sendto(octets, source)


class Probe(Case):
    def probe(self, answer, *words, address="127.0.0.1"):
        with Responder(answer, address) as gateway:
            result = run("probe", "--json", "--port", gateway.port, address,
                         *words)
        self.check_plain(result)
        self.assertEqual(result.err, "")
        return result, gateway

    @staticmethod
    def state_of(result):
        (found,) = (item["state"] for item in result.objects
                    if item.get("type") == "target")
        return found

    def test_gateway_that_shows_tokens(self):
        result, gateway = self.probe(
            lambda asked: [MARKER + show(asked)] if is_unknown(asked) else [])
        self.assertEqual((result.code, self.state_of(result)), (0, "tokens"))
        target = result.objects[1]
        self.assertEqual((target["tokens"], target["octets_min"],
                          target["protocol_id"]), (1, 32, 0))
        self.assertLessEqual(len(gateway.asked), 26)

    def test_tokens_are_not_printed(self):
        token = b"\x5a" * 32
        result, _ = self.probe(
            lambda asked: [MARKER + answer_of(asked, notify(16419, token))])
        self.assertEqual(result.code, 3)
        self.assertNotIn("5a5a", result.out.lower())
        self.assertNotIn("ZZ", result.out)

    def test_spis_after_a_restart(self):
        """All messages for unknown SAs have them; none begins an IKE SA."""
        spis = bytes.fromhex(SPIS.replace("_", ""))
        result, gateway = self.probe(
            lambda asked: [MARKER + show(asked)] if asked[:16] == spis and
            is_unknown(asked) else [], SPIS)
        self.assertEqual((result.code, self.state_of(result)), (0, "tokens"))
        kinds = {asked[18] for asked in gateway.asked if asked[8:16] == bytes(8)}
        self.assertEqual(kinds, {37})
        self.assertEqual(
            {asked[:16] for asked in gateway.asked if asked[16] == 46
             and bytes(8) not in (asked[:8], asked[8:16])}, {spis})

    def test_answers_without_a_marker_are_esp(self):
        result, _ = self.probe(
            lambda asked: [show(asked)] if is_unknown(asked) else [])
        self.assertEqual((result.code, self.state_of(result)), (4, "down"))

    def test_garbage(self):
        for what in (lambda asked: [MARKER + asked],
                     lambda asked: [MARKER + asked[:24] + bytes(40)]):
            result, _ = self.probe(what)
            self.assertIn(result.code, (0, 3))
            self.assertIn(self.state_of(result), ("silent", "bare"))

    def test_no_ikev2(self):
        """What answers is no gateway: noise, or one that knows IKEv1 only."""
        for what in (lambda asked: [MARKER + b"U" * len(asked)],
                     lambda asked: [b"", MARKER, MARKER + asked[:27]],
                     lambda asked: [MARKER + asked[:16] + b"\x0b\x10\x05\0" +
                                    asked[20:24] + struct.pack("!I", 28)]):
            result, _ = self.probe(what)
            self.assertEqual((result.code, self.state_of(result)), (4, "down"))
            self.assertIn("answers, but not in IKEv2", result.out)

    def test_flood(self):
        """A gateway that sends without end does not hold the probe up."""
        result, gateway = self.probe(
            lambda asked: [MARKER + show(asked)] * 400)
        self.assertEqual(result.code, 3)
        self.assertLess(len(gateway.asked), 20)

    def test_flood_of_the_first_message(self):
        """What was never asked does not make a good gateway."""
        for what in (lambda asked: [MARKER + show(asked)] * 1500,
                     lambda asked: [b"ESP."] * 1500):
            result, gateway = self.probe(what)
            self.assertEqual(result.code, 3)
            self.assertIn("messages without end", result.out)
            self.assertLess(len(gateway.asked), 9)

    def test_huge_answers(self):
        filler = struct.pack("!BBH", 41, 0, 60000) + bytes(59996)
        result, _ = self.probe(
            lambda asked: [MARKER + answer_of(asked, filler + notify(4), 43)]
            if is_unknown(asked) else [])
        self.assertEqual((result.code, self.state_of(result)), (3, "bare"))
        self.assertTrue(any(item.get("check") == "size" and "60036" in
                            item["found"] for item in result.objects))

    def test_ipv6(self):
        result, _ = self.probe(
            lambda asked: [MARKER + show(asked)] if is_unknown(asked) else [],
            address="::1")
        self.assertEqual((result.code, result.objects[1]["address"]),
                         (0, "::1"))

    def test_closed(self):
        with Responder(lambda asked: []) as gateway:
            port = gateway.port
        result = run("probe", "--port", port, "127.0.0.1")
        self.assertEqual((result.code, result.out),
                         (4, f"127.0.0.1 port {port}: closed\n"))

    def test_nobody_to_ask(self):
        for host in ("name.invalid", "", "1.2.3.4.5", "224.0.0.1",
                     "255.255.255.255", "ff02::1", "::ffff:224.0.0.1",
                     "::ffff:255.255.255.255"):
            with self.subTest(host):
                result = run("probe", host)
                self.check_failed(result, "address")
                self.check_plain(result)

    def test_full_disk(self):
        with open("/dev/full", "wb") as full:
            result = run("probe", "--port", "9", "127.0.0.1", stdout=full)
        self.assertIn("cannot write the output", result.err)
        self.assertNotEqual(result.code, 0)


if __name__ == "__main__":
    sys.exit(main())
