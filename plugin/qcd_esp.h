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
 * Tells peers of CHILD_SAs that a crash took, RFC 6290 section 8.2: in answer
 * to their ESP, and, if configured, without being asked.
 */
struct qcd_esp_t {

	/**
	 * Add what is to be known of it to an object.
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
 * @param config		settings; all objects outlive it
 * @param events		events
 * @param promises		tokens that peers hold
 * @param answer		answers
 * @param index			receives the IKE_SAs that are lost
 * @return				NULL if nobody is told anything, or if there is no map to be
 *						had (logged)
 */
qcd_esp_t *qcd_esp_create(qcd_config_t *config, qcd_events_t *events,
						  qcd_promises_t *promises, qcd_answer_t *answer,
						  qcd_lost_index_t *index);

#endif /** QCD_ESP_H_ @}*/
