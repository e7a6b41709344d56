# SPDX-License-Identifier: Apache-2.0
"""Seeds that are packets, messages and captures."""

import struct

NOTIFY, SK, SKF, VENDOR = 41, 46, 53, 43
IKE_SPI, ESP_SPI, TOKEN = 4, 11, 16419
PEER, DEAD, LIVE, BURIED, FUTURE, OTHER = 1, 2, 3, 4, 5, 6


def notify(kind, data=b"", protocol=0, spi=b""):
    return NOTIFY, struct.pack(">BBH", protocol, len(spi), kind) + spi + data


def message(payloads, exchange=37, flags=0x20, version=0x20, msgid=7):
    body = b""
    for i, (_, data) in enumerate(payloads):
        following = payloads[i + 1][0] if i + 1 < len(payloads) else 0
        body += struct.pack(">BBH", following, 0, 4 + len(data)) + data
    first = payloads[0][0] if payloads else 0
    spis = bytes(range(1, 17))
    return spis + struct.pack(">BBBBII", first, version, exchange, flags,
                              msgid, 28 + len(body)) + body


def token(length=32, **more):
    return notify(TOKEN, bytes(i & 255 for i in range(length)), **more)


def messages():
    cause = notify(IKE_SPI)
    yield "one-token", message([cause, token()])
    yield "four-tokens", message([cause] + [token(n) for n in (16, 17, 32, 128)])
    yield "nine-tokens", message([cause] + [token(16)] * 9)
    yield "no-token", message([cause])
    yield "token-alone", message([token()])
    yield "protocol-1", message([cause, token(protocol=1)])
    yield "esp", message([notify(ESP_SPI, b"\1\2\3\4"), token()], flags=8)
    yield "both-causes", message([notify(ESP_SPI, b"\1\2\3\4"), cause, token()])
    yield "token-15", message([cause, token(15)])
    yield "token-129", message([cause, token(129)])
    yield "token-with-spi", message([cause, token(spi=b"\1")])
    yield "vendor-between", message([cause, (VENDOR, b"qcd"), token()])
    yield "sk-behind", message([token(), (SK, bytes(40))])
    yield "sa-init", message([cause, token()], exchange=34)
    yield "cut", message([cause, token()])[:-1]
    yield "trailing", message([cause, token()]) + b"\0"
    yield "header", message([])
    yield "empty", b""
    zero = bytearray(message([token()]))
    zero[30:32] = b"\0\0"
    yield "payload-length-0", bytes(zero)


def request(initiator, responder, payload=SK, size=52, flags=8, exchange=37):
    body = (payload, struct.pack(">HH", 1, 1) + bytes(size - 4))
    return bytes([initiator | responder << 4]) + message(
        [body], flags=flags, exchange=exchange)


def requests():
    yield "dead", request(PEER, DEAD)
    yield "dead-initiator", request(DEAD, PEER, flags=0)
    yield "dead-flipped", request(PEER, DEAD, flags=0)
    yield "dead-fragment", request(PEER, DEAD, payload=SKF)
    yield "dead-short", request(PEER, DEAD, size=16)
    yield "dead-shortest", request(PEER, DEAD, size=17)
    yield "dead-fragment-shortest", request(PEER, DEAD, payload=SKF, size=21)
    yield "dead-header-alone", request(PEER, DEAD)[:25] + bytes(
        [0, 0, 0, 28])
    yield "dead-trailing", request(PEER, DEAD)[:25] + struct.pack(
        ">I", 85) + request(PEER, DEAD)[29:] + b"\0"
    yield "dead-long", request(PEER, DEAD, size=200)
    yield "dead-response", request(PEER, DEAD, flags=0x28)
    yield "dead-clear", request(PEER, DEAD, payload=NOTIFY)
    yield "dead-sa-init", request(PEER, DEAD, exchange=34)
    yield "live", request(PEER, LIVE)
    yield "live-flipped", request(DEAD, LIVE, flags=0)
    yield "live-swapped", request(LIVE, DEAD)
    yield "buried", request(PEER, BURIED)
    yield "buried-other-peer", request(DEAD, BURIED)
    yield "future", request(PEER, FUTURE)
    yield "other-node", request(PEER, OTHER)
    yield "random", request(0, 0)


