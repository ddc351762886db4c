/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What qvm-template import reads in a foreign root file system. Pure. */
#ifndef TOOL_TPL_IMPORT_H
#define TOOL_TPL_IMPORT_H

#include "base/rd.h"

/* tpl_import_value looks a KEY=VALUE (or KEY="VALUE") line of os-release up. */
bool tpl_import_value(struct rd r, const char *key, char *out, size_t cap);
/* tpl_import_installed: does dpkg's status say that the package is installed? */
bool tpl_import_installed(struct rd r, const char *package);

#endif
