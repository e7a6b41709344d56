/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_spi_source qcd_spi_source
 * @{ @ingroup qcd
 */

#ifndef QCD_SPI_SOURCE_H_
#define QCD_SPI_SOURCE_H_

#include "qcd_promises.h"
#include "qcd_secrets.h"

typedef struct qcd_spi_source_t qcd_spi_source_t;

/**
 * Provides charon's IKE SPIs, all of which are sealed.
 */
struct qcd_spi_source_t {

	/**
	 * Destroy a qcd_spi_source_t. charon then uses its own SPIs again.
	 */
	void (*destroy)(qcd_spi_source_t *this);
};

/**
 * Check if the configuration of charon lets a token maker tell by their SPIs
 * which IKE_SAs are its own (RFC 6290 sections 8.1 and 9.2).
 *
 * @return				FALSE if it does not (logged)
 */
bool qcd_spi_source_is_safe(void);

/**
 * Provide charon with sealed IKE SPIs from now on.
 *
 * @param promises		mints the SPIs; both objects must outlive the instance
 * @param secrets		provides the runs
 * @return				instance
 */
qcd_spi_source_t *qcd_spi_source_create(qcd_promises_t *promises,
										qcd_secrets_t *secrets);

#endif /** QCD_SPI_SOURCE_H_ @}*/