HOP, UDP, ROUTING, FRAGMENT, ESP, AH, OPTIONS = 0, 17, 43, 44, 50, 51, 60
CHILD_SPI = b"\xc1\xc2\xc3\xc4"


def esp(spi=CHILD_SPI, length=60):
    return (spi + bytes(range(256)))[:length]


def udp(data, port=4500, off=0):
    return struct.pack(">HHHH", 31234, port, 8 + len(data) + off, 0) + data


def ipv4(data, protocol=ESP, options=b"", fragment=0, off=0,
         source=b"\xc0\0\2\1"):
    words = 5 + len(options) // 4
    return struct.pack(">BBHHHBBH", 0x40 | words, 0,
                       words * 4 + len(data) + off, 1, fragment, 64, protocol,
                       0) + source + b"\xc0\0\2\2" + options + data


def ipv6(data, protocol=ESP, chain=(), off=0,
         source=b"\x20\1\x0d\xb8" + bytes(12)):
    headers = b""
    for i, (_, header) in enumerate(chain):
        following = chain[i + 1][0] if i + 1 < len(chain) else protocol
        headers += bytes([following]) + header
    first = chain[0][0] if chain else protocol
    return struct.pack(">IHBB", 6 << 28, len(headers) + len(data) + off, first,
                       64) + source + source[:-1] + b"\2" + headers + data


def extension(kind, words=1, field=0):
    return kind, struct.pack(">BH", words - 1, field) + bytes(words * 8 - 4)


def packets():
    options, hop = extension(OPTIONS), extension(HOP)
    first = extension(FRAGMENT, field=1)
    yield "ipv4", ipv4(esp())
    yield "ipv4-shortest", ipv4(esp(length=8))
    yield "ipv4-too-short", ipv4(esp(length=7))
    yield "ipv4-options", ipv4(esp(), options=b"\1" * 40)
    yield "ipv4-first-fragment", ipv4(esp(), fragment=0x2000)
    yield "ipv4-second-fragment", ipv4(esp(), fragment=0x2001)
    yield "ipv4-longer-than-it-came", ipv4(esp(), off=1000)
    yield "ipv4-length-0", ipv4(esp(), off=-80)
    yield "ipv4-tcp", ipv4(esp(), protocol=6)
    yield "ipv4-multicast", ipv4(esp(), source=b"\xe0\0\0\1")
    yield "ipv4-cut", ipv4(esp())[:23]
    yield "spi-255", ipv4(esp(spi=b"\0\0\0\xff"))
    yield "spi-256", ipv4(esp(spi=b"\0\0\1\0"))
    yield "udp", ipv4(udp(esp()), UDP)
    yield "udp-ike", ipv4(udp(esp(spi=bytes(4))), UDP)
    yield "udp-port-500", ipv4(udp(esp(), port=500), UDP)
    yield "udp-keepalive", ipv4(udp(b"\xff"), UDP)
    yield "udp-too-long", ipv4(udp(esp(), off=1), UDP)
    yield "udp-shorter", ipv4(udp(esp(), off=-10), UDP)
    yield "udp-length-7", ipv4(udp(esp(), off=-61), UDP)
    yield "udp-first-fragment", ipv4(udp(esp(), off=999), UDP, fragment=0x2000)
    yield "ipv6", ipv6(esp())
    yield "ipv6-udp", ipv6(udp(esp()), UDP)
    yield "ipv6-length-0", ipv6(esp(), off=-60)
    yield "ipv6-options", ipv6(esp(), chain=[options])
    yield "ipv6-long-options", ipv6(esp(), chain=[extension(OPTIONS, words=32)])
    yield "ipv6-lying-options", ipv6(esp(), chain=[extension(OPTIONS, words=256)],
                                     off=-2000)
    yield "ipv6-routed", ipv6(esp(), chain=[extension(ROUTING)])
    yield "ipv6-segments-left", ipv6(esp(), chain=[extension(ROUTING, field=1)])
    yield "ipv6-first-fragment", ipv6(esp(), chain=[first])
    yield "ipv6-udp-first-fragment", ipv6(udp(esp(), off=999), UDP, chain=[first])
    yield "ipv6-second-fragment", ipv6(esp(), chain=[extension(FRAGMENT, field=8)])
    yield "ipv6-ah", ipv6(esp(), chain=[extension(AH)])
    yield "ipv6-all", ipv6(udp(esp()), UDP, chain=[
        hop, options, extension(ROUTING), extension(FRAGMENT), options])
    yield "ipv6-eight", ipv6(esp(), chain=[hop] + [options] * 7)
    yield "ipv6-nine", ipv6(esp(), chain=[hop] + [options] * 8)
    yield "ipv6-mapped", ipv6(esp(), source=bytes(10) + b"\xff\xff\xc0\0\2\1")
    yield "version-5", b"\x55" + ipv4(esp())[1:]
    yield "empty", b""


