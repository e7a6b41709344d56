# SPDX-License-Identifier: GPL-2.0-or-later
"""The wire of a host: seeing packets, sending with any source, asking tshark."""

import ctypes
import errno
import select
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lab.ike import MARKER, Message
from lab.net import Host
from lab.reader import Reader
from lab.traffic import IP_HEADER, SO_TIMESTAMPNS, checksum, kernel_time
from lab.wait import LabTimeout, deadline, left

ETHERNET_HEADER = 14
UDP_HEADER = 8
SO_RCVBUFFORCE = 33
SO_ATTACH_FILTER = 26
SOL_PACKET = 263
PACKET_STATISTICS = 6
PACKET_OUTGOING = 4
BUFFER = 64 << 20
_UDP = struct.Struct("!HHHH")

# RFC 3948 section 2.3; from a port 500 it passes the filter.
NAT_KEEPALIVE = b"\xff"

Address = tuple[str, int]


@dataclass(frozen=True)
class Packet:
    """An IKE message on the wire of a host."""

    time: float
    outgoing: bool
    source: Address
    target: Address
    data: bytes
    frame: bytes

    @cached_property
    def message(self) -> Message:
        return Message.parse(self.data)

    def __str__(self) -> str:
        way = "->" if self.outgoing else "<-"
        try:
            shown = str(self.message)
        except ValueError:
            shown = "no IKE message"
        return (
            f"{self.time:.6f} {way} {self.source[0]}:{self.source[1]} "
            f"{self.target[0]}:{self.target[1]} {shown}, {len(self.data)} octets"
        )


# Classic BPF: (code, jump if true, jump if false, k); a jump to the end is -1.
_LDH, _LDB, _LDW, _LDX, _IND_H, _IND_W = 0x28, 0x30, 0x20, 0xB1, 0x48, 0x40
_JEQ, _RET = 0x15, 0x06
_PKTTYPE = 0xFFFFF000 + 4


def _filter(outgoing: bool | None, peer: str | None) -> bytes:
    """Return a filter for IKE over IPv4: UDP port 500, or 4500 with a marker."""
    code: list[tuple[int, int, int, int]] = []
    if outgoing is not None:
        code.append((_LDB, 0, 0, _PKTTYPE))
        jumps = (0, -1) if outgoing else (-1, 0)
        code.append((_JEQ, *jumps, PACKET_OUTGOING))
    code += [(_LDH, 0, 0, 12), (_JEQ, 0, -1, 0x0800)]
    if peer is not None:
        (address,) = struct.unpack("!I", socket.inet_aton(peer))
        code += [(_LDW, 0, 0, ETHERNET_HEADER + 12), (_JEQ, 2, 0, address)]
        code += [(_LDW, 0, 0, ETHERNET_HEADER + 16), (_JEQ, 0, -1, address)]
    code += [(_LDB, 0, 0, ETHERNET_HEADER + 9), (_JEQ, 0, -1, socket.IPPROTO_UDP)]
    code += [(_LDX, 0, 0, ETHERNET_HEADER)]
    code += [(_IND_H, 0, 0, ETHERNET_HEADER + 2), (_JEQ, 6, 0, 500)]
    code += [(_JEQ, 3, 0, 4500), (_IND_H, 0, 0, ETHERNET_HEADER)]
    code += [(_JEQ, 3, 0, 500), (_JEQ, 0, -1, 4500)]
    code += [(_IND_W, 0, 0, ETHERNET_HEADER + UDP_HEADER), (_JEQ, 0, -1, 0)]
    code += [(_RET, 0, 0, 0xFFFF), (_RET, 0, 0, 0)]
    end = len(code) - 1
    packed = b""
    for place, (op, true, false, k) in enumerate(code):
        jumps = [end - place - 1 if jump < 0 else jump for jump in (true, false)]
        packed += struct.pack("HBBI", op, *jumps, k)
    return packed


