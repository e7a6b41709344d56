/* SPDX-License-Identifier: Apache-2.0 */
/* model.c: the octets and the state of the model in model.h. */
#include "model.h"

uint8_t model_octets[PROOF_MAX];
enum model_left model_left;
bool model_is_apart;
bool model_is_bad;
