#!/usr/bin/env bash
# SPDX-FileCopyrightText: The qcd authors
# SPDX-License-Identifier: Apache-2.0
#
# The part of `dev` behind `./dev upstream`; dev sources this file. It lays the
# plugin into a strongSwan source tree, builds charon there and runs lab/upstream
# with it: first in the tree as it is, then with the patches of doc/upstream.
# shellcheck disable=SC2154 # set in dev

# The version that the patches are for.
readonly upstream_version=6.1.0
# Releases of Debian to ask for its source, of which this machine may be none.
readonly upstream_releases=(forky sid)
readonly upstream_folder=$cache/upstream
readonly upstream_tree=$upstream_folder/strongswan
readonly upstream_usr=$upstream_folder/usr
readonly upstream_packages=(
    autoconf automake libtool make git libsystemd-dev libssl-dev
)
# What the lab loads, see lab/config.py.
readonly upstream_plugins=(
    nonce random openssl kdf pem pkcs1 pkcs8 x509 pubkey constraints revocation
    kernel-libipsec kernel-netlink socket-default vici updown qcd
)

# Print the version of Debian's newest source package of the wanted strongSwan, or
# else of any.
newest_source() {
    source_apt apt-cache madison strongswan 2>/dev/null |
        awk -F ' *[|] *' -v up="$upstream_version-" '
            NR == 1 { any = $2 }
            index($2, up) == 1 && !exact { exact = $2 }
            END { print exact ? exact : any }'
}

# The release archive has generated files, so flex, bison and gperf are not needed.
fetch_upstream() {
    local archive version name log=$upstream_folder/source.log
    rm -rf "$cache/apt"
    archive=$(debian_archive Debian)
    [ -n "$archive" ] || die "this machine's apt knows no Debian archive." \
        "Run: apt-get update"
    mkdir -p "$cache/apt/sources" "$cache/apt/lists/partial" \
        "$cache/apt/cache/archives/partial"
    for name in "${upstream_releases[@]}"; do
        say "deb-src $archive $name main"
    done >"$cache/apt/sources/upstream.list"
    logged "$log" source_apt apt-get update
    version=$(newest_source)
    [ -n "$version" ] ||
        die "Debian ${upstream_releases[*]} has no source of strongSwan"
    (cd "$upstream_folder" && logged "$log" source_apt apt-get source \
        --download-only --tar-only "strongswan=$version")
    rm -rf "$cache/apt"
}

# Print the path of the source, which `./dev setup` may have fetched already.
upstream_tarball() {
    find "$cache" "$upstream_folder" -maxdepth 1 ! -name '*.asc' \
        -name "strongswan_$upstream_version.orig.tar.*" -print -quit
}

upstream_git() {
    git -C "$upstream_tree" -c user.name=dev -c user.email=dev@localhost "$@"
}

# A repository of its own: strongSwan then builds with -Werror.
unpack_upstream() {
    local tarball version
    tarball=$(upstream_tarball)
    if [ -z "$tarball" ]; then
        rm -f "$upstream_folder"/*.orig.tar.*
        fetch_upstream
        tarball=$(find "$upstream_folder" -maxdepth 1 ! -name '*.asc' \
            -name '*.orig.tar.*')
    fi
    version=${tarball##*/strongswan_}
    version=${version%.orig.tar.*}
    [ "$version" = "$upstream_version" ] ||
        warn "Debian ${upstream_releases[*]} has no strongSwan" \
            "$upstream_version, for which the patches were made:" \
            "taking $version"
    say "$version" >"$upstream_folder/version"
    rm -rf "$upstream_tree" "$upstream_usr"
    mkdir "$upstream_tree"
    tar -C "$upstream_tree" --strip-components=1 --no-same-owner -xf "$tarball"
    upstream_git init -q
    upstream_git add -A -f
    upstream_git commit -q -m "$version"
}

