# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures: a lab for a test, checked and cleaned up behind it."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from lab.config import Config
from lab.peer import Peer
from lab.process import plugin_path
from lab.scenario import Lab


@pytest.fixture(scope="session", autouse=True)
def root() -> None:
    if os.geteuid() != 0:
        pytest.exit("the lab makes network namespaces: it needs root", returncode=2)


@pytest.fixture
def new_lab() -> Iterator[Callable[..., Lab]]:
    """A function that makes a lab, `new_lab(Config(...))`.

    At the end each is checked (no daemon died by itself, nothing from
    AddressSanitizer) and closed.
    """
    labs: list[Lab] = []
    with ExitStack() as stack:

        def make(config: Config | None = None, **more: object) -> Lab:
            lab = Lab(config, **more)  # type: ignore[arg-type]
            stack.callback(lab.close)
            labs.append(lab)
            return lab

        yield make
        for lab in labs:
            lab.check()


@pytest.fixture
def lab(new_lab: Callable[..., Lab]) -> Lab:
    """Gateway a alone; the peer stands at the host of gateway b."""
    made = new_lab(Config())
    made.a.start()
    return made


@pytest.fixture
def peer(lab: Lab) -> Iterator[Peer]:
    with Peer(lab.b.host, lab.a) as made:
        yield made


@pytest.fixture
def asan_plugin() -> None:
    """For tests that need the plugin built with AddressSanitizer."""
    if not plugin_path(asan=True).is_file():
        pytest.skip(f"no plugin built with AddressSanitizer: {plugin_path(True)}")


@pytest.fixture
def tsan_plugin() -> None:
    """For tests that need the plugin built with ThreadSanitizer."""
    if not plugin_path(tsan=True).is_file():
        pytest.skip(f"no plugin built with ThreadSanitizer: {plugin_path(tsan=True)}")
