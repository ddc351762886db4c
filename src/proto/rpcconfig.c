/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parser of rpc-config files. */
#include "proto/rpcconfig.h"

#include "base/str.h"

enum kind { KIND_BOOL, KIND_BOOL01, KIND_TEXT };
enum key {
#define X(field, key, kind) KEY_##field,
	RPC_KEYS(X)
#undef X
	KEY_N
};
static const struct {
	const char *name;
	enum kind kind;
} keys[] = {
#define X(field, key, kind) { key, KIND_##kind },
	RPC_KEYS(X)
#undef X
};

struct value {
	enum { V_BOOL, V_INT, V_TEXT } type;
	uint64_t n;
	char text[256];
};

static bool blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static void skip_blanks(struct rd *r)
{
	while (rd_left(r) && blank(*r->p))
		rd_u8(r);
}

/* The longest run of bare characters (letters digits _ -), "" when there is none or it is too long. */
static void bare(struct rd *r, char *out, size_t cap)
{
	size_t n = 0;

	while (rd_left(r) && (ch_alnum((char)*r->p) || *r->p == '_' || *r->p == '-')) {
		char c = (char)rd_u8(r);

		if (n + 1 < cap)
			out[n] = c;
		n++;
	}
	out[n < cap ? n : 0] = 0;
}

static int parse_value(struct rd *r, struct value *v)
{
	if (rd_left(r) && *r->p == '\'') {
		struct rd inner;

		rd_u8(r);
		inner = rd_until(r, '\'');
		v->type = V_TEXT;
		rd_text(&inner, v->text, sizeof v->text);
		return rd_ok(r) && rd_ok(&inner) ? 0 : -EINVAL;
	}
	bare(r, v->text, sizeof v->text);
	if (streq(v->text, "true") || streq(v->text, "false")) {
		v->type = V_BOOL;
		v->n = streq(v->text, "true");
		return 0;
	}
	v->type = V_INT;
	return str_u64(v->text, INT64_MAX, &v->n);
}

static int apply(struct rpc_config *c, enum key k, const struct value *v)
{
	bool on = v->n == 1;

	switch (keys[k].kind) {
	case KIND_TEXT:
		return v->type == V_TEXT && v->text[0] ? str_copy(c->force_user, sizeof c->force_user, v->text) : -EINVAL;
	case KIND_BOOL:
		if (v->type != V_BOOL)
			return -EINVAL;
		break;
	case KIND_BOOL01:
		if (v->type == V_TEXT || v->n > 1)
			return -EINVAL;
		break;
	}
	if (k == KEY_wait_for_session)
		c->wait_for_session = on;
	else if (k == KEY_skip_descriptor)
		c->skip_descriptor = on;
	else if (k == KEY_exit_on_service_eof)
		c->exit_on_service_eof = on;
	else
		c->exit_on_client_eof = on;
	return 0;
}

/* Names of unknown keys already met, so that a duplicate of those is an error too. */
struct seen {
	bool known[KEY_N];
	char other[32][64];
};

static int remember(struct seen *s, struct rpc_config *c, const char *key)
{
	for (unsigned i = 0; i < c->unknown; i++)
		if (streq(s->other[i], key))
			return -EEXIST;
	if (c->unknown == ARRAY_SIZE(s->other))
		return -E2BIG;
	return str_copy(s->other[c->unknown++], sizeof s->other[0], key);
}

static int parse_line(struct rpc_config *c, struct seen *s, struct rd r, unsigned no, struct err *e)
{
	struct value v = { 0 };
	char key[64];
	size_t k = 0;

	if (!rd_left(&r) || *r.p == '#')
		return 0;
	bare(&r, key, sizeof key);
	if (!key[0])
		return err_set(e, EINVAL, "line %u: a key is expected", no);
	skip_blanks(&r);
	if (rd_u8(&r) != '=')
		return err_set(e, EINVAL, "line %u: '=' is expected", no);
	skip_blanks(&r);
	if (parse_value(&r, &v) < 0)
		return err_set(e, EINVAL, "line %u: malformed value", no);
	skip_blanks(&r);
	if (rd_left(&r) && *r.p != '#')
		return err_set(e, EINVAL, "line %u: text after the value", no);
	while (k < KEY_N && !streq(keys[k].name, key))
		k++;
	if (k == KEY_N)
		return remember(s, c, key) < 0 ? err_set(e, EINVAL, "line %u: repeated or too many keys", no) : 0;
	if (s->known[k])
		return err_set(e, EINVAL, "line %u: repeated key '%s'", no, key);
	s->known[k] = true;
	if (apply(c, (enum key)k, &v) < 0)
		return err_set(e, EINVAL, "line %u: wrong type or value for '%s'", no, key);
	return 0;
}

int rpc_config_parse(struct rpc_config *ret, struct rd r, struct err *e)
{
	struct rpc_config c = { 0 };
	struct seen s = { 0 };
	struct rd line;

	if (rd_left(&r) > RPC_CONFIG_MAX || (rd_left(&r) && memchr(r.p, 0, rd_left(&r))))
		return err_set(e, EINVAL, "file too long or with a NUL byte");
	for (unsigned no = 1; rd_line(&r, &line); no++) {
		size_t n = rd_left(&line);
		int rc;

		if (n && line.p[n - 1] == '\r')
			line.end--;
		rc = parse_line(&c, &s, line, no, e);
		if (rc < 0)
			return rc;
	}
	if (c.force_user[0] && rpc_config_socket_keys(&c))
		return err_set(e, EINVAL, "'force-user' cannot be combined with keys of socket services");
	*ret = c;
	return 0;
}
