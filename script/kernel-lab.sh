#!/usr/bin/env bash
# SPDX-FileCopyrightText: The qcd authors
# SPDX-License-Identifier: Apache-2.0
#
# The part of `dev` behind `./dev kernel-lab`; dev sources this file. It boots
# Debian's own kernel under qemu, with a Debian that contains the lab, and runs the
# tests of lab/kernel/ in it. That kernel has ESP, which the machine's kernel may
# lack. Only qemu and small tools are installed. /dev/kvm is not used, since it may
# exist and hang.
#
#   /dev/vda  the root file system, made once and never written to
#   /dev/vdb  a tar archive: the checkout, the plugin, the client for vici
#   /dev/vdc  empty; the guest writes a tar archive with the results to it
# shellcheck disable=SC2154 # set in dev

readonly kernel_folder=$cache/kernel-lab
readonly kernel_results=$logs/kernel-lab
readonly kernel_package=linux-image-cloud-amd64
readonly kernel_console=$logs/kernel-lab-console.log
# Seconds for everything between the start of qemu and its end.
readonly kernel_bound=${QCD_KERNEL_LAB_BOUND:-1800}

# Packages for this machine. kmod, cpio and busybox make the initramfs.
readonly kernel_host_packages=(
    qemu-system-x86 e2fsprogs kmod cpio busybox-static
)
# Packages that every Debian has, as far as the guest uses them.
readonly kernel_base_packages=(
    base-files base-passwd bash coreutils dash grep hostname libc-bin mount sed
    tar util-linux
)
# Packages for the guest, with the libraries that the plugin needs.
readonly kernel_guest_packages=(
    charon-systemd strongswan-libcharon strongswan-swanctl
    libcharon-extra-plugins libstrongswan-extra-plugins
    libstrongswan-standard-plugins libnettle8 libsodium23 libjansson4
    libmnl0 libnftnl11
    python3 python3-pytest python3-pytest-timeout python3-pytest-xdist
    python3-cryptography
    kmod openssl nftables iproute2 iputils-ping procps
)
# libreswan conflicts with strongSwan, so it has a root file system of its own
# inside the guest's.
readonly kernel_libreswan_packages=(base-files libc-bin libreswan openssl)
# Path of that root file system in the guest.
readonly kernel_libreswan_root=/srv/libreswan
# Modules of the initramfs. modprobe finds the rest, e.g. for esp4, in the guest.
readonly kernel_boot_modules=(virtio_pci virtio_blk ext4)

# fresh tells whether a thing was made from exactly this text.
fresh() { # STAMP TEXT
    [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]
}

# Print the package that the kernel's metapackage depends on; its name has the
# version. Prints nothing if this machine's apt has no lists.
kernel_newest() {
    apt-cache depends "$kernel_package" 2>/dev/null |
        awk '/Depends: linux-image-/ { print $2; exit }'
}

# Unpack the kernel and its modules. They are never installed.
prepare_kernel() {
    local folder=$kernel_folder/kernel stamp=$kernel_folder/kernel.stamp name
    name=$(kernel_newest)
    if [ -z "$name" ]; then
        [ ! -f "$stamp" ] || return 0
        apt-get -q update >"$cache/apt-update.log" 2>&1 ||
            warn "apt-get update complained: $cache/apt-update.log"
        name=$(kernel_newest)
        [ -n "$name" ] || die "this machine's apt has no $kernel_package"
    fi
    ! fresh "$stamp" "$name" || return 0
    say "Fetching $name"
    rm -rf "$folder" "$stamp" "$kernel_folder/deb"
    mkdir -p "$folder" "$kernel_folder/deb"
    (cd "$kernel_folder/deb" && logged "$kernel_folder/kernel.log" \
        apt-get -q -o APT::Sandbox::User=root download "$name")
    dpkg-deb -x "$kernel_folder"/deb/*.deb "$folder"
    rm -rf "$kernel_folder/deb"
    depmod -b "$folder" "$(kernel_release)"
    say "$name" >"$stamp"
}

kernel_release() {
    local folders=("$kernel_folder"/kernel/lib/modules/*)
    say "${folders[0]##*/}"
}