prepare_upstream() {
    install_packages "${upstream_packages[@]}"
    unpack_upstream
    build_in "$upstream_folder/libqcd" -Dtests=false -Dtool=false \
        -Dstrongswan_src= -Dprefix="$upstream_usr" -Dlibdir=lib
    ninja -C "$upstream_folder/libqcd" install
}

# The second time, nothing may change.
lay_in() {
    script/into-strongswan "$upstream_tree" && upstream_git add -A -f &&
        upstream_git diff --cached --check &&
        script/into-strongswan "$upstream_tree" &&
        upstream_git diff --exit-code &&
        upstream_git commit -q -m 'Lay in the plugin'
}

configure_upstream() {
    local flags=() name
    for name in "${upstream_plugins[@]}"; do
        flags+=("--enable-$name")
    done
    cd "$upstream_tree" && autoreconf -fi &&
        PKG_CONFIG_PATH=$upstream_usr/lib/pkgconfig \
        LDFLAGS="-Wl,-rpath,$upstream_usr/lib" ./configure --quiet \
        --prefix="$upstream_usr" --sysconfdir="$upstream_usr/etc" \
        --with-piddir=/run --disable-dependency-tracking \
        --with-systemdsystemunitdir="$upstream_usr/lib/systemd/system" \
        --disable-defaults --enable-charon --enable-ikev1 --enable-ikev2 \
        --enable-mediation --enable-systemd --enable-libipsec "${flags[@]}"
}

# Flags and headers differ between the runs, so each one starts from nothing.
build_upstream() {
    lay_in && (configure_upstream) &&
        make -C "$upstream_tree" clean &&
        make -C "$upstream_tree" -j2 V=0 &&
        make -C "$upstream_tree" V=0 install
}

build_patched() {
    upstream_git reset -q --hard && upstream_git clean -q -x -d -f &&
        upstream_git am -q "$root"/doc/upstream/*.patch && build_upstream
}

# strongSwan's own tests of what we touch, and those of the plugin.
test_upstream() {
    make -C "$upstream_tree/src/libstrongswan/tests" -j2 V=0 libtest.la &&
        make -C "$upstream_tree/src/libcharon/plugins/qcd" -j2 V=0 check &&
        make -C "$upstream_tree/src/libcharon/tests" -j2 V=0 check
}

lab_upstream() { # plain|patched
    rm -f "$logs/upstream.xml"
    QCD_UPSTREAM=$1 QCD_UPSTREAM_VERSION=$(cat "$upstream_folder/version") \
        QCD_CHARON=$upstream_usr/sbin/charon-systemd \
        QCD_IPSEC=$upstream_usr/lib/ipsec \
        QCD_PLUGIN=$upstream_usr/lib/ipsec/plugins/libstrongswan-qcd.so \
        QCD_STRONGSWAN_SRC=$upstream_tree \
        /usr/bin/python3 -m pytest lab/upstream -p no:cacheprovider -rA \
        --timeout=300 --junit-xml="$logs/upstream.xml"
}

count_upstream() { script/count pytest "$logs/upstream.xml"; }

# Without one step, the next ones would count as further failures.
run_upstream() { # plain|patched BUILD
    step "$1 tree" one './dev upstream' "$2"
    [ "$rc_of_step" -eq 0 ] || return 0
    step "$1 tree's tests" one './dev upstream' test_upstream
    step "$1 tree's charon" count_upstream './dev upstream' lab_upstream "$1"
}

check_upstream() {
    step source one './dev upstream' prepare_upstream
    [ "$rc_of_step" -eq 0 ] || return 0
    run_upstream plain build_upstream
    run_upstream patched build_patched
}

cmd_upstream() {
    no_arguments upstream "$@"
    need_root upstream 'it makes network namespaces and starts gateways'
    mkdir -p "$logs" "$upstream_folder"
    exec 9>"$upstream_folder/lock"
    flock --nonblock 9 || die "another './dev upstream' is running"
    step setup one './dev setup' set_up
    step build one './dev build' cmd_build
    check_upstream
    result
}
