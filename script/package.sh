#!/usr/bin/env bash
# SPDX-FileCopyrightText: The qcd authors
# SPDX-License-Identifier: Apache-2.0
#
# What `./dev package` does, a part of `dev`, which reads this file: builds the
# Debian packages for this release, and tries them in a new root file system.
# shellcheck disable=SC2154 # of dev

readonly package_folder=$cache/package
# What a version ends with, so that each build replaces the one before it, and an
# upgrade of Debian does too.
declare -rA debian_of=([bookworm]=12 [trixie]=13 [forky]=14)

build_packages() {
    copy_project "$package_folder/qcd" &&
        cd "$package_folder/qcd" &&
        sed -i "1s/)/+$(date -u +%Y%m%d%H%M)~deb${debian_of[$release]})/" \
            debian/changelog &&
        QCD_STRONGSWAN_SRC=$(strongswan_src) DEB_BUILD_OPTIONS=nocheck \
            dpkg-buildpackage -us -uc -b
}

# The same packages as those of a next version, for the update.
make_newer() { # FOLDER
    local deb name work=$package_folder/newer
    mkdir "$1/newer"
    for deb in "$1"/*.deb; do
        name=${deb##*/}
        rm -rf "$work"
        dpkg-deb -R "$deb" "$work"
        sed -i 's/^Version: .*/&+newer/' "$work/DEBIAN/control"
        dpkg-deb -b "$work" "$1/newer/$name" >>"$cache/package.log"
    done
    rm -rf "$work"
}

# What an administrator's machine has before the first hour: systemd, and apt's
# packages at hand, since the machines of the transcript have no other network. This
# kernel may have no ESP, so strongSwan does it itself there.
make_base() { # FOLDER
    make_rootfs "$release" "$1"
    mkdir -p "$1/srv/packages" "$1/etc/strongswan.d"
    cp "$package_folder"/*.deb script/try-packages.sh "$1/srv/packages/"
    rm "$1"/srv/packages/*-dbgsym_*.deb
    make_newer "$1/srv/packages"
    printf 'charon {\n plugins {\n  kernel-libipsec {\n   load = yes\n  }\n }\n}\n' \
        >"$1/etc/strongswan.d/esp.conf"
    # shellcheck disable=SC2016 # the inner shell expands it
    logged "$cache/base.log" in_rootfs "$1" sh -euc '
        export DEBIAN_FRONTEND=noninteractive
        apt-get -q update
        apt-get -q -y --no-install-recommends install systemd-sysv dbus \
            iproute2 iputils-ping kmod
        apt-get -q -y --download-only install "$@" \
            /srv/packages/strongswan-qcd_*.deb /srv/packages/qcd-tools_*.deb' sh \
        charon-systemd strongswan-swanctl libcharon-extra-plugins prometheus
}

# In a root file system of its own, so that nothing of this machine's helps.
try_packages() {
    local folder=$cache/rootfs/packages
    rm -rf "$folder"
    mkdir -p "$folder"
    make_base "$folder/base"
    script/first-hour "$folder" doc/first-hour.md
    in_rootfs "$folder/base" /srv/packages/try-packages.sh
    rm -rf "$folder"
}

cmd_package() {
    need_root package 'it makes a root file system to try the packages in'
    no_arguments package "$@"
    need_setup
    install_packages build-essential debhelper dpkg-dev lintian
    # forky's util-linux is without it
    command -v pivot_root >/dev/null || install_packages util-linux-extra
    rm -rf "$package_folder"
    mkdir -p "$package_folder"
    say 'Building the packages'
    logged "$cache/package.log" build_packages
    logged "$cache/lintian.log" lintian --allow-root --fail-on error,warning \
        "$package_folder"/*.changes
    say 'Trying them in a new root file system'
    try_packages
    say "The packages are in $package_folder"
}
