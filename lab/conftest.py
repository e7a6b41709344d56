# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures: a lab for a test, which is checked and cleaned up afterwards."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from lab.config import Config
from lab.peer import Peer
from lab.process import plugin_path
from lab.scenario import Lab


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "alone: no other test runs at the same time")


@pytest.fixture(scope="session", autouse=True)
def root() -> None:
    if os.geteuid() != 0:
        pytest.exit("the lab makes network namespaces: it needs root", returncode=2)


@pytest.fixture
def new_lab() -> Iterator[Callable[..., Lab]]:
    """Return a function that makes a lab, `new_lab(Config(...))`.

    At the end each lab is checked (no daemon died by itself, no report of
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
    """Return a lab in which only gateway a runs; the peer uses host b."""
    made = new_lab(Config())
    made.a.start()
    return made


@pytest.fixture
def peer(lab: Lab) -> Iterator[Peer]:
    with Peer(lab.b.host, lab.a) as made:
        yield made


@pytest.fixture
def asan_plugin() -> None:
    """Skip the test unless the plugin was built with AddressSanitizer."""
    if not plugin_path(asan=True).is_file():
        pytest.skip(f"no plugin built with AddressSanitizer: {plugin_path(True)}")


@pytest.fixture
def tsan_plugin() -> None:
    """Skip the test unless the plugin was built with ThreadSanitizer."""
    if not plugin_path(tsan=True).is_file():
        pytest.skip(f"no plugin built with ThreadSanitizer: {plugin_path(tsan=True)}")
