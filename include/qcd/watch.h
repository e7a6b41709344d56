/* SPDX-License-Identifier: Apache-2.0 */
/* watch.h: sees packets of child SAs that were lost in a crash (RFC 6290
 * section 8.2), by Linux's nftables and NFLOG: libqcd-watch.
 *
 * The kernel compares the SPIs of what comes in with a set, limits the rate and
 * brings the first octets of what matches.  Half of the rate is for SPIs of
 * which few packets come, so that a flood with one of them can't hold back the
 * others.  While no SPI is watched for there is no table, and no packet costs
 * anything.
 *
 * The table is "inet qcd" of the network namespace in which the watch was
 * opened.  It is owned by this process (the flag owner): a firewall that
 * flushes its ruleset leaves it alone, and the kernel removes it when the
 * process ends.  On a kernel that knows no owners it is an ordinary table, and
 * one that a crash left is replaced.  Nothing else of the ruleset is touched.
 * Its hook is behind the host's own filter: what that drops is not seen.
 *
 * API-CONVENTIONS.md has the rules for all functions.  A watch is used by one
 * thread at a time, but for qcd_watch_read, which another may be in. */
#ifndef QCD_WATCH_H
#define QCD_WATCH_H

#include <qcd/qcd.h>

#ifdef __cplusplus
extern "C" {
#endif

/* qcd_watch is an open watch. */
typedef struct qcd_watch qcd_watch;

/* Values are stable; new ones are appended. */
enum qcd_watch_err {
    QCD_WATCH_OK = 0,
    QCD_WATCH_ERR_RIGHT = -1,  /* not permitted, or another process's */
    QCD_WATCH_ERR_KERNEL = -2, /* the kernel lacks what it takes */
    QCD_WATCH_ERR_SYSTEM = -3, /* no memory, or another error of the system */
};

/* qcd_watch_report is a sentence for the administrator: what failed, and what
 * to do.  Empty after a success. */
typedef struct qcd_watch_report {
    char text[384];
} qcd_watch_report;

/* qcd_watch_settings says how to watch.  All members are the caller's to
 * set. */
typedef struct qcd_watch_settings {
    uint32_t rate;     /* packets a second that are brought, 0 counts as 1 */
    uint16_t nat_port; /* our UDP port for ESP behind a NAT, 0 for none */
} qcd_watch_settings;

/* qcd_watch_open prepares to watch, and removes a table that an earlier process
 * left.  It needs the capability CAP_NET_ADMIN, now and later.  On success the
 * caller owns `*out`.
 *
 *   QCD_WATCH_ERR_RIGHT   not permitted, or a table or NFLOG groups of ours
 *                         are another process's
 *   QCD_WATCH_ERR_KERNEL  no nftables or no NFLOG
 *   QCD_WATCH_ERR_SYSTEM  as it says */
QCD_API QCD_NODISCARD enum qcd_watch_err
qcd_watch_open(qcd_watch **out, qcd_watch_report *report,
               const qcd_watch_settings *settings);

/* qcd_watch_close removes the table and frees `watch`, which may be NULL.  No
 * thread is in qcd_watch_read. */
QCD_API void qcd_watch_close(qcd_watch *watch);

/* qcd_watch_fd returns the descriptor to poll for reading.  It belongs to
 * `watch` and never blocks. */
QCD_API int qcd_watch_fd(const qcd_watch *watch);

/* qcd_watch_read takes the next packet with an SPI of the set.  It returns
 * false, with `out` all zero, where none is waiting: poll again.  What can't be
 * read as a packet is passed over.  The set doesn't tell ESP from AH: look the
 * SPI up with its protocol. */
QCD_API QCD_NODISCARD bool qcd_watch_read(qcd_watch *watch, qcd_traffic *out);

/* qcd_watch_add also watches for packets with the `num` SPIs at `spis`.  Zero,
 * and those that are watched for already, are ignored.  Like qcd_watch_remove
 * it waits for the kernel, which can take most of a second while somebody else
 * changes nftables: don't call it with a lock that IKE needs.
 *
 *   any error  none of them was added.  What the kernel brings may be too much
 *              or too little until the next call of qcd_watch_add or
 *              qcd_watch_remove succeeds, which may be one without SPIs */
QCD_API QCD_NODISCARD enum qcd_watch_err
qcd_watch_add(qcd_watch *watch, qcd_watch_report *report,
              const qcd_child_spi *spis, size_t num);

/* qcd_watch_remove stops watching for them; SPIs that are not watched for are
 * ignored.  If ESP and AH have the same number, the first one that is removed
 * takes the other with it.  With the last SPI the table is removed.
 *
 *   any error  all of them count as removed; else as for qcd_watch_add */
QCD_API enum qcd_watch_err qcd_watch_remove(qcd_watch *watch,
                                            qcd_watch_report *report,
                                            const qcd_child_spi *spis,
                                            size_t num);

/* qcd_watch_count counts the SPIs that are watched for; one number for ESP and
 * AH counts once. */
QCD_API size_t qcd_watch_count(const qcd_watch *watch);

#ifdef __cplusplus
}
#endif

#endif
