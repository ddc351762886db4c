/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Facts of an operating system from its own files: os-release, the list of dpkg. Pure; lines that are too long or not text are passed over. */
#ifndef PROTO_OSFACTS_H
#define PROTO_OSFACTS_H

#include "base/rd.h"

/* osfacts_value looks a line KEY=VALUE of os-release up (VALUE may be in quotes) and copies the value to out; false when there is none that fits. */
bool osfacts_value(struct rd r, const char *key, char *out, size_t cap);
/* osfacts_installed: does dpkg's status say that the package (or its successor with the suffix t64) is installed? */
bool osfacts_installed(struct rd r, const char *package);

#endif
