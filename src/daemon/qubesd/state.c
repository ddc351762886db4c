/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Kinds of machines by their keys, and clones in the ordinary start path. A start never waits for a state: there is one, or it boots. */
#include "daemon/qubesd/state.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/str.h"
#include "vmm/vmm.h"

#define KICK_MS 200
#define BAD_MAX 2 /* clones in a row that did not come up: the state goes */
#define COUNTERS 5

static uint64_t *counter(struct states *ss, unsigned i)
{
	uint64_t *const all[COUNTERS] = { &ss->n_clones, &ss->n_clone_retries, &ss->n_builds, &ss->n_build_retries, &ss->n_build_failures };

	return all[i];
}

/* One line: clones, clones that did not come up, builds, builds that were repeated, builds that failed. */
void state_count(struct states *ss)
{
	char path[PATH_MAX], text[160];

	if (str_printf(text, sizeof text, "%llu %llu %llu %llu %llu\n", (unsigned long long)ss->n_clones, (unsigned long long)ss->n_clone_retries,
		       (unsigned long long)ss->n_builds, (unsigned long long)ss->n_build_retries, (unsigned long long)ss->n_build_failures) == 0)
		run_write_file(path_fmt(path, PATH_RUN, "/state-counts"), text, strlen(text));
}

static void load_counters(struct states *ss)
{
	char path[PATH_MAX];
	_cleanup_free_ char *text = NULL;
	size_t len;
	char *at, *end;

	if (fs_read(AT_FDCWD, path_fmt(path, PATH_RUN, "/state-counts"), 160, &text, &len, NULL) < 0)
		return;
	at = text;
	for (unsigned i = 0; i < COUNTERS && at; i++, at = end) {
		end = strpbrk(at, " \n");
		if (end)
			*end++ = '\0';
		if (str_u64(at, INT64_MAX, counter(ss, i)) < 0)
			return;
	}
}

/* The program may be replaced while this process runs, and its directory is not seen any more from inside the sandbox. */
static void find_program(struct states *ss)
{
	const struct vmm_ops *ops;
	const char *slash;
	struct err e = { 0 };
	char dir[PATH_MAX];

	if (vmm_choose(ACCEL_AUTO, &ops, &ss->accel, NULL, &e) < 0)
		return;
	slash = strrchr(ops->program, '/');
	if (!slash || str_printf(dir, sizeof dir, "%.*s/", (int)(slash - ops->program), ops->program) < 0)
		return;
	ss->program_dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (ss->program_dir >= 0)
		ss->program = slash + 1;
}

static void on_kick(struct ev_timer *t, void *arg)
{
	struct states *ss = arg;

	ss->kick_us = 0;
	build_next(ss);
	fill_next(ss);
}

struct states *states_new(struct qd *d)
{
	struct states *ss = xcalloc(1, sizeof *ss);

	ss->d = d;
	ss->program_dir = -1;
	ss->meminfo = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	find_program(ss);
	load_counters(ss);
	ss->build = build_new(ss);
	ss->fill = fill_new(ss);
	return ss;
}

void states_start(struct qd *d)
{
	struct states *ss = d->runs->states;

	ss->kick = ev_timer_new(d->loop, on_kick, ss);
	build_leftover(d);
	watch_start(d);
	sweep_soon(d);
	if (!d->no_autostart)
		state_kick(d);
}

void states_stop(struct qd *d)
{
	if (d->runs && d->runs->states)
		build_abandon(d->runs->states->build);
}

void state_later(struct states *ss, uint64_t ms)
{
	uint64_t at = now_us() + ms * 1000;

	if (!ss->kick || (ss->kick_us && ss->kick_us <= at))
		return;
	ss->kick_us = at;
	ev_timer_start(ss->kick, ms);
}

void state_kick(struct qd *d)
{
	state_later(d->runs->states, KICK_MS);
}

bool state_busy(struct qd *d)
{
	for (struct run *r = d->runs->list; r; r = r->next)
		if (r->phase < PH_UP)
			return true;
	return false;
}

bool state_room(struct states *ss, uint64_t mib)
{
	char text[4096], number[24];
	ssize_t n = ss->meminfo < 0 ? -1 : pread(ss->meminfo, text, sizeof text - 1, 0);
	const char *at;
	uint64_t kib;

	if (n <= 0)
		return true;
	text[n] = '\0';
	at = strstr(text, "MemAvailable:");
	if (!at)
		return true;
	at += strlen("MemAvailable:");
	at += strspn(at, " ");
	if (str_printf(number, sizeof number, "%.*s", (int)strspn(at, "0123456789"), at) < 0 || str_u64(number, UINT64_MAX, &kib) < 0)
		return true;
	return kib / 1024 >= mib;
}