class Sniffer(Reader):
    """Records the IKE packets of a host's device while in a `with`; ESP is left out.

    It may be limited to one direction, and to the packets from and to a peer, so that a
    flood needn't be recorded.
    """

    def __init__(
        self, host: Host, *, outgoing: bool | None = None, peer: Host | None = None
    ) -> None:
        program = _filter(outgoing, peer.address if peer else None)
        buffer = ctypes.create_string_buffer(program)
        header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
        super().__init__(host.ns.socket(socket.AF_PACKET, socket.SOCK_RAW))
        self._sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, header)
        self._sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        self._sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._sock.bind((host.device, 0x0003))
        self._sock.setblocking(False)
        self.host = host
        self._packets: list[Packet] = []
        self._changed = threading.Condition()

    def _read(self) -> None:
        while True:
            ready, _, _ = select.select([self._sock, self._wake], [], [])
            self._pull()
            if self._wake in ready:
                return

    def _pull(self) -> None:
        """Receive all packets so far, in whatever thread calls this.

        The kernel gives us a packet before anybody else acts on it. A caller that knows
        of something that charon did thus finds here what charon sent for it.
        """
        with self._changed:
            while self._sock.fileno() >= 0:
                try:
                    frame, ancillary, _, address = self._sock.recvmsg(65536, 128)
                except BlockingIOError:
                    return
                except OSError as error:
                    if error.errno == errno.ENETDOWN:
                        continue  # reported once; it continues when the link is up
                    raise
                packet = _parse(frame, kernel_time(ancillary), address[2])
                if packet.data != NAT_KEEPALIVE:
                    self._packets.append(packet)
                    self._changed.notify_all()

    @property
    def packets(self) -> list[Packet]:
        """Return the packets seen so far."""
        with self._changed:
            self._pull()
            return list(self._packets)

    @property
    def count(self) -> int:
        with self._changed:
            self._pull()
            return len(self._packets)

    def lost(self) -> int:
        """Return how many packets the kernel could not deliver since the last call."""
        data = self._sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
        return int(struct.unpack("II", data)[1])

    def wait(
        self,
        what: str,
        match: Callable[[Packet], bool],
        timeout: float = 5.0,
        since: int = 0,
    ) -> Packet:
        """Wait for the first packet that matches, from number `since` on."""
        until = deadline(timeout)
        place = since
        with self._changed:
            while True:
                self._pull()
                for packet in self._packets[place:]:
                    if match(packet):
                        return packet
                place = max(place, len(self._packets))
                if left(until) <= 0:
                    seen = "\n".join(str(item) for item in self._packets[-30:])
                    raise LabTimeout(
                        f"waited {timeout:g} s for {what} on the wire of gateway "
                        f"{self.host.name}; the last packets there:\n{seen}"
                    )
                self._changed.wait(left(until))

    def find(self, match: Callable[[Packet], bool]) -> list[Packet]:
        return [packet for packet in self.packets if match(packet)]

    def write_pcap(self, path: Path, packets: list[Packet] | None = None) -> Path:
        """Write packets, all by default, for tshark."""
        chosen = self.packets if packets is None else packets
        with path.open("wb") as file:
            file.write(struct.pack("IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
            for item in chosen:
                seconds, fraction = divmod(item.time, 1)
                size = len(item.frame)
                stamp = (int(seconds), int(fraction * 1e6), size, size)
                file.write(struct.pack("IIII", *stamp) + item.frame)
        return path


def _parse(frame: bytes, when: float, kind: int) -> Packet:
    ip_length = (frame[ETHERNET_HEADER] & 15) * 4
    at = ETHERNET_HEADER + ip_length
    source, target, length, _ = _UDP.unpack_from(frame, at)
    data = frame[at + UDP_HEADER : at + length]
    if 500 not in (source, target):
        data = data[len(MARKER) :]
    addresses = [
        socket.inet_ntoa(frame[ETHERNET_HEADER + o : ETHERNET_HEADER + o + 4])
        for o in (12, 16)
    ]
    outgoing = kind == PACKET_OUTGOING
    ends = ((addresses[0], source), (addresses[1], target))
    return Packet(when, outgoing, *ends, data, frame)


def datagram(source: Address, target: Address, payload: bytes) -> bytes:
    """Return an IPv4 UDP packet from any source; the kernel sets the IP checksum."""
    size = IP_HEADER + UDP_HEADER + len(payload)
    ends = socket.inet_aton(source[0]) + socket.inet_aton(target[0])
    ip = struct.pack("!BBHHHBBH", 0x45, 0, size, 0, 0, 64, socket.IPPROTO_UDP, 0) + ends
    length = UDP_HEADER + len(payload)
    pseudo = ends + struct.pack("!BBH", 0, socket.IPPROTO_UDP, length)
    udp = _UDP.pack(source[1], target[1], length, 0) + payload
    code = checksum(pseudo + udp + bytes(length % 2)) or 0xFFFF
    return ip + udp[:6] + struct.pack("!H", code) + payload


def ike_datagram(source: Address, target: Address, data: bytes) -> bytes:
    """Return the same for an IKE message, with a marker unless a port is 500."""
    marker = b"" if 500 in (source[1], target[1]) else MARKER
    return datagram(source, target, marker + data)


class Forger:
    """Sends UDP packets from a host, with any source."""

    def __init__(self, host: Host) -> None:
        self._sock = host.ns.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.address = host.address

    def send(
        self,
        message: Message | bytes,
        target: Address,
        source: Address | None = None,
    ) -> None:
        """Send an IKE message; by default from the host's own address and port."""
        data = message if isinstance(message, bytes) else message.pack()
        start = source or (self.address, target[1])
        self.raw(ike_datagram(start, target, data), target)

    def raw(self, packet: bytes, target: Address) -> None:
        """Send a whole IP packet."""
        self._sock.sendto(packet, (target[0], 0))

    def paced(self, packets: list[bytes], target: Address, rate: float) -> None:
        """Send IP packets at a limited rate a second."""
        begin = time.monotonic()
        address = (target[0], 0)
        for number, packet in enumerate(packets):
            ahead = begin + number / rate - time.monotonic()
            if ahead > 0.002:
                time.sleep(ahead)  # the pace
            self._sock.sendto(packet, address)

    def close(self) -> None:
        self._sock.close()

    def __enter__(self) -> "Forger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def tshark_decode(pcap: Path, fields: tuple[str, ...] = ()) -> list[list[str]]:
    """Have tshark decode a file; fail on a malformed packet or a complaint.

    Return a row for each packet, with the values of the requested fields.
    """
    shown = ("_ws.malformed", "_ws.expert.severity", "_ws.expert.message", *fields)
    argv = ["tshark", "-n", "-r", str(pcap), "-T", "fields"]
    for name in shown:
        argv += ["-e", name]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"tshark could not read {pcap}:\n{done.stderr}")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    warning = 0x600000
    for number, (malformed, severity, complaint, *_) in enumerate(rows, start=1):
        levels = [int(item) for item in severity.split(",") if item]
        if malformed or max(levels, default=0) >= warning:
            raise AssertionError(f"tshark on packet {number}: {malformed} {complaint}")
    return [row[3:] for row in rows]
