/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Volumes of qubes. What lies on disk is asked from the storage worker; the core keeps the configuration only. */
#include <sys/random.h>

#include "base/paths.h"
#include "base/str.h"
#include "core/api/api.h"
#include "storage/drivers.h"

#define TOKEN_LEN 32
#define TOKENS_MAX 256

/* A volume that CloneFrom offered. */
struct copy_token {
	struct copy_token *next;
	char text[TOKEN_LEN + 1];
	struct uuid owner;
	char volume[32];
};

static unsigned vol_index(const struct call *c)
{
	return (unsigned)(c->vol - c->dest->vols);
}

int api_volume_list(struct call *c)
{
	for (size_t i = 0; i < c->dest->n_vols; i++)
		wr_printf(&c->out, "%s\n", c->dest->vols[i].name);
	return 0;
}

static const char *yes(bool b)
{
	return b ? "True" : "False";
}

static const char *image_path(const struct pool *p, const char *vid, char *out, size_t cap)
{
	const struct pool_driver *d = pool_driver_find(p->driver);

	return d && pool_volume_path(d, pool_option_value, p, vid, out, cap) == 0 ? out : "";
}

static void put_info(struct call *c, uint64_t size, uint64_t usage, bool outdated)
{
	const struct volume *v = c->vol, *src = volume_source(c->core, c->dest, v, NULL);
	const struct pool *p = pool_find(c->core, v->pool);
	bool kernel = vol_index(c) == VOL_KERNEL;
	struct pval kv;
	const char *vid = kernel ? prop_text(c->core, c->dest, P_kernel, &kv) : v->vid;
	struct wr *w = &c->out;
	char path[400];

	wr_printf(w, "pool=%s\nvid=%s\nsize=%llu\nusage=%llu\nrw=%s\nsource=%s\n", v->pool, vid, (unsigned long long)size,
		  (unsigned long long)usage, yes(v->rw), src ? src->vid : "");
	if (kernel)
		wr_printf(w, "path=%s%s%s%s\n", vid[0] ? path_get(PATH_KERNELS) : "", vid[0] ? "/" : "", vid, vid[0] ? "/modules.img" : "");
	else
		wr_printf(w, "path=%s\n", p ? image_path(p, vid, path, sizeof path) : "");
	wr_printf(w, "save_on_stop=%s\nsnap_on_start=%s\nrevisions_to_keep=%lld\nephemeral=%s\nis_outdated=%s\n", yes(v->save_on_stop),
		  yes(v->snap_on_start), (long long)volume_keep(c->core, v), yes(volume_ephemeral(c->core, v)), yes(outdated));
}

/* The image's size, or the exact one that it was rounded up from. */
static uint64_t shown_size(struct call *c, const struct st_reply *reply)
{
	uint64_t size = volume_size(c->core, c->dest, c->vol);

	return reply->size && reply->size != volume_on_disk(size) ? reply->size : size;
}

static void info_known(struct call *c, int r, const struct st_reply *reply)
{
	const char *head = c->dest->vol_head[vol_index(c)];

	/* What the disk says about a volume is a detail: its configuration is still answered when the worker cannot tell. */
	if (r < 0)
		put_info(c, volume_size(c->core, c->dest, c->vol), 0, false);
	else if (c->vol->snap_on_start)
		put_info(c, shown_size(c, reply), 0,
			 !qube_halted(c->dest) && head[0] && !streq(head, reply->head));
	else
		put_info(c, shown_size(c, reply), reply->usage, false);
	call_finish(c, 0);
}

/* The destination of a pending call can disappear; calls that read it again afterwards say so here. */
static bool same_dest(struct call *c)
{
	return qube_find(c->core, c->dest_name) == c->dest;
}

static void info_done(struct call *c, int r, const struct st_reply *reply)
{
	if (same_dest(c))
		info_known(c, r, reply);
	else
		call_finish(c, err_set(&c->err, AE_VM_NOT_FOUND, "'%s' was removed meanwhile", c->dest_name));
}

int api_volume_info(struct call *c)
{
	struct qube *owner = c->dest;
	const struct volume *v = c->vol->snap_on_start ? volume_source(c->core, c->dest, c->vol, &owner) : c->vol;
	struct st_request rq;

	if (!v || !v->save_on_stop) {
		put_info(c, volume_size(c->core, c->dest, c->vol), 0, false);
		return 0;
	}
	if (volume_request(c->core, owner, v, ST_INFO, &rq, &c->err) < 0 || call_storage(c, &rq, info_done) < 0) {
		put_info(c, volume_size(c->core, c->dest, c->vol), 0, false);
		return 0;
	}
	return CALL_PENDING;
}

