#!/usr/bin/python3
# SPDX-FileCopyrightText: The qcd authors
# SPDX-License-Identifier: Apache-2.0
"""Show that the fault tests notice when an error is not handled.

usage: fault_mutants.py [BUILD [TEXT]]

BUILD is a folder in which everything was built. In a copy of the sources, one
line after the other is changed to a mistake, most often an error that is
ignored. The test named with it must fail: a program, or a test of the lab, which
loads the plugin with the mistake. Without mistakes, each of these tests must
pass. With TEXT, only mistakes whose test or file contains it are tried. Without
arguments, only checks that each line is still there.
"""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "script"))
from mistakes import Property, Tree, check_places, judge_all, m  # noqa: E402

STORE = "fault_store"
SAMAP = "fault_samap"
WATCH = "fault_watch"
DISK = "lab/test_disk.py"
START = "lab/test_faults.py::test_start_after_a_crash"
PLUGIN = "plugin/libstrongswan-qcd.so"

PROPERTIES = (
    Property("a secret or a run that can't be made durable is not used", (
        m(STORE, "src/store/file.c",
          "    if (why == 0) {\n        why = io_sync(fd);\n    }", ""),
        m(STORE, "src/store/file.c", "why = io_sync(dir->fd);", "(void)io_sync(dir->fd);"),
        m(STORE, "src/store/file.c", "        why = why_close;\n", ""),
        m(STORE, "src/store/file.c",
          "        renameat(dir->fd, kind->tmp_name, dir->fd, kind->name) != 0) {\n"
          "        why = errno;",
          "        renameat(dir->fd, kind->tmp_name, dir->fd, kind->name) != 0) {\n"
          "        why = 0;"),
        m(STORE, "src/store/io.c", "return n < 0 ? errno : ENOSPC;", "return 0;"),
        m(STORE, "src/store/keyfile.c", "why = io_write(fd, frame, len, 0);",
          "(void)io_write(fd, frame, len, 0);"),
        m(STORE, "src/store/store.c",
          "    if (err == QCD_STORE_OK) {\n        store->last = next;\n    }",
          "    store->last = next;"),
        m(STORE, "src/store/store.c",
          "    if (err == QCD_STORE_OK) {\n        store->secrets = next;\n    }",
          "    store->secrets = next;"),
    )),
    Property("no secret is weak", (
        m(STORE, "src/store/store.c", "if (getentropy(out, out_len) != 0) {",
          "if (getentropy(out, out_len) != 0 && errno != ENOSYS) {"),
    )),
    Property("nothing useful is lost, and nothing is left behind", (
        m(STORE, "src/store/file.c",
          "        (void)unlinkat(dir->fd, kind->tmp_name, 0);\n", ""),
        m(STORE, "src/store/store.c", "        qcd_store_close(store);\n        return err;",
          "        return err;"),
        m(STORE, "src/store/keyfile.c", "why == 0 ? keyfile_decode(out, kind, frame, len)",
          "true ? keyfile_decode(out, kind, frame, len)"),
        m("plugin/test/test_qcd_changes_file", "plugin/qcd_changes.c", "\t\tif (made)\n",
          "\t\tif (0)\n"),
    )),
    Property("no descriptor stays open", (
        m("lab/test_faults.py::test_rotation", "src/store/file.c",
          "    int why_close = io_close(&fd);",
          "    int why_close = why == 0 ? io_close(&fd) : 0;"),
        m(f"{START}[READ]", "src/store/identity.c",
          "        (void)io_close(&fd);", "        why == 0 ? (void)io_close(&fd) : (void)0;"),
        m(f"{DISK}::test_no_more_memory", "plugin/qcd_changes.c",
          "\t\tclose(this->fd);\n\t\tthis->fd = -1;", "\t\tthis->fd = -1;"),
    )),
    Property("a copied folder is told apart, also if statx() is refused", (
        m(STORE, "src/store/keyfile.c", "{.stx_ino = st.st_ino}", "{.stx_ino = 1}"),
        m(STORE, "src/store/keyfile.c", "(errno != ENOSYS && errno != EPERM)",
          "errno != EPERM"),
        m(STORE, "src/store/keyfile.c", "(errno != ENOSYS && errno != EPERM)",
          "errno != ENOSYS"),
        m(STORE, "src/store/identity.c", "        return errno;\n    }\n    if (!S_ISREG",
          "        return 0;\n    }\n    if (!S_ISREG"),
    )),
    Property("the SA map has each row that was accepted, and no other", (
        m(SAMAP, "src/store/samap.c",
          "    if (why == 0) {\n        samap_index_remove(&map->index, spi);\n"
          "        samap_index_give(&map->index, slot);\n    }",
          "    samap_index_remove(&map->index, spi);\n"
          "    samap_index_give(&map->index, slot);"),
        m(SAMAP, "src/store/samap.c",
          "        (void)!io_write(map->fd, before, len, place_of(slot));\n", ""),
        m(SAMAP, "src/store/samap.c",
          "        why = errno;\n        (void)pthread_mutex_lock(&map->lock);\n"
          "        map->is_dirty = true;",
          "        why = errno;\n        (void)pthread_mutex_lock(&map->lock);"),
        m(SAMAP, "src/store/samap.c",
          "    if (why != EIO) {\n        return why;\n    }\n    samap_index_remove",
          "    if (why != EIO || slot != 0) {\n        return why;\n    }\n    samap_index_remove"),
        m(SAMAP, "src/store/samap.c",
          "        samap_index_add(&map->index, &row->child_spi, slot);\n    } else if",
          "    } else if"),
        m(SAMAP, "src/store/samap.c", "        why = errno;\n        (void)pthread",
          "        why = 0;\n        (void)pthread"),
        m(SAMAP, "src/store/samap.c", "why == 0 ? QCD_STORE_OK", "why != EIO ? QCD_STORE_OK"),
        m(SAMAP, "src/store/samap_open.c", "            why = io_write(to, octets, len, at);",
          "            (void)io_write(to, octets, len, at);"),
        m(SAMAP, "src/store/samap_open.c", "        (void)io_close(&map->fd);\n        map->fd = kept;",
          "        map->fd = kept;"),
        m(SAMAP, "src/store/samap_open.c",
          "    } else if (why == 0) {\n        why = errno;\n    }", "    }"),
        m(SAMAP, "src/store/samap_open.c", "    int why = write_head(map->fd);",
          "    int why = 0;\n    (void)!write_head(map->fd);"),
        m(SAMAP, "src/store/samap_open.c",
          "    if (err == QCD_STORE_OK) {\n        err = open_file(map, report);\n    }",
          "    err = open_file(map, report);"),
    )),
    Property("what the kernel watches is known", (
        m(WATCH, "src/watch/netlink.c", "    if (mnl_socket_sendto(n->socket, messages, len) < 0) {\n"
          "        return errno;",
          "    if (mnl_socket_sendto(n->socket, messages, len) < 0) {\n        return 0;"),
        m(WATCH, "src/watch/watch.c", "    watch->is_stale = why != 0;\n    return why;",
          "    watch->is_stale = false;\n    return why;"),
        m(WATCH, "src/watch/batch.c", "out->is_bad = out->octets == NULL;",
          "out->is_bad = false;"),
        m(WATCH, "src/watch/watch.c", "        qcd_watch_close(watch);\n        return err;",
          "        return err;"),
    )),
    Property("charon does not wait for the disk", (
        m(f"{DISK}::test_hung_at_start[sync]", "plugin/qcd_starter.c",
          "while (!this->tried && !timeout)", "while (!this->tried)"),
        m(f"{DISK}::test_hung[all]", "plugin/qcd_children.c",
          "qcd_job_queue(write_all, this, NULL, JOB_PRIO_HIGH,\n"
          "\t\t\t\t\t  outlives ? WRITE_DELAY : 0);", "write_all(this);"),
        m(f"{DISK}::test_hung_command", "plugin/qcd_control.c",
          "qcd_job_queue(rotate, this, NULL, JOB_PRIO_MEDIUM, 0);", "rotate(this);"),
        m("plugin/test/test_qcd_spi_source", "plugin/qcd_spi_source.c",
          "qcd_job_queue(begin_run, this, NULL, JOB_PRIO_HIGH, 0);", "begin_run(this);"),
    )),
    Property("what failed is tried again", (
        m(f"{DISK}::test_failed_at_start[full]", "plugin/qcd_starter.c",
          "\tif (!start_maker(this))\n\t{\n\t\tqcd_job_queue(", "\tif (!start_maker(this) && 0)\n\t{\n\t\tqcd_job_queue("),
        m(f"{DISK}::test_failed_at_start[full]", "plugin/qcd_starter.c",
          "return JOB_RESCHEDULE(this->pause);", "return JOB_REQUEUE_NONE;"),
        m("test/test_samap", "src/store/samap_open.c",
          "*out = ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;",
          "*out = true;\n    (void)named.st_ino;"),
        m(f"{DISK}::test_removed_while_in_use", "src/store/samap.c",
          "enum qcd_store_err err = samap_keep(map, report);",
          "enum qcd_store_err err = QCD_STORE_OK;"),
        m(f"{DISK}::test_removed_while_in_use", "plugin/qcd_children.c",
          "made = this->changes->keep(this->changes, text, sizeof(text));", ""),
    )),
    Property("an administrator learns what failed, and why", (
        m(f"{DISK}::test_read_only", "plugin/qcd_map.c",
          "bool failed = err != QCD_STORE_OK, changed = FALSE;",
          "bool failed = FALSE, changed = FALSE;"),
        m(f"{DISK}::test_hung[sync]", "plugin/qcd_map.c", "if (hangs >= HANGING_MS)", "if (0)"),
        m(f"{DISK}::test_failed_at_start[full]", "plugin/qcd_control.c",
          "json->add_str(json, \"maker_error\", error);", ""),
        m(f"{START}[OPEN]", "plugin/qcd_map.c",
          "DBG1(DBG_CFG, \"QCD: no SA map, ESP of lost CHILD_SAs gets no reply: \"\n"
          "\t\t\t \"%s\", report.text);", ""),
    )),
)


