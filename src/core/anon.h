/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Anonymous qubes: which qube is half of a Tor pair, and what therefore always holds. A template says what it is by a feature (whonix-gw, whonix-ws: the
 * reference's names); the tags are what policies and people see. The rules are kept at every commit, whoever changed what.
 */
#ifndef CORE_ANON_H
#define CORE_ANON_H

#include "base/err.h"

struct core;
struct qube;

#define ANON_GW_FEATURE "whonix-gw"
#define ANON_WS_FEATURE "whonix-ws"
#define ANON_GW_TAG "anon-gateway"
#define ANON_WS_TAG "anon-vm"
#define ANON_TEMPLATE_TAG "whonix-updatevm"
/* Feature of a qube, its template or dom0: the gateway that is the default netvm of anonymous qubes; without it, or if that is none, ANON_GW_NAME. */
#define ANON_GW_CHOICE "whonix-default-gw"
#define ANON_GW_NAME "sys-whonix"

enum anon { ANON_NONE, ANON_GATEWAY, ANON_WORKSTATION };

/* anon_kind: by the tag, or by the feature of the template behind it. Templates themselves are neither. A qube that is both counts as a workstation. */
enum anon anon_kind(const struct core *c, const struct qube *q);
/* anon_gateway, anon_dispvm give the default netvm and disposable template of a workstation; "" when there is none that is anonymous. */
const char *anon_gateway(const struct core *c, const struct qube *q);
const char *anon_dispvm(const struct core *c, const struct qube *q);
/* anon_check_netvm, anon_check_dispvm: may workstation q have x (NULL = none)? 0 for every other qube; -AE_PROPERTY_VALUE with what to do. */
int anon_check_netvm(const struct core *c, const struct qube *q, const struct qube *x, struct err *e);
int anon_check_dispvm(const struct core *c, const struct qube *q, const struct qube *x, struct err *e);
/* anon_keeps_tag: the tag follows from the qube's template and cannot be taken away. */
bool anon_keeps_tag(const struct core *c, const struct qube *q, const char *tag);
/* anon_settle gives tags, and takes back a netvm or disposable template that would lead an anonymous qube past Tor: a halted qube gets its default, a
   running one nothing. Does nothing unless a change since the last time may matter. */
void anon_settle(struct core *c);

#endif
