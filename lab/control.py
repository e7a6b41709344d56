# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands to charon over its vici socket, with a timeout on every response.

The client is strongSwan's own, from its source tarball.
"""

import os
import select
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from lab.wait import PATIENCE, LabTimeout, deadline, left

REPO = Path(__file__).resolve().parent.parent
SOURCE = Path(
    os.environ.get("QCD_STRONGSWAN_SRC", REPO / ".cache" / "strongswan-5.9.8")
)
_CLIENT = SOURCE / "src" / "libcharon" / "plugins" / "vici" / "python"

if not (_CLIENT / "vici").is_dir():
    raise RuntimeError(
        f"no strongSwan sources in {SOURCE}: ./dev setup fetches them, "
        "or name their folder in QCD_STRONGSWAN_SRC"
    )
sys.path.append(str(_CLIENT))

import vici  # noqa: E402
from vici.exception import CommandException, SessionException  # noqa: E402
from vici.protocol import Message, Packet  # noqa: E402

T = TypeVar("T")
Section = dict[str, Any]
UNREPORTED = 0.5  # seconds between two looks at what nothing reports

__all__ = ["REPO", "CommandException", "Control", "Section"]


def _plain(value: Any) -> Any:
    """Return the same tree with text in place of octets."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


class Control:
    """A vici connection for commands; waiting for events opens separate ones."""

    def __init__(self, path: Path, timeout: float = 10.0) -> None:
        self._path = path
        self._timeout = timeout * PATIENCE
        self._session = self._connect()

    def _connect(self) -> "vici.Session":
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(self._timeout)
        sock.connect(str(self._path))
        return vici.Session(sock)

    def command(self, name: str, message: Section | None = None) -> Section:
        """Run a command and return its response; CommandException if it failed."""
        try:
            return _plain(self._session.request(name, message))
        except TimeoutError:
            raise LabTimeout(
                f"waited {self._timeout:g} s for charon's answer to vici {name}"
            ) from None

    def stream(
        self, name: str, event: str, message: Section, timeout: float | None = None
    ) -> list[Section]:
        """Run a command that responds with a stream of events."""
        bound = self._timeout if timeout is None else timeout
        self._session.transport.socket.settimeout(bound)
        try:
            found = self._session.streamed_request(name, event, message)
            return [_plain(item) for item in found]
        except (TimeoutError, SessionException):
            # What still arrives belongs to this command, not to the next one.
            self.close()
            self._session = self._connect()
            raise LabTimeout(
                f"waited {bound:g} s for charon's answer to vici {name}"
            ) from None
        finally:
            self._session.transport.socket.settimeout(self._timeout)

    def sas(self) -> list[Section]:
        """Return all IKE SAs; each has the name of its connection under `name`."""
        found = []
        for item in self.stream("list-sas", "list-sa", {}):
            for name, sa in item.items():
                found.append({"name": name, **sa})
        return found

    def wait(
        self,
        what: str,
        check: Callable[[], T],
        events: tuple[str, ...],
        timeout: float,
    ) -> T:
        """Call check now and after each of these events until it returns true.

        Nothing reports some changes, such as the end of a rekeyed SA: so also twice a
        second.
        """
        until = deadline(timeout)
        with self._listening(events) as session:
            while True:
                last = not left(until)
                result = check()
                if result:
                    return result
                if last:
                    raise LabTimeout(f"waited {timeout:g} s for {what}")
                wait = min(left(until), UNREPORTED)
                if select.select([session.transport.socket], [], [], wait)[0]:
                    session.transport.receive()

    @contextmanager
    def _listening(self, events: tuple[str, ...]) -> Iterator["vici.Session"]:
        session = self._connect()
        try:
            for event in events:
                session.transport.send(Packet.register_event(event))
            # Events may arrive before the last registration is confirmed.
            confirmed = 0
            while confirmed < len(events):
                answer = Packet.parse(session.transport.receive()).response_type
                confirmed += answer == Packet.EVENT_CONFIRM
                assert answer != Packet.EVENT_UNKNOWN, f"charon lacks one of {events}"
            yield session
        finally:
            session.transport.socket.close()

    @contextmanager
    def events(self, *names: str) -> Iterator[Callable[[float], tuple[str, Section]]]:
        """Yield a function that returns the next of these events, with a timeout."""
        with self._listening(names) as session:

            def following(timeout: float) -> tuple[str, Section]:
                session.transport.socket.settimeout(timeout)
                try:
                    packet = Packet.parse(session.transport.receive())
                except TimeoutError:
                    raise LabTimeout(
                        f"waited {timeout:g} s for one of charon's events {names}"
                    ) from None
                name = packet.event_type.decode()
                return name, _plain(Message.deserialize(packet.payload))

            yield following

    def close(self) -> None:
        self._session.transport.socket.close()
