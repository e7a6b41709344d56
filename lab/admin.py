# SPDX-License-Identifier: GPL-2.0-or-later
"""Queries to a gateway's plugin over its own socket, as the qcd command makes them."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lab.gateway import Gateway

Row = dict[str, Any]
TIMEOUT = 10.0


def connect(gateway: Gateway) -> socket.socket:
    """Return a connection to the plugin's socket, with a timeout on all operations."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(TIMEOUT)
    sock.connect(str(gateway.places.qcd_socket))
    return sock


def ask(gateway: Gateway, command: str) -> list[Row]:
    """Return all objects of the response; the first one gives the result."""
    with connect(gateway) as sock:
        sock.sendall(command.encode() + b"\n")
        with sock.makefile("r", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]


def rows(gateway: Gateway, kind: str) -> list[Row]:
    """Return the objects of one type in the gateway's status."""
    return [row for row in ask(gateway, "status") if row.get("type") == kind]


def counters(gateway: Gateway) -> Row:
    """Return the object about the gateway as a whole."""
    return rows(gateway, "gateway")[0]


def sa_rows(gateway: Gateway) -> dict[tuple[str, str], Row]:
    """Return the rows of IKE SAs by their SPIs."""
    return {(row["spi_i"], row["spi_r"]): row for row in rows(gateway, "sa")}


@contextmanager
def events(gateway: Gateway) -> Iterator[Iterator[Row]]:
    """Yield the gateway's events while in a `with`; waiting for one has a timeout."""
    with connect(gateway) as sock:
        sock.sendall(b"events\n")
        with sock.makefile("r", encoding="utf-8") as lines:
            assert json.loads(lines.readline())["ok"]
            yield (json.loads(line) for line in lines)
