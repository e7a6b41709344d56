# SPDX-License-Identifier: GPL-2.0-or-later
"""These tests only run in the guest, where QCD_KERNEL_LAB is set."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.kernel.libreswan import Libreswan
from lab.scenario import Lab

if "QCD_KERNEL_LAB" not in os.environ:
    collect_ignore_glob = ["test_*.py"]


def _keep(source: Path, name: str) -> None:
    """Copy a log of a failed test out of the guest."""
    folder = Path(os.environ["QCD_KERNEL_LAB_RESULTS"], "logs")
    if source.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, folder / name)


@pytest.fixture
def new_libreswan(
    request: pytest.FixtureRequest,
) -> Iterator[Callable[..., tuple[Lab, Libreswan]]]:
    """Return a function that makes a lab whose host b is libreswan's, and its pluto."""
    made: list[tuple[Lab, Libreswan]] = []

    def make(config: object, **options: object) -> tuple[Lab, Libreswan]:
        lab = Lab(config)  # type: ignore[arg-type]
        peer = Libreswan(lab, **options)  # type: ignore[arg-type]
        made.append((lab, peer))
        return lab, peer

    yield make
    for number, (lab, peer) in enumerate(made):
        try:
            lab.check()
        finally:
            name = f"{request.node.name}-{number}"
            _keep(lab.a.places.log, f"{name}-charon.log")
            _keep(peer.log_file, f"{name}-pluto.log")
            peer.close()
            lab.close()