# Checksums are the fuzzer's business: it makes them right.
def row(spi=7, mark=1, encap=1, role=1, local=4, peer=16):
    address = bytes(range(1, 17))
    return struct.pack(">BIBBBHB", mark, spi, 50, encap, 3, 9, role) + \
        bytes(range(16)) + \
        bytes([local]) + address[:local].ljust(16, b"\0") + \
        bytes([peer]) + address[:peer].ljust(16, b"\0") + \
        struct.pack(">HH", 500, 4500) + bytes(16) + \
        struct.pack(">Q", 1700000000)


def slots():
    yield "row", row()
    yield "ipv6-initiator", row(local=16, role=2, encap=0)
    yield "address-5", row(local=5)
    yield "mark-2", row(mark=2)
    yield "behind-the-fields", row() + bytes(20) + b"\1"
    yield "empty", b""
    yield "head", b"qcd samap\0\0\2"
    yield "newer-head", b"qcd samap\0\0\3"
    yield "head-and-more", b"qcd samap\0\0\2\1"


# A crash and its recovery, and the leak that may follow.
GATEWAY, CLIENT = b"\xc0\0\2\2", b"\xc0\0\2\1"
OLD, NEW = bytes(range(1, 17)), bytes(range(33, 49))


def from_gateway(data, protocol=UDP):
    whole = bytearray(ipv4(data, protocol, source=GATEWAY))
    whole[16:20] = CLIENT
    return bytes(whole)


def protected(spis, flags, msgid, exchange=37):
    return spis + message([(SK, bytes([msgid]) * 40)], flags=flags, msgid=msgid,
                          exchange=exchange)[16:]


def ike(data):
    return udp(data, port=500)


def story():
    yield 0, ipv4(ike(protected(OLD, 8, 1, 35)), UDP)
    yield 1, from_gateway(ike(protected(OLD, 0x20, 1, 35)))
    yield 2, ipv4(esp())
    yield 3, from_gateway(esp(b"\xd1\xd2\xd3\xd4"), ESP)
    yield 4, ipv4(ike(protected(OLD, 8, 7)), UDP)
    yield 5, from_gateway(ike(message([notify(IKE_SPI), token()])))
    yield 6, ipv4(ike(NEW[:8] + bytes(8) + message(
        [(33, bytes(40))], exchange=34, flags=8, msgid=0)[16:]), UDP)
    yield 7, ipv4(ike(protected(NEW, 8, 1, 35)), UDP)
    yield 8, from_gateway(ike(protected(NEW, 0x20, 1, 35)))
    yield 9, ipv4(esp(b"\xe1\2\3\4"))
    yield 10, from_gateway(esp(b"\xe5\2\3\4"), ESP)


def leak():
    yield from story()
    yield 11, from_gateway(ike(protected(OLD, 0, 1)))


def told():
    yield 0, ipv4(esp())
    yield 1, from_gateway(ike(message(
        [notify(ESP_SPI, CHILD_SPI), token()], flags=0)))
    yield 2, from_gateway(esp(b"\xd1\xd2\xd3\xd4"), ESP)


ETHERNET, RAW, COOKED, COOKED2, NULL, PPP, WIFI, NFLOG = (
    1, 12, 113, 276, 0, 9, 127, 239)
MACS = bytes(12)
NFLOG_EMPTY = b"\2\0\0\0\4\0\x09\0"  # its payload has no octets


def frames(kind, seeds, head=b""):
    return struct.pack(">H", kind) + b"".join(
        struct.pack(">BH", when, len(head + data)) + head + data
        for when, data in seeds)


