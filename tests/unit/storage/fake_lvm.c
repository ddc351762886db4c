/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A stand-in for LVM's program in tests: a model of one group "tg" with the thin pool "pool" in directory $FAKE_LVM. A volume is the file
 * dev/tg/NAME with a file meta/NAME beside it ("uuid tags"). Arguments are compared word by word with what the driver may say; anything else is
 * status 90, which no test expects. The file "crash" ("N before" or "N after") makes the Nth call from now kill its caller at that moment;
 * "calls" counts. The file "row" is what lvs tells of the pool.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <dirent.h>

#include "base/str.h"

#define CONFIG "devices/scan_lvs=0 activation/monitoring=0 backup/backup=0 backup/archive=0"
#define EXTENT 65536ull
#define BAD_ARGUMENTS 90
#define FAILED 5

static char *const *words; /* not read yet */
static char dir[200];

static _Noreturn void quit(int status, const char *text, const char *name)
{
	fprintf(stderr, "  %s %s\n", text, name);
	exit(status);
}

static void want(const char *text)
{
	if (!*words || !streq(*words, text))
		quit(BAD_ARGUMENTS, "unexpected argument:", *words ? *words : "(none)");
	words++;
}

static bool next_is(const char *text)
{
	if (!*words || !streq(*words, text))
		return false;
	words++;
	return true;
}

static const char *take(void)
{
	if (!*words)
		quit(BAD_ARGUMENTS, "an argument is missing", "");
	return *words++;
}

static void end(void)
{
	if (*words)
		quit(BAD_ARGUMENTS, "one argument too many:", *words);
}

static const char *lv_name(const char *s)
{
	if (!str_starts(s, "vm-") || !str_chars(s, "_.+-") || strlen(s) > 127)
		quit(BAD_ARGUMENTS, "not a volume of ours:", s);
	return s;
}

static const char *in_group(const char *s)
{
	if (!str_starts(s, "tg/"))
		quit(FAILED, "Volume group not found:", s);
	return lv_name(s + 3);
}

static uint64_t take_size(void)
{
	char text[40];
	uint64_t n;
	size_t len;

	if (str_copy(text, sizeof text, take()) < 0)
		quit(BAD_ARGUMENTS, "size", "");
	len = strlen(text);
	if (len < 2 || text[len - 1] != 'b')
		quit(BAD_ARGUMENTS, "a size without unit:", text);
	text[len - 1] = '\0';
	if (str_u64(text, INT64_MAX, &n) < 0 || n == 0)
		quit(BAD_ARGUMENTS, "size", text);
	return (n + EXTENT - 1) / EXTENT * EXTENT;
}

static char *path(const char *part, const char *name)
{
	static char ring[4][600];
	static unsigned n;
	char *out = ring[n++ % 4];

	if (str_printf(out, sizeof ring[0], "%s/%s%s", dir, part, name) < 0)
		exit(91);
	return out;
}

static bool there(const char *name)
{
	return access(path("meta/", name), F_OK) == 0;
}

static void must(bool ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(92);
	}
}

static void write_text(const char *file, const char *text)
{
	FILE *f = fopen(file, "we");

	must(f && fputs(text, f) >= 0 && fclose(f) == 0, file);
}

static bool read_text(const char *file, char *out, size_t cap)
{
	FILE *f = fopen(file, "re");
	bool ok = f && fgets(out, (int)cap, f);

	if (f)
		fclose(f);
	return ok;
}

static uint64_t counter(const char *file)
{
	char text[40] = "0";
	uint64_t n = 0;

	(void)read_text(file, text, sizeof text);
	must(str_u64(text, INT64_MAX, &n) == 0 && str_printf(text, sizeof text, "%llu", (unsigned long long)n + 1) == 0, file);
	write_text(file, text);
	return n + 1;
}

static void make_meta(const char *name)
{
	char text[100];

	must(str_printf(text, sizeof text, "uuid-%llu bulkhead", (unsigned long long)counter(path("uuids", ""))) == 0, name);
	write_text(path("meta/", name), text);
}

