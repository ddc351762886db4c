/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qvm-template's helpers: template-verifier, template-signer, template-worker. Each has the descriptors that it is given and nothing else; one
 * line of its standard error becomes the text of a failure.
 */
#ifndef TOOL_TPL_PROC_H
#define TOOL_TPL_PROC_H

#include "base/proc.h"
#include "proto/tpl.h"

struct tpl_fd {
	int fd, as;
};
struct tpl_proc {
	struct proc p;
	const char *name;
	int err_fd;
};
#define TPL_PROC_INIT ((struct tpl_proc){ .p = PROC_INIT, .err_fd = -1 })
/* tpl_start starts a private program; fds stay the caller's; argv ends with NULL and does not have the program's name. */
int tpl_start(struct tpl_proc *ret, const char *name, const char *const *argv, const struct tpl_fd *fds, size_t n_fds, struct err *e);
/* tpl_end waits, at most timeout_ms (-1: for ever; then -ETIMEDOUT and it goes on): 0, or what it said. -EINTR after a signal that asks us to end. */
int tpl_end(struct tpl_proc *p, int timeout_ms, struct err *e);
/* tpl_stop kills it. Idempotent. */
void tpl_stop(struct tpl_proc *p);
/* tpl_capture runs one to its end and gives its standard output, at most max bytes (caller frees). in: its standard input, or -1. */
int tpl_capture(const char *name, const char *const *argv, const struct tpl_fd *fds, size_t n_fds, size_t max, char **ret, size_t *ret_len, struct err *e);
/* tpl_memory gives a descriptor from which n bytes can be read once. */
int tpl_memory(const void *p, size_t n, struct err *e);
#define _cleanup_tpl_proc_ _cleanup_(tpl_stop)

/* tpl_signals makes SIGINT, SIGTERM and SIGHUP set a flag, so that what was begun is taken back; tpl_interrupted tells. */
void tpl_signals(void);
bool tpl_interrupted(void);

/* A template file whose head and signature were checked. */
struct tpl_file {
	int fd;
	struct tpl_manifest m;
	char key[65];		  /* name of the key that signed it */
	uint8_t sum[TPL_SHA_LEN]; /* of the manifest */
	uint64_t bytes;		  /* of the file */
};
#define TPL_FILE_INIT ((struct tpl_file){ .fd = -1 })
/* tpl_file_open checks head, signature and manifest of a file. only_key: the one key that may have signed it, NULL = any that is trusted. */
int tpl_file_open(struct tpl_file *ret, const char *path, const char *only_key, struct err *e);
void tpl_file_close(struct tpl_file *f);
#define _cleanup_tpl_file_ _cleanup_(tpl_file_close)
/* tpl_file_unpack checks every part and writes the image to out (empty, of the manifest's size); out < 0: only checks. */
typedef void tpl_progress(uint64_t done, uint64_t total, void *arg);
int tpl_file_unpack(struct tpl_file *f, const char *only_key, int out, tpl_progress *progress, void *arg, struct err *e);

/* tpl_index_open checks a signed index and decodes it. */
int tpl_index_open(struct tpl_index *ret, const void *p, size_t n, const char *only_key, struct err *e);

#endif
