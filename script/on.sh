#!/usr/bin/env bash
# SPDX-FileCopyrightText: The qcd authors
# SPDX-License-Identifier: Apache-2.0
#
# What `./dev on` does, a part of `dev`, which reads this file: makes a root file
# system of another release of Debian, and runs a subcommand in there.
# shellcheck disable=SC2154 # of dev

# Where this machine's apt has Debian from; it knows an archive's label only
# once it has downloaded its lists.
debian_archive() { # LABEL
    # shellcheck disable=SC2016 # apt expands it
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
        'Origin: Debian' "Label: $1" | sed -n 1p
}

# isolated runs a command whose mounts and processes end with it, or with us.
isolated() { # COMMAND...
    setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child "$@"
}

# The security archive is asked first, where this machine has it: of what came
# from there, a mirror of the main one may have the package without the source.
apt_configuration() { # RELEASE ARCHIVE FOLDER
    local security
    security=$(debian_archive Debian-Security)
    {
        [ -z "$security" ] || say "deb $security $1-security main"
        say "deb $2 $1 main"
    } >"$3/sources.list"
    {
        say 'APT::Keep-Downloaded-Packages "false";' 'Acquire::Languages "none";'
        # A testing release expires within a week, which a mirror may miss: the
        # machine's own choice holds here too.
        apt-config dump Acquire::Check-Valid-Until
    } >"$3/apt.conf.d/90qcd"
}

# Releases newer than the installed debootstrap have no script there. The one
# for sid is what their script is a link to.
debootstrap_script() { # RELEASE
    if [ -e "/usr/share/debootstrap/scripts/$1" ]; then
        say "$1"
    else
        say sid
    fi
}

make_rootfs() { # RELEASE FOLDER
    local archive log=$cache/debootstrap.log
    [ ! -d "$2" ] || return 0
    install_packages debootstrap debian-archive-keyring
    archive=$(debian_archive Debian)
    if [ -z "$archive" ]; then
        apt-get -q update >"$log" 2>&1 || warn "apt-get update complained: $log"
        archive=$(debian_archive Debian)
    fi
    [ -n "$archive" ] || die "apt of this machine knows no archive of Debian's"
    say "Making a Debian $1 (some minutes)"
    rm -rf "$2.new"
    logged "$log" isolated \
        debootstrap --variant=minbase --force-check-gpg "$1" "$2.new" \
        "$archive" "$(debootstrap_script "$1")"
    apt_configuration "$1" "$archive" "$2.new/etc/apt"
    mv "$2.new" "$2"
}

# A copy, since the folders of a build know their place and their compiler.
# They stay, so that the next build is a short one.
copy_project() { # FOLDER
    mkdir -p "$1"
    find "$1" -mindepth 1 -maxdepth 1 ! -name .cache ! -name build \
        ! -name 'build-*' -exec rm -rf {} +
    tar --exclude=./.git --exclude=./.cache --exclude=./build \
        --exclude='./build-*' --exclude=__pycache__ -cf - . |
        tar -C "$1" --no-same-owner -xf -
}

# What runs in there is the first process of its namespace. The kernel's file
# systems and /dev (the lab needs /dev/net/tun) are the machine's.
in_rootfs() { # FOLDER COMMAND...
    local folder=$1 keep=() name
    shift
    for name in TERM http_proxy https_proxy no_proxy; do
        [ -z "${!name:-}" ] || keep+=("$name=${!name}")
    done
    # shellcheck disable=SC2016 # the inner shell expands these
    isolated bash -euc '
        cd "$1"
        mount --bind . .
        cd "$1" # now into the mount
        mount -t proc proc proc
        mount --rbind /sys sys
        mount --rbind /dev dev
        mount -t tmpfs tmpfs run
        find tmp -mindepth 1 -delete # on the disk, as a state_dir has to be
        cp --remove-destination /etc/resolv.conf /etc/hosts etc/
        shift
        exec chroot . "$@"' in_rootfs "$folder" \
        /usr/bin/env -i HOME=/root "PATH=/usr/sbin:/usr/bin:/sbin:/bin" \
        "${keep[@]}" "$@"
}

cmd_on() {
    local name=${1:-} folder=$cache/rootfs/${1:-}
    [ -n "$name" ] || misuse "'on' needs a release: ${!llvm_of[*]}"
    [ -n "${llvm_of[$name]:-}" ] ||
        misuse "'on' knows no release $name, but: ${!llvm_of[*]}"
    shift
    [ $# -gt 0 ] || set -- check tests
    need_root "on $name" 'it makes a root file system and works in it'
    mkdir -p "$cache/rootfs"
    exec 9>"$cache/rootfs/lock"
    flock --nonblock 9 || die "another 'dev on' is at work"
    make_rootfs "$name" "$folder"
    copy_project "$folder/srv/qcd"
    say "Debian $name is in $folder, what follows runs in there"
    in_rootfs "$folder" /srv/qcd/dev setup ||
        die "To begin with a new one: sudo rm -r $folder"
    in_rootfs "$folder" /srv/qcd/dev "$@"
}
