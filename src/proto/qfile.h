/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The file copy stream (specs/qrexec.md §8): headers, results, and the rules for names and link targets. Pure: the engines that
 * read and write files are in agent/qfile.
 */
#ifndef PROTO_QFILE_H
#define PROTO_QFILE_H

#include "base/rd.h"
#include "base/wr.h"

#define QFILE_HDR_LEN 32
#define QFILE_RESULT_LEN 16
#define QFILE_PATH_MAX 16383  /* bytes of a name or a link target */
#define QFILE_LEGAL_EOF 31415926 /* result of a stream cut inside a file: the sender knows why */

struct qfile_hdr {
	uint32_t namelen; /* with the NUL that senders count */
	uint32_t mode;
	uint64_t filelen;
	uint32_t atime, atime_nsec, mtime, mtime_nsec;
};
void qfile_put_hdr(struct wr *w, const struct qfile_hdr *h);
/* qfile_get_hdr decodes without judging; -EBADMSG when short. */
int qfile_get_hdr(struct rd *r, struct qfile_hdr *ret) _must_check_;
/* The header of 32 zero bytes that ends a stream. */
bool qfile_hdr_is_end(const struct qfile_hdr *h);
/* qfile_hdr_check applies the receiver's rules that need no file system: 0, or a positive result code (errno). */
int qfile_hdr_check(const struct qfile_hdr *h);

struct qfile_result {
	uint32_t error; /* errno of the receiver, 0 = everything is in place */
	uint64_t crc;
};
void qfile_put_result(struct wr *w, const struct qfile_result *res, const char *last_name);
int qfile_get_result(struct rd *r, struct qfile_result *ret) _must_check_;

#define QFILE_ALL_NAMES 1u    /* characters are not judged */
#define QFILE_UNSAFE_LINKS 2u /* link targets are not judged */

/* qfile_name_check judges the path of an entry: n bytes as received, one NUL at their end allowed. 0, EILSEQ or ENAMETOOLONG
   (positive: they go to the other side as they are). */
int qfile_name_check(const char *name, size_t n, unsigned flags);
/* qfile_link_check judges the target of the link at the (valid) path name. 0, ENOLINK, EILSEQ or ENAMETOOLONG. */
int qfile_link_check(const char *name, const char *target, size_t target_len, unsigned flags);
/* qfile_char_ok: may the code point stand in a name that a person will read? */
bool qfile_char_ok(uint32_t c);

#endif
