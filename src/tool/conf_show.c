/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A plan before a person's eyes, as JSON, and carried out. */
#include "tool/conf.h"

static const char *const signs[] = { "\033[32m", "\033[33m", "\033[31m" };

static void sign_line(const struct tool *t, char sign, const char *text)
{
	const char *colour = signs[sign == '+' ? 0 : sign == '~' ? 1 : 2];

	printf("  %s%c%s ", t->colour ? colour : "", sign, t->colour ? "\033[0m" : "");
	out_text(t, text);
	(void)putchar('\n');
}

/* The lines of a that are not in b, each after mark. Order of equal lines does not matter to a reader of the change. */
static void missing_lines(const struct tool *t, const char *a, const char *b, char mark)
{
	while (a && *a) {
		size_t n = strcspn(a, "\n");
		_cleanup_free_ char *line = xasprintf("    %c %.*s\n", mark, (int)n, a);
		bool found = false;

		for (const char *x = b; x && *x && !found; x += strcspn(x, "\n"), x += *x == '\n')
			found = strcspn(x, "\n") == n && memcmp(x, a, n) == 0;
		if (!found)
			out_text(t, line);
		a += n + (a[n] == '\n');
	}
}

static bool has_text(const struct conf_step *s)
{
	return s->act == ACT_POLICY || s->act == ACT_POLICY_RM || s->act == ACT_FIREWALL || s->act == ACT_NOTES;
}

const char *conf_step_heading(const struct conf_step *s)
{
	bool policy = s->act == ACT_POLICY || s->act == ACT_POLICY_RM;

	return policy ? "policy" : streq(s->dest, "dom0") ? "the system" : s->dest;
}

void conf_show(const struct tool *t, const struct conf_plan *p, bool diff)
{
	_cleanup_free_ bool *done = xcalloc(p->n + 1, sizeof *done);
	char text[400];

	for (size_t i = 0; i < p->n; i++) {
		const char *heading = conf_step_heading(&p->v[i]);

		if (done[i])
			continue;
		printf("%s\n", heading);
		for (size_t k = i; k < p->n; k++) {
			if (done[k] || !streq(conf_step_heading(&p->v[k]), heading))
				continue;
			done[k] = true;
			conf_step_text(text, sizeof text, &p->v[k]);
			sign_line(t, conf_step_sign(&p->v[k]), text);
			if (diff && has_text(&p->v[k])) {
				missing_lines(t, p->v[k].old, p->v[k].new, '-');
				missing_lines(t, p->v[k].new, p->v[k].old, '+');
			}
		}
	}
}

void conf_show_json(struct json *j, const char *key, const struct conf_plan *p)
{
	json_open(j, key, '[');
	for (size_t i = 0; i < p->n; i++) {
		json_open(j, NULL, '{');
		json_str(j, "qube", p->v[i].dest);
		json_str(j, "change", conf_act_name(p->v[i].act));
		json_str(j, "name", p->v[i].name);
		json_str(j, "old", p->v[i].old);
		json_str(j, "new", p->v[i].new);
		json_close(j, '}');
	}
	json_close(j, ']');
}

int conf_plan_do(struct tool *t, const struct conf_plan *p, const struct pf_store *store, int (*after)(void *arg, const struct conf_step *s, struct err *e),
		 void *arg)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct conf_step *s = &p->v[i];
		struct err e = { 0 };
		char text[400];
		int r = conf_step_do(t, s, store, &e);

		if (r >= 0 && after)
			r = after(arg, s, &e);
		conf_step_text(text, sizeof text, s);
		if (r < 0)
			return tool_fail(t, "%s: %s: %s; %zu of %zu changes were made, run it again after solving this", conf_step_heading(s), text,
					 err_text(&e, r), i, p->n);
		tool_info(t, "%s: %s", conf_step_heading(s), text);
	}
	return 0;
}
