#!/usr/bin/env bash
# SPDX-FileCopyrightText: The qcd authors
# SPDX-License-Identifier: Apache-2.0
#
# What `./dev package` runs in a new root file system: installs the packages into a
# stock gateway, starts charon in a network namespace of its own, removes and
# purges the packages.
set -euo pipefail
shopt -s inherit_errexit
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

folder=$(dirname "$(realpath "$0")")
state=/var/lib/strongswan-qcd
log=/tmp/charon.log

fail() {
    printf 'packages: %s\n' "$*" >&2
    exit 1
}

check() { # WHAT COMMAND...
    local what=$1
    shift
    "$@" >/dev/null 2>&1 || fail "not so: $what ($*)"
    printf 'ok: %s\n' "$what"
}

apt() { apt-get -q -y --no-install-recommends "$@" >/tmp/apt.log 2>&1 ||
    { tail -n 20 /tmp/apt.log >&2; fail "apt-get $*"; }; }

wait_for() { # TEXT
    for _ in $(seq 100); do
        grep -q "$1" "$log" && return 0
        sleep 0.1
    done
    tail -n 20 "$log" >&2
    fail "the log has no line '$1'"
}

start_charon() {
    : >"$log"
    unshare --net /usr/sbin/charon-systemd >/dev/null 2>&1 &
    charon=$!
}

stop_charon() {
    kill "$charon"
    wait "$charon" || true
}

printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d

apt update
apt install charon-systemd strongswan-swanctl apparmor gcc libc6-dev pkg-config
cat >/etc/strongswan.d/log.conf <<END
charon-systemd {
    filelog {
        try {
            path = $log
            flush_line = yes
            default = 1
        }
    }
}
END
profile=/etc/apparmor.d/usr.sbin.charon-systemd
local_part=/etc/apparmor.d/local/usr.sbin.charon-systemd
before=$(cat "$local_part")

apt install "$folder"/*.deb
check 'all packages are installed' dpkg-query -W libqcd0 libqcd-store0 \
    libqcd-watch0 libqcd-dev strongswan-qcd qcd-tools
check 'the folder of the state is closed' \
    test "$(stat -c '%a %U' "$state")" = '700 root'
check 'the settings load the plugin' \
    grep -qx '    load = yes' /etc/strongswan.d/charon/qcd.conf
check 'the profile of AppArmor is valid' apparmor_parser --skip-kernel-load \
    --skip-cache --preprocess "$profile"
check 'and has the rules of the plugin' sh -c "apparmor_parser --preprocess $profile |
    grep -q strongswan-qcd.ctl"
check 'the manual pages are there' test -e /usr/share/man/man8/qcd-status.8.gz

# Restarting charon is all that is needed.
start_charon
wait_for 'QCD: token maker is on, token taker is on'
check 'the command reaches the plugin' qcd status
check 'the secrets are closed' test "$(stat -c %a "$state/secrets")" = 600
stop_charon

# The daemon may run as another user, to whom the state then belongs.
useradd --system --no-create-home ike
printf 'charon {\n user = ike\n}\ncharon-systemd {\n user = ike\n}\n' \
    >/etc/strongswan.d/user.conf
chmod 666 "$log"
start_charon
wait_for 'QCD: token maker is on'
check 'the state belongs to charon.user' \
    test "$(stat -c %U "$state" "$state/secrets" | sort -u)" = ike
check 'the command reaches that daemon' qcd status
stop_charon
rm /etc/strongswan.d/user.conf
chown -R root: "$state"

# An embedder builds against the packages.
# shellcheck disable=SC2046 # words
check 'an example builds' cc -std=c11 -D_GNU_SOURCE \
    /usr/share/doc/libqcd-dev/examples/daemon.c -o /tmp/daemon \
    $(pkg-config --cflags --libs qcd qcd-store)
check 'and runs' /tmp/daemon /root/example

# A security update of strongSwan keeps the plugin, another version removes it.
installed=$(dpkg-query -W -f '${Version}' libstrongswan)
packages_of_strongswan() {
    dpkg-query -W -f '${source:Package} ${db:Status-Status} ${Package}\n' |
        awk '$1 == "strongswan" && $2 == "installed" { print $3 }'
}
strongswan_becomes() { # VERSION
    local folder=/tmp/becomes deb
    rm -rf "$folder"
    mkdir "$folder"
    (
        cd "$folder"
        # shellcheck disable=SC2046 # words
        apt-get -q download $(packages_of_strongswan) >/dev/null 2>&1
        for deb in *.deb; do
            dpkg-deb -R "$deb" new
            sed -i "s/${installed//./\\.}/$1/g" new/DEBIAN/control
            dpkg-deb -b new "$deb" >/dev/null
            rm -r new
        done
    )
    apt-get -s install "$folder"/*.deb >/tmp/becomes.txt
    grep -q '^Inst charon-systemd' /tmp/becomes.txt || fail "apt refuses $1"
}
strongswan_becomes "$installed+deb99u9"
check 'a security update of strongSwan keeps the plugin' \
    sh -c '! grep -q "^Remv strongswan-qcd" /tmp/becomes.txt'
strongswan_becomes "9$installed"
check 'another version of strongSwan removes it' \
    grep -q '^Remv strongswan-qcd' /tmp/becomes.txt

apt remove strongswan-qcd
check 'a removed plugin is gone' \
    test ! -e /usr/lib/ipsec/plugins/libstrongswan-qcd.so
check 'its state stays' test -s "$state/secrets"
start_charon
wait_for 'spawning .* worker threads'
stop_charon

apt install "$folder"/strongswan-qcd_*.deb
start_charon
wait_for 'QCD: token maker is on'
check 'the state is used again' sh -c "! grep -q 'made new secrets' $log"
stop_charon

# The older daemon, which starter runs, where the release still has it.
if apt-get -q -y --no-install-recommends install strongswan-starter \
    strongswan-charon >/tmp/apt.log 2>&1; then
    legacy=/etc/apparmor.d/usr.lib.ipsec.charon
    check 'its profile has the rules of the plugin' sh -c \
        "apparmor_parser --preprocess $legacy | grep -q strongswan-qcd.ctl"
    sed -i 's/charon-systemd {/charon {/' /etc/strongswan.d/log.conf
    : >"$log"
    unshare --net /usr/lib/ipsec/charon >/dev/null 2>&1 &
    charon=$!
    wait_for 'QCD: token maker is on'
    check 'the command reaches it' qcd status
    stop_charon
else
    printf 'this release has no starter beside charon-systemd: %s\n' \
        "$(tail -n 1 /tmp/apt.log)"
fi

apt purge strongswan-qcd qcd-tools 'libqcd*'
check 'a purge removes the state' test ! -e "$state"
check 'and the settings' test ! -e /etc/strongswan.d/charon/qcd.conf
check 'and its line in the profile' test "$(cat "$local_part")" = "$before"
left=$(find /etc /usr /var/lib -xdev -name '*qcd*' -not -path '/usr/share/doc/*' \
    -not -path '/var/lib/dpkg/*' -not -path '/var/lib/apt/*' \
    -not -path /etc/apt/apt.conf.d/90qcd)
[ -z "$left" ] || fail "a purge leaves $left"
printf 'ok: a purge leaves no file\n'
