#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tool_decode.py: qcd decode, with captures made here, and damaged ones."""

import os
import socket
import struct
import subprocess
import sys
import time
import unittest
import xml.dom.minidom

import tool_box
from tool_box import Case, main, run

A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"
OLD, NEW = (b"I" * 8, b"R" * 8), (b"J" * 8, b"S" * 8)
START = 1700000000
SK, SA, NOTIFY, TOKEN = 46, 33, 41, 16419
I, R = 8, 0x20
ETHERNET, USB = 1, 189
MEMORY_MAX = 100 << 20


def ike(spis, exchange, flags, number, payload=SK, body=None):
    if body is None:
        body = struct.pack(">HH", 0, 44) + bytes([number]) * 40
    return spis[0] + spis[1] + struct.pack(
        ">BBBBII", payload, 0x20, exchange, flags, number,
        28 + len(body)) + body


def notify(kind, data, following):
    return struct.pack(">BBHBBH", following, 0, 8 + len(data), 0, 0,
                       kind) + data


def shown(spis, flags, number, child=None):
    cause = notify(11, child, NOTIFY) if child else notify(4, b"", NOTIFY)
    return ike(spis, 37, flags, number, NOTIFY,
               cause + notify(TOKEN, b"secret of a token" * 2, 0))


def ip(source, target, protocol, data):
    if ":" in source:
        ends = [socket.inet_pton(socket.AF_INET6, x) for x in (source, target)]
        return struct.pack(">IHBB", 6 << 28, len(data), protocol,
                           64) + b"".join(ends) + data
    ends = [socket.inet_aton(x) for x in (source, target)]
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(data), 0, 0, 64,
                       protocol, 0) + b"".join(ends) + data


def udp(source, target, data, port=500):
    return ip(source, target, 17,
              struct.pack(">HHHH", port, port, 8 + len(data), 0) + data)


def esp(source, target, spi):
    return ip(source, target, 50, spi + bytes(60))


def recovery(a=A, b=B):
    """B crashes, A asks after a second, and both have a new IKE SA."""
    return [
        (0.0, udp(a, b, ike(OLD, 35, I, 1))),
        (0.001, udp(b, a, ike(OLD, 35, R, 1))),
        (0.002, esp(a, b, b"\xc1\0\0\1")),
        (0.003, esp(b, a, b"\xc2\0\0\1")),
        (1.0, udp(a, b, ike(OLD, 37, I, 2))),
        (1.0005, udp(b, a, shown(OLD, R, 2))),
        (1.001, udp(a, b, ike((NEW[0], bytes(8)), 34, I, 0, SA))),
        (1.003, udp(b, a, ike(NEW, 34, R, 0, SA))),
        (1.004, udp(a, b, ike(NEW, 35, I, 1))),
        (1.006, udp(b, a, ike(NEW, 35, R, 1))),
        (1.007, esp(a, b, b"\xc1\0\0\2")),
        (1.0075, esp(b, a, b"\xc2\0\0\2")),
    ]


ALIVE = udp(B, A, ike(OLD, 37, 0, 0))
LEAK = [*recovery(), (1.5, ALIVE)]
SUSPECTED = [*recovery(), (1.5, udp(B, A, ike(OLD, 35, R, 1)))]


def frame(packet, kind):
    if kind != ETHERNET:
        return packet
    return bytes(12) + (b"\x86\xdd" if packet[0] >> 4 == 6 else
                        b"\x08\0") + packet


def pcap(packets, kind=ETHERNET, snaplen=65535, magic=0xa1b2c3d4):
    out = struct.pack("<IHHiIII", magic, 2, 4, 0, 0, 65535, kind)
    for when, packet in packets:
        data = frame(packet, kind)
        cut = data[:snaplen]
        out += struct.pack("<IIII", START + int(when),
                           round(when % 1 * 1000000), len(cut),
                           len(data)) + cut
    return out


def block(kind, body, length=None):
    length = 12 + len(body) if length is None else length
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def pcapng(packets, kind=ETHERNET, length=None):
    out = block(0x0a0d0d0a, struct.pack("<IHHq", 0x1a2b3c4d, 1, 0, -1))
    out += block(1, struct.pack("<HHI", kind, 0, 65535))
    for when, packet in packets:
        data = frame(packet, kind)
        stamp = round((START + when) * 1000000)
        out += block(6, struct.pack("<IIIII", 0, stamp >> 32,
                                    stamp & 0xffffffff, len(data), len(data)) +
                     data + bytes(-len(data) % 4), length)
    return out


