/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of files and addresses that another qube wants opened. */
#include "proto/opening.h"

#include "base/str.h"

#define VIEW_ONLY "view-only-"

static bool name_char(char c)
{
	return ch_alnum(c) || (c != '\0' && strchr("._@+-", c));
}

int open_name_get(struct open_name *ret, struct rd r, struct err *e)
{
	char field[OPEN_NAME_LEN];
	int k;

	memset(ret, 0, sizeof *ret);
	rd_fixed(&r, field, sizeof field, OPEN_NAME_LEN);
	if (!rd_done(&r))
		return err_set(e, EINVAL, "the stream does not begin with the name of a file");
	ret->view_only = str_starts(field, VIEW_ONLY);
	k = str_copy(ret->name, sizeof ret->name, field + (ret->view_only ? strlen(VIEW_ONLY) : 0));
	if (k < 0)
		return k;
	if (strchr(ret->name, '/'))
		return err_set(e, EINVAL, "the name of the file has a '/'");
	if (!ret->name[0])
		return err_set(e, EINVAL, "the name of the file is empty");
	for (char *s = ret->name; *s; s++)
		if (!name_char(*s))
			*s = '_';
	/* neither a hidden file, "." and "..", nor something that a program takes for an option */
	if (ret->name[0] == '.' || ret->name[0] == '-')
		ret->name[0] = '_';
	return 0;
}

void open_name_put(struct wr *w, const char *path, bool view_only)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	size_t head = view_only ? strlen(VIEW_ONLY) : 0, n = strlen(name), room = OPEN_NAME_LEN - 1 - head;

	if (n > room) {
		name += n - room;
		n = room;
	}
	if (view_only)
		wr_str(w, VIEW_ONLY);
	wr_bytes(w, name, n);
	wr_zero(w, OPEN_NAME_LEN - head - n);
}

int open_url_get(char out[OPEN_URL_MAX], struct rd r, struct err *e)
{
	static const char *const schemes[] = { "http://", "https://", "ftp://" };
	const char *host = NULL;
	struct rd line;

	if (!rd_line(&r, &line) || rd_left(&r))
		return err_set(e, EINVAL, "one address on one line is expected");
	if (rd_left(&line) >= OPEN_URL_MAX)
		return err_set(e, EINVAL, "the address is longer than %d bytes", OPEN_URL_MAX - 1);
	rd_text(&line, out, OPEN_URL_MAX);
	if (!rd_done(&line))
		return err_set(e, EINVAL, "the address has a NUL byte");
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
		if (str_starts(out, schemes[i]))
			host = out + strlen(schemes[i]);
	if (!host)
		return err_set(e, EINVAL, "only addresses that begin with http://, https:// or ftp:// are opened");
	if (!ch_alnum(*host) && *host != '[')
		return err_set(e, EINVAL, "the address names no host");
	for (const char *s = out; *s; s++)
		if (*s <= 0x20 || *s >= 0x7f || strchr("\"<>\\^`|{}", *s))
			return err_set(e, EINVAL, "the address has a character that must be written as %%XX");
	return 0;
}