# Fetch packages, and all that they depend on, into FOLDER/archives. apt uses the
# machine's own sources, and a status file in which nothing is installed yet.
fetch_packages() { # FOLDER PACKAGES...
    local folder=$1
    shift
    mkdir -p "$folder/archives/partial"
    : >"$folder/status"
    apt-get -q --yes -o Dir::State::status="$folder/status" \
        -o Dir::Cache="$folder" -o APT::Sandbox::User=root \
        --no-install-recommends --download-only install "$@"
}

# Make a Debian with these packages. They are unpacked, not installed, which takes a
# tenth of the time. The lab needs nothing that their scripts do, except for the
# fixes at the end.
make_tree() { # FOLDER PACKAGES...
    local folder=$1 debs=$kernel_folder/debs name
    shift
    say "Fetching these packages and their dependencies: $*"
    rm -rf "$debs"
    fetch_packages "$debs" "$@" >"$kernel_folder/fetch.log" 2>&1 || {
        # The lists may be older than the archive.
        apt-get -q update >"$cache/apt-update.log" 2>&1 ||
            warn "apt-get update complained: $cache/apt-update.log"
        logged "$kernel_folder/fetch.log" fetch_packages "$debs" "$@"
    }
    for name in bin sbin lib lib64; do
        mkdir -p "$folder/usr/$name"
        ln -s "usr/$name" "$folder/$name"
    done
    for name in "$debs"/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$name" |
            tar -C "$folder" -x --keep-directory-symlink \
                --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' \
                --exclude='./usr/share/locale/*'
    done
    rm -rf "$debs"
    ldconfig -r "$folder"
}

# Make one sparse file with all of it. That needs no loop device.
prepare_image() {
    local image=$kernel_folder/root.img stamp=$kernel_folder/root.stamp
    local tree=$kernel_folder/tree guest libreswan made
    guest=("${kernel_base_packages[@]}" "${kernel_guest_packages[@]}")
    libreswan=("${kernel_libreswan_packages[@]}")
    # The plugin is built for this machine's charon, so the guest needs the same one.
    made="$release $(dpkg-query -W strongswan-libcharon)"
    made+=" $(cat "$kernel_folder/kernel.stamp") ${guest[*]} / ${libreswan[*]}"
    ! fresh "$stamp" "$made" || return 0
    rm -rf "$stamp" "$image" "$tree"
    make_tree "$tree" "${guest[@]}"
    cp "$tree/usr/share/base-passwd/passwd.master" "$tree/etc/passwd"
    cp "$tree/usr/share/base-passwd/group.master" "$tree/etc/group"
    # The emulated machine would take long to compile, and at each start again.
    python3 -m compileall -q -j 2 -s "$tree" "$tree"/usr/lib/python3* \
        >"$kernel_folder/compile.log" 2>&1 || true
    make_tree "$tree$kernel_libreswan_root" "${libreswan[@]}"
    cp -a "$kernel_folder/kernel/lib/modules" "$tree/lib/"
    say 'Making the image'
    truncate -s 2G "$image"
    logged "$kernel_folder/mke2fs.log" mke2fs -q -t ext4 -O ^has_journal \
        -E lazy_itable_init=1,root_owner=0:0 -d "$tree" "$image"
    rm -rf "$tree"
    say "$made" >"$stamp"
}

# The initramfs has only what the kernel needs to find its root file system.
prepare_initramfs() {
    local tree=$kernel_folder/initramfs name line path kernel order=()
    kernel=$(kernel_release)
    rm -rf "$tree"
    mkdir -p "$tree"/{bin,dev,proc,sys,root,modules}
    cp /bin/busybox "$tree/bin/"
    for name in "${kernel_boot_modules[@]}"; do
        # a module that is built into the kernel has no such line
        while read -r line path _; do
            [ "$line" = insmod ] || continue
            path=${path%"${path##*[![:space:]]}"}
            [ -f "$tree/modules/${path##*/}" ] || order+=("${path##*/}")
            cp "$path" "$tree/modules/"
        done < <(modprobe -d "$kernel_folder/kernel" -S "$kernel" \
            --show-depends "$name")
    done
    say "${order[@]}" >"$tree/modules/order"
    cp lab/kernel/boot "$tree/init"
    chmod 755 "$tree/init"
    (cd "$tree" && find . | cpio --quiet -o -H newc) |
        gzip -1 >"$kernel_folder/initramfs.gz"
    rm -rf "$tree"
}