class Decode(Case):
    def save(self, octets, name="capture"):
        with open(self.path(name), "wb") as file:
            file.write(octets)
        return self.path(name)

    def decode(self, octets, *options):
        return run("decode", *options, self.save(octets))

    def tokens(self, octets, code):
        result = self.decode(octets, "--json")
        self.assertEqual(result.code, code, result.err)
        self.assertEqual(result.objects[0], {"ok": True})
        self.assertEqual(result.objects[1]["type"], "capture")
        return result.objects[1], [item for item in result.objects
                                   if item.get("type") == "token"]


class Captures(Decode):
    def test_recovery(self):
        capture, (token,) = self.tokens(pcap(recovery()), 0)
        self.assertEqual(token, {
            "type": "token", "time_ms": START * 1000 + 1000,
            "spi_i": "49" * 8, "spi_r": "52" * 8, "from": B, "to": A,
            "times": 1, "times_elsewhere": 0, "tokens": 1,
            "notify": "INVALID_IKE_SPI", "child_spi": None,
            "cause": "request", "exchange": "INFORMATIONAL",
            "cause_to_token_ms": 0.5, "recovery_ms": 6, "traffic_ms": 7.5,
            "verdict": "none", "reason": None, "alive_ms": None,
            "messages_after": 0})
        self.assertEqual((capture["packets"], capture["ike_messages"],
                          capture["esp_and_ah"], capture["token_messages"]),
                         (12, 8, 4, 1))
        result = self.decode(pcap(recovery()))
        self.assertIn("INFORMATIONAL request", result.out)
        self.assertIn("6.0 ms", result.out)
        self.assertIn("No leak was found.", result.out)
        self.assertNotIn("secret", result.out)
        self.check_plain(result)

    def test_esp(self):
        packets = [(0, esp(A, B, b"\xc1\0\0\1")),
                   (0.1, udp(B, A, shown(OLD, 0, 0, b"\xc1\0\0\1")))]
        _, (token,) = self.tokens(pcap(packets), 0)
        self.assertEqual((token["cause"], token["notify"], token["child_spi"]),
                         ("child", "INVALID_SPI", "c1000001"))
        self.assertIn("ESP c1000001", self.decode(pcap(packets)).out)
        _, (token,) = self.tokens(pcap(packets[1:]), 0)
        self.assertEqual(token["cause"], "announcement")

    def test_leak(self):
        _, (token,) = self.tokens(pcap(LEAK), 3)
        self.assertEqual((token["verdict"], token["reason"]),
                         ("leak", "message"))
        self.assertEqual(token["alive_ms"], START * 1000 + 1500)
        result = self.decode(pcap(LEAK))
        self.assertEqual(result.code, 3)
        self.assertIn(f"\nleak: {B} showed a token", result.out)

    def test_suspected(self):
        _, (token,) = self.tokens(pcap(SUSPECTED), 4)
        self.assertEqual((token["verdict"], token["reason"]),
                         ("suspected", "old_message"))
        self.assertIn("\nsuspected: ", self.decode(pcap(SUSPECTED)).out)

    def test_forms(self):
        six = recovery("2001:db8::1", "2001:db8::2")
        for name, octets, ends in (
                ("pcapng", pcapng(recovery()), (B, A)),
                ("raw", pcap(recovery(), kind=101), (B, A)),
                ("nanoseconds", pcap(recovery(), magic=0xa1b23c4d), (B, A)),
                ("IPv6", pcap(six), ("2001:db8::2", "2001:db8::1"))):
            with self.subTest(name):
                _, (token,) = self.tokens(octets, 0)
                self.assertEqual((token["from"], token["to"]), ends)
                self.assertEqual(token["cause"], "request")

    def test_standard_input(self):
        path = self.save(pcap(LEAK))
        with open(path, "rb") as file:
            result = run("decode", "-", stdin=file)
        self.assertEqual(result.code, 3, result.err)

    def test_nothing_there(self):
        for octets in (pcap([]), pcapng([]), pcap([(0, esp(A, B, b"abcd"))])):
            capture, tokens = self.tokens(octets, 0)
            self.assertEqual(tokens, [])
            result = self.decode(octets)
            self.assertIn("No token was shown.", result.out)
        self.assertEqual(capture["packets"], 1)

    def test_cut_by_the_capture(self):
        """The token can't be read, so a leak can't be ruled out."""
        for snaplen, number in ((60, 9), (80, 1)):
            octets = pcap(LEAK, snaplen=snaplen)
            capture, tokens = self.tokens(octets, 1)
            self.assertEqual(tokens, [])
            self.assertEqual(capture["unreadable_messages"], number)
            self.assertEqual(capture["cut_by_the_capture"], 13)
            result = self.decode(octets)
            self.assertIn("unreadable messages", result.out)
            self.assertNotIn("No token was shown", result.out)
            self.assertIn("a leak may be missed", result.err)
        self.assertEqual(self.decode(pcap(LEAK, snaplen=140)).code, 3)

    def test_fragments(self):
        message = bytearray(udp(B, A, shown(OLD, R, 2)))
        message[6:8] = b"\x20\0"
        later = bytearray(ip(B, A, 17, bytes(40)))
        later[6:8] = b"\0\x10"
        capture, tokens = self.tokens(
            pcap([(0, bytes(message[:60])), (0, bytes(later))]), 1)
        self.assertEqual(tokens, [])
        self.assertEqual((capture["later_fragments"],
                          capture["unreadable_messages"]), (1, 1))

    def test_many_tokens(self):
        """The table is cut, the objects are not, and leaks come first."""
        packets = [(0, udp(B, A, shown((struct.pack(">Q", n), OLD[1]), R, 2)))
                   for n in range(1, 1500)]
        octets = pcap([*packets, *LEAK])
        self.assertEqual(len(self.tokens(octets, 3)[1]), 1500)
        result = self.decode(octets)
        rows = result.out[result.out.index("VERDICT"):].splitlines()
        self.assertTrue(rows[1].startswith("leak "))
        self.assertIn("and 500 more; see --json", rows)

    def test_strange_times(self):
        octets = bytearray(pcap(LEAK))
        for place in range(24, 28):
            octets[place] = 0xff
        octets[28:32] = b"\xff" * 4
        self.check_plain(self.decode(bytes(octets), "--json"))
        self.check_plain(self.decode(bytes(octets)))


