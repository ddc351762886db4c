/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every operation is killed before each of its system calls in turn (ptrace), then looked at, then repeated. Before the repeat the
 * committed state must be the old one or the new one, whole; after it, the new one, with no half-made file left.
 */
#include "pool.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#define BLOCKS 4u
#define OTHER "appvms/copy/private"

struct scenario {
	const char *name;
	uint8_t op;
	const char *vid; /* volume that the operation works on */
	void (*prepare)(const struct pool *p, struct st_request *q);
	const char *before, *after; /* committed content of vid; NULL = the volume is not there */
};

static void none(const struct pool *p, struct st_request *q)
{
	q->size = BLOCKS * BLOCK;
}

static void made(const struct pool *p, struct st_request *q)
{
	(void)op(p, ST_CREATE, VID, BLOCKS * BLOCK);
	(void)cycle(p, VID, 1, 0, 'a');
}

static void running(const struct pool *p, struct st_request *q)
{
	struct st_reply r;

	made(p, q);
	r = op(p, ST_START, VID, 0);
	write_block(p, &r.layers[r.n_layers - 1], 1, 'b');
}

static void long_chain(const struct pool *p, struct st_request *q)
{
	(void)op(p, ST_CREATE, VID, BLOCKS * BLOCK);
	for (int i = 0; i < 3; i++)
		(void)cycle(p, VID, 1, 2, 'x' + i);
	(void)cycle(p, VID, 1, 2, -1);
	running(p, q);
}

static void source(const struct pool *p, struct st_request *q)
{
	made(p, q);
	assert_int_equal(str_copy(q->source, sizeof q->source, VID), 0);
}

/* A clone whose source is a chain of overlays, and one that replaces what its target had. */
static void chain_source(const struct pool *p, struct st_request *q)
{
	source(p, q);
	(void)cycle(p, VID, 1, 2, 'y');
	(void)cycle(p, VID, 1, 2, 'z');
}

static void over(const struct pool *p, struct st_request *q)
{
	chain_source(p, q);
	(void)op(p, ST_CREATE, OTHER, BLOCKS * BLOCK);
	(void)cycle(p, OTHER, 1, 3, 'o');
	(void)cycle(p, OTHER, 1, 3, 'p');
}

static void cleared(const struct pool *p, struct st_request *q)
{
	made(p, q);
	(void)op(p, ST_IMPORT_BEGIN, VID, BLOCKS * BLOCK);
}

/* Without snapshots: the committed state itself is used. Its content may be looked at only when it has stopped. */
static void alone(const struct pool *p, struct st_request *q)
{
	made(p, q);
	(void)cycle(p, VID, 1, 1, 'm');
	q->revisions_to_keep = -1;
}

static void running_alone(const struct pool *p, struct st_request *q)
{
	struct st_request start = request(p, ST_START, VID);
	struct st_reply r;

	alone(p, q);
	start.revisions_to_keep = -1;
	assert_int_equal(run(&start, &r), 0);
	write_block(p, &r.layers[r.n_layers - 1], 2, 'n');
}

/* A clone shares its images with its source: neither may change them under the other. */
static void shared(const struct pool *p, struct st_request *q)
{
	struct st_request c = request(p, ST_CLONE, OTHER);
	struct st_reply r;

	made(p, q);
	assert_int_equal(str_copy(c.source, sizeof c.source, VID), 0);
	assert_int_equal(run(&c, &r), 0);
}

static void shared_grown(const struct pool *p, struct st_request *q)
{
	shared(p, q);
	q->size = 2 * BLOCKS * BLOCK;
}

static void shared_alone(const struct pool *p, struct st_request *q)
{
	shared(p, q);
	q->revisions_to_keep = -1;
}

static void imported(const struct pool *p, struct st_request *q)
{
	struct st_reply r;
	struct vm_layer y = { .format = VM_FMT_RAW };

	made(p, q);
	r = op(p, ST_IMPORT_BEGIN, VID, BLOCKS * BLOCK);
	assert_int_equal(str_copy(y.path, sizeof y.path, r.text + strlen(p->dir) + 1), 0);
	write_block(p, &y, 3, 'i');
}

static void running_in_vain(const struct pool *p, struct st_request *q)
{
	running(p, q);
	q->ok = true;
}

static void grown(const struct pool *p, struct st_request *q)
{
	made(p, q);
	q->size = 2 * BLOCKS * BLOCK;
}

static void two_states(const struct pool *p, struct st_request *q)
{
	struct st_reply r;
	char *nl;

	made(p, q);
	(void)cycle(p, VID, 1, 0, 'z');
	r = op(p, ST_LIST_REVISIONS, VID, 0);
	r.text[strlen(r.text) - 1] = '\0';
	nl = strrchr(r.text, '\n');
	assert_int_equal(str_copy(q->revision, sizeof q->revision, nl ? nl + 1 : r.text), 0);
}

