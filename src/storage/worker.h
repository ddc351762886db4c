/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What every storage worker is: one request in, one answer out, between them a confinement of its own. */
#ifndef STORAGE_WORKER_H
#define STORAGE_WORKER_H

#include "storage/drivers.h"
#include "storage/storage.h"

struct storage_worker {
	const char *name;
	enum pool_worker worker; /* requests for drivers of other workers are refused */
	bool no_driver;		 /* also takes requests without a driver: which of them fits? */
	/* Confines the process for this request, before anything of it is done. */
	int (*confine)(const struct st_request *q, struct err *e);
};

/* storage_worker_main carries out the one SP_STORAGE message of descriptor 3 and gives the exit status. */
int storage_worker_main(const struct storage_worker *w);

#endif