class Damaged(Decode):
    def test_unreadable(self):
        good = pcap(recovery())
        for name, octets, words in (
                ("empty", b"", "is not a capture"),
                ("one octet", b"\xd4", "is not a capture"),
                ("header cut", good[:20], "is not a capture"),
                ("magic", b"\0" + good[1:], "is not a capture"),
                ("text", b"Dear auditor,\nhere is\n" * 9, "is not a capture"),
                ("old version", good[:4] + b"\1\0" + good[6:],
                 "is not a capture"),
                ("pcapng cut", pcapng(recovery())[:30], "is not a capture"),
                ("pcapng version", pcapng([]).replace(b"\1\0\0\0", b"\t\0\0\0",
                                                      1), "is not a capture"),
                ("link type", pcap(recovery(), kind=USB), "USB_LINUX"),
                ("unknown link type", pcap(recovery(), kind=60000), "60000")):
            for option in ("", "--json"):
                with self.subTest(name, option=option):
                    result = self.decode(octets, *option.split())
                    self.check_failed(result, words)
                    self.assertIn(self.path("capture"), result.err)
                    if option:
                        (error,) = result.objects
                        self.assertIs(error["ok"], False)
                    else:
                        self.assertEqual(result.out, "")

    def test_breaks_off(self):
        """What came before the damage is shown, and a leak is a leak."""
        leaks = pcap([*LEAK, (2, ALIVE)])
        good = pcap(recovery())
        last = len(pcap(recovery()[:-1]))
        for name, octets, code, before in (
                ("packet cut", good[:-1], 1, 11),
                ("packet header cut", good[:last + 9], 1, 11),
                ("length", good[:last + 8] + b"\xff" * 8 + good[last + 16:], 1,
                 11),
                ("pcapng cut", pcapng(recovery())[:-6], 1, 11),
                ("pcapng block", pcapng(recovery()) + pcapng([])[28:] +
                 block(6, bytes(20), 13), 1, 12),
                ("pcapng types", pcapng(recovery()) + pcapng([], kind=101), 1,
                 12),
                ("leak", leaks[:-1], 3, 13)):
            with self.subTest(name):
                result = self.decode(octets, "--json")
                self.assertEqual(result.code, code, result.err)
                self.assertIn(f"is damaged after packet {before}: ", result.err)
                first, capture, token, error = result.objects
                self.assertEqual((first["ok"], error["ok"]), (True, False))
                self.assertEqual(capture["packets"], before)
                self.assertEqual(token["recovery_ms"], 6)
                result = self.decode(octets)
                self.assertEqual(result.code, code)
                self.assertIn("INFORMATIONAL request", result.out)

    def test_every_length(self):
        """Cut anywhere, it ends with a message, and never with a signal."""
        octets = pcap(recovery()[4:6])
        whole = {24, 24 + 16 + len(frame(recovery()[4][1], ETHERNET)),
                 len(octets)}
        for length in range(len(octets) + 1):
            result = self.decode(octets[:length])
            self.assertEqual(result.code, 0 if length in whole else 1, length)

    def test_files(self):
        self.check_failed(run("decode", self.path("none")),
                          "No such file or directory")
        self.check_failed(run("decode", self.folder), "it is a folder")
        self.check_failed(run("decode", "/proc/self/mem"), "/proc/self/mem")
        self.check_failed(run("decode", self.path("\x1b[2J")), r"\x1b[2J")

    @unittest.skipIf(os.getuid() != 0, "needs root")
    def test_another_user(self):
        path = self.save(pcap(recovery()))
        os.chmod(path, 0o600)
        tool_box.QCD, before = self.tool_for_all(), tool_box.QCD
        try:
            self.check_failed(run("decode", path, user=65534, group=65534,
                                  extra_groups=[]), "Permission denied")
            os.chmod(path, 0o644)
            self.assertEqual(run("decode", path, user=65534, group=65534,
                                 extra_groups=[]).code, 0)
        finally:
            tool_box.QCD = before

    def test_full_disk(self):
        path = self.save(pcap(LEAK))
        for options in ([], ["--json"]):
            with open("/dev/full", "wb") as full:
                result = run("decode", *options, path, stdout=full)
            self.assertEqual(result.code, 3)
            self.assertIn("cannot write the output: No space left", result.err)
        path = self.save(pcap(recovery()))
        with open("/dev/full", "wb") as full:
            result = run("decode", path, stdout=full)
        self.check_failed(result, "cannot write the output: No space left")


