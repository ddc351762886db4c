/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The machine's own counters; see hostload.h. */
#include "base/hostload.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/str.h"

#define STAT_READ 512 /* the line of all processors is the first; the rest would be made for nothing */
#define MEM_READ 4096

struct hostload hostload_open(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN), ticks = sysconf(_SC_CLK_TCK);

	return (struct hostload){
		.stat_fd = open("/proc/stat", O_RDONLY | O_CLOEXEC),
		.mem_fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC),
		.cpus = cpus > 0 ? (unsigned)cpus : 1,
		.ticks = ticks > 0 ? (unsigned)ticks : 100,
	};
}

void hostload_close(struct hostload *h)
{
	fd_closep(&h->stat_fd);
	fd_closep(&h->mem_fd);
}

/* The decimal number at *p, after blanks; moves *p behind it. */
static int number(const char **p, uint64_t *ret)
{
	char digits[24];
	size_t n;

	*p += strspn(*p, " ");
	n = strspn(*p, "0123456789");
	if (n == 0 || str_printf(digits, sizeof digits, "%.*s", (int)n, *p) < 0 || str_u64(digits, UINT64_MAX, ret) < 0)
		return -ENODATA;
	*p += n;
	return 0;
}

int hostload_parse_stat(const char *text, unsigned ticks, struct hostload_now *ret)
{
	/* user nice system idle iowait irq softirq …; the time of guests is part of user and nice */
	static const bool busy[] = { true, true, true, false, false, true, true };
	uint64_t sum = 0, v;

	if (!str_starts(text, "cpu "))
		return -ENODATA;
	text += strlen("cpu ");
	for (size_t i = 0; i < ARRAY_SIZE(busy); i++) {
		if (number(&text, &v) < 0)
			return -ENODATA;
		sum += busy[i] ? v : 0;
	}
	ret->busy_ms = sum / ticks * 1000 + sum % ticks * 1000 / ticks;
	return 0;
}

/* "NAME:   123 kB" at the beginning of a line. */
static int row(const char *text, const char *name, uint64_t *ret)
{
	size_t n = strlen(name);

	while (text) {
		if (strncmp(text, name, n) == 0 && text[n] == ':') {
			text += n + 1;
			return number(&text, ret);
		}
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
	return -ENODATA;
}

int hostload_parse_mem(const char *text, struct hostload_now *ret)
{
	uint64_t swap, left;

	if (row(text, "MemTotal", &ret->mem_total_kib) < 0 || row(text, "MemAvailable", &ret->mem_available_kib) < 0)
		return -ENODATA;
	/* a kernel without swap says nothing of it */
	ret->swap_used_kib = row(text, "SwapTotal", &swap) == 0 && row(text, "SwapFree", &left) == 0 && left <= swap ? swap - left : 0;
	return 0;
}

static int text_of(int fd, char *out, size_t cap)
{
	ssize_t n = fd < 0 ? -1 : pread(fd, out, cap - 1, 0);

	if (n <= 0)
		return -ENODATA;
	out[n] = '\0';
	return 0;
}

int hostload_read(const struct hostload *h, struct hostload_now *ret)
{
	char text[MEM_READ];
	int r;

	*ret = (struct hostload_now){ .busy_ms = 0 };
	r = text_of(h->stat_fd, text, STAT_READ);
	if (r == 0)
		r = hostload_parse_stat(text, h->ticks, ret);
	if (r == 0)
		r = text_of(h->mem_fd, text, sizeof text);
	return r < 0 ? r : hostload_parse_mem(text, ret);
}