/* --- kinds --------------------------------------------------------------------------------------------------------- */

struct state_kind *state_kind_find(struct states *ss, const char *key)
{
	struct state_kind *k = ss->kinds;

	while (k && !streq(k->key, key))
		k = k->next;
	return k;
}

/* The description of the machine that is booted to be saved, from that of one of its kind. -E2BIG. */
static int source_spec(const struct qube *q, const struct vm_spec *cold, const char *key, struct vm_spec *ret)
{
	char services[STATE_SERVICES_MAX];

	*ret = *cold;
	ret->start = VM_START_SOURCE;
	ret->qid = STATE_QID;
	memcpy(ret->state, key, sizeof ret->state);
	if (str_printf(ret->name, sizeof ret->name, "state-%.8s", key) < 0 || state_services(q, services) < 0 ||
	    str_printf(ret->kernelopts, sizeof ret->kernelopts, "%s%sbulkhead.services=%s bulkhead.user=%s", cold->kernelopts,
		       cold->kernelopts[0] ? " " : "", services, cold->default_user) < 0)
		return -E2BIG;
	for (uint32_t i = 0; i < ret->n_disks; i++) {
		struct vm_disk *disk = &ret->disks[i];

		if (!streq(disk->serial, "private"))
			continue;
		disk->n_layers = 0;
		memset(disk->layers, 0, sizeof disk->layers);
		disk->readonly = false;
		disk->ephemeral_size = VM_PLACEHOLDER_BYTES;
	}
	return 0;
}

struct state_kind *state_kind_get(struct states *ss, const char *key, const struct wr *text, const struct qube *q, const struct vm_spec *spec)
{
	struct state_kind *k = state_kind_find(ss, key);

	if (!k) {
		k = xcalloc(1, sizeof *k);
		memcpy(k->key, key, sizeof k->key);
		k->text = xstrndup((const char *)text->buf, text->len);
		k->next = ss->kinds;
		ss->kinds = k;
	}
	memcpy(k->of, q->name.s, sizeof k->of);
	/* What an earlier qube of this kind was made of may be gone: the newest description counts. */
	if (spec) {
		k->has_spec = source_spec(q, spec, key, &k->spec) == 0;
		k->memory_only = volume_ephemeral(ss->d->core, &q->vols[VOL_VOLATILE]) || qube_ram_only(ss->d->core, q);
	}
	return k;
}

void state_kind_drop(struct states *ss, struct state_kind *k)
{
	struct state_kind **p = &ss->kinds;
	struct err e = { 0 };

	while (*p && *p != k)
		p = &(*p)->next;
	if (!*p)
		return;
	*p = k->next;
	err_set(&e, AE_GENERIC, "no qube needs this state any more");
	calls_end(&k->builders, -AE_GENERIC, &e);
	free(k->text);
	free(k->qubes);
	free(k);
}

static int program_stamp(const struct states *ss, char out[160])
{
	struct stat sb;

	if (!ss->program || fstatat(ss->program_dir, ss->program, &sb, 0) < 0)
		return -ENOENT;
	return str_printf(out, 160, "%s %lld@%lld.%09ld", ss->program, (long long)sb.st_size, (long long)sb.st_mtim.tv_sec, sb.st_mtim.tv_nsec);
}

int state_compute(struct states *ss, const struct qube *q, const char *head, struct wr *text, char key[STATE_KEY_LEN + 1], struct err *e)
{
	char program[160];
	struct state_facts f = { .root_head = head, .program = program, .accel = vmm_accel_name(ss->accel) };
	int r = program_stamp(ss, program);

	if (r < 0)
		return err_set(e, AE_GENERIC, "the program of the machines is not to be found");
	/* The snapshot of a device that one run has is not that of another. */
	if (volume_on_device(ss->d->core, &q->vols[VOL_ROOT]) || volume_on_device(ss->d->core, &q->vols[VOL_VOLATILE]))
		return err_set(e, AE_STORAGE, "states are saved of qubes whose pools are files; '%s' has a disk in a pool of devices", q->name.s);
	f.volatile_size = run_volatile_size(ss->d->core, q);
	r = state_text(ss->d->core, q, &f, text, e);
	if (r == 0)
		state_key(text, key);
	return r;
}

