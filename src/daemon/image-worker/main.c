/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * image-worker: carries out one storage request in a pool of files and ends (storage/worker.h). Before it touches the pool it confines itself to that
 * pool's directory: it can reach no other file, no network, and start nothing, since overlay headers were written by QEMUs that may have been
 * taken over.
 */
#include "base/sandbox.h"
#include "storage/worker.h"

static int confine(const struct st_request *q, struct err *e)
{
	struct sandbox_path path = { .path = q->pool_dir, .write = true };

	return sandbox_enter(SB_IMAGE_WORKER, &path, 1, e);
}

int main(void)
{
	return storage_worker_main(&(struct storage_worker){ .name = "image-worker", .worker = WORKER_IMAGE, .no_driver = true, .confine = confine });
}
