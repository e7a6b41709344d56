#!/usr/bin/env bash
# SPDX-FileCopyrightText: The qcd authors
# SPDX-License-Identifier: Apache-2.0
#
# The part of `dev` behind `./dev on`; dev sources this file. It makes a root file
# system of another Debian release and runs a subcommand in it.
# shellcheck disable=SC2154 # set in dev

# Print the URI from which this machine's apt gets Debian. apt knows an archive's
# label only once it has downloaded the archive's lists.
debian_archive() { # LABEL
    # shellcheck disable=SC2016 # apt expands it
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
        'Origin: Debian' "Label: $1" | sed -n 1p
}

# isolated runs a command. Its mounts and processes end with it or with this script.
isolated() { # COMMAND...
    setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child "$@"
}

# The security archive comes first, if this machine has it. For packages that came
# from there, a mirror of the main archive may lack the source.
apt_configuration() { # RELEASE ARCHIVE FOLDER
    local security
    security=$(debian_archive Debian-Security)
    {
        [ -z "$security" ] || say "deb $security $1-security main"
        say "deb $2 $1 main"
    } >"$3/sources.list"
    {
        say 'APT::Keep-Downloaded-Packages "false";' 'Acquire::Languages "none";'
        # A testing release expires within a week, and a mirror may be older. So
        # the machine's own setting holds here too.
        apt-config dump Acquire::Check-Valid-Until
    } >"$3/apt.conf.d/90qcd"
}

# The installed debootstrap has no script for newer releases. Their script would
# be a link to that of sid.
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
    [ -n "$archive" ] || die "this machine's apt knows no Debian archive"
    say "Making a Debian $1 (some minutes)"
    rm -rf "$2.new"
    logged "$log" isolated \
        debootstrap --variant=minbase --force-check-gpg "$1" "$2.new" \
        "$archive" "$(debootstrap_script "$1")"
    apt_configuration "$1" "$archive" "$2.new/etc/apt"
    mv "$2.new" "$2"
}

# Copy the project, since a build folder is bound to its path and its compiler. The
# build folders stay, so that the next build is short.
copy_project() { # FOLDER
    mkdir -p "$1"
    find "$1" -mindepth 1 -maxdepth 1 ! -name .cache ! -name build \
        ! -name 'build-*' -exec rm -rf {} +
    tar --exclude=./.git --exclude=./.cache --exclude=./build \
        --exclude='./build-*' --exclude=__pycache__ -cf - . |
        tar -C "$1" --no-same-owner -xf -
}

# The command is the first process of its namespace. The kernel's file systems and
# /dev (the lab needs /dev/net/tun) are those of the machine.
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
        cd "$1" # enter the mount
        mount -t proc proc proc
        mount --rbind /sys sys
        mount --rbind /dev dev
        mount -t tmpfs tmpfs run
        find tmp -mindepth 1 -delete # stays on the disk: a state_dir has to
        cp --remove-destination /etc/resolv.conf /etc/hosts etc/
        pivot_root . mnt # chroot would forbid namespaces of users in it
        umount -l /mnt
        shift
        exec "$@"' in_rootfs "$folder" \
        /usr/bin/env -i HOME=/root "PATH=/usr/sbin:/usr/bin:/sbin:/bin" \
        "${keep[@]}" "$@"
}

cmd_on() {
    local name=${1:-} folder=$cache/rootfs/${1:-}
    [ -n "$name" ] || misuse "'on' needs a release: ${!llvm_of[*]}"
    [ -n "${llvm_of[$name]:-}" ] ||
        misuse "'on' doesn't know the release $name. Use one of: ${!llvm_of[*]}"
    shift
    [ $# -gt 0 ] || set -- check tests
    need_root "on $name" 'it makes a root file system and works in it'
    mkdir -p "$cache/rootfs"
    exec 9>"$cache/rootfs/lock"
    flock --nonblock 9 || die "another './dev on' is running"
    make_rootfs "$name" "$folder"
    copy_project "$folder/srv/qcd"
    say "Debian $name is in $folder; the following runs in it"
    in_rootfs "$folder" /srv/qcd/dev setup ||
        die "setup failed. To start with a new Debian: sudo rm -r $folder"
    in_rootfs "$folder" /srv/qcd/dev "$@"
}
