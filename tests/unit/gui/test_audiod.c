/* SPDX-License-Identifier: GPL-3.0-or-later */
/* audiod without a sound server: frames, words, counts, the microphone's rules, bounds; and what its sandbox kills. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/io.h"
#include "base/sandbox.h"
#include "gui/audiod/sound.h"

static struct {
	size_t room, played, flushes, runs, records;
	uint8_t sound[1 << 16];
	bool running, recording;
	enum sound_mute mute;
	uint32_t percent, flags;
} said;

static size_t op_room(void *arg)
{
	return said.room;
}

static void op_play(const void *p, size_t n, void *arg)
{
	assert_int_equal(n % AUDIO_FRAME, 0);
	assert_true(n <= said.room && said.played + n <= sizeof said.sound);
	memcpy(said.sound + said.played, p, n);
	said.played += n;
	said.room -= n;
}

static void op_flush(void *arg)
{
	said.flushes++;
}

static void op_run(bool on, void *arg)
{
	assert_true(said.running != on);
	said.running = on;
	said.runs++;
}

static void op_record(bool on, void *arg)
{
	assert_true(said.recording != on);
	said.recording = on;
	said.records++;
}

static void op_level(uint32_t percent, enum sound_mute mute, void *arg)
{
	said.percent = percent;
	said.mute = mute;
}

static void op_state(uint32_t flags, void *arg)
{
	assert_true(said.flags != flags);
	said.flags = flags;
}

static const struct sound_ops ops = { op_room, op_play, op_flush, op_run, op_record, op_level, op_state };

struct rig {
	struct sound s;
	int play[2], record[2]; /* 0: the qube's end */
};

static int setup(void **state)
{
	struct rig *r = xcalloc(1, sizeof *r);

	memset(&said, 0, sizeof said);
	said.room = sizeof said.sound;
	assert_int_equal(unix_pair(SOCK_STREAM, r->play), 0);
	assert_int_equal(unix_pair(SOCK_STREAM, r->record), 0);
	sound_init(&r->s, r->play[1], r->record[1], &ops, NULL);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	for (int i = 0; i < 2; i++) {
		fd_closep(&r->play[i]);
		fd_closep(&r->record[i]);
	}
	free(r);
	return 0;
}

static void put(int fd, const void *p, size_t n)
{
	assert_int_equal(send(fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL), n);
}

static uint64_t last_count(struct rig *r)
{
	struct audio_counts c = { 0 };
	uint8_t buf[4096];
	uint64_t v = 0;
	size_t at = 0;
	ssize_t n = recv(r->play[0], buf, sizeof buf, MSG_DONTWAIT);

	while (n > 0 && audio_count_next(&c, buf, (size_t)n, &at, &v) == 1)
		;
	assert_int_equal(c.n, 0);
	return v;
}

static void word(struct rig *r, uint32_t v, uint64_t now)
{
	uint8_t buf[4];
	struct wr w = wr_mem(buf, sizeof buf);

	wr_u32le(&w, v);
	put(r->record[0], buf, sizeof buf);
	sound_words(&r->s, now);
}

static void set(struct rig *r, uint32_t volume, uint32_t flags, uint64_t now)
{
	sound_set(&r->s, &(struct audio_set){ volume, flags }, now);
}

