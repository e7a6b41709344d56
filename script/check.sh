#!/usr/bin/env bash
# SPDX-FileCopyrightText: The qcd authors
# SPDX-License-Identifier: Apache-2.0
#
# The part of `dev` behind `./dev check`; dev sources this file. It runs each check
# as a step, counts its tests and prints the result.
# shellcheck disable=SC2154 # set in dev

passed=0
failed=0
rc_of_step=0
failures=()

# step runs a command with its output in a log, adds its tests to the counts and
# prints the result. COUNTER prints "passed failed skipped", and may say why tests were
# skipped; it is `one` for a step that counts as one test. A failed step doesn't stop the
# steps after it.
step() { # NAME COUNTER AGAIN COMMAND...
    local name=$1 counter=$2 again=$3 log begin seconds rc p f s why
    shift 3
    log=$logs/${name//[^a-z0-9]/-}.log
    begin=$(date +%s%N)
    set +e
    case "$name" in
    setup | lab | 'kernel lab'*) # may take minutes: show the output
        (set -e; "$@") 2>&1 | tee "$log"
        rc=${PIPESTATUS[0]}
        printf '%-20s ' "$name"
        ;;
    *)
        printf '%-20s ' "$name"
        (set -e; "$@") >"$log" 2>&1
        rc=$?
        ;;
    esac
    set -e
    # shellcheck disable=SC2034 # kernel-lab.sh reads it
    rc_of_step=$rc
    read -r p f s why < <("$counter" "$rc" 2>>"$log") || p=0 f=1 s=0 why=
    if [ "$rc" -ne 0 ] && [ "$f" -eq 0 ]; then
        f=1
    fi
    passed=$((passed + p))
    failed=$((failed + f))
    seconds=$(awk -v ns=$(($(date +%s%N) - begin)) \
        'BEGIN { printf "%.1f", ns / 1e9 }')
    say "$p passed, $f failed, $s skipped ($seconds s)${why:+: $why}"
    [ "$f" -eq 0 ] || failures+=("$name" "$again" "$log")
}

