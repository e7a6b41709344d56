# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab: gateways in network namespaces, crashed, restarted, watched and attacked."""
