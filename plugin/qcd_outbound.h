/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_outbound qcd_outbound
 * @{ @ingroup qcd
 */

#ifndef QCD_OUTBOUND_H_
#define QCD_OUTBOUND_H_

#include <qcd/qcd.h>

#include <bus/listeners/listener.h>

/**
 * Maximum number of IKE_SAs that are checked for one outbound SPI
 */
#define QCD_OUTBOUND_MAX 8

typedef struct qcd_outbound_t qcd_outbound_t;

/**
 * Finds IKE_SAs by the SPIs to which their CHILD_SAs send, for messages that
 * name nothing else (RFC 6290 section 8.2, RFC 7296 section 1.5). Peers choose
 * these SPIs, so several may be equal. Thread-safe, may be used in listeners.
 */
struct qcd_outbound_t {

	/**
	 * Implements listener_t interface.
	 */
	listener_t listener;

	/**
	 * Find the IKE_SAs with a CHILD_SA that sends to an SPI.
	 *
	 * @param spi			outbound SPI, of either protocol
	 * @param spis			receives the SPIs of the IKE_SAs
	 * @return				number of IKE_SAs, at most QCD_OUTBOUND_MAX
	 */
	u_int (*find)(qcd_outbound_t *this, const qcd_child_spi *spi,
				  qcd_spis spis[QCD_OUTBOUND_MAX]);

	/**
	 * Destroy a qcd_outbound_t. Its listener must not be registered any more.
	 */
	void (*destroy)(qcd_outbound_t *this);
};

/**
 * Create a qcd_outbound_t.
 *
 * @return				instance
 */
qcd_outbound_t *qcd_outbound_create(void);

#endif /** QCD_OUTBOUND_H_ @}*/
