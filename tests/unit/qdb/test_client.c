/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The QubesDB client against a server played here: answers in any cutting, events between, lies, silence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/str.h"
#include "qdb/client.h"

struct rig {
	struct qdbc c;
	int peer;
	struct wr say;
};

static void start(struct rig *g)
{
	int pair[2];

	assert_int_equal(unix_pair(SOCK_STREAM, pair), 0);
	qdbc_init(&g->c, pair[0]);
	g->c.timeout_ms = 2000;
	g->peer = pair[1];
	g->say = wr_grow(1u << 20);
}

static void stop(struct rig *g)
{
	qdbc_fini(&g->c);
	fd_closep(&g->peer);
	wr_free(&g->say);
}

/* What was put into say is there before the client asks. */
static void said(struct rig *g)
{
	assert_int_equal(write_full(g->peer, g->say.buf, g->say.len), 0);
	wr_reset(&g->say);
}

static void say(struct rig *g, uint8_t type, const char *path, const char *data)
{
	qdb_put(&g->say, type, path, data, strlen(data));
}

static void answers(void **state)
{
	char v[QDB_VALUE_MAX + 1];
	struct err e = { 0 };
	struct rig g;

	start(&g);
	say(&g, QDB_RESP_WATCH, "/w", "");
	say(&g, QDB_RESP_READ, "/a", "one");
	say(&g, QDB_RESP_ERROR_NOENT, "/b", "");
	say(&g, QDB_RESP_OK, "/a", "");
	say(&g, QDB_RESP_ERROR, "/a", "");
	say(&g, QDB_RESP_READ, "/a", "too long");
	said(&g);
	assert_int_equal(qdbc_read(&g.c, "/a", v, sizeof v, &e), 0);
	assert_string_equal(v, "one");
	assert_int_equal(qdbc_read(&g.c, "/b", v, sizeof v, &e), -ENOENT);
	assert_int_equal(qdbc_write(&g.c, "/a", "x", 1, &e), 0);
	assert_int_equal(qdbc_write(&g.c, "/a", "x", 1, &e), -EACCES);
	assert_int_equal(qdbc_read(&g.c, "/a", v, 8, &e), -EMSGSIZE);
	/* the event that came first was kept */
	assert_int_equal(qdbc_wait_event(&g.c, v, 1000, &e), 0);
	assert_string_equal(v, "/w");
	assert_int_equal(qdbc_wait_event(&g.c, v, 20, &e), -ETIMEDOUT);
	stop(&g);
}

static void requests_are_checked_here(void **state)
{
	char v[8], big[QDB_VALUE_MAX + 2];
	struct err e = { 0 };
	struct rig g;

	start(&g);
	memset(big, 'x', sizeof big);
	assert_int_equal(qdbc_read(&g.c, "a", v, sizeof v, &e), -EINVAL);
	assert_int_equal(qdbc_write(&g.c, "/a/", "x", 1, &e), -EINVAL);
	assert_int_equal(qdbc_write(&g.c, "/a", big, sizeof big, &e), -EINVAL);
	assert_int_equal(qdbc_write(&g.c, "/a", "\0", 1, &e), -EINVAL);
	assert_int_equal(qdbc_rm(&g.c, "", &e), -EINVAL);
	assert_int_equal(qdbc_queue(&g.c, QDB_RESP_OK, "/a", NULL, 0), -EINVAL);
	/* nothing of it was sent */
	assert_int_equal(recv(g.peer, v, sizeof v, MSG_DONTWAIT), -1);
	stop(&g);
}

static int collect(void *arg, const char *key, const char *value)
{
	struct wr *w = arg;

	wr_printf(w, "%s=%s;", key, value);
	return str_ends(key, "/stop") ? -ECANCELED : 0;
}

static void lists(void **state)
{
	struct wr w = wr_grow(1024);
	struct err e = { 0 };
	struct rig g;

	start(&g);
	say(&g, QDB_RESP_MULTIREAD, "/b", "2");
	say(&g, QDB_RESP_WATCH, "/b", "");
	say(&g, QDB_RESP_MULTIREAD, "/a", "1");
	say(&g, QDB_RESP_MULTIREAD, "", "");
	say(&g, QDB_RESP_LIST, "/stop", "");
	say(&g, QDB_RESP_LIST, "/after", "");
	say(&g, QDB_RESP_LIST, "", "");
	say(&g, QDB_RESP_OK, "/a", "");
	said(&g);
	assert_int_equal(qdbc_each(&g.c, "/", true, collect, &w, &e), 0);
	assert_int_equal(qdbc_each(&g.c, "/", false, collect, &w, &e), -ECANCELED);
	wr_u8(&w, 0);
	assert_string_equal((char *)w.buf, "/b=2;/a=1;/stop=;");
	/* the walk that was cut short has taken its whole answer */
	assert_int_equal(qdbc_rm(&g.c, "/a", &e), 0);
	wr_free(&w);
	stop(&g);
}

