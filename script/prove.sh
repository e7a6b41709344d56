#!/usr/bin/env bash
# SPDX-FileCopyrightText: The qcd authors
# SPDX-License-Identifier: Apache-2.0
#
# The part of `dev` behind `./dev prove`; dev sources this file.
# shellcheck disable=SC2154 # set in dev

# shellcheck disable=SC2120 # dev passes the arguments
cmd_prove() {
    command -v frama-c >/dev/null ||
        die 'frama-c is missing. Run: sudo ./dev setup (on Debian 12)'
    proof/run "$@"
}

# The proofs need the Frama-C of Debian 12; they do not depend on the compiler.
has_proof() { [ "$release" = bookworm ] || command -v frama-c >/dev/null; }

# shellcheck disable=SC2119 # all harnesses
check_proof() {
    if has_proof; then
        cmd_prove
    else
        say "skipped: frama-c-base is installed on Debian 12 only, not on $release"
    fi
}

count_proof() { # RC
    if has_proof; then
        one "$1"
    else
        say 0 0 1
    fi
}
