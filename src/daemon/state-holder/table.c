/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which states there are, and which of them stay in memory. */
#include "daemon/state-holder/holder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "base/fsx.h"
#include "base/log.h"
#include "base/str.h"

static bool key_ok(const char *s)
{
	return strlen(s) == KEY_CAP - 1 && strspn(s, "0123456789abcdef") == KEY_CAP - 1;
}

struct state *table_find(struct holder *h, const char *key)
{
	struct state *s;

	TAILQ_FOREACH(s, &h->states, link)
		if (streq(s->key, key))
			return s;
	return NULL;
}

static void leave_memory(struct state *s)
{
	for (size_t i = 0; i < PART_N; i++)
		fd_closep(&s->fd[i]);
	s->in_memory = false;
	s->used = 0;
}

void table_drop(struct holder *h, struct state *s)
{
	char half[KEY_CAP + 1];

	waiters_done(h, s, ENOENT, "the state was dropped");
	copy_stop(s);
	leave_memory(s);
	/* An unfinished copy and a finished one. */
	if (h->dir >= 0 && str_printf(half, sizeof half, "%s~", s->key) == 0) {
		(void)fs_rm_rf(h->dir, half, NULL);
		(void)fs_rm_rf(h->dir, s->key, NULL);
	}
	TAILQ_REMOVE(&h->states, s, link);
	h->n_states--;
	free(s);
}

struct state *table_add(struct holder *h, const char *key)
{
	struct state *s = table_find(h, key);

	if (s)
		table_drop(h, s);
	if (h->n_states >= STATES_MAX || !key_ok(key))
		return NULL;
	s = xcalloc(1, sizeof *s);
	memcpy(s->key, key, KEY_CAP);
	for (size_t i = 0; i < PART_N; i++)
		s->fd[i] = -1;
	TAILQ_INIT(&s->waiters);
	TAILQ_INSERT_TAIL(&h->states, s, link);
	h->n_states++;
	return s;
}

void table_used(struct holder *h, struct state *s)
{
	s->turn = ++h->turn;
	s->last_use = (uint64_t)time(NULL);
}

/* The one that was used longest ago among those that may go now. */
static struct state *oldest(struct holder *h, const struct state *keep, bool copied)
{
	struct state *s, *best = NULL;

	TAILQ_FOREACH(s, &h->states, link)
		if (s != keep && s->in_memory && !s->saving && s->on_disk == copied && (!best || s->turn < best->turn))
			best = s;
	return best;
}

static uint64_t memory_used(const struct holder *h)
{
	const struct state *s;
	uint64_t sum = 0;

	TAILQ_FOREACH(s, &h->states, link)
		sum += s->used;
	return sum;
}

void table_trim(struct holder *h, const struct state *keep)
{
	while (memory_used(h) > h->memory_max) {
		struct state *s = oldest(h, keep, true);

		if (s) {
			log_info("state leaves memory: key=%s", s->key);
			leave_memory(s);
			continue;
		}
		s = oldest(h, keep, false);
		if (!s)
			return;
		log_info("state is dropped, there is no room for it: key=%s", s->key);
		table_drop(h, s);
	}
}

static void scan_one(struct holder *h, const char *name)
{
	struct state *s;

	/* Half-written, or nothing of ours. */
	if (!key_ok(name)) {
		if (fs_rm_rf(h->dir, name, NULL) == 0)
			log_info("removed: what=%s", log_escs(name));
		return;
	}
	s = table_add(h, name);
	if (!s)
		return;
	if (meta_read(h, name, s) < 0) {
		log_warn("state on disk cannot be read, it is removed: key=%s", name);
		table_drop(h, s);
		return;
	}
	s->on_disk = true;
}

int table_open(struct holder *h, const char *dir, struct err *e)
{
	struct dirent *ent;
	DIR *d;

	TAILQ_INIT(&h->states);
	h->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (h->dir < 0)
		return err_errno(e, errno, "opening '%s'", dir);
	d = fdopendir(dup(h->dir));
	if (!d)
		return err_errno(e, errno, "reading '%s'", dir);
	/* scan_one adds to the table first what table_drop would remove from the folder: nothing is lost by it. */
	while ((ent = readdir(d)))
		if (ent->d_name[0] != '.')
			scan_one(h, ent->d_name);
	closedir(d);
	return 0;
}

void table_free(struct holder *h)
{
	while (h->states.tqh_first) {
		struct state *s = h->states.tqh_first;

		copy_stop(s);
		leave_memory(s);
		TAILQ_REMOVE(&h->states, s, link);
		while (s->waiters.tqh_first) {
			struct waiter *w = s->waiters.tqh_first;

			TAILQ_REMOVE(&s->waiters, w, link);
			free(w);
		}
		free(s);
	}
	fd_closep(&h->dir);
}