static void snapshots_done(struct call *c, int r, const struct st_reply *reply)
{
	if (r >= 0) {
		wr_str(&c->out, reply->text);
		if (reply->text[0] && !str_ends(reply->text, "\n"))
			wr_u8(&c->out, '\n');
	}
	call_finish(c, r);
}

int api_volume_snapshots(struct call *c)
{
	struct st_request rq;
	int r;

	if (!c->vol->save_on_stop)
		return 0;
	r = volume_request(c->core, c->dest, c->vol, ST_LIST_REVISIONS, &rq, &c->err);
	return r < 0 ? r : call_storage(c, &rq, snapshots_done);
}

static void set_size(struct call *c, uint64_t size)
{
	struct volume v = *c->vol;

	v.size = size;
	txn_volume(c->core, c->dest, c->vol, &v);
}

static int need_halted(struct call *c)
{
	if (!qube_halted(c->dest))
		return err_set(&c->err, AE_VM_NOT_HALTED, "'%s' is not halted", c->dest->name.s);
	return 0;
}

static int need_saved(struct call *c, const char *what)
{
	if (!c->vol->save_on_stop)
		return err_set(&c->err, AE_STORAGE, "volume '%s' of '%s' keeps nothing: it cannot be %s", c->vol->name, c->dest->name.s, what);
	return 0;
}

static bool revision_ok(const char *s)
{
	return s[0] && strlen(s) < sizeof ((struct st_request *)0)->revision && str_chars(s, ":-_.@");
}

static void plain_done(struct call *c, int r, const struct st_reply *reply)
{
	call_finish(c, r);
}

/* An older state may be smaller: what the volume says of itself must be true of it. */
static void reverted(struct call *c, int r, const struct st_reply *reply)
{
	if (r >= 0 && reply->size && reply->size != volume_on_disk(c->vol->size))
		set_size(c, reply->size);
	call_finish(c, 0);
}

static void revert_done(struct call *c, int r, const struct st_reply *reply)
{
	struct st_request rq;

	if (r == -AE_STORAGE)
		(void)err_add(&c->err, r, "reverting volume '%s' of '%s'", c->vol->name, c->dest_name);
	if (r < 0 || volume_request(c->core, c->dest, c->vol, ST_INFO, &rq, &c->err) < 0 || call_storage(c, &rq, reverted) < 0)
		call_finish(c, r);
}

static void revert_check(struct call *c, int r, const struct st_reply *reply)
{
	struct st_request rq;
	size_t n = strlen(c->body);
	bool found = false;

	if (r >= 0)
		for (const char *s = reply->text; s && *s; s = strchr(s, '\n') ? strchr(s, '\n') + 1 : NULL)
			found |= strncmp(s, c->body, n) == 0 && (s[n] == '\n' || s[n] == '\0');
	if (r >= 0 && !found)
		r = err_set(&c->err, AE_REVISION_NOT_FOUND, "volume '%s' of '%s' has no revision '%s'", c->vol->name, c->dest_name, c->body);
	if (r >= 0)
		r = volume_request(c->core, c->dest, c->vol, ST_REVERT, &rq, &c->err);
	if (r >= 0 && str_copy(rq.revision, sizeof rq.revision, c->body) < 0)
		r = -AE_REVISION_NOT_FOUND;
	if (r >= 0)
		r = call_storage(c, &rq, revert_done);
	if (r < 0)
		call_finish(c, r);
}

int api_volume_revert(struct call *c)
{
	struct st_request rq;
	int r = need_saved(c, "reverted");

	if (r == 0 && !revision_ok(c->body))
		r = err_set(&c->err, AE_PROTOCOL, "not the name of a revision");
	if (r == 0)
		r = need_halted(c);
	if (r == 0)
		r = volume_request(c->core, c->dest, c->vol, ST_LIST_REVISIONS, &rq, &c->err);
	return r < 0 ? r : call_storage(c, &rq, revert_check);
}

static void resize_done(struct call *c, int r, const struct st_reply *reply)
{
	if (r >= 0)
		set_size(c, c->u64);
	call_finish(c, r);
}

