/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The receiver of a file copy stream, whole, into a directory that is emptied each time. First byte: options. Nothing may appear beside
   the directory, and success must be confirmed with the checksum of what was read. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "agent/qfile/unpack.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/str.h"
#include "proto/qfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char top[64];
static int top_fd = -1;

static void clean_up(void)
{
	(void)fs_rm_rf(AT_FDCWD, top, NULL);
}

static void start(void)
{
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	if (str_printf(top, sizeof top, "%s/bulkhead-fuzz-XXXXXX", base) < 0 || !mkdtemp(top))
		abort();
	top_fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (top_fd < 0)
		abort();
	atexit(clean_up);
}

static void check_outside(void)
{
	DIR *d = opendir(top);
	const struct dirent *ent;

	if (!d)
		abort();
	while ((ent = readdir(d)))
		if (!streq(ent->d_name, ".") && !streq(ent->d_name, "..") && !streq(ent->d_name, "in"))
			abort();
	closedir(d);
}

static void check_answer(int out, int code)
{
	uint8_t buf[QFILE_RESULT_LEN] = { 0 };
	struct rd r = rd_mem(buf, sizeof buf);
	struct qfile_result res;

	if (pread(out, buf, sizeof buf, 0) != (ssize_t)sizeof buf || qfile_get_result(&r, &res) < 0 ||
	    res.error != (uint32_t)code || res.crc > UINT32_MAX)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qfile_unpack u = { .procfd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC), .max_bytes = 1 << 24 };
	int in, out, code;

	if (top_fd < 0)
		start();
	if (size < 1) {
		close(u.procfd);
		return 0;
	}
	u.name_flags = data[0] & 3;
	u.only_regular = data[0] & 4;
	in = memfd_create("in", MFD_CLOEXEC);
	out = memfd_create("out", MFD_CLOEXEC);
	if ((mkdirat(top_fd, "in", 0700) < 0 && errno != EEXIST) || in < 0 || out < 0 || write_full(in, data + 1, size - 1) < 0)
		abort();
	lseek(in, 0, SEEK_SET);
	u.in = in;
	u.out = out;
	u.root = openat(top_fd, "in", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	code = qfile_unpack(&u);
	if (code == 0)
		close(in); /* otherwise the receiver closed it */
	check_answer(out, code);
	check_outside();
	close(out);
	close(u.root);
	close(u.procfd);
	/* Only root can remove directories that took their own permissions away. */
	if (fs_rm_rf(top_fd, "in", NULL) < 0 && geteuid() == 0)
		abort();
	return 0;
}