static const struct scenario scenarios[] = {
	{ "create", ST_CREATE, VID, none, NULL, "\0\0\0\0" },
	{ "start", ST_START, VID, made, "a\0\0\0", "a\0\0\0" },
	{ "stop", ST_STOP, VID, running, "a\0\0\0", "ab\0\0" },
	{ "stop, thrown away", ST_STOP, VID, running_in_vain, "a\0\0\0", "a\0\0\0" },
	{ "flatten", ST_STOP, VID, long_chain, "a\0\0\0", "ab\0\0" },
	{ "clone", ST_CLONE, OTHER, source, NULL, "a\0\0\0" },
	{ "import", ST_IMPORT_END, VID, imported, "a\0\0\0", "\0\0\0i" },
	{ "clone of a chain", ST_CLONE, OTHER, chain_source, NULL, "a\0z\0" },
	{ "clone over another", ST_CLONE, OTHER, over, "\0\0\0p", "a\0z\0" },
	{ "clear", ST_IMPORT_END, VID, cleared, "a\0\0\0", "\0\0\0\0" },
	{ "start without snapshots", ST_START, VID, alone, "am\0\0", "am\0\0" },
	{ "stop without snapshots", ST_STOP, VID, running_alone, "amn\0", "amn\0" },
	{ "resize of a shared one", ST_RESIZE, VID, shared_grown, "a\0\0\0", "a\0\0\0" },
	{ "start of a shared one", ST_START, VID, shared_alone, "a\0\0\0", "a\0\0\0" },
	{ "resize", ST_RESIZE, VID, grown, "a\0\0\0", "a\0\0\0" },
	{ "revert", ST_REVERT, VID, two_states, "z\0\0\0", "a\0\0\0" },
	{ "remove", ST_REMOVE, VID, made, "a\0\0\0", NULL },
};

static _noreturn_ void child(const struct st_request *q)
{
	struct st_reply reply;

	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(3);
	raise(SIGSTOP);
	_exit(storage_run(q, &reply, NULL) < 0 ? 1 : 0);
}

/* Runs q and kills it before its call number n. False when it ended before that. */
static bool run_killed(const struct st_request *q, unsigned n)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		child(q);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL), 0);
	for (unsigned stops = 0;; stops++) {
		/* Stops come in pairs: before a call and after it. */
		if (stops == 2 * n + 1) {
			assert_int_equal(kill(pid, SIGKILL), 0);
			assert_int_equal(waitpid(pid, &status, 0), pid);
			assert_true(WIFSIGNALED(status));
			return true;
		}
		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), 0);
			return false;
		}
		assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80));
	}
}

static bool is_there(const struct pool *p, const char *vid)
{
	struct st_request q = request(p, ST_INFO, vid);
	struct st_reply reply;

	return storage_run(&q, &reply, NULL) == 0;
}

static bool runs_alone(const struct pool *p, const char *vid)
{
	struct st_request q = request(p, ST_INFO, vid);
	struct st_reply reply;

	return storage_run(&q, &reply, NULL) == 0 && reply.dirty && !reply.head[0];
}

static bool content_is(const struct pool *p, const char *vid, const char *want)
{
	unsigned char b[BLOCKS];

	if (!want || !is_there(p, vid))
		return !want && !is_there(p, vid);
	/* The only state there is is in use: as after a crash, the next stop makes it the committed one. */
	if (runs_alone(p, vid))
		(void)op(p, ST_STOP, vid, 0);
	committed(p, vid, b, BLOCKS);
	return memcmp(b, want, BLOCKS) == 0;
}

static void check_end(const struct pool *p, const struct scenario *s, const struct st_request *q, unsigned n)
{
	struct st_reply reply;
	struct err e = { 0 };
	int r;

	/* Half of a removal is what was asked for: only its repeat counts. */
	if (q->op != ST_REMOVE && !content_is(p, s->vid, s->before) && !content_is(p, s->vid, s->after))
		fail_msg("%s %s: killed at call %u: neither old nor new", p->driver, s->name, n);
	r = storage_run(q, &reply, &e);
	/* What was complete before the kill cannot be repeated in these cases, and need not be. */
	if (r < 0 && !(r == -ENOENT && (q->op == ST_IMPORT_END || q->op == ST_REVERT)))
		fail_msg("%s %s: killed at call %u: repeat: %s", p->driver, s->name, n, err_text(&e, r));
	if (!content_is(p, s->vid, s->after))
		fail_msg("%s %s: killed at call %u: wrong content after the repeat", p->driver, s->name, n);
	/* Whatever is shared: the other volume has not noticed. */
	if ((s->prepare == shared_grown || s->prepare == shared_alone) && !content_is(p, OTHER, "a\0\0\0"))
		fail_msg("%s %s: killed at call %u: the clone changed", p->driver, s->name, n);
	if (q->op == ST_CLONE)
		(void)op(p, ST_REMOVE, VID, 0);
	if (q->op == ST_CLONE && !content_is(p, s->vid, s->after))
		fail_msg("%s %s: killed at call %u: the clone needs its source", p->driver, s->name, n);
	if (files_with(p, "appvms/mail", "~") || files_with(p, "appvms/copy", "~"))
		fail_msg("%s %s: killed at call %u: a half-made file is left", p->driver, s->name, n);
}

static void sweep(const char *driver)
{
	/* A file system in memory where there is one: the order of steps is tested here, not the disk. */
	const char *where = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++) {
		const struct scenario *s = &scenarios[i];
		bool more = true;
		unsigned n;

		for (n = 0; more; n++) {
			struct pool pool, *p = &pool;
			struct st_request q;

			pool_make(p, driver, where);
			q = request(p, s->op, s->vid);
			s->prepare(p, &q);
			more = run_killed(&q, n);
			check_end(p, s, &q, n);
			pool_remove(p);
		}
		print_message("         %s %s: %u kills\n", driver, s->name, n - 1);
		assert_true(n > 5);
	}
}

static void reflink(void **state)
{
	sweep("file-reflink");
}

static void qcow2(void **state)
{
	sweep("file-qcow2");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(reflink), cmocka_unit_test(qcow2) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
