# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of a charon from a strongSwan tree with our plugin; run by `./dev upstream`."""
