/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Settings: a file of this instance, and what this machine's own package manager uses. Read before confinement; none of it comes from a qube. */
#include <fcntl.h>

#include "base/fsx.h"
#include "base/proc.h"
#include "base/str.h"
#include "template/aptsrc.h"
#include "updates/updates.h"

#define FILE_MAX (64u << 10)
#define APT_ETC "/etc/apt"
#define APT_CONFIG "/usr/bin/apt-config"

static int add_host(struct up_conf *c, const char *name, uint16_t port, bool private, struct err *e)
{
	for (size_t i = 0; i < c->n_hosts; i++)
		if (streq(c->host[i].name, name) && c->host[i].port == port) {
			c->host[i].private = c->host[i].private || private;
			return 0;
		}
	if (c->n_hosts == UP_HOSTS_MAX)
		return err_set(e, E2BIG, "more than %d servers", UP_HOSTS_MAX);
	c->host[c->n_hosts] = (struct up_host){ .port = port, .private = private };
	return str_copy(c->host[c->n_hosts++].name, HTTP_HOST_MAX, name);
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static bool next_word(struct rd *r, struct rd *ret)
{
	size_t n = 0;

	while (rd_left(r) && is_blank(*r->p))
		rd_skip(r, 1);
	while (n < rd_left(r) && !is_blank(r->p[n]))
		n++;
	*ret = rd_sub(r, n);
	return n > 0;
}

/* allow HOST[:PORT] [private] */
static int set_allow(struct up_conf *c, struct rd word, struct rd rest, struct err *e)
{
	char text[HTTP_HOST_MAX + 16];
	struct http_url u;
	struct rd more;
	bool private = next_word(&rest, &more);

	if (private && (!rd_eq(&more, "private") || next_word(&rest, &more)))
		return err_set(e, EINVAL, "after the host only 'private' may stand");
	if (memchr(word.p, '/', rd_left(&word)) || str_printf(text, sizeof text, "http://%.*s", (int)MIN(rd_left(&word), sizeof text), (const char *)word.p) < 0 ||
	    http_url_parse(rd_mem(text, strlen(text)), &u, NULL) < 0 || !streq(u.path, "/"))
		return err_set(e, EINVAL, "wants HOST or HOST:PORT");
	/* Without a port both usual ones are meant. */
	return add_host(c, u.host, word.end[-1] >= '0' && memchr(word.p, ':', rd_left(&word)) ? u.port : 0, private, e);
}

static int set_proxy(struct up_conf *c, struct rd word, struct err *e)
{
	c->has_uplink = false;
	c->direct = rd_eq(&word, "none");
	if (c->direct)
		return 0;
	if (http_url_parse(word, &c->uplink, e) < 0 || c->uplink.tls || !streq(c->uplink.path, "/"))
		return err_set(e, EINVAL, "wants http://HOST:PORT/ or none");
	c->has_uplink = true;
	return 0;
}

static int setting(struct rd line, struct up_conf *c, struct err *e)
{
	struct rd key, word, more;
	char text[64];

	if (!next_word(&line, &key) || *key.p == '#')
		return 0;
	if (!next_word(&line, &word))
		return err_set(e, EINVAL, "a value is missing");
	if (rd_eq(&key, "allow"))
		return set_allow(c, word, line, e);
	if (next_word(&line, &more))
		return err_set(e, EINVAL, "one value is wanted");
	if (rd_eq(&key, "proxy"))
		return set_proxy(c, word, e);
	if (rd_eq(&key, "cache")) {
		rd_text(&word, text, sizeof text);
		return rd_ok(&word) && str_size(text, &c->cache_max) == 0 ? 0 : err_set(e, EINVAL, "wants a size, such as 4GiB, or 0");
	}
	if (rd_eq(&key, "apt") && (rd_eq(&word, "no") || rd_eq(&word, "yes"))) {
		c->no_apt = rd_eq(&word, "no");
		return 0;
	}
	return err_set(e, EINVAL, "not a setting: allow, proxy, cache, apt yes|no");
}

int conf_parse(struct rd r, struct up_conf *c, struct err *e)
{
	unsigned n = 0;
	struct rd line;

	while (rd_line(&r, &line)) {
		int k = setting(line, c, e);

		n++;
		if (k < 0)
			return err_add(e, k, "line %u", n);
	}
	return 0;
}

void conf_parse_apt(struct rd r, struct up_conf *c)
{
	struct rd line;

	while (!c->direct && !c->has_uplink && rd_line(&r, &line)) {
		struct rd key = rd_until(&line, ' '), value;
		struct http_url u;

		if (!rd_ok(&key) || !rd_eq(&key, "Acquire::http::Proxy"))
			continue;
		(void)rd_until(&line, '"');
		value = rd_until(&line, '"');
		if (rd_ok(&value) && http_url_parse(value, &u, NULL) == 0 && !u.tls) {
			c->uplink = u;
			c->has_uplink = true;
		}
	}
}

/* What this machine fetches Debian's packages from, templates may too. */
static int load_apt(struct up_conf *c, struct err *e)
{
	static const char *const argv[] = { "apt-config", "dump", NULL };
	const struct proc_spec spec = { .path = APT_CONFIG, .argv = argv };
	_cleanup_free_ struct apt_sources *s = xcalloc(1, sizeof *s);
	_cleanup_free_ char *text = NULL;
	const char *env = getenv("http_proxy");
	size_t len = 0;
	int r = 0;

	if (access(APT_ETC, F_OK) == 0)
		r = aptsrc_host(APT_ETC, s, e);
	for (size_t i = 0; i < s->n && r >= 0; i++) {
		struct http_url u;

		if (http_url_parse(rd_mem(s->row[i].uri, strlen(s->row[i].uri)), &u, NULL) == 0)
			r = add_host(c, u.host, u.port == (u.tls ? 443 : 80) ? 0 : u.port, false, e);
	}
	if (r < 0 || c->direct || c->has_uplink || access(APT_CONFIG, X_OK) < 0)
		return r;
	r = proc_capture(&spec, 1u << 20, &text, &len, e);
	if (r < 0)
		return r;
	conf_parse_apt(rd_mem(text, len), c);
	if (!c->has_uplink && env && http_url_parse(rd_mem(env, strlen(env)), &c->uplink, NULL) == 0)
		c->has_uplink = !c->uplink.tls;
	return 0;
}

int conf_load(const char *path, struct up_conf *ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = path ? fs_read(AT_FDCWD, path, FILE_MAX, &text, &len, e) : -ENOENT;

	if (r == -ENOENT) {
		err_clear(e);
		r = 0;
	} else if (r >= 0) {
		r = conf_parse(rd_mem(text, len), ret, e);
	}
	if (r >= 0 && !ret->no_apt && !ret->any_host)
		r = load_apt(ret, e);
	return r < 0 && path ? err_add(e, r, "%s", path) : r;
}

const struct up_host *conf_find(const struct up_conf *c, const struct http_url *u)
{
	static const struct up_host any = { .port = 0 };
	uint16_t usual = u->tls ? 443 : 80;

	for (size_t i = 0; i < c->n_hosts; i++)
		if (streq(c->host[i].name, u->host) && u->port == (c->host[i].port ? c->host[i].port : usual))
			return &c->host[i];
	return c->any_host && u->port == usual ? &any : NULL;
}
