/* SPDX-License-Identifier: Apache-2.0 */
/* prove_folder.c: the folder of the store, opened, used, left and closed, with
 * a system of which each call may fail, and any names in the folder.
 * proof/folder.c stands for it in the harness of the store. */
#include <limits.h>

#include "proof.h"
#include "store/folder.h"

/* Paths of as many octets at most are looked at completely. */
#define SHORT_LEN 4

/* The longer lengths at which folder.c makes a difference. */
static const size_t edges[] = {FOLDER_SHOWN_MAX, FOLDER_SHOWN_MAX + 1,
                               PATH_MAX - 1, PATH_MAX};

static char path[PATH_MAX + 3];

/* Any path of `len` octets and `slashes` slashes; of a long one only those
 * octets count that may be slashes. */
static void any_path(size_t len, size_t slashes)
{
    for (size_t i = 0; i < len; i++) {
        path[i] = 'x';
        if (i <= SHORT_LEN || i == len / 2) {
            path[i] = (char)Frama_C_interval(1, INT8_MAX);
        }
    }
    if (len > 0) {
        path[len - 1] = any_bool() ? '.' : 'x'; /* and no slash */
    }
    for (size_t i = 0; i < slashes; i++) {
        path[len + i] = '/';
    }
    path[len + slashes] = '\0';
}

static void open_and_use(void)
{
    qcd_store_user user = {any_u32(), any_u32()};
    qcd_store_report report;
    folder dir;

    if (folder_open(&dir, &report, path, any_bool() ? &user : NULL,
                    any_bool()) != QCD_STORE_OK) {
        //@ assert dir.fd == -1;
        proof_string(report.text);
        folder_close(&dir);
        return;
    }
    //@ assert dir.fd >= 0;
    proof_string(dir.shown);
    while (any_bool()) {
        if (folder_use(&dir, &report) == QCD_STORE_OK) {
            folder_leave(&dir);
        } else {
            proof_string(report.text);
        }
    }
    folder_close(&dir);
}

int main(void)
{
    for (size_t len = 0; len <= SHORT_LEN; len++) {
        for (size_t slashes = 0; slashes <= 2; slashes++) {
            any_path(len, slashes);
            open_and_use();
        }
    }
    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
        any_path(edges[i], i % 2);
        open_and_use();
    }
    return 0;
}
