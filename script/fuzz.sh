#!/usr/bin/env bash
# SPDX-FileCopyrightText: The qcd authors
# SPDX-License-Identifier: Apache-2.0
#
# The part of `dev` behind `./dev fuzz`; dev sources this file. fuzz/campaign.py
# runs what is built here.
# shellcheck disable=SC2154 # set in dev

build_fuzzers() {
    CC=clang-$llvm CXX=clang++-$llvm configure_build build-fuzz -Dfuzz=libfuzzer \
        -Db_sanitize=address,undefined -Db_lundef=false -Ddefault_library=static \
        "-Dc_args=-fsanitize=fuzzer-no-link -fno-sanitize-recover=all" &&
        ninja -C build-fuzz fuzzers
}

# The corpus is replayed by programs of their own: they are built faster, and the
# fuzzers are not slowed down.
build_replays() {
    CC=clang-$llvm CXX=clang++-$llvm configure_build build-cover \
        -Dbuildtype=debug -Ddefault_library=static \
        "-Dc_args=-fprofile-instr-generate -fcoverage-mapping" \
        -Dc_link_args=-fprofile-instr-generate &&
        ninja -C build-cover replays
}

# Which lines the corpus reaches, and whether the mistakes of `./dev fuzz mutants`
# and `./dev faults` can still be made; for `./dev check`.
fuzz_coverage() { fuzz/mutants.py && test/fault_mutants.py && build_replays && fuzz/campaign.py "$llvm"; }

cmd_fuzz() {
    need_setup
    case "$*" in
    mutants)
        say 'Building'
        logged "$cache/build.log" build_in build
        fuzz/mutants.py build
        return
        ;;
    esac
    [[ $# -eq 1 && $1 =~ ^[0-9]+([.][0-9]+)?$ ]] ||
        misuse "'fuzz' takes a number of minutes or 'mutants', not: $*"
    say 'Building'
    logged "$cache/build.log" build_fuzzers
    logged "$cache/build.log" build_replays
    fuzz/campaign.py "$llvm" "$1"
}
