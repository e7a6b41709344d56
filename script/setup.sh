#!/usr/bin/env bash
# SPDX-FileCopyrightText: The qcd authors
# SPDX-License-Identifier: Apache-2.0
#
# The part of `dev` behind `./dev setup`; dev sources this file. It installs what
# the project needs, and prepares strongSwan's headers and its legacy daemon in
# .cache/. The machine's apt sources stay as they are.
# shellcheck disable=SC2154 # set in dev

readonly packages=(
    # build and unit tests
    meson ninja-build gcc g++ libc6-dev pkg-config binutils bzip2
    nettle-dev libsodium-dev libjansson-dev libmnl-dev
    libmicrohttpd-dev
    libncurses-dev python3-pyte
    libpcap-dev
    libnftnl-dev libcmocka-dev libssl-dev valgrind
    # checks
    "clang-$llvm" "clang-format-$llvm" "clang-tidy-$llvm"
    "libclang-rt-$llvm-dev" "llvm-$llvm" shellcheck codespell reuse mandoc
    abigail-tools spin patch
    prometheus prometheus-node-exporter python3-prometheus-client systemd
    # lab
    charon-systemd strongswan-libcharon strongswan-swanctl
    libcharon-extra-plugins libstrongswan-extra-plugins
    libstrongswan-standard-plugins
    python3 python3-pytest python3-pytest-timeout python3-scapy
    python3-cryptography
    openssl tshark tcpdump nftables iproute2 iputils-ping e2fsprogs
)

missing_packages() { # [NAMES...] default: all packages of the project
    local name want=("$@")
    if [ $# -eq 0 ]; then
        want=("${packages[@]}")
        # Debian 12 has it; without it the step `proof` is skipped.
        [ "$release" != bookworm ] || want+=(frama-c-base)
    fi
    for name in "${want[@]}"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" \
            = installed ] || say "$name"
    done
}

# Packages must not start daemons while they are installed: the system's own IKE
# daemon would take the ports of this machine. This is a subshell, so that the guard
# is removed however the installation ends.
without_daemons() ( # COMMAND...
    guard=/usr/sbin/policy-rc.d
    if [ ! -e "$guard" ]; then
        trap 'rm -f "$guard"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$guard"
        chmod 755 "$guard"
    fi
    "$@"
)

# A service that this installation added stays off after a reboot too.
disable_new_services() { # UNITS...
    [ -d /run/systemd/system ] || return 0
    local unit
    for unit in "$@"; do
        [ "$(systemctl is-enabled "$unit" 2>/dev/null)" = enabled ] || continue
        systemctl --quiet disable "$unit" || continue
        say "The service $unit was disabled, since the tests start their own" \
            "daemons. To enable it: systemctl enable --now $unit"
    done
}

# shellcheck disable=SC2120 # on.sh and kernel-lab.sh pass names
install_packages() { # [NAMES...]
    local missing name new_units=()
    mapfile -t missing < <(missing_packages "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0
    need_root setup "it installs packages (${missing[*]})"
    for name in "${missing[@]}"; do
        case $name in
        charon-systemd) new_units+=(strongswan strongswan-starter) ;;
        prometheus | prometheus-node-exporter) new_units+=("$name") ;;
        esac
    done
    say "Installing: ${missing[*]}"
    # A third party's list may fail here; only the installation matters.
    apt-get -q update >"$cache/apt-update.log" 2>&1 ||
        warn "apt-get update complained: $cache/apt-update.log"
    logged "$cache/apt-install.log" without_daemons \
        env DEBIAN_FRONTEND=noninteractive \
        apt-get -q --yes --no-install-recommends install "${missing[@]}"
    disable_new_services "${new_units[@]}"
}

# logged runs a command with its output in a file, and shows it only on failure.
logged() { # FILE COMMAND...
    local file=$1
    shift
    "$@" >"$file" 2>&1 || {
        tail -n 25 "$file" >&2
        die "failed: $*. Whole output: $file"
    }
}

strongswan_version() { # the upstream part of the installed version
    dpkg-query -W -f '${source:Upstream-Version}' strongswan-libcharon
}

strongswan_src() { say "$cache/strongswan-$(strongswan_version)"; }

# charon's method tables differ with the mediation extension (ME). A plugin built
# for the other kind calls the wrong function.
configure_flags() {
    local library
    library=$(dpkg-query -L strongswan-libcharon |
        awk '/\/libcharon\.so\.0$/ { print }')
    [ -f "$library" ] ||
        die "no libcharon.so.0 in the package strongswan-libcharon"
    say --quiet --disable-dependency-tracking --disable-defaults \
        --enable-charon --enable-ikev2
    if nm -D --defined-only "$library" |
        grep -w connect_manager_create >/dev/null; then
        say --enable-mediation
    fi
}

# Run apt with the machine's own archives, but for source packages and with separate
# lists. The machine's configuration does not change.
source_apt() { # COMMAND ARGUMENTS...
    local tool=$1
    shift
    "$tool" -q -o Dir::Etc::SourceList=/dev/null \
        -o Dir::Etc::SourceParts="$cache/apt/sources" \
        -o Dir::State::Lists="$cache/apt/lists" \
        -o Dir::Cache="$cache/apt/cache" \
        -o APT::Sandbox::User= "$@"
}

