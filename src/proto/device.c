/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names, modes and interfaces of devices. */
#include "proto/device.h"

#include "base/str.h"

#define UNKNOWN_IFACE "?******"
#define UNKNOWN_IFACE_ARG "_______"

static const char *const class_names[DEV_N] = { [DEV_BLOCK] = "block", [DEV_MIC] = "mic", [DEV_PCI] = "pci", [DEV_USB] = "usb" };
static const char *const mode_names[DEV_MODE_N] = {
	[DEV_MANUAL] = "manual", [DEV_ASK] = "ask-to-attach", [DEV_AUTO] = "auto-attach", [DEV_REQUIRED] = "required",
};

const char *dev_class_name(enum dev_class k)
{
	return k < DEV_N ? class_names[k] : "?";
}

enum dev_class dev_class_parse(const char *name)
{
	unsigned k = 0;

	while (k < DEV_N && !streq(class_names[k], name))
		k++;
	return (enum dev_class)k;
}

const char *dev_mode_name(enum dev_mode m)
{
	return m < DEV_MODE_N ? mode_names[m] : "?";
}

enum dev_mode dev_mode_parse(const char *name)
{
	unsigned m = 0;

	while (m < DEV_MODE_N && !streq(mode_names[m], name))
		m++;
	return (enum dev_mode)m;
}

bool dev_port_ok(const char *s)
{
	return s[0] && strlen(s) < DEV_PORT_CAP && str_chars(s, "_-.");
}

bool dev_id_ok(const char *s)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		if (s[i] <= ' ' || s[i] > '~' || strchr("'\"=`\\", s[i]))
			return false;
	return n > 0 && n < DEV_ID_CAP;
}

static bool is_any(const char *s)
{
	return s[0] == '*' && !s[1];
}

/* The text up to sep (or the end, sep then being absent), without it, into out. */
static bool split(const char **s, char sep, char *out, size_t cap)
{
	const char *end = strchrnul(*s, sep);

	if (str_printf(out, cap, "%.*s", (int)MIN((size_t)(end - *s), cap), *s) < 0)
		return false;
	*s = *end ? end + 1 : end;
	return true;
}

/* In an argument _ stands for *, which a qrexec argument cannot have. */
static void from_arg(struct dev_name *d)
{
	size_t n = strlen(d->id), k = strlen(UNKNOWN_IFACE_ARG);

	if (streq(d->backend, "_"))
		d->backend[0] = '*';
	if (streq(d->port, "_"))
		d->port[0] = '*';
	if (streq(d->id, "_"))
		d->id[0] = '*';
	if (n >= k && streq(d->id + n - k, UNKNOWN_IFACE_ARG))
		memcpy(d->id + n - k, UNKNOWN_IFACE, k);
}

static int parse(struct dev_name *ret, const char *s, char sep, struct err *e)
{
	struct dev_name d = { 0 };
	struct qname q;
	char shown[80];
	const char *at = s;
	bool fits = split(&at, sep, d.backend, sizeof d.backend) && split(&at, sep, d.port, sizeof d.port) &&
		    str_copy(d.id, sizeof d.id, *at ? at : "*") == 0;

	if (fits && sep == '+')
		from_arg(&d);
	if (!fits || !d.port[0] || (!is_any(d.backend) && qname_parse(&q, d.backend, NULL) < 0) ||
	    (!is_any(d.port) && !dev_port_ok(d.port)) || (!is_any(d.id) && !dev_id_ok(d.id)))
		return err_set(e, EINVAL, "'%s' is not BACKEND%cPORT or BACKEND%cPORT%cDEVICE-ID",
			       str_escape(shown, sizeof shown, s, strlen(s)), sep, sep, sep);
	*ret = d;
	return 0;
}

int dev_name_parse(struct dev_name *ret, const char *s, struct err *e)
{
	return parse(ret, s, ':', e);
}

int dev_name_parse_arg(struct dev_name *ret, const char *s, struct err *e)
{
	return parse(ret, s, '+', e);
}

void dev_name_put(struct wr *w, const struct dev_name *d)
{
	wr_printf(w, "%s:%s:%s", d->backend, d->port, d->id);
}

void dev_name_put_arg(struct wr *w, const struct dev_name *d)
{
	size_t n = strlen(d->id), k = strlen(UNKNOWN_IFACE);

	wr_printf(w, "%s+%s+", is_any(d->backend) ? "_" : d->backend, is_any(d->port) ? "_" : d->port);
	if (is_any(d->id))
		wr_str(w, "_");
	else if (n >= k && streq(d->id + n - k, UNKNOWN_IFACE))
		wr_printf(w, "%.*s%s", (int)(n - k), d->id, UNKNOWN_IFACE_ARG);
	else
		wr_str(w, d->id);
}

bool dev_name_matches(const struct dev_name *p, const struct dev_name *d)
{
	return (is_any(p->backend) || streq(p->backend, d->backend)) && (is_any(p->port) || streq(p->port, d->port)) &&
	       (is_any(p->id) || streq(p->id, d->id));
}

bool dev_name_exact(const struct dev_name *d)
{
	return !is_any(d->backend) && !is_any(d->port) && !is_any(d->id);
}

unsigned dev_name_rank(const struct dev_name *d)
{
	return (is_any(d->port) ? 0u : 2u) + (is_any(d->id) ? 0u : 1u);
}

bool dev_iface_ok(const char *s)
{
	if (!s[0] || !strchr("bump?*", s[0]))
		return false;
	for (size_t i = 1; i < DEV_IFACE_LEN; i++)
		if (!ch_digit(s[i]) && !(s[i] >= 'a' && s[i] <= 'f') && s[i] != '*')
			return false;
	return true;
}

bool dev_iface_matches(const char *rule, const char *iface)
{
	for (size_t i = 0; i < DEV_IFACE_LEN; i++)
		if (rule[i] != '*' && rule[i] != iface[i])
			return false;
	return true;
}

const char *dev_iface_text(const char *iface)
{
	static const struct {
		const char *code, *text;
	} known[] = {
		{ "m******", "Microphone" },
		{ "b******", "Block device" },
		{ "u01****", "USB Audio" },
		{ "u02****", "USB Communication" },
		{ "u0301**", "USB HID Keyboard or mouse" },
		{ "u03****", "USB HID device" },
		{ "u06****", "USB Camera" },
		{ "u07****", "USB Printer" },
		{ "u08****", "USB Storage" },
		{ "u09****", "USB Hub" },
		{ "u0b****", "USB Smart card reader" },
		{ "u0e****", "USB Video" },
		{ "ue0****", "USB Wireless controller" },
		{ "u******", "USB device" },
		{ "p01****", "PCI Storage controller" },
		{ "p0280**", "PCI Wireless network controller" },
		{ "p02****", "PCI Network controller" },
		{ "p03****", "PCI Display controller" },
		{ "p04****", "PCI Multimedia controller" },
		{ "p05****", "PCI Memory controller" },
		{ "p0600**", "PCI Host bridge" },
		{ "p0604**", "PCI bridge" },
		{ "p06****", "PCI Bridge" },
		{ "p07****", "PCI Communication controller" },
		{ "p08****", "PCI System peripheral" },
		{ "p09****", "PCI Input device" },
		{ "p0c03**", "PCI USB controller" },
		{ "p0c****", "PCI Serial bus controller" },
		{ "p0d****", "PCI Wireless controller" },
		{ "p10****", "PCI Encryption controller" },
		{ "p******", "PCI device" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (dev_iface_matches(known[i].code, iface))
			return known[i].text;
	return "Unknown device";
}
