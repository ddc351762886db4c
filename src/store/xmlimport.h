/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a qubes.xml of the reference means here: its JSON (store/qubesxml.h) is added to an object model. Nothing that exists is changed.
 * Every value passes the checks of the object model; what does not is left out and reported.
 */
#ifndef STORE_XMLIMPORT_H
#define STORE_XMLIMPORT_H

#include "core/core.h"

enum xml_verdict { XML_TAKEN, XML_CHANGED, XML_LEFT, XML_VERDICTS };

struct xml_import {
	struct core *c;
	/* report is told each thing. */
	void (*report)(void *arg, enum xml_verdict v, const char *text);
	/* firewall gives the JSON of a qube's firewall.xml as memory of the caller, or NULL; err says why unless there is none. */
	char *(*firewall)(void *arg, const char *qube, const char *cls, struct err *e);
	void *arg;
	struct err *e;
};

/* xml_import does it in one transaction; the caller's database gets it when 0 is returned, and nothing otherwise. */
int xml_import(struct xml_import *im, const char *json, size_t len);

#endif