# result prints what failed and the counts. It fails if a step did.
result() {
    local i
    for ((i = 0; i < ${#failures[@]}; i += 3)); do
        say
        tail -n 20 "${failures[i + 2]}" | sed 's/^/    /'
        say "FAILED: ${failures[i]}. Again: ${failures[i + 1]}"
        say "    whole output: ${failures[i + 2]}"
    done
    say "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}

one() { say $(($1 == 0)) $(($1 != 0)) 0; }

# Without plugin/, which follows strongSwan's format.
c_files() {
    local dir
    for dir in include src test bench tool fuzz examples proof; do
        [ ! -d "$dir" ] || find "$dir" -type f -name '*.[ch]'
    done
}

shell_files() {
    say dev
    say .ci/run
    say lab/kernel/boot
    say lab/kernel/init
    [ ! -d script ] || find script -type f -name '*.sh'
}

check_format() {
    c_files | xargs -r "clang-format-$llvm" --dry-run -Werror
}

check_tidy() {
    c_files | grep -E '^(src|tool)/.*[.]c$' | xargs -n 1 -P "$(nproc)" \
        "clang-tidy-$llvm" -p build --quiet \
        --extra-arg=-Wno-unknown-warning-option
}

check_shell() { shell_files | xargs shellcheck; }
check_spelling() { codespell; }
check_licences() { reuse lint; }
check_conformance() { script/conformance; }

# A limit of time is for a test that hangs; walks and other tests run beside it.
unit_tests() { # FOLDER
    rm -f "$1/meson-logs/testlog.json"
    meson test -C "$1" --no-rebuild --print-errorlogs --num-processes 4 \
        --timeout-multiplier 5
}

count_units() { script/count meson build/meson-logs/testlog.json; }
count_sanitized() { script/count meson build-asan/meson-logs/testlog.json; }
count_model() { say "$(tail -n 1 "$logs/model.log" | tr -dc '0-9 ')"; }
count_lab() { script/count pytest "$logs/lab.xml" "$logs/lab-alone.xml"; }

# Two tests at a time, since they mostly wait; then those that need the whole machine.
lab_tests() {
    local rc=0
    rm -f "$logs/lab.xml" "$logs/lab-alone.xml"
    QCD_STRONGSWAN_SRC=$(strongswan_src)
    QCD_PLUGIN_ASAN=$root/build-asan/plugin/libstrongswan-qcd.so
    QCD_PLUGIN_TSAN=$root/build-tsan/plugin/libstrongswan-qcd.so
    export QCD_STRONGSWAN_SRC QCD_PLUGIN_ASAN QCD_PLUGIN_TSAN
    run_lab "$logs/lab.xml" -n 2 -m 'not alone' || rc=$?
    run_lab "$logs/lab-alone.xml" -m alone || rc=$?
    return "$rc"
}

run_lab() { # RESULTS ARGUMENTS...
    /usr/bin/python3 -m pytest lab -p no:cacheprovider --timeout=600 \
        --junit-xml="$1" "${@:2}"
}

# Four walks of 2.5 minutes mostly wait, so they run while the rest is built. They
# have a higher priority than compilers, and end with this script. The seeds stay the
# same, so that a failure here comes from a change; new ones are for walks by hand.
# These draw each setting: lab/field/test_nature.py.
walk_seeds=(9 21 22 48)

begin_soak() {
    QCD_STRONGSWAN_SRC=$(strongswan_src) setpriv --pdeathsig TERM \
        /usr/bin/python3 -m lab.field.report --walk 2.5 --seed "${walk_seeds[@]}" \
        >"$logs/walks.log" 2>&1 &
    soak=$!
}

end_soak() {
    local rc=0
    wait "$soak" || rc=$?
    step soak one "sudo ./dev field --walk 2.5 --seed ${walk_seeds[*]}" show_soak "$rc"
}

show_soak() { # STATUS
    cat "$logs/walks.log"
    return "$1"
}

check_quick() {
    step build one './dev build' cmd_build
    step 'unit tests' count_units 'meson test -C build' unit_tests build
}

check_deep() {
    step 'release build' one 'ninja -C build-bench' build_release
    step 'sanitizer build' one 'ninja -C build-asan' build_sanitized
    step 'constant time' one './dev constant-time' cmd_constant_time
    step 'thread sanitizer' one 'ninja -C build-tsan' build_threaded
    step 'sanitized tests' count_sanitized 'meson test -C build-asan' \
        unit_tests build-asan
    end_soak
    step lab count_lab 'sudo /usr/bin/python3 -m pytest lab' lab_tests
}

check_tests() {
    step setup one './dev setup' set_up
    check_quick
    begin_soak
    check_deep
}

check_full() {
    step setup one './dev setup' set_up
    step format one './dev format' check_format
    step shell one 'shellcheck dev .ci/run' check_shell
    step spelling one 'codespell' check_spelling
    step licences one 'reuse lint' check_licences
    step conformance one 'script/conformance' check_conformance
    check_quick
    begin_soak
    step model count_model './dev model' model/check.py
    step tidy one './dev check' check_tidy
    step proof count_proof './dev prove' check_proof
    step 'fuzz coverage' one './dev fuzz 0' fuzz_coverage
    check_deep
    # Without the libreswan tests, which take longer; './dev kernel-lab' runs all.
    check_kernel lab/kernel/test_esp.py lab/kernel/test_kernel.py
}

cmd_check() {
    [ "${1:-}" = quick ] ||
        need_root check 'it installs packages, and its lab makes namespaces'
    mkdir -p "$logs"
    case "$*" in
    '') check_full ;;
    tests) check_tests ;;
    quick) check_quick ;;
    *) misuse "'check' takes nothing, 'tests' or 'quick', not: $*" ;;
    esac
    result
}
