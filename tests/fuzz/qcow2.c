/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Overlays as a QEMU under foreign control may leave them: checked and merged into a raw file, never further than its size. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/io.h"
#include "storage/qcow2fmt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file of 32 MiB and more of declared size would only test the disk. */
#define SIZE_MAX_BYTES (1ull << 25)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_fd_ int in = memfd_create("overlay", MFD_CLOEXEC), out = memfd_create("raw", MFD_CLOEXEC);
	struct stat st;
	uint64_t n;

	if (in < 0 || out < 0 || write_full(in, data, size) < 0)
		return 0;
	if (qcow2_check(in, &n, NULL) < 0 || n > SIZE_MAX_BYTES)
		return 0;
	(void)qcow2_merge(in, out, NULL);
	if (fstat(out, &st) < 0 || (uint64_t)st.st_size > n)
		abort();
	return 0;
}
