#!/usr/bin/python3
# SPDX-FileCopyrightText: The qcd authors
# SPDX-License-Identifier: Apache-2.0
"""Show that each property that the fuzz targets check can fail.

usage: mutants.py [BUILD]

BUILD is a folder in which the replay programs were built. In a copy of the
sources, one line after the other is changed to a mistake. The corpus of the
target named with it must find it. Fails if it doesn't. Without mistakes, each
of these targets must pass. Without BUILD, only checks that each line is still
there.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "script"))
from mistakes import Property, Tree, check_places, judge_all, m  # noqa: E402

PROPERTIES = (
    Property("what is decoded encodes to the same octets", (
        m("notify", "src/message.c", "wr_u8(w, 0); /* SPI size */", "wr_u8(w, 1);"),
        m("message", "src/header.c", "wr_be32(w, header->message_id)", "wr_be32(w, 1)"),
        m("secrets", "src/store/secrets.c", "wr_be64(&w, secrets->made_at[i])",
          "wr_be64(&w, 0)"),
        m("secrets", "src/store/secrets.c", "wr_be16(&w, record->node)",
          "wr_be16(&w, 0)"),
        m("samap", "src/store/samap_row.c", "wr_u8(&w, row->encap ? 1 : 0)",
          "wr_u8(&w, 0)"),
    )),
    Property("no verdict without an equal token", (
        m("peers", "src/taker.c", "memeql_sec(held->digests[i], digest, QCD_DIGEST_LEN)",
          "memeql_sec(held->digests[i], digest, 0)"),
        m("peers", "src/taker.c", "i < held->num; i++", "i < QCD_HELD_MAX; i += 2"),
        m("peers", "src/taker.c", "held->is_shown = held->is_shown | (any != 0)",
          "held->is_shown = held->is_shown | 0"),
    )),
    Property("a reply is never over three times its request", (
        m("peers", "src/maker.c", ": request_len * QCD_AMPLIFICATION_MAX", ": request_len * 4"),
        m("maker", "src/maker.c", ": request_len * QCD_AMPLIFICATION_MAX", ": request_len * 4"),
        m("peers", "include/qcd/qcd.h", "#define QCD_AMPLIFICATION_MAX 3",
          "#define QCD_AMPLIFICATION_MAX 30"),
        m("maker", "include/qcd/qcd.h", "#define QCD_AMPLIFICATION_MAX 3",
          "#define QCD_AMPLIFICATION_MAX 30"),
    )),
    Property("never a token for a live SA", (
        m("peers", "src/evidence.c", "origin->run < mint->first_run;",
          "origin->run <= mint->run;"),
        m("maker", "src/evidence.c", "origin->run < mint->first_run;",
          "origin->run <= mint->run;"),
        m("peers", "src/evidence.c", "graveyard_holds(&maker->graveyard, sa));",
          "maker != NULL);"),
        m("peers", "src/evidence.c", "return is_taken_over(", "return true || is_taken_over("),
        m("peers", "src/evidence.c",
          "           address_equals(&takeover->address, destination) &&\n", ""),
        m("peers", "src/evidence.c",
          "(takeover->nodes[node / 64] >> (node % 64) & 1) != 0", "node != 0"),
    )),
    Property("the map never names a live SA as lost", (
        m("map", "src/evidence.c", "           is_earlier(&maker->mint, &origin);",
          "           origin.run <= maker->mint.run;"),
        m("peers", "src/evidence.c", "           is_earlier(&maker->mint, &origin);",
          "           origin.run <= maker->mint.run;"),
        m("map", "src/evidence.c", "return origin->node == mint->node && origin->run != 0",
          "return origin->run != 0"),
        m("peers", "src/evidence.c", "return origin->node == mint->node && origin->run != 0",
          "return origin->run != 0"),
    )),
    Property("a reply about a lost SA has room for a token", (
        m("peers", "src/maker.c", "return max_reply_len(packet->len) >= least;",
          "(void)least;\n    return packet != NULL;"),
    )),
    Property("the map keeps each row, and damage costs no other", (
        m("map", "src/store/samap_row.c", "sum == samap_sum(in, SUMMED_LEN)",
          "sum != 1"),
        m("map", "src/store/samap.c",
          "memcmp(&now.sa.spis, &row->sa.spis, sizeof(now.sa.spis)) == 0", "true"),
    )),
    Property("the rate of replies is bounded", (
        m("peers", "src/limit.c", "|| busy - now > pool->tolerance", ""),
        m("peers", "src/maker.c", "lost_limit_charge(&maker->lost, local, now_ms);", ""),
    )),
    Property("a taker tries again neither too soon nor too late", (
        m("peers", "src/retry.c", "        return GAP_MIN_MS;", "        return gap;"),
        m("peers", "src/retry.c", "gap > GAP_MAX_MS ? GAP_MAX_MS : gap", "gap"),
        m("peers", "src/retry.c", "JITTER_SHARE = 4", "JITTER_SHARE = 2"),
    )),
    Property("no run is started twice, and no secret is lost", (
        m("store", "src/store/store.c", "(uint16_t)(store->last.run + 1)",
          "store->last.run"),
        m("store", "src/store/store.c",
          "file_set_aside(report, dir, &secrets_kind.file, SECRETS_DAMAGED_NAME)",
          "QCD_STORE_OK"),
        m("secrets", "src/store/keyfile.c",
          "!memeql_sec(checksum, want, sizeof(want))", "false"),
    )),
    Property("what others send to a netlink socket has no effect", (
        m("watch", "src/watch/netlink.c", "(len >= 0 && from.nl_pid != 0)", "false"),
        m("watch", "src/watch/netlink.c", "&& h->nlmsg_len <= INT_MAX", ""),
    )),
    Property("the kernel has the SPIs of the watch", (
        m("watch", "src/watch/watch.c",
          "(void)spis_take(&watch->spis, fresh->numbers[i]);", ""),
        m("watch", "src/watch/spis.c", "set->slots[hole] = 0;", ""),
        m("watch", "src/watch/watch.c", "    watch->is_stale = why != 0;\n    return why;",
          "    return why;"),
    )),
    Property("a watch that is closed leaves no table", (
        m("watch", "src/watch/table.c", "        (void)table_uninstall(t);\n        netlink_close",
          "        netlink_close"),
    )),
    Property("an export costs no more than is allowed", (
        m("bundle", "tool/bundle.c", "cost.passes > PASSES_MAX ||", ""),
    )),
    Property("nothing that is shown controls a terminal", (
        m("answer", "tool/exposition.c", "(c < 0x20 && c != '\\n')", "(c < 0x10)"),
        m("answer", "tool/text.c", "c >= 0x20 && c < 0x7f",
          "c >= 0x10 && c < 0x7f"),
    )),
    Property("qcd probe reads what a peer would read, and judges all of it", (
        m("probe", "tool/probe_answer.c", "out->num_kept < QCD_TOKENS_READ_MAX",
          "out->num_kept < 2"),
        m("probe", "tool/probe_judge.c", "out->is_failed || c->result == PROBE_FAIL",
          "c->result == PROBE_FAIL"),
    )),
    Property("a trace reads no more than was captured, and its verdicts have reasons", (
        m("capture", "tool/capture.c", "r->len < full_len ? r->len : full_len", "full_len"),
        m("capture", "tool/trace.c", "        token->reason = TRACE_MESSAGE;\n", ""),
        m("capture", "tool/trace.c", "token->auth == TRACE_NEVER || token->auth < token->begin",
          "token->auth == TRACE_NEVER"),
        m("capture", "tool/link.c", "== NFULA_PAYLOAD && r.len > 0", "== NFULA_PAYLOAD"),
        m("pcap", "tool/link.c", "== NFULA_PAYLOAD && r.len > 0", "== NFULA_PAYLOAD"),
        m("pcap", "tool/trace.c", "        t->counts.shown++;\n", ""),
    )),
    Property("a client is answered only after a whole command, in its time", (
        m("control", "plugin/qcd_socket.c", "end = memchr(client->command, '\\n', client->len);",
          "end = client->command + client->len;"),
        m("control", "plugin/qcd_socket.c", "if (client->deadline <= now)",
          "if (client->deadline + 5000 <= now)"),
    )),
    Property("the plugin sees the IKE message in a packet", (
        m("receiver", "plugin/qcd_receiver.c", "chunk_skip(data, sizeof(marker))",
          "chunk_skip(data, 2)"),
    )),
    Property("a packet is read as another decoder reads it", (
        m("traffic", "src/traffic.c", "if (len > behind->total && !behind->has_more)",
          "if (len > behind->total)"),
    )),
    Property("in simulated storms, the pace keeps the maker busy and its queue short", (
        m("simulate", "src/pace.c", "return most - lesser(num_underway, most);",
          "return most;"),
        m("simulate", "src/pace.c", "        pace->window++;", ""),
        m("simulate", "src/pace.c", "pace->window -= pace->window / 2;", ""),
        m("simulate", "src/pace.c", "(pace->window >= pace->window_free && !is_idle)",
          "false"),
        m("simulate", "src/pace.c", "pace->num_good >= TOLERATED", "false"),
        m("simulate", "src/pace.c", "now_ms - pace->cut_ms < CUT_MS", "false"),
        m("simulate", "src/pace.c", "        pace->num_absent++;", ""),
        m("simulate", "src/pace.c", "(pace->num_absent + ABSENT_SHARE)", "0"),
        m("simulate", "src/pace.c", "pace->num_absent / ABSENT_SHARE < pace->window",
          "true"),
        m("simulate", "src/pace.c", "pace->usual_ms += took;", "(void)took;"),
        m("simulate", "src/pace.c", "    pace->threshold = pace->window_max;\n", ""),
    )),
)


def judge(tree: Tree, target: str) -> bool | None:
    """Tell whether the corpus of a target, or the simulation, finds what is wrong."""
    program, arguments = f"fuzz/replay_{target}", [str(ROOT / "fuzz/corpus" / target)]
    if target == "simulate":
        program, arguments = "test/simulate", []
    if not tree.build(program):
        return None
    with tree.log.open("ab") as out:
        done = subprocess.run(
            [f"{tree.path}/build/{program}", *arguments],
            env={"ASAN_OPTIONS": "check_printf=0:detect_leaks=0"},
            stdout=out, stderr=out, timeout=120, check=False,
        )
    return done.returncode != 0


def main(build: str) -> int:
    tree = Tree(Path(build).resolve() / "mutants", build, "-Db_lundef=false",
                "-Db_sanitize=address,undefined", "-Dc_args=-fno-sanitize-recover=all")
    for target in sorted({x.target for of in PROPERTIES for x in of.mutants}):
        if judge(tree, target) is not False:
            sys.exit(f"{target} fails without a mistake: {tree.log}")
    return judge_all(tree, PROPERTIES, judge)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]) if len(sys.argv) == 2 else check_places(PROPERTIES))
