/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Between the sources of qvm-setup: what the machine has, the set of qubes as a configuration, the record of what was made. */
#ifndef TOOL_SETUP_H
#define TOOL_SETUP_H

#include "proto/names.h"
#include "tool/conf.h"

#define SETUP_PCI_MAX 64

struct setup_pci {
	char port[32]; /* BB_DD.F, with the segment in front when it is not 0 */
	char id[64];   /* VVVV:DDDD::pCCSSPP */
	bool usb;      /* a USB controller; otherwise a network card */
	bool dom0;     /* kept by a kernel parameter */
};
struct setup_host {
	struct setup_pci pci[SETUP_PCI_MAX];
	size_t n_pci;
	unsigned nics, usb; /* that qubes may have */
	bool keyboards_known, usb_keyboard_only;
};
/* setup_host_read looks at the machine below root ("" = this one). It cannot fail: what cannot be read is not there. */
void setup_host_read(struct setup_host *ret, const char *root);

/* What a run is to make. The texts are borrowed. */
struct setup_want {
	const char *template, *gateway, *workstation; /* NULL: not installed */
	bool usb, disposable;
	const char *const *only; /* names; NULL = the whole set */
	size_t n_only;
};
/* setup_templates chooses among the installed templates; those of want that are set stay. */
void setup_templates(struct setup_want *want, const struct adm_qubes *all, char names[3][QNAME_MAX + 1]);
/* setup_set builds the configuration of the set. -EINVAL: only names what is no part of it. */
int setup_set(struct conf *ret, const struct setup_want *want, const struct adm_qubes *all, struct err *e);

/* The record lives in features of dom0, so it is part of the instance: setup.state, setup.qube.NAME, setup.global.NAME. */
#define SETUP_RECORD "setup."
struct setup_record {
	struct conf_list qubes;   /* name; "UUID TOKEN", UUID - while it is being made, TOKEN - until the run is done */
	struct conf_list globals; /* property, or feature.NAME of dom0; "VALUE OLD", OLD without its sign: =old, or * for the default */
	bool unfinished;
};
int setup_record_get(struct setup_record *ret, struct err *e);
void setup_record_fini(struct setup_record *r);
int setup_record_put(const char *key, const char *value, struct err *e); /* value NULL removes */
/* setup_token gives a word that changes when the settings of a qube change. */
int setup_token(char out[PF_TOKEN_MAX], const struct adm_qube *q, struct err *e);
/* setup_undo_conf says what an undo would do: qubes to be removed, global settings; notes gets a line for each qube that stays, and why. */
int setup_undo_conf(struct conf *ret, const struct setup_record *rec, const struct adm_qubes *all, struct conf_list *notes, struct err *e);

#endif