/* The volume has its new size for good, whatever the guest made of it. */
static void guest_grown(struct call *c, int r)
{
	char why[ERR_MSG_MAX];

	memcpy(why, c->err.msg, sizeof why);
	if (r < 0)
		r = err_set(&c->err, AE_STORAGE, "volume '%s' of '%s' has %llu bytes now, but its file system did not grow: %s", c->vol->name,
			    c->dest_name, (unsigned long long)c->u64, why);
	call_finish(c, r);
}

static void disk_grown(struct call *c, int r)
{
	char input[40];

	if (r >= 0 && same_dest(c)) {
		set_size(c, c->u64);
		r = txn_commit(c->core, &c->err) < 0 ? -AE_GENERIC : 0;
	}
	/* What a qube does with its swap and throw-away disk is its own business. */
	if (r < 0 || vol_index(c) == VOL_VOLATILE || !same_dest(c)) {
		call_finish(c, r);
		return;
	}
	if (str_printf(input, sizeof input, "%s\n", c->vol->name) < 0)
		abort(); /* names of volumes are constants */
	r = c->core->ops->guest(c->core->ops_ctx, c->dest, "qubes.ResizeDisk", "root", input, c, guest_grown);
	if (r < 0)
		guest_grown(c, r);
}

static int resize_running(struct call *c)
{
	int r;

	if (!c->core->ops->grow || c->dest->state != LIFE_RUNNING)
		return err_set(&c->err, AE_VM_NOT_RUNNING, "'%s' is %s: its disks can grow while it runs or is halted", c->dest->name.s,
			       life_name(c->dest->state));
	r = c->core->ops->grow(c->core->ops_ctx, c->dest, vol_index(c), volume_on_disk(c->u64), c, disk_grown);
	return r < 0 ? r : CALL_PENDING;
}

static int check_resize(struct call *c)
{
	const struct pool *p = pool_find(c->core, c->vol->pool);

	if (!c->vol->rw || c->vol->snap_on_start)
		return err_set(&c->err, AE_STORAGE, "volume '%s' of '%s' cannot be resized", c->vol->name, c->dest->name.s);
	if (c->u64 < c->vol->size)
		return err_set(&c->err, AE_STORAGE, "a volume cannot shrink: '%s' of '%s' has %llu bytes", c->vol->name, c->dest->name.s,
			       (unsigned long long)c->vol->size);
	return p ? pool_takes(p, c->u64, &c->err) : 0;
}

int api_volume_resize(struct call *c)
{
	struct st_request rq;
	int r = check_resize(c);

	if (r < 0)
		return r;
	if (!qube_halted(c->dest))
		return resize_running(c);
	if (!c->vol->save_on_stop) {
		set_size(c, c->u64);
		return 0;
	}
	r = volume_request(c->core, c->dest, c->vol, ST_RESIZE, &rq, &c->err);
	rq.size = volume_on_disk(c->u64);
	return r < 0 ? r : call_storage(c, &rq, resize_done);
}

/* Without snapshots nothing can show a volume while its qube runs: what shows it now would lose its ground. */
static int need_nobody(struct call *c)
{
	int r = need_halted(c);

	for (size_t i = 0; r == 0 && i < c->core->n_sorted; i++) {
		const struct qube *x = c->core->sorted[i];

		for (size_t k = 0; r == 0 && k < x->n_vols && !qube_halted(x); k++)
			if (volume_source(c->core, x, &x->vols[k], NULL) == c->vol)
				r = err_set(&c->err, AE_VM_NOT_HALTED, "'%s' runs on volume '%s' of '%s': shut it down first", x->name.s,
					    c->vol->name, c->dest->name.s);
	}
	return r;
}

int api_volume_set_keep(struct call *c)
{
	struct volume v = *c->vol;

	if (!c->to_default && (c->i64 < -1 || c->i64 > INT32_MAX))
		return err_set(&c->err, AE_VALUE, "revisions_to_keep is -1 or more");
	/* The kernel's has no pool that could say it. */
	v.keep_set = !c->to_default || vol_index(c) == VOL_KERNEL;
	v.revisions_to_keep = c->to_default ? 0 : c->i64;
	if ((volume_keep(c->core, &v) == -1) != (volume_keep(c->core, c->vol) == -1) && need_nobody(c) < 0)
		return -AE_VM_NOT_HALTED;
	txn_volume(c->core, c->dest, c->vol, &v);
	return 0;
}

int api_volume_set_rw(struct call *c)
{
	struct volume v = *c->vol;
	int r = need_halted(c);

	if (r < 0)
		return r;
	v.rw = c->flag;
	txn_volume(c->core, c->dest, c->vol, &v);
	return 0;
}

