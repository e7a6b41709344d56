/* SPDX-License-Identifier: Apache-2.0 */
/* watch.h: libqcd-watch sees packets of child SAs that were lost in a crash
 * (RFC 6290 section 8.2), by means of Linux's nftables and NFLOG.
 *
 * The kernel compares the SPIs of incoming packets with a set, limits the rate,
 * and delivers the first octets of packets that match.  Half of the rate is for
 * SPIs with few packets, so that a flood with one SPI can't hold back the
 * others.  While no SPI is watched there is no table, and no packet costs
 * anything.
 *
 * The table is "inet qcd" of the network namespace in which the watch was
 * opened.  This process owns it (the flag owner): a firewall that flushes its
 * ruleset leaves the table alone, and the kernel removes it when the process
 * ends.  On a kernel without table owners it is an ordinary table, and
 * qcd_watch_open replaces one that a crash left.  Nothing else in the ruleset
 * is touched.  The table's hook comes after the host's own filter: packets that
 * the filter drops are not seen.
 *
 * API-CONVENTIONS.md has the rules for all functions.  Only one thread may use
 * a watch at a time, except that another thread may be in qcd_watch_read. */
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
    QCD_WATCH_ERR_RIGHT = -1,  /* not permitted, or another process has it */
    QCD_WATCH_ERR_KERNEL = -2, /* the kernel lacks a feature that this needs */
    QCD_WATCH_ERR_SYSTEM = -3, /* no memory, or another system error */
};

/* qcd_watch_report is a sentence for the administrator: what failed, and what
 * to do.  It is empty after a success. */
typedef struct qcd_watch_report {
    char text[384];
} qcd_watch_report;

/* qcd_watch_settings tells how to watch.  The caller sets all members. */
typedef struct qcd_watch_settings {
    uint32_t rate;     /* packets a second to deliver, 0 counts as 1 */
    uint16_t nat_port; /* our UDP port for ESP behind a NAT, 0 for none */
} qcd_watch_settings;

/* qcd_watch_open prepares to watch, and removes a table that an earlier process
 * left.  It needs the capability CAP_NET_ADMIN, now and later.  On success the
 * caller owns `*out`.
 *
 *   QCD_WATCH_ERR_RIGHT   not permitted, or another process has our table or
 *                         our NFLOG groups
 *   QCD_WATCH_ERR_KERNEL  no nftables or no NFLOG
 *   QCD_WATCH_ERR_SYSTEM  another error, as `report` says */
QCD_API QCD_NODISCARD enum qcd_watch_err
qcd_watch_open(qcd_watch **out, qcd_watch_report *report,
               const qcd_watch_settings *settings);

/* qcd_watch_close removes the table and frees `watch`, which may be NULL.  No
 * thread may be in qcd_watch_read. */
QCD_API void qcd_watch_close(qcd_watch *watch);

/* qcd_watch_fd returns the descriptor to poll for reading.  It belongs to
 * `watch` and never blocks. */
QCD_API int qcd_watch_fd(const qcd_watch *watch);

/* qcd_watch_read takes the next packet with an SPI of the set.  It returns
 * false, with `out` all zero, if no packet is waiting: poll again.  Packets
 * that can't be parsed are skipped.  The set doesn't tell ESP from AH: look up
 * the SPI with its protocol. */
QCD_API QCD_NODISCARD bool qcd_watch_read(qcd_watch *watch, qcd_traffic *out);

/* qcd_watch_add also watches for packets with the `num` SPIs at `spis`.  SPIs
 * that are watched already, and SPIs of zero, are skipped.  Like
 * qcd_watch_remove it waits for the kernel, which can take most of a second
 * while somebody else changes nftables: don't call it with a lock that IKE
 * needs.
 *
 *   any error  none of them was added.  What the kernel brings may be too much
 *              or too little until the next call of qcd_watch_add or
 *              qcd_watch_remove succeeds, which may be one without SPIs */
QCD_API QCD_NODISCARD enum qcd_watch_err
qcd_watch_add(qcd_watch *watch, qcd_watch_report *report,
              const qcd_child_spi *spis, size_t num);

/* qcd_watch_remove stops watching for the `num` SPIs at `spis`; some of them
 * may not be watched.  If the same number is watched for ESP and for AH,
 * removing the first removes the other too.  The table is removed with the last
 * SPI.
 *
 *   any error  all of them count as removed; else as for qcd_watch_add */
QCD_API enum qcd_watch_err qcd_watch_remove(qcd_watch *watch,
                                            qcd_watch_report *report,
                                            const qcd_child_spi *spis,
                                            size_t num);

/* qcd_watch_count returns the number of SPIs that are watched; one number for
 * ESP and AH counts once. */
QCD_API size_t qcd_watch_count(const qcd_watch *watch);

#ifdef __cplusplus
}
#endif

#endif
