# SPDX-License-Identifier: GPL-2.0-or-later
"""A socket with a separate thread that reads it."""

import os
import socket
import threading
from typing import Self


class Reader:
    """Runs `_read` in a thread while in a `with`, and closes the socket afterwards.

    `_read` must return once `_wake` is readable.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._wake, self._waker = os.pipe()
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._waker, b"x")
        self._reader.join()
        self._sock.close()
        os.close(self._wake)
        os.close(self._waker)

    def _read(self) -> None:
        raise NotImplementedError
