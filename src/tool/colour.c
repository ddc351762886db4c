/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Labels of all qubes by one call, kept for the life of the process. */
#include "tool/colour.h"

#include "tool/util.h"

static struct {
	struct adm_reply rep;
	bool asked;
	struct {
		const char *name, *label;
	} *v;
	size_t n;
} labels;

static void load(void)
{
	char *text, *line;
	size_t cap = 1;

	labels.asked = true;
	if (adm_internal(&labels.rep, "dom0", "internal.vm.Table", NULL, "label", NULL) < 0)
		return;
	for (const char *p = labels.rep.data; *p; p++)
		cap += *p == '\n';
	labels.v = xcalloc(cap, sizeof *labels.v);
	text = labels.rep.data;
	while ((line = adm_line(&text))) {
		char *tab = strchr(line, '\t');

		if (!tab || tab[1] != '=')
			continue;
		*tab = '\0';
		labels.v[labels.n].name = line;
		labels.v[labels.n++].label = tab + 2;
	}
}

bool qube_rgb(const char *name, uint32_t *ret)
{
	char label[64];

	if (!labels.asked)
		load();
	for (size_t i = 0; i < labels.n; i++)
		if (streq(labels.v[i].name, name))
			return label_rgb(labels.v[i].label, ret) == 0;
	/* A daemon without the table. */
	return !labels.v && prop_get(name, "label", label, sizeof label, NULL) == 0 && label_rgb(label, ret) == 0;
}

void table_qube(struct table *tb, const struct tool *t, const char *name)
{
	uint32_t rgb;

	table_add(tb, name);
	if (name && t->colour && qube_rgb(name, &rgb))
		table_colour(tb, rgb);
}

void put_qube(FILE *f, const struct tool *t, const char *name)
{
	char on[SGR_MAX];
	uint32_t rgb;

	if ((f == stdout ? t->colour : colour_of(f)) && qube_rgb(name, &rgb))
		(void)fprintf(f, "%s%s\033[0m", sgr_of(on, rgb), name);
	else
		(void)fputs(name, f);
}
