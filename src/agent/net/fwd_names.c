/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Addresses of names in rules: asked for by `getent`, one name after another, so that a slow name server holds up nothing else. */
#include "agent/net/fwd.h"

#include <fcntl.h>
#include <signal.h>

#include "base/log.h"
#include "base/str.h"

#define HOSTS_MAX 1024
#define ANSWER_MAX (64u << 10)
#define ANSWER_MS 20000

static char *word(char **p)
{
	char *s = *p + strspn(*p, " \t");
	size_t n = strcspn(s, " \t");

	*p = s + n + (s[n] != '\0');
	s[n] = '\0';
	return s;
}

static bool next_line(struct rd *text, char *out, size_t cap)
{
	struct rd line;

	if (!rd_line(text, &line))
		return false;
	rd_text(&line, out, cap);
	return rd_ok(&line);
}

void fwd_answer_parse(struct nft_host *h, struct rd text)
{
	char line[400];

	h->n = 0;
	while (rd_left(&text) && h->n < NFT_HOST_ADDRS) {
		char *p = line, *addr;
		size_t i = 0;

		if (!next_line(&text, line, sizeof line))
			return;
		addr = word(&p);
		while (i < h->n && !streq(h->addr[i], addr))
			i++;
		if (i == h->n && strlen(addr) < NFT_ADDR_CAP && nft_addr_ok(addr, h->v6) && str_copy(h->addr[h->n], NFT_ADDR_CAP, addr) == 0)
			h->n++;
	}
}

size_t fwd_nameservers(struct rd text, bool v6, char ret[NFT_NAMESERVERS][NFT_ADDR_CAP])
{
	char line[400];
	size_t n = 0;

	while (rd_left(&text) && n < NFT_NAMESERVERS) {
		char *p = line, *key, *addr;

		if (!next_line(&text, line, sizeof line))
			break;
		key = word(&p);
		addr = word(&p);
		if (streq(key, "nameserver") && strlen(addr) < NFT_ADDR_CAP && nft_addr_ok(addr, v6) &&
		    str_copy(ret[n], NFT_ADDR_CAP, addr) == 0)
			n++;
	}
	return n;
}

static size_t find(const struct fwd *f, const char *name, bool v6)
{
	size_t i = 0;

	while (i < f->n_hosts && (f->hosts[i].v6 != v6 || !streq(f->hosts[i].name, name)))
		i++;
	return i;
}

void fwd_names_of(struct fwd *f, struct fwd_source *s)
{
	for (size_t i = 0; i < s->n_rules; i++) {
		size_t k;

		if (s->rules[i].dst != FW_DST_NAME)
			continue;
		k = find(f, s->rules[i].addr, s->v6);
		if (k == HOSTS_MAX) {
			log_error("too many names in rules: %s is not asked for", log_escs(s->rules[i].addr));
			continue;
		}
		if (k == f->n_hosts) {
			f->n_hosts++;
			f->hosts = xreallocarray(f->hosts, f->n_hosts, sizeof *f->hosts);
			f->due = xreallocarray(f->due, f->n_hosts, sizeof *f->due);
			memset(&f->hosts[k], 0, sizeof f->hosts[k]);
			f->hosts[k].v6 = s->v6;
			memcpy(f->hosts[k].name, s->rules[i].addr, sizeof f->hosts[k].name);
		}
		f->due[k] = true;
		s->stale = true;
	}
}

/* /dns/SOURCE/NAME tells dom0's tools what a name meant when the rules were loaded. */
static void publish(struct fwd *f, const struct nft_host *h)
{
	for (size_t i = 0; i < f->n_src; i++) {
		const struct fwd_source *s = &f->src[i];
		_cleanup_wr_ struct wr w = wr_grow(QDB_VALUE_MAX);
		char key[QDB_KEY_CAP];
		bool used = false;

		for (size_t k = 0; k < s->n_rules; k++)
			used |= s->rules[k].dst == FW_DST_NAME && streq(s->rules[k].addr, h->name);
		if (!used || s->v6 != h->v6 || str_printf(key, sizeof key, "/dns/%s/%s", s->addr, h->name) < 0)
			continue;
		for (size_t k = 0; k < h->n; k++)
			wr_printf(&w, "%s%s", k ? " " : "", h->addr[k]);
		if (wr_ok(&w))
			(void)qdbc_write(&f->db, key, w.buf, w.len, NULL);
	}
}

static void stop_asking(struct fwd *f)
{
	ev_io_free(f->answer_io);
	f->answer_io = NULL;
	fd_closep(&f->answer_fd);
	proc_fini(&f->asking);
	f->asking = PROC_INIT;
	if (f->answer_limit)
		ev_timer_stop(f->answer_limit);
}

static void answered(struct fwd *f)
{
	struct nft_host *h = &f->hosts[f->current];

	stop_asking(f);
	fwd_answer_parse(h, rd_mem(f->answer.buf, f->answer.len));
	if (h->n == 0)
		log_warn("a name has no address: name=%s family=%s", log_escs(h->name), h->v6 ? "ipv6" : "ipv4");
	publish(f, h);
	fwd_names_ask(f);
}

static void on_answer(struct ev_io *io, int fd, int events, void *arg)
{
	struct fwd *f = arg;
	char buf[4096];
	ssize_t n = read(fd, buf, sizeof buf);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && f->answer.len + (size_t)n <= ANSWER_MAX) {
		wr_bytes(&f->answer, buf, (size_t)n);
		return;
	}
	answered(f);
}

static void on_limit(struct ev_timer *t, void *arg)
{
	struct fwd *f = arg;

	log_warn("no answer in time: name=%s", log_escs(f->hosts[f->current].name));
	answered(f);
}

static int ask(struct fwd *f, const struct nft_host *h, struct err *e)
{
	const char *const argv[] = { "getent", h->v6 ? "ahostsv6" : "ahostsv4", h->name, NULL };
	struct proc_spec s = { .path = f->getent, .argv = argv, .death_signal = SIGKILL };
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_errno(e, errno, "pipe");
	s.fds[s.n_fds].fd = fds[1];
	s.fds[s.n_fds++].as = 1;
	r = proc_spawn(&f->asking, &s, e);
	close(fds[1]);
	f->answer_fd = fds[0];
	if (r < 0)
		return r;
	f->answer_io = ev_io_new(f->loop, f->answer_fd, EV_READ, on_answer, f);
	return f->answer_io ? 0 : err_set(e, EIO, "watching a pipe");
}

void fwd_names_ask(struct fwd *f)
{
	struct err e = { 0 };

	if (f->answer_io)
		return; /* one is under way and goes on by itself */
	if (!f->answer_limit)
		f->answer_limit = ev_timer_new(f->loop, on_limit, f);
	for (size_t i = 0; i < f->n_hosts; i++) {
		if (!f->due[i])
			continue;
		f->due[i] = false;
		f->current = i;
		wr_free(&f->answer);
		f->answer = wr_grow(ANSWER_MAX);
		if (ask(f, &f->hosts[i], &e) == 0) {
			ev_timer_start(f->answer_limit, ANSWER_MS);
			return;
		}
		log_error("%s", e.msg);
		stop_asking(f);
		f->hosts[i].n = 0;
	}
	fwd_names_done(f);
}

void fwd_names_fini(struct fwd *f)
{
	stop_asking(f);
	ev_timer_free(f->answer_limit);
	f->answer_limit = NULL;
	wr_free(&f->answer);
	free(f->hosts);
	free(f->due);
	f->hosts = NULL;
	f->due = NULL;
	f->n_hosts = 0;
}
