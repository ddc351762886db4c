/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What host and guest must agree on about saved states (docs/states.md), besides the frames of the link. */
#ifndef PROTO_STATES_H
#define PROTO_STATES_H

/* Size of a source's private disk in sectors of 512 bytes: no real volume has it, so that a clone sees when its own has come. */
#define STATE_PLACEHOLDER_SECTORS 2049
/* Size of the file system that a source prepares for the empty private volume of a disposable: that of a new qube's volume. */
#define STATE_PRIVATE_BYTES (UINT64_C(2) << 30)
/* Longest list of bulkhead.services= with its NUL. */
#define SOURCE_SERVICES_MAX 512
/* Key of QubesDB with the qube's uuid, of which a clone makes its machine id. */
#define STATE_UUID_KEY "/bulkhead-uuid"
/* Key of QubesDB: "0" = an emulated qube gives its programs the same addresses every time. */
#define STATE_ASLR_KEY "/bulkhead-aslr"
/* Made in the qube when that was done; who brings it a network undoes it. */
#define STATE_ASLR_MARK "/run/bulkhead/same-addresses"

#endif
