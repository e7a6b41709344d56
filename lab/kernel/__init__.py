# SPDX-License-Identifier: GPL-2.0-or-later
"""What needs a kernel with ESP; `./dev kernel-lab` runs it in a guest that has one."""