def survived():
    """The token of an SA whose children are used later."""
    yield from list(story())[:6]
    for when in range(20, 30):
        yield when, ipv4(esp())
        yield when, from_gateway(esp(b"\xd1\xd2\xd3\xd4"), ESP)


def many_tokens(away=from_gateway):
    for i in range(12):
        spis = bytes([i]) * 16
        yield i, ipv4(ike(spis + protected(OLD, 8, 7)[16:]), UDP)
        yield i, away(ike(spis + message([notify(IKE_SPI), token()])[16:]))
        yield 100 + i, ipv4(esp(bytes([9, i, i, i])))


def captures():
    yield "survived", frames(RAW, survived())
    yield "many-tokens", frames(RAW, many_tokens())
    yield "one-address", frames(RAW, [
        (0, ipv4(ike(protected(OLD, 8, 7)), UDP, source=GATEWAY)),
        (1, ipv4(ike(message([notify(IKE_SPI), token()])), UDP, source=GATEWAY)),
        (2, ipv4(ike(protected(OLD, 8, 9)), UDP, source=GATEWAY)),
        (3, ipv4(ike(protected(OLD, 0, 9)), UDP, source=GATEWAY))])
    yield "story", frames(RAW, story())
    yield "leak", frames(RAW, leak())
    yield "told", frames(RAW, told())
    yield "ethernet", frames(ETHERNET, leak(), MACS + b"\x08\0")
    yield "vlan", frames(ETHERNET, leak(), MACS + b"\x81\0\0\1\x08\0")
    yield "vlans", frames(ETHERNET, told(), MACS + b"\x88\xa8\0\1\x81\0\0\1"
                          b"\x08\0")
    yield "pppoe", frames(ETHERNET, told(), MACS + b"\x88\x64\x11\0\0\1\0\x40"
                          b"\0\x21")
    yield "mpls", frames(ETHERNET, told(), MACS + b"\x88\x47\0\0\x11\x40")
    yield "cooked", frames(COOKED, told(), bytes(14) + b"\x08\0")
    yield "cooked2", frames(COOKED2, told(), b"\x08\0" + bytes(18))
    yield "null", frames(NULL, told(), b"\2\0\0\0")
    yield "ppp", frames(PPP, told(), b"\xff\3\0\x21")
    yield "nflog", frames(NFLOG, told(), b"\2\0\0\0\x05\0\x0a\0a\0\0\0"
                          b"\xff\0\x09\0")
    yield "nflog-empty", frames(NFLOG, [(1, NFLOG_EMPTY)])
    yield "radiotap", frames(WIFI, told(), b"\0\0\x08\0" + bytes(4) +
                             b"\x08\0" + bytes(22) +
                             b"\xaa\xaa\3\0\0\0\x08\0")
    yield "packets", frames(RAW, enumerate(data for _, data in packets()))
    yield "messages", frames(RAW, enumerate(
        from_gateway(ike(data)) for _, data in messages()))
    yield "usb", frames(189, told())
    yield "no-type", b"\0"


def pcap(seeds, order="<", magic=0xa1b2c3d4, kind=101, off=0):
    return struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, kind) + \
        b"".join(struct.pack(order + "IIII", when, 0, len(data) + off,
                             len(data) + off) + data for when, data in seeds)


def block(kind, body, off=0):
    length = 12 + len(body) + off
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def pcapng(seeds, kind=101, off=0, version=1):
    out = block(0x0a0d0d0a, struct.pack("<IHHq", 0x1a2b3c4d, version, 0, -1))
    out += block(1, struct.pack("<HHI", kind, 0, 65535))
    for when, data in seeds:
        padded = data + bytes(-len(data) % 4)
        out += block(6, struct.pack("<IIIII", 0, 0, when, len(data),
                                    len(data)) + padded, off)
    return out


