/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs a fuzz target over every file of its corpus folder; a missing or empty folder is a failure, not a skip. */
#include <dirent.h>
#include <fcntl.h>

#include "base/fsx.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
	unsigned n = 0;
	DIR *d = argc == 2 ? opendir(argv[1]) : NULL;
	struct dirent *ent;

	if (!d) {
		fprintf(stderr, "usage: %s CORPUS-DIR (which must exist)\n", argv[0]);
		return 2;
	}
	while ((ent = readdir(d))) {
		_cleanup_free_ char *buf = NULL;
		struct err e = { 0 };
		size_t len;

		if (ent->d_name[0] == '.')
			continue;
		if (fs_read(dirfd(d), ent->d_name, 1 << 22, &buf, &len, &e) < 0) {
			fprintf(stderr, "%s\n", e.msg);
			return 1;
		}
		/* A copy of exactly this length lets the address sanitizer see a read past the end. */
		_cleanup_free_ uint8_t *exact = xmalloc(len ? len : 1);
		memcpy(exact, buf, len);
		LLVMFuzzerTestOneInput(exact, len);
		n++;
	}
	closedir(d);
	printf("%u inputs replayed\n", n);
	return n ? 0 : 1;
}
