# SPDX-License-Identifier: GPL-2.0-or-later
"""Running charon in separate namespaces, with the lab's folder of plugins."""

import ctypes
import os
import select
import shutil
import socket
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab.config import Config, Places
from lab.control import REPO, Control
from lab.net import Netns
from lab.wait import LabTimeout, deadline, left, wait_until

# `./dev upstream` runs a charon that it has built itself.
CHARON = os.environ.get("QCD_CHARON", "/usr/sbin/charon-systemd")
STOCK = Path(os.environ.get("QCD_IPSEC", "/usr/lib/ipsec"))
STOCK_PLUGINS = STOCK / "plugins"
LEGACY_CHARON = STOCK / "charon"
# Contents of the packages of the legacy daemon, which can't be installed beside
# charon-systemd on every release.
LEGACY = REPO / ".cache" / "legacy" / "usr/lib/ipsec"
GCC_ASAN = "libasan.so.8"
GCC_TSAN = "libtsan.so.2"
CLANG_ASAN = "llvm-*/lib/clang/*/lib/linux/libclang_rt.asan-x86_64.so"
SYS_PIDFD_GETFD = 438
SO_RCVBUFFORCE = 33
OURS = "libstrongswan-qcd.so"

TSAN_IGNORED = Path(__file__).parent / "tsan.supp"

_libc = ctypes.CDLL(None, use_errno=True)

# charon dies with the thread that started it (PR_SET_PDEATHSIG). This thread lives
# until the lab itself ends, however that happens.
_launcher = ThreadPoolExecutor(max_workers=1, thread_name_prefix="launcher")


def plugin_path(asan: bool = False, tsan: bool = False) -> Path:
    """Return the path of the plugin under test; it may not have been built."""
    name, folder = "QCD_PLUGIN", "build"
    if asan:
        name, folder = "QCD_PLUGIN_ASAN", "build-asan"
    elif tsan:
        name, folder = "QCD_PLUGIN_TSAN", "build-tsan"
    return Path(os.environ.get(name, REPO / folder / "plugin" / OURS))


# Calls that fail or hang on demand, with lab/faults.py.
FAULTS = plugin_path().parents[1] / "test" / "libfault_calls.so"
FAULTS_SIZE = 88


def _asan_runtime() -> str:
    """Return the runtime of the compiler that built the sanitized plugin.

    It must be loaded before everything else. gcc lists it among the libraries of the
    plugin; clang lists none in a shared object.
    """
    if GCC_ASAN.encode() in plugin_path(asan=True).read_bytes():
        return GCC_ASAN
    found = sorted(Path("/usr/lib").glob(CLANG_ASAN))
    if not found:
        raise RuntimeError(f"no {CLANG_ASAN} in /usr/lib: ./dev setup")
    return str(found[-1])


def _plugins_for(config: Config, shared: Path) -> Path:
    """Return a folder with all stock plugins, and ours if it is configured."""
    kind = "asan" if config.asan else "tsan" if config.tsan else "qcd"
    plugin = plugin_path(config.asan, config.tsan)
    name = f"plugins-{kind}" if config.qcd else "plugins"
    folder = shared / (f"{name}-legacy" if config.legacy else name)
    if folder.is_dir():
        return folder
    if config.qcd and not plugin.is_file():
        raise RuntimeError(f"no plugin at {plugin}: ./dev build")
    shutil.copytree(STOCK_PLUGINS, folder)
    if config.legacy:
        shutil.copytree(LEGACY / "plugins", folder, dirs_exist_ok=True)
    if config.qcd:
        shutil.copy(plugin, folder / OURS)
    return folder


def _legacy_folder(shared: Path) -> Path:
    """Return what the legacy daemon and its starter need at /usr/lib/ipsec."""
    folder = shared / "ipsec"
    if folder.is_dir():
        return folder
    if not LEGACY.is_dir():
        raise RuntimeError(f"no legacy charon in {LEGACY}: ./dev setup")
    shutil.copytree(STOCK, folder)
    shutil.copytree(LEGACY, folder, dirs_exist_ok=True)
    return folder


def mounts(config: Config, shared: Path) -> str:
    """Return shell commands that give the daemon a separate /run and its plugins."""
    places = {STOCK_PLUGINS: _plugins_for(config, shared)}
    if config.legacy:
        places = {STOCK: _legacy_folder(shared), **places}
    commands = ["mount -t tmpfs tmpfs /run"]
    commands += [f"mount --bind '{own}' {place}" for place, own in places.items()]
    return " && ".join(commands)


def on_machine(config: Config, places: Places) -> list[str]:
    """Return a command prefix for the gateway's machine, in separate mounts."""
    argv = ["unshare", "--mount"]
    if config.state_room is not None:
        places.state.mkdir(mode=0o700, exist_ok=True)
        size = f"size={config.state_room},mode=0700"
        script = 'mount -t tmpfs -o "$0" tmpfs "$1" && shift && exec "$@"'
        argv += ["sh", "-c", script, size, str(places.state)]
    if config.state_disk is not None:
        places.state.mkdir(mode=0o700, exist_ok=True)
        script = 'mount -o loop "$0" "$1" && shift && exec "$@"'
        argv += ["sh", "-c", script, str(config.state_disk), str(places.state)]
    if config.state_image is not None:
        work = places.folder / "work"
        for folder in (places.state, places.layer, work):
            folder.mkdir(mode=0o700, exist_ok=True)
        layers = f"lowerdir={config.state_image},upperdir={places.layer},workdir={work}"
        script = 'mount -t overlay -o "$0" overlay "$1" && shift && exec "$@"'
        argv += ["sh", "-c", script, layers, str(places.state)]
    if config.product_uuid is not None:
        # Not every machine has this folder, and it can't be created in sysfs.
        script = (
            "mount -t tmpfs tmpfs /sys/class && mkdir -p /sys/class/dmi/id && "
            'echo "$0" >/sys/class/dmi/id/product_uuid && exec "$@"'
        )
        argv += ["sh", "-c", script, config.product_uuid]
    if config.machine_id is not None:
        places.machine_id.write_text(config.machine_id + "\n")
        script = 'mount --bind "$0" /etc/machine-id && exec "$@"'
        argv += ["sh", "-c", script, str(places.machine_id)]
    for path, text, target in (
        (places.resolv_conf, _resolv_conf(config), "/etc/resolv.conf"),
        (places.hosts, config.hosts, "/etc/hosts"),
    ):
        if text is not None:
            path.write_text(text)
            script = 'mount --bind "$0" "$1" && shift && exec "$@"'
            argv += ["sh", "-c", script, str(path), target]
    return argv