static void lies(void **state)
{
	static const struct {
		uint8_t type;
		const char *path, *data;
	} table[] = {
		{ QDB_RESP_MULTIREAD, "/a", "x" }, { QDB_CMD_READ, "/a", "" }, { QDB_RESP_OK, "/a", "data" }, { QDB_RESP_OK, "/a", "" },
		{ QDB_RESP_READ, "no slash", "" }, { QDB_RESP_LIST, "", "" },
	};
	char v[64];
	struct err e = { 0 };
	struct rig g;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		start(&g);
		say(&g, table[i].type, table[i].path, table[i].data);
		said(&g);
		assert_int_equal(qdbc_read(&g.c, "/a", v, sizeof v, &e), -EBADMSG);
		stop(&g);
	}
	start(&g);
	say(&g, QDB_RESP_READ, "/a", "value");
	g.say.buf[69] = 0x0c; /* claims 3077 bytes */
	said(&g);
	assert_int_equal(qdbc_read(&g.c, "/a", v, sizeof v, &e), -EBADMSG);
	stop(&g);
}

static void silence_and_ends(void **state)
{
	char v[64];
	struct err e = { 0 };
	struct rig g;

	start(&g);
	g.c.timeout_ms = 20;
	assert_int_equal(qdbc_read(&g.c, "/a", v, sizeof v, &e), -ETIMEDOUT);
	stop(&g);
	/* the server ends in the middle of an answer */
	start(&g);
	say(&g, QDB_RESP_READ, "/a", "value");
	g.say.len -= 2;
	said(&g);
	shutdown(g.peer, SHUT_WR);
	assert_int_equal(qdbc_read(&g.c, "/a", v, sizeof v, &e), -ECONNRESET);
	stop(&g);
	/* a whole answer before the end is taken */
	start(&g);
	say(&g, QDB_RESP_READ, "/a", "value");
	said(&g);
	fd_closep(&g.peer);
	assert_int_equal(qdbc_read(&g.c, "/a", v, sizeof v, &e), 0);
	assert_string_equal(v, "value");
	assert_int_equal(qdbc_read(&g.c, "/a", v, sizeof v, &e), -ECONNRESET);
	stop(&g);
}

/* The form for daemons: many requests at once, answers byte by byte. */
static void event_driven(void **state)
{
	struct qdb_msg m;
	struct rig g;
	unsigned got = 0;

	start(&g);
	for (int i = 0; i < 50; i++)
		assert_int_equal(qdbc_queue(&g.c, QDB_CMD_WRITE, "/k", "v", 1), 0);
	assert_true(qdbc_wants(&g.c));
	assert_int_equal(qdbc_io(&g.c), 0);
	assert_false(qdbc_wants(&g.c));
	for (int i = 0; i < 50; i++)
		say(&g, i % 2 ? QDB_RESP_OK : QDB_RESP_WATCH, "/k", "");
	for (size_t i = 0; i < g.say.len; i++) {
		assert_int_equal(write_full(g.peer, g.say.buf + i, 1), 0);
		assert_int_equal(qdbc_io(&g.c), 0);
		while (qdbc_next(&g.c, &m) == 1) {
			assert_int_equal(m.h.type, got % 2 ? QDB_RESP_OK : QDB_RESP_WATCH);
			got++;
		}
	}
	assert_int_equal(got, 50);
	fd_closep(&g.peer);
	assert_int_equal(qdbc_io(&g.c), -ECONNRESET);
	stop(&g);
}

static bool watches(pid_t pid)
{
	char path[40], link[60], target[40];
	DIR *dir = str_printf(path, sizeof path, "/proc/%d/fd", (int)pid) == 0 ? opendir(path) : NULL;
	struct dirent *ent;
	bool found = false;

	while (dir && (ent = readdir(dir))) {
		ssize_t n = str_printf(link, sizeof link, "%s/%.16s", path, ent->d_name) == 0 ? readlink(link, target, sizeof target - 1) : -1;

		target[n > 0 ? n : 0] = '\0';
		found |= streq(target, "anon_inode:inotify");
	}
	if (dir)
		closedir(dir);
	return found;
}

/* A server that comes after its client has begun to wait: the other process makes the socket when it sees the client watch the directory. */
static void waits_for_the_server(void **state)
{
	char dir[] = "/tmp/bulkhead-qdb-XXXXXX", path[64];
	struct qdbc c = { .fd = -1 };
	struct err e = { 0 };
	uint64_t begin;
	int status = 0;
	pid_t pid;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(str_printf(path, sizeof path, "%s/q.sock", dir), 0);
	assert_int_equal(qdbc_open_wait(&c, path, 20, &e), -ENOENT);
	err_clear(&e);
	pid = fork();
	if (pid == 0) {
		struct pollfd p = { .events = POLLIN };

		/* behind its watch: then an event has to wake it */
		for (int i = 0; i < 5000 && !watches(getppid()); i++)
			poll(NULL, 0, 1);
		p.fd = unix_listen_replace(path, SOCK_STREAM, 0600, NULL);
		_exit(p.fd < 0 || poll(&p, 1, 20000) != 1);
	}
	begin = now_us();
	assert_int_equal(qdbc_open_wait(&c, path, 30000, &e), 0);
	assert_true(now_us() - begin < 25000000);
	assert_true(c.fd >= 0);
	qdbc_fini(&c);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers), cmocka_unit_test(requests_are_checked_here), cmocka_unit_test(lists),
		cmocka_unit_test(lies),	   cmocka_unit_test(silence_and_ends),		cmocka_unit_test(event_driven),
		cmocka_unit_test(waits_for_the_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
