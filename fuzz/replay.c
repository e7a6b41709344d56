/* SPDX-License-Identifier: Apache-2.0 */
/* replay.c: passes each file of the folders given as arguments to the fuzz
 * target that it is linked with.  So the corpus is a test under any
 * compiler. */
#include <dirent.h>

#include "fuzz.h"

static int replay_file(const char *path)
{
    static uint8_t whole[1 << 17];
    FILE *f = fopen(path, "rb");

    if (f == NULL) {
        perror(path);
        return 1;
    }
    size_t len = fread(whole, 1, sizeof(whole), f);
    fclose(f);
    /* Of exactly that size, so that a sanitizer guards its end. */
    uint8_t *in = malloc(len > 0 ? len : 1);
    DEMAND(in != NULL);
    memcpy(in, whole, len);
    (void)LLVMFuzzerTestOneInput(in, len);
    free(in);
    return 0;
}

static int replay_folder(const char *folder, unsigned *num_files)
{
    DIR *d = opendir(folder);
    int err = 0;

    if (d == NULL) {
        perror(folder);
        return 1;
    }
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        char path[4096];

        if (e->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        err |= replay_file(path);
        (*num_files)++;
    }
    closedir(d);
    return err;
}

int main(int argc, char **argv)
{
    unsigned num_files = 0;
    int err = 0;

    for (int i = 1; i < argc; i++) {
        err |= replay_folder(argv[i], &num_files);
    }
    printf("%u inputs\n", num_files);
    return err != 0 || num_files == 0 ? 1 : 0;
}
