# SPDX-License-Identifier: GPL-2.0-or-later
"""A flood: tens of thousands of prepared packets a second, with sendmmsg(2)."""

import ctypes
import mmap
import os
import signal
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.net import Host
from lab.wire import Address

BATCH = 32
# A flood is steady: packets that a busy machine delays are not sent later in one burst,
# which would test buffers and not rates.
LATEST = 0.005
PRIORITY = -10
PR_SET_PDEATHSIG = 1
_TOLD = struct.Struct("Qd")  # packets sent, in this many seconds
_IOVEC = struct.Struct("QQ")
# name, its length, iovec, count, control, its length, flags; octets sent.
_MMSGHDR = struct.Struct("QI4xQQQQi4xI4x")
_libc = ctypes.CDLL(None, use_errno=True)
AUTOGROUP = Path("/proc/self/autogroup")


@contextmanager
def before_others(autogroup: Path = AUTOGROUP) -> Iterator[None]:
    """Give what this thread starts meanwhile priority over what others started.

    The kernel first divides the processors between sessions, and a nice value counts
    within a session. A process outside such a group (its line is empty, as under an
    init that opened no session) competes by its own nice value.
    """
    line = autogroup.read_text().split() if autogroup.exists() else []
    if line:
        before = int(line[-1])
    else:
        before = os.getpriority(os.PRIO_PROCESS, 0)

    def set_priority(priority: int) -> None:
        if line:
            autogroup.write_text(str(priority))
        else:
            os.setpriority(os.PRIO_PROCESS, 0, priority)

    set_priority(PRIORITY)
    try:
        yield
    finally:
        set_priority(before)


class Burst:
    """Prepared IP packets to one target, in the form that sendmmsg needs."""

    def __init__(self, packets: Iterable[bytes], target: Address) -> None:
        chosen = list(packets)
        self.count = len(chosen)
        sockaddr = struct.pack("HH", socket.AF_INET, 0)
        sockaddr += socket.inet_aton(target[0]) + bytes(8)
        self._name = ctypes.create_string_buffer(sockaddr, len(sockaddr))
        self._data = ctypes.create_string_buffer(b"".join(chosen))
        vectors = bytearray(_IOVEC.size * self.count)
        self._vectors = (ctypes.c_char * len(vectors)).from_buffer(vectors)
        headers = bytearray(_MMSGHDR.size * self.count)
        self._headers = (ctypes.c_char * len(headers)).from_buffer(headers)
        name, iovec = ctypes.addressof(self._name), ctypes.addressof(self._vectors)
        place = ctypes.addressof(self._data)
        for number, packet in enumerate(chosen):
            at = number * _IOVEC.size
            _IOVEC.pack_into(vectors, at, place, len(packet))
            fields = (name, len(sockaddr), iovec + at, 1, 0, 0, 0, 0)
            _MMSGHDR.pack_into(headers, number * _MMSGHDR.size, *fields)
            place += len(packet)

    def send(self, sock: socket.socket, begin: int, end: int) -> None:
        """Send the packets from number begin to end."""
        while begin < end:
            at = ctypes.addressof(self._headers) + begin * _MMSGHDR.size
            done = _libc.sendmmsg(sock.fileno(), ctypes.c_void_p(at), end - begin, 0)
            if done <= 0:
                code = ctypes.get_errno()
                raise OSError(code, f"sendmmsg: {os.strerror(code)}")
            begin += done


class Flood:
    """Sends a burst repeatedly at a rate while in a `with`.

    It runs in a separate process with priority over others, so that the test does not
    slow it down. `sent`, `seconds` and `rate` give what it achieved.
    """

    def __init__(self, host: Host, burst: Burst, rate: float) -> None:
        self._sock = host.ns.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self._burst = burst
        self._rate = rate
        self._told = mmap.mmap(-1, _TOLD.size)
        self._pid = 0

    def _run(self) -> None:
        """Run in the process until it is killed."""
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
        begin = following = time.monotonic()
        place = sent = 0
        while True:
            now = time.monotonic()
            if following > now:
                time.sleep(following - now)  # the pace of the flood
            following = max(following, now - LATEST) + BATCH / self._rate
            end = min(place + BATCH, self._burst.count)
            self._burst.send(self._sock, place, end)
            sent += end - place
            place = end % self._burst.count
            _TOLD.pack_into(self._told, 0, sent, time.monotonic() - begin)

    def _child(self) -> None:
        try:
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            self._run()
        except BaseException as error:
            os.write(2, f"the flood ended: {error}\n".encode())
        finally:
            os._exit(1)

    @property
    def sent(self) -> int:
        return int(_TOLD.unpack_from(self._told)[0])

    @property
    def seconds(self) -> float:
        return float(_TOLD.unpack_from(self._told)[1])

    @property
    def rate(self) -> float:
        return self.sent / self.seconds if self.seconds else 0.0

    def __enter__(self) -> "Flood":
        self._pid = os.fork()
        if self._pid == 0:
            self._child()
        return self

    def __exit__(self, *_: object) -> None:
        os.kill(self._pid, signal.SIGKILL)
        _, status = os.waitpid(self._pid, 0)
        self._sock.close()
        if not os.WIFSIGNALED(status):
            raise RuntimeError("the flood ended by itself, see the output")