def _resolv_conf(config: Config) -> str | None:
    if config.nameserver is None:
        return None
    return f"nameserver {config.nameserver}\n"


def vici_answers(places: Places) -> bool:
    """Tell whether charon responds to a command."""
    try:
        control = Control(places.vici)
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    try:
        return bool(control.command("version"))
    finally:
        control.close()


class Charon:
    """A run of the daemon, from its start to its death."""

    def __init__(self, ns: Netns, config: Config, places: Places, shared: Path) -> None:
        self._places = places
        program = LEGACY_CHARON if config.legacy else CHARON
        script = f"{mounts(config, shared)} && exec env $1 {program}"
        preload = "-u LD_PRELOAD"
        if config.asan or config.tsan:
            runtime = _asan_runtime() if config.asan else GCC_TSAN
            preload = f"LD_PRELOAD={runtime}"
        if config.faults:
            if not places.faults.exists():
                places.faults.write_bytes(bytes(FAULTS_SIZE))
            preload = f"LD_PRELOAD={FAULTS} QCD_FAULTS={places.faults}"
        self._legacy = config.legacy
        self._leaks = config.leaks
        self._exact_heap = config.exact_heap
        argv = ["setpriv", "--pdeathsig", "KILL", *on_machine(config, places)]
        if config.tsan:
            # ThreadSanitizer's shadow memory has fixed addresses, which must be free.
            argv = ["setarch", "--addr-no-randomize", *argv]
        argv += ["sh", "-c", script, "charon", preload]
        self._notify = self._notify_socket()
        self.process = _launcher.submit(self._launch, ns, argv).result()
        self._pidfd = os.pidfd_open(self.process.pid)

    def _notify_socket(self) -> socket.socket:
        self._places.ready.unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.bind(str(self._places.ready))
        self._places.ready.chmod(0o777)  # like systemd's: charon may run as any user
        return sock

    def _launch(self, ns: Netns, argv: list[str]) -> "subprocess.Popen[bytes]":
        places = self._places
        # A daemon that is killed never gets to the check for leaks. The sanitizer does
        # not know charon's own format specifiers.
        leaks = int(self._leaks)
        options = f"detect_leaks={leaks}:check_printf=0:log_path={places.asan}"
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "STRONGSWAN_CONF": str(places.strongswan_conf),
            "SWANCTL_DIR": str(places.folder),
            "NOTIFY_SOCKET": str(places.ready),
            "ASAN_OPTIONS": options,
            "LSAN_OPTIONS": "print_suppressions=0",
            "TSAN_OPTIONS": f"check_printf=0:log_path={places.asan}:"
            f"suppressions={TSAN_IGNORED}",
            "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={places.asan}",
        }
        if self._exact_heap:
            environment["GLIBC_TUNABLES"] = "glibc.malloc.tcache_count=0"
        with ns.entered(), places.output.open("ab") as output:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
            )

    def wait_ready(self, timeout: float) -> None:
        """Return when charon reports that it is ready; LabTimeout otherwise."""
        if self._legacy:
            self._wait_vici(timeout)
            return
        until = deadline(timeout)
        while True:
            waiting = [self._notify, self._pidfd]
            ready, _, _ = select.select(waiting, [], [], left(until))
            if self._notify in ready:
                if b"READY=1" in self._notify.recv(4096):
                    return
            elif self._pidfd in ready:
                raise LabTimeout(
                    f"charon ended (status {self.process.wait()}) before it was ready"
                )
            elif left(until) <= 0:
                raise LabTimeout(f"waited {timeout:g} s for charon to become ready")

    def _wait_vici(self, timeout: float) -> None:
        """Wait until vici accepts clients: the legacy daemon reports no readiness."""

        def ready() -> bool:
            if not self.alive:
                raise LabTimeout(
                    f"charon ended (status {self.process.wait()}) before it was ready"
                )
            return vici_answers(self._places)

        wait_until("charon to become ready", ready, timeout)

    def give_room(self, octets: int) -> None:
        """Set the receive buffer of its UDP sockets."""
        for name in os.listdir(f"/proc/{self.process.pid}/fd"):
            fd = _libc.syscall(SYS_PIDFD_GETFD, self._pidfd, int(name), 0)
            if fd < 0:
                continue  # closed meanwhile
            if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                os.close(fd)
                continue
            with socket.socket(fileno=fd) as sock:
                if sock.family == socket.AF_INET and sock.type == socket.SOCK_DGRAM:
                    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, octets)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def end(self, signal: int, timeout: float) -> None:
        """Send it the signal and wait for its end."""
        if self.alive:
            self.process.send_signal(signal)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise LabTimeout(
                f"waited {timeout:g} s for charon to end after signal {signal}"
            ) from None

    def close(self) -> None:
        if self.alive:
            self.process.kill()
        self.process.wait()
        os.close(self._pidfd)
        self._notify.close()
