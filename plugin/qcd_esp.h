/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup qcd_esp qcd_esp
 * @{ @ingroup qcd
 */

#ifndef QCD_ESP_H_
#define QCD_ESP_H_

#include "qcd_answer.h"
#include "qcd_config.h"
#include "qcd_events.h"
#include "qcd_json.h"
#include "qcd_promises.h"

typedef struct qcd_esp_t qcd_esp_t;

/**
 * Tells peers of CHILD_SAs that were lost in a crash (RFC 6290 section 8.2): in
 * reply to their ESP, and, if configured, by announcements.
 */
struct qcd_esp_t {

	/**
	 * Add members about ESP and announcements to an object.
	 *
	 * @param json			open object
	 */
	void (*describe)(qcd_esp_t *this, qcd_json_t *json);

	/**
	 * Destroy a qcd_esp_t.
	 */
	void (*destroy)(qcd_esp_t *this);
};

/**
 * Create a qcd_esp_t.
 *
 * @param config		settings; all objects must outlive the instance
 * @param events		events
 * @param promises		tokens that peers hold
 * @param answer		sends the replies
 * @param index			receives the lost IKE_SAs
 * @return				NULL if replies are disabled, or if the SA map can't be
 *						used (logged)
 */
qcd_esp_t *qcd_esp_create(qcd_config_t *config, qcd_events_t *events,
						  qcd_promises_t *promises, qcd_answer_t *answer,
						  qcd_lost_index_t *index);

#endif /** QCD_ESP_H_ @}*/
