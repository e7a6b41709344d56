/* SPDX-License-Identifier: Apache-2.0 */
/* identity.c: what tells this machine from its copies. */
#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <string.h>

#include "io.h"
#include "report.h"
#include "sys.h"

static const char machine_label[] = "qcd machine of a secrets file";

/* What systemd writes while it waits for the first boot to be completed. */
static const char uninitialized[] = "uninitialized";

void identity_digest(uint8_t out[QCD_STORE_MACHINE_LEN],
                     const qcd_store_identity *identity)
{
    memset(out, 0, QCD_STORE_MACHINE_LEN);
    if (identity->len == 0) {
        return;
    }
    struct sha256_ctx sha;
    sha256_init(&sha);
    sha256_update(&sha, sizeof(machine_label) - 1,
                  (const uint8_t *)machine_label);
    sha256_update(&sha, identity->len, identity->octets);
    sha256_digest(&sha, QCD_STORE_MACHINE_LEN, out);
    qcd_wipe(&sha, sizeof(sha));
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* take_identity makes an identity of the content of the file. */
static void take_identity(qcd_store_identity *out, const uint8_t *in,
                          size_t in_len)
{
    while (in_len > 0 && is_space(in[in_len - 1])) {
        in_len--;
    }
    if (in_len == sizeof(uninitialized) - 1 &&
        memcmp(in, uninitialized, in_len) == 0) {
        return;
    }
    out->len = in_len;
    memcpy(out->octets, in, in_len);
}

static enum qcd_store_err read_identity(qcd_store_identity *out, int fd,
                                        qcd_store_report *report,
                                        const char *path)
{
    struct stat st;
    if (sys_fstat(fd, &st) != 0) {
        return report_system(report, errno, "look at %.200s", path);
    }
    uint8_t octets[QCD_STORE_IDENTITY_MAX + 1];
    size_t len = 0;
    int why =
        S_ISREG(st.st_mode) ? io_read(fd, octets, &len, sizeof(octets)) : 0;
    if (why != 0) {
        return report_system(report, why, "read %.200s", path);
    }
    if (!S_ISREG(st.st_mode) || len > QCD_STORE_IDENTITY_MAX) {
        return report_fail(report, QCD_STORE_ERR_DAMAGED,
                           "%.200s is no regular file of at most %d octets, so "
                           "that nobody can say which machine this is. Make a "
                           "new one: systemd-machine-id-setup",
                           path, QCD_STORE_IDENTITY_MAX);
    }
    take_identity(out, octets, len);
    return QCD_STORE_OK;
}

enum qcd_store_err qcd_store_identity_read(qcd_store_identity *out,
                                           qcd_store_report *report,
                                           const char *path)
{
    memset(out, 0, sizeof(*out));
    report->text[0] = '\0';
    /* A symbolic link is as good: the folder is root's. */
    int fd;
    int why =
        io_open(&fd, AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
    if (why == ENOENT) {
        return QCD_STORE_OK;
    }
    if (why != 0) {
        return report_system(report, why, "open %.200s", path);
    }
    enum qcd_store_err err = read_identity(out, fd, report, path);
    (void)io_close(fd); /* all that was to be read is read */
    return err;
}
