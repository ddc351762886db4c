/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One change of a configuration: shown to a person, and made. */
#include "tool/clone.h"
#include "tool/conf.h"

enum form { F_VALUE, F_NAME, F_WORDS, F_DEFAULT, F_LINES, F_CREATE };

static const struct {
	char sign;
	enum form form;
	const char *method, *words;
} acts[] = {
#define ACT(sym, name, rank, sign, form, method, words) [ACT_##sym] = { sign, form, method, words },
#include "tool/conf_act.def"
#undef ACT
};

char conf_step_sign(const struct conf_step *s)
{
	return acts[s->act].sign == '~' && !s->old && s->act != ACT_PROP && s->act != ACT_GLOBAL ? '+' : acts[s->act].sign;
}

static const char *shown(const struct conf_step *s, const char *v)
{
	bool prop = s->act == ACT_PROP || s->act == ACT_RESET || s->act == ACT_GLOBAL || s->act == ACT_GLOBAL_RESET;

	return !v ? "nothing" : *v ? v : prop ? "none" : "(empty)";
}

/* How many lines of a are not in b. */
static unsigned lines_missing(const char *a, const char *b)
{
	unsigned n = 0;

	while (a && *a) {
		size_t len = strcspn(a, "\n");
		const char *x = b;
		bool found = false;

		while (x && *x && !found) {
			size_t k = strcspn(x, "\n");

			found = k == len && memcmp(x, a, k) == 0;
			x += k + (x[k] == '\n');
		}
		n += !found;
		a += len + (a[len] == '\n');
	}
	return n;
}

void conf_step_text(char *out, size_t cap, const struct conf_step *s)
{
	const char *words = acts[s->act].words;
	int r = -EINVAL;

	switch (acts[s->act].form) {
	case F_CREATE:
		r = str_printf(out, cap, "%s%s%s%s, %s", words, s->name, s->arg ? " of " : "", s->arg ? s->arg : "", s->new);
		break;
	case F_NAME:
		r = str_printf(out, cap, "%s%s", words, s->name);
		break;
	case F_WORDS:
		r = str_printf(out, cap, "%s", words);
		break;
	case F_DEFAULT:
		r = str_printf(out, cap, "%s: %s -> default", s->name, shown(s, s->old));
		break;
	case F_LINES:
		r = str_printf(out, cap, "%s%s: %u lines come, %u go", words, s->name, lines_missing(s->new, s->old), lines_missing(s->old, s->new));
		break;
	case F_VALUE:
		r = s->old ? str_printf(out, cap, "%s%s: %s%s -> %s", words, s->name, shown(s, s->old), s->old_default ? " (default)" : "", shown(s, s->new)) :
			     str_printf(out, cap, "%s%s: %s", words, s->name, shown(s, s->new));
		break;
	}
	if (r < 0)
		(void)!str_printf(out, cap, "%s%.60s", words, s->name);
}

static int create(const struct conf_step *s, struct err *e)
{
	char method[64], payload[160];

	if (str_printf(method, sizeof method, "admin.vm.Create.%s", s->name) < 0 ||
	    str_printf(payload, sizeof payload, "name=%s label=%s", s->dest, s->new) < 0)
		return err_set(e, ENAMETOOLONG, "the names are too long");
	return adm_void("dom0", method, s->arg, payload, e);
}

static int policy(const struct conf_step *s, const struct pf_store *store, struct err *e)
{
	char token[PF_TOKEN_MAX] = "new";

	/* Only if the file still is what the plan was made from. */
	if (s->old)
		pf_token(token, s->old, strlen(s->old));
	return s->new ? pf_store_replace(store, s->name, token, s->new, strlen(s->new), e) : pf_store_remove(store, s->name, token, e);
}

int conf_step_do(struct tool *t, const struct conf_step *s, const struct pf_store *store, struct err *e)
{
	int r;

	if (s->act == ACT_CREATE)
		return create(s, e);
	if (s->act == ACT_POLICY || s->act == ACT_POLICY_RM)
		return policy(s, store, e);
	if (s->act == ACT_DEVICE || s->act == ACT_DEVICE_RM)
		return conf_device_do(s, e);
	if (s->act == ACT_CLONE) {
		r = clone_qube(t, &(struct clone_spec){ .src = s->name, .dst = s->dest, .cls = s->new, .label = s->arg });
		return r == 0 ? 0 : err_set(e, EIO, "cloning '%s' failed", s->name);
	}
	return adm_void(s->dest, acts[s->act].method, s->name[0] ? s->name : NULL, s->new, e);
}
