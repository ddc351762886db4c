/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Error texts and the aborting allocators. */
#include "base/err.h"

#include <stdarg.h>

/* By way of a copy: the old text may be one of the arguments of the new one. */
static void vformat(char out[ERR_MSG_MAX], const char *fmt, va_list ap)
{
	char text[ERR_MSG_MAX];

	if (vsnprintf(text, sizeof text, fmt, ap) < 0)
		text[0] = '\0';
	memcpy(out, text, strlen(text) + 1);
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return -code;
	e->code = code;
	va_start(ap, fmt);
	vformat(e->msg, fmt, ap);
	va_end(ap);
	return -code;
}

int err_errno(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;
	size_t n;

	if (!e)
		return -code;
	e->code = code;
	va_start(ap, fmt);
	vformat(e->msg, fmt, ap);
	va_end(ap);
	n = strlen(e->msg);
	(void)!snprintf(e->msg + n, sizeof e->msg - n, ": %s", strerror(code));
	return -code;
}

int err_add(struct err *e, int r, const char *fmt, ...)
{
	char old[ERR_MSG_MAX];
	va_list ap;
	size_t n;

	if (!e)
		return r;
	if (e->code == 0) {
		e->code = r < 0 ? -r : r;
		(void)!snprintf(old, sizeof old, "%s", strerror(e->code));
	} else {
		memcpy(old, e->msg, sizeof old);
	}
	va_start(ap, fmt);
	vformat(e->msg, fmt, ap);
	va_end(ap);
	n = strlen(e->msg);
	(void)!snprintf(e->msg + n, sizeof e->msg - n, ": %s", old);
	return r;
}

const char *err_text(const struct err *e, int r)
{
	if (e && e->code)
		return e->msg;
	return strerror(r < 0 ? -r : r);
}

void err_clear(struct err *e)
{
	if (e) {
		e->code = 0;
		e->msg[0] = '\0';
	}
}

static _noreturn_ void out_of_memory(void)
{
	static const char text[] = "out of memory\n";

	(void)!write(STDERR_FILENO, text, sizeof text - 1);
	abort();
}

void *xmalloc(size_t n)
{
	void *p = malloc(n ? n : 1);

	if (!p)
		out_of_memory();
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (!p)
		out_of_memory();
	return p;
}

void *xreallocarray(void *p, size_t n, size_t size)
{
	void *q = reallocarray(p, n ? n : 1, size ? size : 1);

	if (!q)
		out_of_memory();
	return q;
}

char *xstrdup(const char *s)
{
	char *p = strdup(s);

	if (!p)
		out_of_memory();
	return p;
}

char *xstrndup(const char *s, size_t n)
{
	/* Not strndup: s may be n bytes without a NUL, which the sanitizer's strict string checks do not accept there. */
	size_t len = strnlen(s, n);
	char *p = xmalloc(len + 1);

	memcpy(p, s, len);
	p[len] = '\0';
	return p;
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *p = NULL;
	int r;

	va_start(ap, fmt);
	r = vasprintf(&p, fmt, ap);
	va_end(ap);
	if (r < 0 || !p)
		out_of_memory();
	return p;
}