# The payload changes from run to run. tar in the guest reads it directly from its
# disk.
prepare_payload() { # ARGUMENTS OF PYTEST...
    local tree=$kernel_folder/payload plugin
    plugin=${QCD_PLUGIN:-$root/build/plugin/libstrongswan-qcd.so}
    local client=src/libcharon/plugins/vici/python
    rm -rf "$tree"
    mkdir -p "$tree"/build/{plugin,test} "$tree/strongswan/${client%/*}"
    tar --exclude=./.git --exclude=./.cache --exclude=./build \
        --exclude='./build-*' --exclude=__pycache__ -cf - . | tar -C "$tree" -xf -
    cp "$plugin" "$tree/build/plugin/libstrongswan-qcd.so"
    cp "${plugin%/plugin/*}/test/watch_harness" "$tree/build/test/"
    cp -r "$(strongswan_src)/$client" "$tree/strongswan/${client%/*}/"
    [ $# -eq 0 ] || printf '%s\0' "$@" >"$tree/lab/kernel/arguments"
    tar -C "$tree" -cf "$kernel_folder/payload.tar" .
    truncate -s %512 "$kernel_folder/payload.tar"
    rm -rf "$tree"
}

prepare_kernel_lab() { # ARGUMENTS OF PYTEST...
    install_packages "${kernel_host_packages[@]}"
    prepare_kernel
    prepare_image
    prepare_initramfs
    prepare_payload "$@"
}

# The guest stops by itself after it has written its results; `timeout` is for a
# guest that hangs. pytest's output comes over the serial console.
boot_kernel() {
    local out=$kernel_folder/results.img kernel arguments
    kernel=$kernel_folder/kernel/boot/vmlinuz-$(kernel_release)
    rm -rf "$out" "$kernel_results" "$kernel_results.xml"
    mkdir -p "$kernel_results"
    truncate -s 256M "$out"
    arguments='console=ttyS0 quiet panic=-1 mitigations=off'
    arguments+=" qcd.bound=$((kernel_bound - 60))"
    # Use only two cores, at low priority: others need the machine too.
    # Emulating newer vector instructions takes longer than doing without them.
    timeout --kill-after=10 "$kernel_bound" nice -n 5 qemu-system-x86_64 \
        -accel tcg,thread=multi -cpu qemu64 -smp 2 -m 2048 -nodefaults \
        -no-reboot -display none -monitor none -serial stdio -net none \
        -device virtio-rng-pci \
        -kernel "$kernel" -initrd "$kernel_folder/initramfs.gz" \
        -append "$arguments" \
        -drive "file=$kernel_folder/root.img,format=raw,if=virtio,snapshot=on" \
        -drive "file=$kernel_folder/payload.tar,format=raw,if=virtio,readonly=on" \
        -drive "file=$out,format=raw,if=virtio" \
        </dev/null 2>&1 | stdbuf -oL tr -d '\r' | tee "$kernel_console" || true
    # If the guest never wrote to it, this is an empty archive.
    tar -C "$kernel_results" -xf "$out" || true
    rm -f "$out"
    [ -f "$kernel_results/status" ] ||
        die "the guest left no results in $kernel_bound s." \
            "Its console: $kernel_console"
    [ ! -f "$kernel_results/junit.xml" ] ||
        mv "$kernel_results/junit.xml" "$kernel_results.xml"
    [ "$(cat "$kernel_results/status")" = 0 ] ||
        die "pytest ended with status $(cat "$kernel_results/status")." \
            "Logs: $kernel_results"
}

count_kernel_lab() { script/count pytest "$kernel_results.xml"; }

# The arguments are those of pytest: lab/kernel/test_esp.py, -k NAME.
check_kernel() {
    mkdir -p "$logs" "$kernel_folder"
    exec 9>"$kernel_folder/lock"
    flock --nonblock 9 || die "another './dev kernel-lab' is running"
    step 'kernel lab setup' one './dev kernel-lab' prepare_kernel_lab "$@"
    # Without the set-up, this step would count as a second failure.
    [ "$rc_of_step" -ne 0 ] ||
        step 'kernel lab' count_kernel_lab './dev kernel-lab' boot_kernel
}

cmd_kernel_lab() {
    need_root "kernel-lab${*:+ $*}" 'it makes a root file system'
    mkdir -p "$logs"
    step setup one './dev setup' set_up
    [ -n "${QCD_PLUGIN:-}" ] || step build one './dev build' cmd_build
    check_kernel "$@"
    say "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}
