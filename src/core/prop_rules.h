/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The functions that rows of props.def name: defaults (d_), checks (c_), consequences (a_). Private to core/prop*.c. */
#ifndef CORE_PROP_RULES_H
#define CORE_PROP_RULES_H

#include "core/core.h"

#define D(name) void name(const struct core *c, const struct qube *q, const struct prop *p, struct pval *ret)
D(d_none);
D(d_const);
D(d_template);
D(d_global);
D(d_template_global);
D(d_name);
D(d_uuid);
D(d_qid);
D(d_klass);
D(d_icon);
D(d_label);
D(d_include);
D(d_updateable);
D(d_xid);
D(d_start_time);
D(d_preload);
D(d_keyboard);
D(d_dns);
D(d_gateway);
D(d_gateway6);
D(d_ip);
D(d_ip6);
D(d_visible_ip);
D(d_visible_ip6);
D(d_visible_gateway);
D(d_visible_gateway6);
D(d_visible_netmask);
D(d_netvm);
D(d_default_dispvm);
D(d_bootmode);
D(d_app_bootmode);
D(d_kernelopts);
D(d_maxmem);
D(d_virt_mode);
D(d_newest_kernel);
D(d_host_memory);
D(d_host_cpus);

#define C(name) int name(const struct core *c, const struct qube *q, const char *value, char *out, struct err *e)
C(c_pos);
C(c_nonneg);
C(c_vcpus);
C(c_user);
C(c_denied);
C(c_ip4);
C(c_ip6);
C(c_mac);
C(c_keyboard);
C(c_disposable);
C(c_default_dispvm);
C(c_provides);
C(c_tfd);
C(c_virt_mode);
C(c_bootmode);
C(c_kernel);
C(c_len512);
C(c_netvm);
C(c_default_netvm);
C(c_default_template);
C(c_template);
C(c_pool);

#define A(name) void name(struct core *c, struct qube *q, const struct prop *p)
A(a_audiovm);
A(a_guivm);
A(a_all_audiovm);
A(a_all_guivm);
A(a_icon);
A(a_provides);
A(a_template);

#endif
