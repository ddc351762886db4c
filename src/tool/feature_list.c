/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading features: the list, then all values at once. */
#include "tool/feature_list.h"

static int cmp_features(const void *a, const void *b)
{
	const struct feature *x = a, *y = b;

	return strcmp(x->name, y->name);
}

int features_get(struct features *ret, const char *qube, const char *prefix, struct err *e)
{
	char *text, *line;
	size_t cap = 1;
	int r;

	*ret = (struct features){ .n = 0 };
	r = adm_text(&ret->rep, qube, "admin.vm.feature.List", NULL, NULL, e);
	if (r < 0)
		return r;
	for (const char *p = ret->rep.data; *p; p++)
		cap += *p == '\n';
	ret->calls = xcalloc(cap, sizeof *ret->calls);
	ret->v = xcalloc(cap, sizeof *ret->v);
	text = ret->rep.data;
	while (ret->n < cap && (line = adm_line(&text)))
		if (str_starts(line, prefix))
			ret->calls[ret->n++] = (struct bulk_call){ .dest = qube, .method = "admin.vm.feature.Get", .arg = line };
	calls_run(ret->calls, ret->n, NULL, NULL);
	for (size_t i = 0; i < ret->n; i++)
		ret->v[i] = (struct feature){ .name = ret->calls[i].arg, .value = ret->calls[i].rep.data };
	qsort(ret->v, ret->n, sizeof *ret->v, cmp_features);
	return 0;
}

void features_fini(struct features *f)
{
	calls_fini(f->calls, f->n);
	free(f->calls);
	free(f->v);
	adm_reply_fini(&f->rep);
	*f = (struct features){ .n = 0 };
}