def files():
    yield "pcap", pcap(leak())
    yield "pcap-other-order", pcap(leak(), ">")
    yield "pcap-nflog-empty", pcap([(1, NFLOG_EMPTY)], kind=NFLOG)
    yield "pcap-nanoseconds", pcap(leak(), magic=0xa1b23c4d)
    yield "pcap-modified", pcap(leak(), magic=0xa1b2cd34)
    yield "pcap-empty", pcap([])
    yield "pcap-cut-header", pcap(leak())[:20]
    yield "pcap-cut-packet", pcap(leak())[:-1]
    yield "pcap-lying-length", pcap(leak(), off=1000)
    yield "pcap-huge-length", pcap(leak(), off=0x7fff0000)
    yield "pcap-usb", pcap(leak(), kind=189)
    yield "pcap-no-such-type", pcap(leak(), kind=60000)
    yield "pcapng", pcapng(leak())
    yield "pcapng-cut", pcapng(leak())[:-6]
    yield "pcapng-block-too-long", pcapng(leak(), off=4)
    yield "pcapng-block-too-short", pcapng(leak(), off=-8)
    yield "pcapng-block-odd", pcapng(leak(), off=1)
    yield "pcapng-version", pcapng(leak(), version=9)
    yield "pcapng-two-types", pcapng(leak()) + pcapng(leak(), kind=1)
    yield "text", b"not a capture\n"


def answers():
    """Lengths, whether the request is echoed, copies, and octets."""
    def answer(octets, echoes=0, copies=1):
        return bytes([len(octets), echoes, copies]) + octets

    none = answer(b"", copies=0)
    cause, nonce = notify(IKE_SPI), (40, bytes(16))
    accept = answer(message([(33, bytes(40)), nonce], exchange=34, msgid=0))
    group = answer(message([notify(17, b"\0\x0e")], exchange=34, msgid=0))
    shown = answer(message([cause, token()]))
    again = answer(message([(33, bytes(40)), nonce], exchange=34, msgid=0), 3)
    cookie = answer(message([notify(16390, bytes(8))], exchange=34, msgid=0))
    yield "silent", none * 2
    # More tokens than are kept; the whole input is read as an answer, too.
    yield "nine-tokens", message([cause] + [token(16 + i) for i in range(9)])

    def begun(*answered):
        whole = none + again + b"".join(answered)
        return whole + bytes(len(whole) % 2)  # IKE_SA_INIT needs an even length

    notified = answer(message([notify(16390)]), 0)
    yield "asked-token", begun(none, none, again, notified, shown * 12)
    yield "asked-control", begun(none, none, again, none, notified, shown * 12)
    yield "asked-neither", begun(none, none, again, none, none, shown * 12)
    yield "leak", begun(shown, none, again, none, none)
    yield "leak-flipped", begun(none, shown, again, none, none)
    yield "no-leak", begun(none, none, again, none, none)
    for name, payloads in (("lengths", [cause, token(16), token(32)]),
                           ("with-spi", [cause, token(spi=b"\1")]),
                           ("too-many", [cause] + [token(16)] * 5),
                           ("protocol", [cause, token(protocol=1)]),
                           ("too-long", [cause, token(129)])):
        yield name, none * 2 + answer(message(payloads)) * 24
    yield "malformed", none * 2 + answer(message([cause, token()])[:-3]) * 24
    yield "request", none * 2 + answer(message([cause, token()], flags=0)) * 24
    yield "protected", none * 2 + answer(message([(SK, bytes(40))])) * 24
    for i in range(3):  # the length chooses the rows
        more = bytes(i)
        yield f"live-{i}", (none + again) * 3 + again * 6 + more
        yield f"accepted-{i}", again * 20 + more
        yield f"shown-{i}", none + (again + shown) * 10 + more
        yield f"cookie-{i}", cookie * 20 + more
        yield f"no-answer-{i}", none * 20 + more
    yield "bare", none * 2 + answer(message([cause])) * 20
    yield "tokens", none * 2 + shown * 20
    yield "begun", none + accept + none * 2 + accept + shown * 20
    yield "live", none + accept + shown * 20
    yield "group", none + group + accept + shown * 20
    other = answer(message([cause, token()]), echoes=4)
    yield "other-id", none * 2 + other * 20
    yield "interrupted", shown + none * 2 + bytes(5)
    yield "strays", none + answer(message([token()]), echoes=1) * 20
    yield "many", none * 2 + answer(message([token(16)] * 5), copies=3) * 20
    yield "short", none * 2 + answer(message([cause, token(15)])) * 20
    yield "one-message", message([cause, token(), token(128)])