int api_volume_set_ephemeral(struct call *c)
{
	struct volume v = *c->vol;

	if (v.save_on_stop || v.snap_on_start || !v.rw)
		return err_set(&c->err, AE_STORAGE, "volume '%s' of '%s' cannot be ephemeral", v.name, c->dest->name.s);
	v.ephemeral = c->to_default ? -1 : c->flag ? 1 : 0;
	txn_volume(c->core, c->dest, c->vol, &v);
	return 0;
}

/* The oldest token goes when there are too many: a caller that never clones must not fill memory. */
static void trim_tokens(struct core *core)
{
	struct copy_token **p = &core->tokens;
	unsigned n = 0;

	while (*p && ++n < TOKENS_MAX)
		p = &(*p)->next;
	while (*p) {
		struct copy_token *t = *p;

		*p = t->next;
		free(t);
	}
}

int api_volume_clone_from(struct call *c)
{
	static const char set[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
	uint8_t b[TOKEN_LEN];
	struct copy_token *t;
	int r = need_saved(c, "cloned");

	if (r < 0)
		return r;
	if (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b)
		return err_set(&c->err, AE_GENERIC, "no random numbers");
	t = xcalloc(1, sizeof *t);
	for (unsigned i = 0; i < TOKEN_LEN; i++)
		t->text[i] = set[b[i] & 63];
	t->owner = c->dest->uuid;
	if (str_copy(t->volume, sizeof t->volume, c->vol->name) < 0)
		abort(); /* constants */
	t->next = c->core->tokens;
	c->core->tokens = t;
	trim_tokens(c->core);
	wr_str(&c->out, t->text);
	return 0;
}

struct clone {
	uint64_t size;
};

static void clone_done(struct call *c, int r, const struct st_reply *reply)
{
	const struct clone *cl = c->state;

	if (r >= 0)
		set_size(c, cl->size);
	event(c->core, c->dest, "domain-volume-import-end", "volume", c->vol->name, "success", r >= 0 ? "True" : "False", NULL);
	if (r < 0) {
		struct err ignored;

		/* A clone that failed is an exception for the caller, and still an event that is sent. */
		(void)txn_commit(c->core, &ignored);
	}
	call_finish(c, r);
}

static void clone_sized(struct call *c, int r, const struct st_reply *reply)
{
	struct clone *cl = c->state;

	/* An exact size that was rounded up for the image stays as it is. */
	if (r >= 0 && reply->size && reply->size != volume_on_disk(cl->size))
		cl->size = reply->size;
	clone_done(c, 0, reply);
}

/* The size that counts is that of the state which was copied. */
static void clone_made(struct call *c, int r, const struct st_reply *reply)
{
	struct st_request rq;

	if (r < 0 || volume_request(c->core, c->dest, c->vol, ST_INFO, &rq, &c->err) < 0 || call_storage(c, &rq, clone_sized) < 0)
		clone_done(c, r, reply);
}

/* Takes the token out: it is good for one use, whatever comes of it. */
static int take_token(struct call *c, struct qube **ret_q, struct volume **ret_v)
{
	struct copy_token **p = &c->core->tokens, *t;

	while (*p && !streq((*p)->text, c->body))
		p = &(*p)->next;
	t = *p;
	if (!t)
		return err_set(&c->err, AE_COPY_TOKEN_NOT_FOUND, "there is no such token, or it was used");
	*p = t->next;
	*ret_q = qube_by_uuid(c->core, t->owner.s);
	*ret_v = *ret_q ? volume_find(*ret_q, t->volume) : NULL;
	free(t);
	return *ret_v ? 0 : err_set(&c->err, AE_VM_NOT_FOUND, "the source of the clone is gone");
}

int api_volume_clone_to(struct call *c)
{
	struct clone *cl = xcalloc(1, sizeof *cl);
	struct volume *sv = NULL;
	struct qube *sq = NULL;
	struct st_request rq;
	int r = take_token(c, &sq, &sv);

	c->state = cl;
	if (r == 0)
		r = need_saved(c, "the copy of another one");
	if (r == 0)
		r = need_halted(c);
	if (r == 0 && !streq(sv->pool, c->vol->pool))
		r = err_set(&c->err, AE_STORAGE, "pools '%s' and '%s' differ: clone by way of an import", sv->pool, c->vol->pool);
	if (r == 0 && volume_keep(c->core, sv) == -1 && !qube_halted(sq))
		r = err_set(&c->err, AE_COPY_IN_USE, "'%s' runs without snapshots", sq->name.s);
	if (r == 0 && sv == c->vol)
		r = err_set(&c->err, AE_STORAGE, "a volume cannot be cloned to itself");
	if (r == 0 && pool_find(c->core, sv->pool))
		r = pool_takes(pool_find(c->core, sv->pool), sv->size, &c->err);
	if (r == 0)
		r = volume_request(c->core, c->dest, c->vol, ST_CLONE, &rq, &c->err);
	if (r < 0)
		return r;
	cl->size = sv->size;
	memcpy(rq.source, sv->vid, sizeof rq.source);
	rq.size = volume_on_disk(cl->size);
	event(c->core, c->dest, "domain-volume-import-begin", "volume", c->vol->name, "size", "None", NULL);
	return call_storage(c, &rq, clone_made);
}

static void clear_end(struct call *c, int r, const struct st_reply *reply)
{
	struct st_request rq;

	if (r >= 0)
		r = volume_request(c->core, c->dest, c->vol, ST_IMPORT_END, &rq, &c->err);
	if (r >= 0) {
		rq.ok = true;
		r = call_storage(c, &rq, plain_done);
	}
	if (r < 0)
		call_finish(c, r);
}

int api_volume_clear(struct call *c)
{
	struct st_request rq;
	int r = need_saved(c, "cleared");

	if (r == 0)
		r = need_halted(c);
	if (r == 0)
		r = volume_request(c->core, c->dest, c->vol, ST_IMPORT_BEGIN, &rq, &c->err);
	return r < 0 ? r : call_storage(c, &rq, clear_end);
}

static void import_begun(struct call *c, int r, const struct st_reply *reply)
{
	char size[24] = "None";

	if (r >= 0) {
		c->vol->import_size = c->u64;
		c->vol->importing = true;
		if (str_printf(size, sizeof size, "%llu", (unsigned long long)c->u64) < 0)
			abort();
		wr_printf(&c->out, "%s %s", size, reply->text);
		event(c->core, c->dest, "domain-volume-import-begin", "volume", c->vol->name, "size", size, NULL);
	}
	call_finish(c, r);
}

int api_import_begin(struct call *c)
{
	struct st_request rq;
	int r = need_saved(c, "imported");

	c->u64 = c->vol->size;
	if (r == 0 && c->body_len && (c->body_len > 19 || str_u64(c->body, INT64_MAX, &c->u64) < 0))
		r = err_set(&c->err, AE_PROTOCOL, "the payload is not a number");
	if (r == 0)
		r = need_halted(c);
	if (r == 0 && pool_find(c->core, c->vol->pool))
		r = pool_takes(pool_find(c->core, c->vol->pool), c->u64, &c->err);
	if (r == 0)
		r = volume_request(c->core, c->dest, c->vol, ST_IMPORT_BEGIN, &rq, &c->err);
	rq.size = volume_on_disk(c->u64);
	return r < 0 ? r : call_storage(c, &rq, import_begun);
}

static void import_ended(struct call *c, int r, const struct st_reply *reply)
{
	bool ok = c->flag && r >= 0;

	if (same_dest(c)) {
		if (ok && c->vol->import_size)
			set_size(c, c->vol->import_size);
		c->vol->importing = false;
		c->vol->import_size = 0;
		event(c->core, c->dest, "domain-volume-import-end", "volume", c->vol->name, "success", ok ? "True" : "False", NULL);
	}
	if (r >= 0 && !c->flag) {
		/* A failed import is an exception for the caller, and still an event that is sent. */
		struct err ignored;

		(void)txn_commit(c->core, &ignored);
		r = err_set(&c->err, AE_GENERIC, "Data import failed: %s", c->body + 5);
	}
	call_finish(c, r);
}

int api_import_end(struct call *c)
{
	struct st_request rq;
	int r;

	c->flag = streq(c->body, "ok");
	if (!c->flag && !str_starts(c->body, "fail\n"))
		return err_set(&c->err, AE_PROTOCOL, "the payload is neither ok nor fail");
	if (!c->vol->importing)
		return err_set(&c->err, AE_STORAGE, "no import into volume '%s' of '%s' is under way", c->vol->name, c->dest->name.s);
	r = volume_request(c->core, c->dest, c->vol, ST_IMPORT_END, &rq, &c->err);
	rq.ok = c->flag;
	return r < 0 ? r : call_storage(c, &rq, import_ended);
}