class Picture(Decode):
    def draw(self, octets, code):
        result = self.decode(octets, "--svg", self.path("picture.svg"))
        self.assertEqual(result.code, code, result.err)
        text = self.read("picture.svg")
        xml.dom.minidom.parseString(text)
        return text

    def read(self, name):
        with open(self.path(name), encoding="ascii") as file:
            return file.read()

    def test_recovery(self):
        text = self.draw(pcap(recovery()), 0)
        for words in ("INFORMATIONAL request", "token 0.5", "IKE_SA_INIT 1.0",
                      "IKE_AUTH 6.0", "traffic 7.5", f"{B} showed {A} a token"):
            self.assertIn(f">{words}<", text)
        self.assertNotIn("lives on<", text.replace("token lives on<", ""))

    def test_leak(self):
        text = self.draw(pcap(LEAK), 3)
        self.assertIn(">lives on 500.0<", text)
        self.assertIn(">live token<", text)

    def test_bounded(self):
        packets = [(0, udp(B, A, shown((struct.pack(">Q", n), OLD[1]), R, 2)))
                   for n in range(1, 1500)]
        text = self.draw(pcap(packets), 0)
        self.assertIn("Tokens shown: 1499. Here are 20", text)
        self.assertLess(len(text), 100000)

    def test_name_is_escaped(self):
        path = self.save(pcap(LEAK), "<script>&\x1b")
        self.assertEqual(run("decode", "--svg", self.path("p"), path).code, 3)
        xml.dom.minidom.parseString(self.read("p"))
        self.assertIn("&#60;script&#62;&#38;?", self.read("p"))

    def test_replaces_a_file(self):
        with open(self.path("target"), "w", encoding="ascii") as file:
            file.write("before")
        os.symlink("target", self.path("picture.svg"))
        self.draw(pcap(LEAK), 3)
        self.assertTrue(os.path.islink(self.path("picture.svg")))
        self.assertIn("</svg>", self.read("target"))
        self.assertEqual(os.stat(self.path("target")).st_mode & 0o111, 0)

    def test_cannot_be_written(self):
        path = self.save(pcap(recovery()))
        for target, words in (("/dev/full", "No space left"),
                              (self.path("no/p.svg"), "No such file"),
                              (self.folder, "Is a directory"),
                              (self.path("x" * 300), "File name too long")):
            with self.subTest(target):
                result = run("decode", "--svg", target, path)
                self.check_failed(result, words)
                self.assertIn(f"cannot write the picture {target}", result.err)
                self.assertIn("No leak was found.", result.out)
        leak = self.save(pcap(LEAK))
        self.assertEqual(run("decode", "--svg", "/dev/full", leak).code, 3)

    @unittest.skipIf(os.getuid() != 0, "needs root")
    def test_full_file_system(self):
        """An earlier picture stays when there is no room for the new one."""
        mount = self.path("small")
        os.mkdir(mount)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "none",
                           mount], check=False, capture_output=True).returncode:
            self.skipTest("cannot mount a tmpfs")
        try:
            with open(mount + "/p.svg", "w", encoding="ascii") as file:
                file.write("before")
            with open(mount + "/rest", "wb") as file:
                file.write(bytes(4096))
            result = self.decode(pcap(recovery()), "--svg", mount + "/p.svg")
            self.check_failed(result, "No space left")
            self.assertEqual(sorted(os.listdir(mount)), ["p.svg", "rest"])
            self.assertEqual(self.read("small/p.svg"), "before")
        finally:
            subprocess.run(["umount", mount], check=True)


