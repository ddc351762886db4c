/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Decoders of the Admin API's text answers. */
#include "client/answers.h"

#include "base/str.h"

char *adm_line(char **text)
{
	char *s = *text, *nl;

	if (!s || !*s)
		return NULL;
	nl = strchr(s, '\n');
	if (nl) {
		*nl = '\0';
		*text = nl + 1;
	} else {
		*text = s + strlen(s);
	}
	return s;
}

void adm_unescape(char *s)
{
	char *o = s;

	for (; *s; s++) {
		if (s[0] == '\\' && (s[1] == '\\' || s[1] == 'n')) {
			*o++ = s[1] == 'n' ? '\n' : '\\';
			s++;
		} else {
			*o++ = *s;
		}
	}
	*o = '\0';
}

char *adm_field(char **s)
{
	char *start = *s, *tab, *o;

	if (!start)
		return NULL;
	tab = strchr(start, '\t');
	*s = tab ? tab + 1 : NULL;
	if (tab)
		*tab = '\0';
	o = start;
	for (const char *p = start; *p; p++) {
		if (*p == '\\' && p[1]) {
			p++;
			*o++ = *p == 'n' ? '\n' : *p == 't' ? '\t' : *p;
		} else {
			*o++ = *p;
		}
	}
	*o = '\0';
	return start;
}

/* Cuts the next word off *s; NULL when there is none. */
static char *word(char **s)
{
	char *w = *s, *sp;

	if (!w || !*w)
		return NULL;
	sp = strchr(w, ' ');
	if (sp) {
		*sp = '\0';
		*s = sp + 1;
	} else {
		*s = NULL;
	}
	return w;
}

static size_t count_lines(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += *s == '\n';
	return n + 1;
}

static int malformed(struct err *e, const char *what)
{
	return err_set(e, ADM_BAD_ANSWER, "the answer of qubesd to %s is malformed", what);
}

static int parse_qube(struct adm_qube *q, char *line)
{
	char *w;

	*q = (struct adm_qube){ .name = word(&line) };
	while ((w = word(&line))) {
		if (str_starts(w, "class="))
			q->cls = w + strlen("class=");
		else if (str_starts(w, "state="))
			q->state = w + strlen("state=");
		else if (str_starts(w, "uuid="))
			q->uuid = w + strlen("uuid=");
	}
	if (!q->name || !q->cls || !q->state)
		return -EBADMSG;
	if (!q->uuid)
		q->uuid = q->name + strlen(q->name);
	return 0;
}

int adm_qubes_parse(struct adm_qubes *ret, struct err *e)
{
	char *text = ret->rep.data, *line;

	if (strlen(text) != ret->rep.len)
		return malformed(e, "admin.vm.List");
	ret->v = xcalloc(count_lines(text), sizeof *ret->v);
	ret->n = 0;
	while ((line = adm_line(&text)))
		if (parse_qube(&ret->v[ret->n++], line) < 0)
			return malformed(e, "admin.vm.List");
	return 0;
}

int adm_qubes_get(struct adm_qubes *ret, const char *dest, struct err *e)
{
	int r;

	*ret = (struct adm_qubes){ .n = 0 };
	r = adm_text(&ret->rep, dest, "admin.vm.List", NULL, NULL, e);
	if (r < 0)
		return r;
	r = adm_qubes_parse(ret, e);
	if (r < 0)
		adm_qubes_fini(ret);
	return r;
}

void adm_qubes_fini(struct adm_qubes *q)
{
	adm_reply_fini(&q->rep);
	free(q->v);
	q->v = NULL;
	q->n = 0;
}

const struct adm_qube *adm_qubes_find(const struct adm_qubes *q, const char *name)
{
	for (size_t i = 0; i < q->n; i++)
		if (streq(q->v[i].name, name))
			return &q->v[i];
	return NULL;
}

int adm_prop_parse(struct adm_prop *ret, char *text, struct err *e)
{
	char *d = word(&text), *type = word(&text);

	if (!d || !type || !str_starts(d, "default=") || !str_starts(type, "type="))
		return malformed(e, "property.Get");
	ret->is_default = streq(d + strlen("default="), "True");
	ret->type = type + strlen("type=");
	ret->value = text ? text : type + strlen(type);
	return 0;
}

int adm_props_parse(struct adm_props *ret, struct err *e)
{
	char *text = ret->rep.data, *line;

	if (strlen(text) != ret->rep.len)
		return malformed(e, "property.GetAll");
	ret->v = xcalloc(count_lines(text), sizeof *ret->v);
	ret->n = 0;
	while ((line = adm_line(&text))) {
		struct adm_prop *p = &ret->v[ret->n++];

		p->name = word(&line);
		if (!p->name || !line || adm_prop_parse(p, line, e) < 0)
			return malformed(e, "property.GetAll");
		adm_unescape(p->value);
	}
	return 0;
}

int adm_props_get(struct adm_props *ret, const char *dest, bool global, struct err *e)
{
	int r;

	*ret = (struct adm_props){ .n = 0 };
	r = adm_text(&ret->rep, global ? "dom0" : dest, global ? "admin.property.GetAll" : "admin.vm.property.GetAll", NULL, NULL, e);
	if (r < 0)
		return r;
	r = adm_props_parse(ret, e);
	if (r < 0)
		adm_props_fini(ret);
	return r;
}

void adm_props_fini(struct adm_props *p)
{
	adm_reply_fini(&p->rep);
	free(p->v);
	p->v = NULL;
	p->n = 0;
}

const struct adm_prop *adm_props_find(const struct adm_props *p, const char *name)
{
	for (size_t i = 0; i < p->n; i++)
		if (streq(p->v[i].name, name))
			return &p->v[i];
	return NULL;
}

int adm_kv(const char *text, const char *key, char *out, size_t cap)
{
	size_t n = strlen(key);

	while (*text) {
		const char *nl = strchrnul(text, '\n');

		if ((size_t)(nl - text) > n && strncmp(text, key, n) == 0 && text[n] == '=') {
			size_t len = (size_t)(nl - text) - n - 1;

			if (len >= cap)
				return -ENAMETOOLONG;
			memcpy(out, text + n + 1, len);
			out[len] = '\0';
			return 0;
		}
		text = *nl ? nl + 1 : nl;
	}
	return -ENOENT;
}