static void test_frames(void **state)
{
	struct rig *r = *state;
	uint8_t bytes[11];

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i + 1);
	assert_true(sound_play(&r->s, 1));
	assert_int_equal(said.runs, 0);
	/* A frame is played when it is whole. */
	put(r->play[0], bytes, 3);
	assert_true(sound_play(&r->s, 1));
	assert_int_equal(said.played, 0);
	assert_int_equal(last_count(r), 3);
	put(r->play[0], bytes + 3, 8);
	assert_true(sound_play(&r->s, 1));
	assert_int_equal(said.played, 8);
	assert_memory_equal(said.sound, bytes, 8);
	assert_int_equal(last_count(r), 11);
	assert_true(said.running && said.flags == AUDIO_S_PLAYING);
	/* No room: nothing is read, and nothing need be watched. */
	said.room = 3;
	put(r->play[0], "xyz", 3);
	assert_false(sound_play(&r->s, 2));
	said.room = 4;
	assert_true(sound_play(&r->s, 2));
	assert_int_equal(said.played, 12);
	assert_memory_equal(said.sound + 8, "\t\n\v" "x", 4);
	said.room = 100;
	assert_true(sound_play(&r->s, 2));
	assert_int_equal(last_count(r), 14);
	fd_closep(&r->play[0]);
	assert_true(sound_play(&r->s, 3));
	assert_int_equal(r->s.ended, SOUND_END_STREAM);
}

