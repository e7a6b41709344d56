/* SPDX-License-Identifier: Apache-2.0 */
/* identity.c: what tells this machine from its copies. */
#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "io.h"
#include "keyfile.h"
#include "report.h"

static const char machine_label[] = "qcd machine of a secrets file";
static const char product_label[] = "qcd product of a run file";

/* systemd writes this while it waits for the first boot to be completed. */
static const char uninitialized[] = "uninitialized";

static const char space[] = {' ', '\t', '\r', '\n'};

static void digest(uint8_t out[QCD_STORE_MACHINE_LEN], const char *label,
                   const uint8_t *in, size_t in_len)
{
    memset(out, 0, QCD_STORE_MACHINE_LEN);
    if (in_len > 0) {
        keyfile_digest(out, QCD_STORE_MACHINE_LEN, label, in, in_len);
    }
}

void identity_print_make(identity_print *out,
                         const qcd_store_identity *identity)
{
    digest(out->machine, machine_label, identity->octets, identity->len);
    out->is_hidden = identity->is_product_hidden;
    digest(out->product, product_label, identity->product,
           identity->product_len);
}

bool identity_is_same(const identity_print *then, const identity_print *now)
{
    if (memcmp(then->machine, now->machine, sizeof(now->machine)) != 0) {
        return false;
    }
    return then->is_hidden || now->is_hidden ||
           memcmp(then->product, now->product, sizeof(now->product)) == 0;
}

void identity_keep(identity_print *now, const identity_print *then)
{
    if (now->is_hidden) {
        now->is_hidden = then->is_hidden;
        memcpy(now->product, then->product, sizeof(now->product));
    }
}

/* read_fd reads a regular file of at most QCD_STORE_IDENTITY_MAX octets, and
 * drops white space at its end.  It returns 0 or an errno value: EFBIG if the
 * file is longer or not regular. */
static int read_fd(uint8_t out[QCD_STORE_IDENTITY_MAX], size_t *out_len, int fd)
{
    struct stat st;
    uint8_t octets[QCD_STORE_IDENTITY_MAX + 1];
    size_t len = 0;
    if (fstat(fd, &st) != 0) {
        return errno;
    }
    if (!S_ISREG(st.st_mode)) {
        return EFBIG;
    }
    int why = io_read(fd, octets, &len, sizeof(octets), 0);
    if (why != 0 || len > QCD_STORE_IDENTITY_MAX) {
        return why != 0 ? why : EFBIG;
    }
    while (len > 0 && memchr(space, octets[len - 1], sizeof(space)) != NULL) {
        len--;
    }
    *out_len = len;
    memcpy(out, octets, len);
    return 0;
}

static int read_path(uint8_t out[QCD_STORE_IDENTITY_MAX], size_t *out_len,
                     const char *path)
{
    /* A symbolic link is acceptable: the folder belongs to root. */
    int fd;
    int why = io_open(&fd, AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (why == 0) {
        why = read_fd(out, out_len, fd);
        (void)io_close(&fd);
    }
    return why;
}

static enum qcd_store_err report_why(qcd_store_report *report, int why,
                                     const char *path)
{
    if (why == EFBIG) {
        return report_say(
            report, QCD_STORE_ERR_DAMAGED,
            "%.200s is not a regular file of at most %d octets, so it does not "
            "identify this machine. Make a new one: systemd-machine-id-setup",
            path, QCD_STORE_IDENTITY_MAX);
    }
    return report_system(report, why, "read %.200s", path);
}

enum qcd_store_err qcd_store_identity_read(qcd_store_identity *out,
                                           qcd_store_report *report,
                                           const char *machine,
                                           const char *product)
{
    memset(out, 0, sizeof(*out));
    report->text[0] = '\0';
    int why = read_path(out->octets, &out->len, machine);
    if (why != 0 && why != ENOENT) {
        return report_why(report, why, machine);
    }
    if (out->len == sizeof(uninitialized) - 1 &&
        memcmp(out->octets, uninitialized, out->len) == 0) {
        memset(out, 0, sizeof(*out));
    }
    why = read_path(out->product, &out->product_len, product);
    out->is_product_hidden = why != 0 && why != ENOENT && why != ENOTDIR;
    return QCD_STORE_OK;
}
