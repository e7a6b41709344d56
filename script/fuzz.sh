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
        "-Dc_args=-fsanitize=fuzzer-no-link -fno-sanitize-recover=all \
-fprofile-instr-generate -fcoverage-mapping" \
        -Dc_link_args=-fprofile-instr-generate &&
        ninja -C build-fuzz fuzzers
}

# Which lines the corpus reaches; for `./dev check`.
fuzz_coverage() { build_fuzzers && fuzz/campaign.py build-fuzz "$llvm"; }

cmd_fuzz() {
    [[ $# -eq 1 && $1 =~ ^[0-9]+([.][0-9]+)?$ ]] ||
        misuse "'fuzz' takes a number of minutes, not: $*"
    need_setup
    say 'Building'
    logged "$cache/build.log" build_fuzzers
    fuzz/campaign.py build-fuzz "$llvm" "$1"
}