def judge(tree: Tree, target: str) -> bool | None:
    """Tell whether a test finds what is wrong."""
    env = os.environ.copy()
    if target.startswith("lab/"):
        programs = [PLUGIN, "test/libfault_calls.so"]
        env["QCD_PLUGIN"] = f"{tree.path}/build/{PLUGIN}"
        command = ["/usr/bin/python3", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider",
                   "--timeout=120", target]
    else:
        programs = [target if "/" in target else f"test/{target}"]
        command = [f"{tree.path}/build/{programs[0]}"]
        env["ASAN_OPTIONS"] = "check_printf=0"
    if not tree.build(*programs):
        return None
    with tree.log.open("ab") as out:
        done = subprocess.run(command, cwd=ROOT, env=env, stdout=out, stderr=out,
                              timeout=600, check=False)
    return done.returncode != 0


def main(build: str, text: str = "") -> int:
    chosen = [
        replace(of, mutants=tuple(x for x in of.mutants if text in x.target or text in x.file))
        for of in PROPERTIES
    ]
    chosen = [of for of in chosen if of.mutants]
    tree = Tree(Path(build).resolve() / "fault-mutants", build)
    for target in sorted({x.target for of in chosen for x in of.mutants}):
        if judge(tree, target) is not False:
            sys.exit(f"{target} fails without a mistake: {tree.log}")
    return judge_all(tree, tuple(chosen), judge)


if __name__ == "__main__":
    if len(sys.argv) > 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]) if len(sys.argv) > 1 else check_places(PROPERTIES))