int state_drop(struct states *ss, const char *key, peer_reply_fn fn, void *arg, struct err *e)
{
	struct ipc_sp_state_drop m = { 0 };
	uint8_t buf[64];
	struct wr w = wr_mem(buf, sizeof buf);

	if (str_copy(m.key, sizeof m.key, key) < 0)
		return err_set(e, AE_VALUE, "a key has %d digits", STATE_KEY_LEN);
	ipc_put_sp_state_drop(&w, &m);
	for (struct state_kind *k = ss->kinds; k; k = k->next)
		if (!key[0] || streq(k->key, key))
			k->there = false;
	return peer_request(ss->d->spawner, IPC_SP_STATE_DROP, &w, NULL, 0, fn, arg, e);
}

/* --- starts ---------------------------------------------------------------------------------------------------------- */

void state_plan(struct run *r)
{
	struct states *ss = r->d->runs->states;
	_cleanup_wr_ struct wr text = wr_grow(STATE_TEXT_MAX);
	struct err e = { 0 };
	const char *why;

	r->key[0] = '\0';
	r->spec.start = VM_START_COLD;
	r->spec.state[0] = '\0';
	/* One more disk makes another machine than any that was saved. */
	if (r->drive >= 0 || !ss->program || ss->unsupported || !state_allowed(r->d->core, r->q, &why))
		return;
	/* What is saved of a disk is a file. */
	if (volume_on_device(r->d->core, &r->q->vols[VOL_VOLATILE]))
		return;
	if (state_compute(ss, r->q, r->q->vol_head[VOL_ROOT], &text, r->key, &e) < 0) {
		r->key[0] = '\0';
		log_debug("%s starts cold: %s", r->q->name.s, e.msg);
		return;
	}
	(void)state_kind_get(ss, r->key, &text, r->q, &r->spec);
	if (r->cold_only)
		return;
	r->spec.start = VM_START_CLONE;
	memcpy(r->spec.state, r->key, sizeof r->spec.state);
}

static void go_cold(struct run *r)
{
	r->spec.start = VM_START_COLD;
	r->spec.state[0] = '\0';
}

/* A clone that did not come up, for whatever reason. */
static void note_bad(struct run *r, bool bad, const char *why)
{
	struct states *ss = r->d->runs->states;
	struct state_kind *k = state_kind_find(ss, r->key);
	struct err e = { 0 };

	ss->n_clone_retries++;
	state_count(ss);
	log_warn("clone-retry qube=%s key=%.8s: %s", r->q->name.s, r->key, why);
	if (!k)
		return;
	k->bad++;
	if (!bad && k->bad < BAD_MAX)
		return;
	log_warn("the saved state %.8s is dropped: no clone of it comes up", r->key);
	k->bad = 0;
	if (state_drop(ss, r->key, NULL, NULL, &e) < 0)
		log_warn("%s", e.msg);
}

bool state_refused(struct run *r, int k, const struct err *e)
{
	if (r->spec.start != VM_START_CLONE)
		return false;
	if (k == -ENOTSUP)
		r->d->runs->states->unsupported = true;
	else if (k != -ENOENT)
		note_bad(r, k == -EBADMSG || k == -EIO, err_text(e, k));
	if (state_kind_find(r->d->runs->states, r->key))
		state_kind_find(r->d->runs->states, r->key)->there = false;
	go_cold(r);
	return true;
}

bool state_fall_back(struct run *r, bool bad, const char *why)
{
	if (r->spec.start != VM_START_CLONE || r->killed || r->off || r->q->state != LIFE_TRANSIENT || (r->phase != PH_FILL && r->phase != PH_BOOT))
		return false;
	note_bad(r, bad, why);
	r->cold_only = true;
	r->attempt--; /* what counts are boots */
	return true;
}

void state_up(struct run *r)
{
	struct states *ss = r->d->runs->states;
	struct state_kind *k = r->key[0] ? state_kind_find(ss, r->key) : NULL;

	if (r->accel != ACCEL_AUTO && r->accel != ss->accel) {
		log_info("qubes run with %s: saved states of another accelerator are of no use", vmm_accel_name(r->accel));
		ss->accel = r->accel;
		sweep_soon(r->d);
	} else if (r->spec.start == VM_START_CLONE) {
		ss->n_clones++;
		state_count(ss);
		if (k) {
			k->there = true;
			k->clones++;
			k->bad = 0;
		}
	} else if (k && !ss->unsupported && k->has_spec && !(r->cold_only && k->there)) {
		/* One clone that failed does not condemn the state that is there; a new build would forget that it failed. */
		k->wanted = true;
	}
	state_kick(r->d);
}
