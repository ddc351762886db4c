/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of drivers.def and what is read from it: see drivers.h. */
#include "storage/drivers.h"

#include "base/str.h"

#define WORD_MAX 40
#define LVM_NAME_MAX 64 /* of a group or a pool: with a volume's name behind it, it must fit the kernel's 127 bytes */

const struct pool_option pool_options[POOL_OPTIONS_N] = {
#define OPTION(symbol, text, type, about) { .name = text, .help = about, .value = PV_##type },
#include "storage/drivers.def"
};

const struct pool_driver pool_drivers[] = {
#define DRIVER(ops, text, what, by, where, shown, opts, about) \
	{ .name = text, .place = where, .path = shown, .summary = about, .kind = POOL_##what, .worker = WORKER_##by, .options = opts },
#define DRIVER_NO_VOLUMES(text, where, opts, about) \
	{ .name = text, .place = where, .path = where, .summary = about, .kind = POOL_KERNELS, .worker = WORKER_NONE, .options = opts },
#include "storage/drivers.def"
};
const size_t pool_drivers_n = ARRAY_SIZE(pool_drivers);

const struct pool_driver *pool_driver_find(const char *name)
{
	for (size_t i = 0; i < pool_drivers_n; i++)
		if (streq(pool_drivers[i].name, name))
			return &pool_drivers[i];
	return NULL;
}

static const struct pool_option *any_option(const char *name)
{
	for (size_t i = 0; i < POOL_OPTIONS_N; i++)
		if (streq(pool_options[i].name, name))
			return &pool_options[i];
	return NULL;
}

const struct pool_option *pool_option_find(const struct pool_driver *d, const char *name)
{
	const struct pool_option *o = any_option(name);

	return o && (d->options & 1u << (o - pool_options)) ? o : NULL;
}

/* Copies the word at "{word}…" and gives what follows; NULL when s does not begin with one. */
static const char *take_word(const char *s, char out[WORD_MAX])
{
	size_t n = strcspn(s, "}");

	if (*s != '{' || !s[n] || n >= WORD_MAX)
		return NULL;
	memcpy(out, s + 1, n - 1);
	out[n - 1] = '\0';
	return s + n + 1;
}

bool pool_option_needed(const struct pool_driver *d, const struct pool_option *o)
{
	char word[WORD_MAX];

	for (const char *s = d->place; *s; s++)
		if (take_word(s, word) && streq(word, o->name))
			return true;
	return false;
}

bool lvm_name_ok(const char *s)
{
	return s[0] && s[0] != '-' && strlen(s) <= LVM_NAME_MAX && str_chars(s, "_.+-") && !streq(s, ".") && !streq(s, "..");
}

static bool path_ok(const char *s)
{
	if (s[0] != '/' || strlen(s) >= 200)
		return false;
	for (const char *p = s; *p; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p == 0x7f)
			return false;
	for (const char *p = s; (p = strstr(p, "/..")); p += 3)
		if (p[3] == '/' || !p[3])
			return false;
	return true;
}

int pool_value_check(const struct pool_option *o, const char *value, struct err *e)
{
	int64_t n;
	bool b;

	switch (o->value) {
	case PV_PATH:
		return path_ok(value) ? 0 : err_set(e, EINVAL, "%s is an absolute path of at most 199 bytes", o->name);
	case PV_LVM_NAME:
		return lvm_name_ok(value) ? 0 : err_set(e, EINVAL, "%s is a name of letters, digits, '_', '.', '+' and '-'", o->name);
	case PV_KEEP:
		return str_i64(value, -1, INT32_MAX, &n) == 0 ? 0 : err_set(e, EINVAL, "%s is a number, -1 or more", o->name);
	case PV_BYTES:
		return str_i64(value, 0, INT64_MAX, &n) == 0 ? 0 : err_set(e, EINVAL, "%s is a number of bytes", o->name);
	case PV_PERCENT:
		return str_i64(value, 1, 100, &n) == 0 ? 0 : err_set(e, EINVAL, "%s is a number from 1 to 100", o->name);
	case PV_BOOL:
		return str_bool(value, &b) == 0 ? 0 : err_set(e, EINVAL, "%s is True or False", o->name);
	}
	return err_set(e, EINVAL, "%s: not an option", o->name);
}

int pool_expand(const char *row, const char *(*get)(const void *arg, const char *word), const void *arg, char *out, size_t cap)
{
	size_t n = 0;

	while (*row) {
		char word[WORD_MAX];
		const char *next = take_word(row, word), *value;
		size_t len = 1;

		value = next ? get(arg, word) : row;
		if (!value)
			return -EINVAL;
		if (next)
			len = strlen(value);
		if (n + len >= cap)
			return -ENAMETOOLONG;
		memcpy(out + n, value, len);
		n += len;
		row = next ? next : row + 1;
	}
	out[n] = '\0';
	return 0;
}

/* Walks a place along its row. A value ends at the next '/', or is the whole rest when the row ends with it. */
static bool match(const struct pool_driver *d, const char *place, const char *want, char *out, size_t cap)
{
	const char *row = d->place;
	bool found = !want;

	while (*row) {
		char word[WORD_MAX], value[200];
		const char *next = take_word(row, word);
		const struct pool_option *o;
		size_t n;

		if (!next) {
			if (*row++ != *place++)
				return false;
			continue;
		}
		o = any_option(word);
		n = !*next && o && o->value == PV_PATH ? strlen(place) : strcspn(place, "/");
		if (!o || n >= sizeof value)
			return false;
		memcpy(value, place, n);
		value[n] = '\0';
		if (pool_value_check(o, value, NULL) < 0)
			return false;
		if (want && streq(word, want))
			found = str_copy(out, cap, value) == 0;
		place += n;
		row = next;
	}
	return !*place && found;
}

bool pool_place_ok(const struct pool_driver *d, const char *place)
{
	return match(d, place, NULL, NULL, 0);
}

int pool_place_part(const struct pool_driver *d, const char *place, const char *option, char *out, size_t cap)
{
	return match(d, place, option, out, cap) ? 0 : -EINVAL;
}

struct shown {
	const char *(*option)(const void *arg, const char *name);
	const void *arg;
	const char *vid, *volume;
	char qube[64];
};

static const char *shown_word(const void *arg, const char *word)
{
	const struct shown *s = arg;

	if (streq(word, "vid"))
		return s->vid;
	if (streq(word, "qube"))
		return s->qube;
	return streq(word, "volume") ? s->volume : s->option(s->arg, word);
}

int pool_volume_path(const struct pool_driver *d, const char *(*option)(const void *arg, const char *name), const void *arg, const char *vid,
		     char *out, size_t cap)
{
	struct shown s = { .option = option, .arg = arg, .vid = vid };
	const char *slash = strrchr(vid, '/'), *begin = slash;

	if (!slash)
		return -EINVAL;
	while (begin > vid && begin[-1] != '/')
		begin--;
	s.volume = slash + 1;
	if (str_printf(s.qube, sizeof s.qube, "%.*s", (int)(slash - begin), begin) < 0)
		return -ENAMETOOLONG;
	return pool_expand(d->path, shown_word, &s, out, cap);
}
