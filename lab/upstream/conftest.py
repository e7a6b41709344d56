# SPDX-License-Identifier: GPL-2.0-or-later
"""These tests only run where QCD_UPSTREAM says how the tree was built."""

import os

if "QCD_UPSTREAM" not in os.environ:
    collect_ignore_glob = ["test_*.py"]
