# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests that need a kernel with ESP; `./dev kernel-lab` runs them in a guest."""
