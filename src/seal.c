/* SPDX-License-Identifier: Apache-2.0 */
/* seal.c: IKE SPIs that only the gateway that minted them can read.  Each is a
 * permutation of `zero tag 16 | node 8 | run 16 | counter 24`.  Nobody else can
 * predict them, as RFC 6290 section 9.3 demands. */
#include "parts.h"

#include "xtea.h"

_Static_assert(sizeof(((qcd_seal *)NULL)->opaque) >= XTEA_KEY_LEN,
               "qcd_seal must hold the key");
_Static_assert(XTEA_BLOCK_LEN == QCD_SPI_LEN, "an SPI is one block");
_Static_assert(XTEA_KEY_LEN == QCD_SEAL_KEY_LEN, "key size");

void seal_init(qcd_seal *out, const uint8_t key[QCD_SEAL_KEY_LEN])
{
    memset(out, 0, sizeof(*out));
    xtea_set_key(out->opaque, key);
}

enum qcd_err spi_seal(qcd_spi *out, const qcd_seal *seal,
                      const qcd_origin *origin)
{
    uint8_t plain[QCD_SPI_LEN];
    wr w;

    memset(out, 0, sizeof(*out));
    if (origin->counter >= QCD_COUNTER_END) {
        return QCD_ERR_RANGE;
    }
    wr_init(&w, plain, sizeof(plain));
    wr_be16(&w, 0);
    wr_u8(&w, origin->node);
    wr_be16(&w, origin->run);
    wr_be(&w, origin->counter, 3);

    xtea_encrypt(out->octets, seal->opaque, plain);
    return spi_is_zero(out) ? QCD_ERR_RANGE : QCD_OK;
}

bool spi_open(qcd_origin *out, const qcd_seal *seal, const qcd_spi *spi)
{
    uint8_t plain[QCD_SPI_LEN];
    rd r;

    memset(out, 0, sizeof(*out));
    xtea_decrypt(plain, seal->opaque, spi->octets);
    rd_init(&r, plain, sizeof(plain));
    if (spi_is_zero(spi) || rd_be16(&r) != 0) {
        return false;
    }
    out->node = rd_u8(&r);
    out->run = rd_be16(&r);
    out->counter = (uint32_t)rd_be(&r, 3);
    return true;
}

enum qcd_err qcd_maker_mint(qcd_maker *maker, qcd_spi *out)
{
    qcd_mint *mint = &maker->mint;
    enum qcd_err err = QCD_ERR_RANGE;

    memset(out, 0, sizeof(*out));
    /* One origin of all seals to the zero SPI, which RFC 7296 section 2.6
     * reserves for "none".  It is skipped. */
    while (err != QCD_OK) {
        /* Run 0, that of an all-zero mint, has no SPIs. */
        if (mint->run == 0 || mint->counter >= QCD_COUNTER_END) {
            return QCD_ERR_EXHAUSTED;
        }
        qcd_origin origin = {
            .node = mint->node, .run = mint->run, .counter = mint->counter++};
        err = spi_seal(out, &maker->seal, &origin);
    }
    return QCD_OK;
}

enum qcd_err qcd_maker_next_run(qcd_maker *maker, uint16_t run)
{
    if (run <= maker->mint.run) {
        return QCD_ERR_RANGE;
    }
    maker->mint.run = run;
    maker->mint.counter = 0;
    return QCD_OK;
}

uint16_t qcd_maker_run(const qcd_maker *maker)
{
    return maker->mint.run;
}

bool qcd_maker_knows(const qcd_maker *maker, const qcd_spi *spi)
{
    qcd_origin origin;

    return spi_open(&origin, &maker->seal, spi);
}

bool qcd_maker_owns(const qcd_maker *maker, const qcd_ike_sa *sa)
{
    const qcd_mint *mint = &maker->mint;
    qcd_origin origin;

    if ((sa->role != QCD_INITIATOR && sa->role != QCD_RESPONDER) ||
        !spi_open(&origin, &maker->seal, qcd_ike_sa_local(sa)) ||
        origin.node != mint->node || origin.run < mint->first_run) {
        return false;
    }
    return origin.run < mint->run ||
           (origin.run == mint->run && origin.counter < mint->counter);
}