class Million(Decode):
    """Time and memory with a million packets; only the memory is a test."""

    COUNT = 1_000_000

    def measure(self, write):
        path = self.path("million")
        with open(path, "wb", buffering=1 << 20) as file:
            file.write(pcap(recovery()[:6]))
            write(file)
        begin = time.monotonic()
        with open(self.path("out"), "wb") as out:
            process = tool_box.start("decode", "--json", path, stdout=out)
            _, status, usage = os.wait4(process.pid, 0)
        spent = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stderr.close()
        print(f"# {self.id().rpartition('.')[2]}: {spent:.1f} s, "
              f"{usage.ru_maxrss >> 10} MB, {os.path.getsize(path) >> 20} MB "
              "of packets", flush=True)
        if not is_sanitized():
            self.assertLess(usage.ru_maxrss << 10, MEMORY_MAX)
        return process.returncode

    def found(self):
        with open(self.path("out"), "rb") as file:
            return sum(b'"verdict":"leak"' in line for line in file)

    def record(self, packet):
        data = frame(packet, ETHERNET)
        return bytearray(struct.pack("<IIII", START + 5, 0, len(data),
                                     len(data)) + data)

    def test_one_leak(self):
        """A gateway's busy day: one live token among a million packets."""
        def write(file):
            item = self.record(esp("10.1.0.0", B, b"\xc0\0\0\0"))
            for number in range(self.COUNT):
                struct.pack_into(">H", item, 44, number % 5000)
                struct.pack_into(">H", item, 16 + 14 + 20 + 2, number % 5000)
                file.write(item)
                if number == self.COUNT * 3 // 4:
                    file.write(self.record(ALIVE))
        self.assertEqual(self.measure(write), 3)
        self.assertEqual(self.found(), 1)

    def test_hostile(self):
        """Every packet has SPIs of its own, and every fourth one a token."""
        def write(file):
            kinds = [self.record(esp("10.1.0.0", B, b"\xc0\0\0\0")),
                     self.record(udp(B, "10.1.0.0", shown(OLD, R, 2))),
                     self.record(udp("10.1.0.0", B, ike(OLD, 37, I, 2))),
                     self.record(udp("10.1.0.0", B, ike(OLD, 34, I, 0, SA)))]
            ports = 16 + 14 + 20
            for number in range(self.COUNT):
                item = kinds[number % 4]
                place = ports if number % 4 == 0 else ports + 8
                struct.pack_into(">I", item, place, 0xc0000000 + number)
                end = 16 + 14 + (18 if number % 4 == 1 else 14)
                struct.pack_into(">H", item, end, number & 0xffff)
                file.write(item)
            file.write(self.record(ALIVE))
        self.assertEqual(self.measure(write), 3)
        self.assertEqual(self.found(), 1)


def is_sanitized():
    with open(tool_box.QCD, "rb") as file:
        return b"__asan_init" in file.read()


if __name__ == "__main__":
    sys.exit(main())
