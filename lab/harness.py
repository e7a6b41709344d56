# SPDX-License-Identifier: GPL-2.0-or-later
"""libqcd-watch without a daemon: test/watch_harness.c, controlled line by line."""

import queue
import subprocess
import threading
from dataclasses import dataclass

from lab.net import Netns
from lab.process import plugin_path
from lab.wait import LabTimeout

HARNESS = plugin_path().parents[1] / "test" / "watch_harness"
NAT_PORT = 4500


@dataclass(frozen=True)
class Done:
    """Result of a command: whether it succeeded, and the number of SPIs after it."""

    ok: bool
    count: int
    seconds: float


class Harness:
    """A run of the harness in a namespace. Log lines are kept, packets are queued."""

    def __init__(
        self,
        ns: Netns,
        *,
        rate: int = 100,
        port: int = NAT_PORT,
        wrapper: tuple[str, ...] = (),
    ) -> None:
        with ns.entered():
            self.process = subprocess.Popen(
                [*wrapper, str(HARNESS), str(rate), str(port)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        self.log: list[str] = []
        self._packets: queue.Queue[bytes] = queue.Queue()
        self._replies: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        try:
            self.ready = self._reply(60.0) == "ready"
        except LabTimeout:
            self.kill()
            raise

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            kind, _, rest = line.rstrip("\n").partition(" ")
            if kind == "packet":
                self._packets.put(bytes.fromhex(rest))
            elif kind == "log":
                self.log.append(rest)
            else:
                self._replies.put(line.rstrip("\n"))
        self._replies.put("gone")

    def _reply(self, timeout: float) -> str:
        try:
            return self._replies.get(timeout=timeout)
        except queue.Empty:
            raise LabTimeout(f"waited {timeout:g} s for the harness") from None

    def _command(self, verb: str, first: int, count: int) -> Done:
        assert self.process.stdin
        self.process.stdin.write(f"{verb} {first} {count}\n")
        self.process.stdin.flush()
        reply = self._reply(120.0).split()
        if reply[0] != "done":
            raise RuntimeError(f"the harness said {reply} to {verb}: {self.log}")
        return Done(reply[1] == "1", int(reply[2]), float(reply[3]))

    def add(self, first: int, count: int = 1) -> Done:
        return self._command("add", first, count)

    def remove(self, first: int, count: int = 1) -> Done:
        return self._command("remove", first, count)

    def packet(self, timeout: float = 5.0) -> bytes:
        """Return the next packet that it delivered."""
        try:
            return self._packets.get(timeout=timeout)
        except queue.Empty:
            raise LabTimeout(f"waited {timeout:g} s for a packet") from None

    def packets(self) -> list[bytes]:
        """Return the queued packets."""
        taken = []
        while not self._packets.empty():
            taken.append(self._packets.get())
        return taken

    def kill(self) -> None:
        self.process.kill()
        self._end()

    def close(self) -> int:
        """Let it end by itself; return its exit status."""
        if self.process.stdin and self.process.poll() is None:
            self.process.stdin.close()
        return self._end()

    def _end(self) -> int:
        try:
            return self.process.wait(60.0)
        finally:
            self.process.kill()
            self.process.wait()
            self._reader.join()
            for stream in (self.process.stdin, self.process.stdout):
                if stream:
                    stream.close()
