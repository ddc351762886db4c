/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Validators of names. */
#include "proto/names.h"

#include "base/str.h"

int qname_parse(struct qname *ret, const char *s, struct err *e)
{
	size_t n = strlen(s);
	char shown[80];

	(void)str_escape(shown, sizeof shown, s, n);
	if (n == 0)
		return err_set(e, EINVAL, "a qube name cannot be empty");
	if (n > QNAME_MAX)
		return err_set(e, EINVAL, "qube name '%s' is longer than %d characters", shown, QNAME_MAX);
	if (!ch_alpha(s[0]))
		return err_set(e, EINVAL, "qube name '%s' must begin with a letter", shown);
	if (!str_chars(s, "_.-"))
		return err_set(e, EINVAL, "qube name '%s' may only have letters, digits, '_', '.' and '-'", shown);
	if (streq(s, "Domain-0") || streq(s, "none") || streq(s, "default"))
		return err_set(e, EINVAL, "qube name '%s' is reserved", shown);
	if (str_ends(s, "-dm"))
		return err_set(e, EINVAL, "qube name '%s' must not end in '-dm'", shown);
	memcpy(ret->s, s, n + 1);
	return 0;
}

int qname_parse_rd(struct qname *ret, struct rd r, struct err *e)
{
	char s[QNAME_MAX + 2];

	if (rd_left(&r) > QNAME_MAX)
		return err_set(e, EINVAL, "a qube name is longer than %d characters", QNAME_MAX);
	rd_text(&r, s, sizeof s);
	if (!rd_done(&r))
		return err_set(e, EINVAL, "a qube name holds a NUL byte");
	return qname_parse(ret, s, e);
}

int uuid_parse(struct uuid *ret, const char *s)
{
	if (strlen(s) != UUID_LEN)
		return -EINVAL;
	for (size_t i = 0; i < UUID_LEN; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s[i] != '-' : !(ch_digit(s[i]) || (s[i] >= 'a' && s[i] <= 'f')))
			return -EINVAL;
	}
	memcpy(ret->s, s, UUID_LEN + 1);
	return 0;
}

void uuid_from_bytes(struct uuid *ret, const uint8_t bytes[16])
{
	static const char hex[] = "0123456789abcdef";
	size_t o = 0;

	for (size_t i = 0; i < 16; i++) {
		uint8_t b = bytes[i];

		if (i == 6)
			b = (uint8_t)((b & 0x0f) | 0x40);
		if (i == 8)
			b = (uint8_t)((b & 0x3f) | 0x80);
		if (i == 4 || i == 6 || i == 8 || i == 10)
			ret->s[o++] = '-';
		ret->s[o++] = hex[b >> 4];
		ret->s[o++] = hex[b & 15];
	}
	ret->s[o] = '\0';
}

bool tag_ok(const char *s)
{
	return s[0] && strlen(s) <= 255 && str_chars(s, "_-");
}

bool feature_ok(const char *s)
{
	return s[0] && strlen(s) <= 255 && str_chars(s, "_.-");
}

bool feature_value_ok(const char *s)
{
	for (; *s; s++)
		if (*s < 0x20 || *s > 0x7e)
			return false;
	return true;
}

static bool all_digits(const char *s)
{
	for (; *s; s++)
		if (!ch_digit(*s))
			return false;
	return true;
}

bool label_ok(const char *s)
{
	return s[0] && strlen(s) <= 31 && str_chars(s, "-_.") && !all_digits(s);
}

bool pool_ok(const char *s)
{
	return s[0] && strlen(s) <= 63 && str_chars(s, "-_.");
}

bool service_name_ok(const char *s)
{
	return s[0] && strlen(s) <= SERVICE_MAX && str_chars(s, "._-");
}

bool qrexec_arg_ok(const char *s)
{
	return str_chars(s, "_-+.");
}

bool volume_ok(const char *s)
{
	return s[0] && strlen(s) <= 31 && str_chars(s, "-_");
}
