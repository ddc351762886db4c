/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Memory for pixels of one machine (docs/gui.md §3): a file whose size is fixed for ever, so that no reader of it, the host's X server above all, can be
 * made to touch what is not there. QEMU writes it; what goes to linkd, and from there to the GUI's daemon, is open for reading only.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/paths.h"
#include "base/str.h"
#include "daemon/spawner/spawner.h"

int gui_prepare(struct disk_fds *d, const struct vm_spec *spec, struct err *e)
{
	char path[40];

	/* A state must not contain it: each clone has its own. */
	if (!spec->gui_mib || spec->start == VM_START_SOURCE)
		return 0;
	d->gui = memfd_create("pixels", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (d->gui < 0 || ftruncate(d->gui, (off_t)spec->gui_mib << 20) < 0 ||
	    fcntl(d->gui, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return err_errno(e, errno, "memory for pixels");
	/* QEMU opens it once more by its number; nobody else should be able to. */
	if (fchmod(d->gui, 0600) < 0 || (paths_system_mode() && fchown(d->gui, ID_QUBE + spec->qid, ID_QUBE + spec->qid) < 0))
		return err_errno(e, errno, "owner of the memory for pixels");
	if (str_printf(path, sizeof path, "/proc/self/fd/%d", d->gui) < 0)
		return err_set(e, EBADF, "memory for pixels");
	d->gui_reading = open(path, O_RDONLY | O_CLOEXEC);
	return d->gui_reading < 0 ? err_errno(e, errno, "opening the memory for pixels for reading") : 0;
}