/* Counts that nobody reads stop, and go on whole. */
static void test_deaf_to_counts(void **state)
{
	struct rig *r = *state;
	struct audio_counts c = { 0 };
	uint64_t v = 0, n = 0;
	uint8_t buf[1000];
	int small = 1;

	assert_int_equal(setsockopt(r->play[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
	for (int i = 0; i < 20000; i++) {
		said.room = 4;
		said.played = 0;
		put(r->play[0], "abcd", 4);
		assert_true(sound_play(&r->s, 1));
	}
	for (;;) {
		ssize_t k = recv(r->play[0], buf, 999, MSG_DONTWAIT);
		size_t at = 0;

		if (k <= 0)
			break;
		while (audio_count_next(&c, buf, (size_t)k, &at, &v) == 1)
			n++;
	}
	assert_true(n > 0 && n < 20000 && v < 80000 && v % 4 == 0);
	said.room = 4;
	said.played = 0;
	put(r->play[0], "abcd", 4);
	assert_true(sound_play(&r->s, 1));
	assert_int_equal(last_count(r), 80004);
}

static void test_sleep(void **state)
{
	struct rig *r = *state;

	assert_int_equal(sound_wait_ms(&r->s, 1000), -1);
	put(r->play[0], "abcd", 4);
	assert_true(sound_play(&r->s, 1000));
	assert_int_equal(sound_wait_ms(&r->s, 1000), SOUND_FLUSH_MS);
	sound_tick(&r->s, 1000 + SOUND_FLUSH_MS);
	assert_int_equal(said.flushes, 1);
	sound_tick(&r->s, 1500);
	assert_int_equal(said.flushes, 1);
	assert_int_equal(sound_wait_ms(&r->s, 1500), -1);
	sound_dry(&r->s, 1600);
	sound_dry(&r->s, 1700);
	assert_int_equal(sound_wait_ms(&r->s, 1600), SOUND_IDLE_MS);
	sound_tick(&r->s, 1600 + SOUND_IDLE_MS - 1);
	assert_true(said.running);
	sound_tick(&r->s, 1600 + SOUND_IDLE_MS);
	assert_false(said.running);
	assert_int_equal(said.flags, 0);
	/* The qube says it: at once, but never more often than it may. */
	put(r->play[0], "abcd", 4);
	assert_true(sound_play(&r->s, 10000));
	word(r, AUDIO_CORK, 10001);
	assert_true(said.running);
	sound_dry(&r->s, 10002);
	assert_int_equal(sound_wait_ms(&r->s, 10002), SOUND_CALM_MS - 2);
	sound_tick(&r->s, 10000 + SOUND_CALM_MS);
	assert_false(said.running);
	word(r, AUDIO_UNCORK, 20000);
	assert_false(said.running);
	assert_int_equal(said.runs, 4);
}

static void test_microphone(void **state)
{
	struct rig *r = *state;
	uint8_t buf[100];

	/* Neither one alone opens it. */
	word(r, AUDIO_INPUT_ON, 1000);
	assert_true(!said.recording && said.flags == AUDIO_S_WANTS_MIC);
	sound_captured(&r->s, "abcdefgh", 8);
	assert_true(recv(r->record[0], buf, sizeof buf, MSG_DONTWAIT) == -1);
	set(r, 40, AUDIO_F_MIC, 1000);
	assert_true(said.recording && said.flags == (AUDIO_S_WANTS_MIC | AUDIO_S_RECORDING) && said.percent == 40 && said.mute == SOUND_KEEP);
	sound_captured(&r->s, "abcdefghi", 9);
	assert_int_equal(recv(r->record[0], buf, sizeof buf, MSG_DONTWAIT), 8);
	/* The rest of a frame that found no room goes first. */
	r->s.n_tail = 2;
	memcpy(r->s.tail, "wxyz", 4);
	sound_captured(&r->s, "abcd", 4);
	assert_int_equal(recv(r->record[0], buf, sizeof buf, MSG_DONTWAIT), 6);
	assert_memory_equal(buf, "yzabcd", 6);
	assert_int_equal(r->s.n_tail, 0);
	/* Off is at once, on again is not. */
	word(r, AUDIO_INPUT_OFF, 1001);
	assert_true(!said.recording && said.records == 2);
	word(r, AUDIO_INPUT_ON, 1002);
	assert_false(said.recording);
	assert_int_equal(sound_wait_ms(&r->s, 1002), SOUND_CALM_MS - 1);
	sound_tick(&r->s, 1001 + SOUND_CALM_MS);
	assert_true(said.recording);
	set(r, AUDIO_KEEP, AUDIO_F_MUTE, 1300);
	assert_true(!said.recording && said.mute == SOUND_MUTE && said.percent == AUDIO_KEEP);
	sound_captured(&r->s, "abcdefgh", 8);
	assert_true(recv(r->record[0], buf, sizeof buf, MSG_DONTWAIT) == -1);
	set(r, 200, AUDIO_F_LOUD, 1300);
	assert_int_equal(said.mute, SOUND_LOUD);
	assert_int_equal(said.percent, AUDIO_VOLUME_MAX);
	set(r, AUDIO_KEEP, AUDIO_F_MIC, 1400);
	word(r, AUDIO_INPUT_OFF, 1401);
	assert_false(said.recording);
	assert_int_equal(sound_wait_ms(&r->s, 1402), -1);
}

/* A qube that does not listen misses whole frames, and left stays left. */
static void test_deaf(void **state)
{
	struct rig *r = *state;
	uint8_t frames[400], buf[5000];
	size_t total = 0, last = 0;

	for (size_t i = 0; i < sizeof frames; i++)
		frames[i] = (uint8_t)(i % 4);
	set(r, AUDIO_KEEP, AUDIO_F_MIC, 1);
	word(r, AUDIO_INPUT_ON, 1);
	for (int i = 0; i < 5000; i++)
		sound_captured(&r->s, frames, sizeof frames);
	assert_true(r->s.dropped > 0 && r->s.dropped % 4 == 0);
	for (int i = 0; i < 5000; i++) {
		ssize_t k = recv(r->record[0], buf, 777, MSG_DONTWAIT);

		if (i % 3 == 0)
			sound_captured(&r->s, frames, sizeof frames);
		for (ssize_t b = 0; b < k; b++)
			assert_int_equal(buf[b], (total + (size_t)b) % 4);
		total += k > 0 ? (size_t)k : 0;
		last = (size_t)(k > 0);
	}
	assert_true(total > 100000 && last <= 1);
	fd_closep(&r->record[0]);
	for (int i = 0; i < 2; i++)
		sound_captured(&r->s, frames, sizeof frames);
	assert_int_equal(r->s.ended, SOUND_END_STREAM);
}

static void test_words(void **state)
{
	struct rig *r = *state;

	/* In pieces, many at once, and then one that there is not. */
	put(r->record[0], "\1", 1);
	sound_words(&r->s, 1);
	put(r->record[0], "\0\1\0\0\0\1\0\1\0", 9);
	sound_words(&r->s, 1);
	assert_true(r->s.ended < 0 && said.flags == 0);
	put(r->record[0], "\1\0", 2);
	sound_words(&r->s, 1);
	assert_int_equal(said.flags, AUDIO_S_WANTS_MIC);
	word(r, 0x00030000, 1);
	assert_int_equal(r->s.ended, SOUND_END_BROKEN);
	assert_true(sound_play(&r->s, 2));
	sound_init(&r->s, r->play[1], r->record[1], &ops, NULL);
	sound_words(&r->s, 3);
	assert_true(r->s.ended < 0);
	fd_closep(&r->record[0]);
	sound_words(&r->s, 3);
	assert_int_equal(r->s.ended, SOUND_END_STREAM);
}

static void test_messages(void **state)
{
	struct audio_set in = { 70, AUDIO_F_MIC }, out;
	struct audio_counts c = { 0 };
	struct audio_state st;
	uint8_t buf[32];
	struct wr w = wr_mem(buf, sizeof buf);
	uint64_t v;
	size_t at = 0;

	audio_put_set(&w, &in);
	assert_int_equal(audio_get_set(rd_mem(buf, w.len), &out), 0);
	assert_true(out.volume == 70 && out.flags == AUDIO_F_MIC);
	assert_int_equal(audio_get_set(rd_mem(buf, w.len - 1), &out), -EBADMSG);
	assert_int_equal(audio_get_state(rd_mem(buf, w.len), &st), -EBADMSG);
	assert_int_equal(audio_get_state(rd_mem(buf, 4), &st), 0);
	w = wr_mem(buf, sizeof buf);
	audio_count_put(&w, 9);
	audio_count_put(&w, 8);
	assert_int_equal(audio_count_next(&c, buf, w.len, &at, &v), 1);
	assert_int_equal(audio_count_next(&c, buf, w.len, &at, &v), -EBADMSG);
	w = wr_mem(buf, sizeof buf);
	audio_word_put(&w, AUDIO_UNCORK);
	assert_memory_equal(buf, "\1\0\2\0", 4);
}

static int in_sandbox(long nr)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		struct err e = { 0 };

		if (sandbox_enter(SB_AUDIOD, NULL, 0, &e) < 0)
			_exit(99);
		if (nr == SYS_socket)
			_exit(syscall(nr, AF_UNIX, SOCK_STREAM, 0) == -1 && errno == EPERM ? 0 : 98);
		if (nr == SYS_openat)
			_exit(syscall(nr, AT_FDCWD, "/", O_RDONLY) == -1 && errno == EACCES ? 0 : 98);
		syscall(nr, -1L, 0L, 0L, 0L, 0L, 0L);
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_false(WIFEXITED(status) && WEXITSTATUS(status) >= 98);
	return status;
}

static void test_sandbox(void **state)
{
	static const long kills[] = { SYS_connect, SYS_bind, SYS_listen, SYS_accept4, SYS_socketpair, SYS_execve, SYS_fork, SYS_clone, SYS_ptrace, SYS_unlink,
				      SYS_rename, SYS_mkdir, SYS_kill, SYS_shmat, SYS_shmget, SYS_process_vm_readv, SYS_mount, SYS_setuid, SYS_epoll_create1 };
	static const long allowed[] = { SYS_read, SYS_write, SYS_sendmsg, SYS_recvmsg, SYS_poll, SYS_close, SYS_memfd_create, SYS_socket, SYS_openat };

	if (!sandbox_has_seccomp())
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(kills); i++) {
		int status = in_sandbox(kills[i]);

		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("call %ld is allowed: status %d", kills[i], status);
	}
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
		assert_true(WIFEXITED(in_sandbox(allowed[i])));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_frames), T(test_deaf_to_counts), T(test_sleep), T(test_microphone), T(test_deaf), T(test_words), T(test_messages), T(test_sandbox),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