static void lvcreate(void)
{
	const char *name, *from;
	struct stat st;
	int fd, in;

	want("--yes");
	want("--addtag");
	want("bulkhead");
	want("--setactivationskip");
	want("n");
	want("--activate");
	want("y");
	want("--name");
	name = lv_name(take());
	if (there(name))
		quit(FAILED, "Logical Volume already exists:", name);
	if (next_is("--snapshot")) {
		from = in_group(take());
		end();
		if (!there(from))
			quit(FAILED, "Failed to find logical volume", from);
		in = open(path("dev/tg/", from), O_RDONLY | O_CLOEXEC);
		fd = open(path("dev/tg/", name), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		must(in >= 0 && fd >= 0 && fstat(in, &st) == 0 && ftruncate(fd, st.st_size) == 0, name);
		for (off_t at = lseek(in, 0, SEEK_DATA), hole; at >= 0; at = lseek(in, hole, SEEK_DATA)) {
			hole = lseek(in, at, SEEK_HOLE);
			must(lseek(fd, at, SEEK_SET) == at, name);
			while (at < hole)
				must(sendfile(fd, in, &at, (size_t)(hole - at)) > 0, name);
		}
	} else {
		uint64_t size;

		want("--wipesignatures");
		want("n");
		want("--virtualsize");
		size = take_size();
		want("--thinpool");
		want("tg/pool");
		end();
		fd = open(path("dev/tg/", name), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		must(fd >= 0 && ftruncate(fd, (off_t)size) == 0, name);
	}
	make_meta(name);
}

static void lvrename(void)
{
	const char *from, *to;

	want("tg");
	from = lv_name(take());
	to = lv_name(take());
	end();
	if (!there(from))
		quit(FAILED, "Existing logical volume not found:", from);
	if (there(to))
		quit(FAILED, "Logical Volume already exists:", to);
	must(rename(path("dev/tg/", from), path("dev/tg/", to)) == 0 && rename(path("meta/", from), path("meta/", to)) == 0, from);
}

static void lvremove(void)
{
	const char *name;

	want("--yes");
	name = in_group(take());
	end();
	if (!there(name))
		quit(FAILED, "Failed to find logical volume", name);
	must(unlink(path("meta/", name)) == 0 && unlink(path("dev/tg/", name)) == 0, name);
}

static void lvextend(void)
{
	const char *name;
	struct stat st;
	uint64_t size;

	want("--size");
	size = take_size();
	name = in_group(take());
	end();
	if (!there(name))
		quit(FAILED, "Failed to find logical volume", name);
	must(stat(path("dev/tg/", name), &st) == 0, name);
	if (size <= (uint64_t)st.st_size)
		quit(FAILED, "New size is not larger than the existing size:", name);
	must(truncate(path("dev/tg/", name), (off_t)size) == 0, name);
}

static void lvchange(void)
{
	const char *name;

	want("--activate");
	want("y");
	want("--ignoreactivationskip");
	name = in_group(take());
	end();
	if (!there(name))
		quit(FAILED, "Failed to find logical volume", name);
}

static void row(const char *name)
{
	char text[200] = "", *tags;
	struct stat st;
	uint64_t share;

	must(read_text(path("meta/", name), text, sizeof text) && stat(path("dev/tg/", name), &st) == 0, name);
	tags = strchr(text, ' ');
	*tags++ = '\0';
	share = (uint64_t)st.st_blocks * 512 * 10000 / (uint64_t)st.st_size;
	printf("  %s|%s|%llu|Vwi-a-tz--|pool|%s|%llu|%llu.%02llu\n", name, text, (unsigned long long)st.st_size, tags, EXTENT,
	       (unsigned long long)share / 100, (unsigned long long)share % 100);
}

static void lvs(void)
{
	char pool[200] = "1073741824|twi-aotz--|12.34|4194304|10.00";
	struct dirent *ent;
	bool volumes;
	DIR *d;

	want("--noheadings");
	want("--nosuffix");
	want("--units");
	want("b");
	want("--separator");
	want("|");
	want("--options");
	volumes = next_is("lv_name,lv_uuid,lv_size,lv_attr,pool_lv,lv_tags,vg_extent_size,data_percent");
	if (!volumes) {
		want("lv_size,lv_attr,data_percent,lv_metadata_size,metadata_percent");
		if (!next_is("tg/pool"))
			quit(FAILED, "Failed to find logical volume", take());
		end();
		(void)read_text(path("row", ""), pool, sizeof pool);
		printf("  %s\n", pool);
		return;
	}
	if (!next_is("tg"))
		quit(FAILED, "Volume group not found:", take());
	end();
	printf("  pool|uuid-0|1073741824|twi-aotz--||| %llu|12.34\n", EXTENT);
	printf("  root|uuid-r|1073741824|-wi-ao----|||%llu|\n", EXTENT);
	d = opendir(path("meta", ""));
	must(d != NULL, "meta");
	while ((ent = readdir(d)))
		if (ent->d_name[0] != '.')
			row(ent->d_name);
	closedir(d);
}

/* At the moment that a test asked for: our caller dies, as by a power cut in the middle of its work. */
static void crash(uint64_t call, const char *moment)
{
	char text[60], *space;
	uint64_t n;

	if (!read_text(path("crash", ""), text, sizeof text))
		return;
	space = strchr(text, ' ');
	must(space != NULL, "crash");
	*space++ = '\0';
	must(str_u64(text, UINT32_MAX, &n) == 0, "crash");
	if (n == call && streq(space, moment)) {
		must(kill(getppid(), SIGKILL) == 0, "kill");
		if (streq(moment, "before"))
			exit(93);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} commands[] = { { "lvcreate", lvcreate }, { "lvrename", lvrename }, { "lvremove", lvremove },
			 { "lvextend", lvextend }, { "lvchange", lvchange }, { "lvs", lvs } };
	const char *where = getenv("FAKE_LVM");
	uint64_t call;
	int lock;

	if (argc < 4 || !streq(argv[0], "lvm") || !where || str_copy(dir, sizeof dir, where) < 0)
		quit(BAD_ARGUMENTS, "called in a way that", "the driver has not");
	words = argv + 2;
	want("--config");
	want(CONFIG);
	lock = open(path("lock", ""), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	must(lock >= 0 && flock(lock, LOCK_EX) == 0, "lock");
	call = counter(path("calls", ""));
	crash(call, "before");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!streq(argv[1], commands[i].name))
			continue;
		commands[i].run();
		must(fflush(stdout) == 0, "stdout");
		crash(call, "after");
		return 0;
	}
	quit(BAD_ARGUMENTS, "no such command:", argv[1]);
}