make_source_lists() {
    local file
    rm -rf "$cache/apt"
    mkdir -p "$cache/apt/sources" "$cache/apt/lists/partial" \
        "$cache/apt/cache/archives/partial"
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ ! -f "$file" ] ||
            sed -nE 's/^[[:space:]]*deb(-src)?[[:space:]]/deb-src /p' "$file" \
                >"$cache/apt/sources/${file##*/}"
    done
    for file in /etc/apt/sources.list.d/*.sources; do
        [ ! -f "$file" ] ||
            sed -E 's/^Types:.*/Types: deb-src/I' "$file" \
                >"$cache/apt/sources/${file##*/}"
    done
}

# Print the installed version first, then others with the same upstream tarball. An
# archive keeps only the newest version, and a mirror may lag behind.
source_versions() { # UPSTREAM-VERSION
    dpkg-query -W -f '${source:Version}\n' strongswan-libcharon
    source_apt apt-cache madison strongswan 2>>"$cache/source.log" |
        awk -F ' *[|] *' -v up="$1-" 'index($2, up) == 1 { print $2 }'
}

# Uses --tar-only, since the packaging files of a security update may be missing.
fetch_tarball() { # UPSTREAM-VERSION
    local version log=$cache/source.log
    make_source_lists
    # A third party's list may fail here; only the tarball matters.
    source_apt apt-get update >"$log" 2>&1 || true
    for version in $(source_versions "$1" | awk '!seen[$0]++'); do
        (cd "$cache" && source_apt apt-get source --download-only --tar-only \
            "strongswan=$version") >>"$log" 2>&1 || continue
        rm -rf "$cache/apt"
        return 0
    done
    tail -n 25 "$log" >&2
    die "apt found no source of strongSwan $1 (whole output: $log)." \
        "Check that an apt source of this machine has strongSwan."
}

# Prepare the headers of exactly the installed charon, and a matching config.h.
# Nothing of strongSwan is compiled.
prepare_strongswan() {
    local version dir stamp flags tarball
    version=$(strongswan_version)
    dir=$(strongswan_src)
    stamp=$dir/.qcd-stamp
    mapfile -t flags < <(configure_flags | tr ' ' '\n')
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$version ${flags[*]}" ]; then
        return 0
    fi
    say "Preparing the headers of strongSwan $version (a minute)"
    fetch_tarball "$version"
    tarball=$(find "$cache" -maxdepth 1 \
        -name "strongswan_$version.orig.tar.*" ! -name '*.asc')
    [ -f "$tarball" ] || die "apt fetched no tarball of strongSwan $version"
    rm -rf "$dir"
    mkdir "$dir"
    tar -C "$dir" --strip-components=1 --no-same-owner -xf "$tarball"
    (cd "$dir" && logged "$cache/configure.log" ./configure "${flags[@]}")
    say "$version ${flags[*]}" >"$stamp"
}

# Download the installed version, or else what the archive has: it keeps only the
# newest.
download_legacy() { # LOG
    local version names=(strongswan-charon strongswan-starter)
    version=$(dpkg-query -W -f '${Version}' strongswan-libcharon)
    apt-get -q -o APT::Sandbox::User= download "${names[@]/%/=$version}" \
        >"$1" 2>&1 ||
        apt-get -q -o APT::Sandbox::User= download "${names[@]}" >>"$1" 2>&1
}

# Unpack, but don't install, the daemon that reads ipsec.conf, for the lab. From
# 6.1.0 on its package conflicts with charon-systemd, and it has a service.
prepare_legacy() {
    local dir=$cache/legacy log=$cache/legacy.log version package
    version=$(dpkg-query -W -f '${Version}' strongswan-libcharon)
    [ "$(cat "$dir/.qcd-stamp" 2>/dev/null)" != "$version" ] || return 0
    rm -rf "$dir"
    mkdir "$dir"
    (
        cd "$dir"
        download_legacy "$log" || {
            ! is_root || apt-get -q update >>"$log" 2>&1 || true
            download_legacy "$log"
        }
    ) || die "apt has no packages strongswan-charon and strongswan-starter." \
        "Whole output: $log"
    for package in "$dir"/*.deb; do
        dpkg-deb -x "$package" "$dir"
    done
    rm "$dir"/*.deb
    say "$version" >"$dir/.qcd-stamp"
}

cmd_setup() {
    no_arguments setup "$@"
    set_up
}

set_up() {
    command -v apt-get >/dev/null ||
        die "setup needs apt-get: the project is made for Debian 12"
    mkdir -p "$cache"
    # shellcheck disable=SC2119 # all packages of the project
    install_packages
    prepare_strongswan
    prepare_legacy
}

need_setup() {
    local missing
    mapfile -t missing < <(missing_packages)
    [ "${#missing[@]}" -eq 0 ] ||
        die "missing: ${missing[*]}. Run: sudo ./dev setup"
    [ -f "$(strongswan_src)/.qcd-stamp" ] ||
        die "no headers of the installed strongSwan. Run: ./dev setup"
}
