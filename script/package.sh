#!/usr/bin/env bash
# SPDX-FileCopyrightText: The qcd authors
# SPDX-License-Identifier: Apache-2.0
#
# What `./dev package` does, a part of `dev`, which reads this file: builds the
# Debian packages for this release, and tries them in a new root file system.
# shellcheck disable=SC2154 # of dev

readonly package_folder=$cache/package

build_packages() {
    copy_project "$package_folder/qcd" &&
        cd "$package_folder/qcd" &&
        sed -i "1s/)/~$release)/" debian/changelog &&
        QCD_STRONGSWAN_SRC=$(strongswan_src) DEB_BUILD_OPTIONS=nocheck \
            dpkg-buildpackage -us -uc -b
}

# In a root file system of its own, so that nothing of this machine's helps.
try_packages() {
    local folder=$cache/rootfs/packages
    rm -rf "$folder"
    make_rootfs "$release" "$folder"
    mkdir -p "$folder/srv/packages"
    cp "$package_folder"/*.deb script/try-packages.sh "$folder/srv/packages/"
    in_rootfs "$folder" /srv/packages/try-packages.sh
    rm -rf "$folder"
}

cmd_package() {
    need_root package 'it makes a root file system to try the packages in'
    no_arguments package "$@"
    need_setup
    install_packages build-essential debhelper dpkg-dev lintian
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
