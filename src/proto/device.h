/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Devices as text (specs/admin-api.md §7): names of devices in their two forms, the serialised form of a device or an assignment, codes of
 * interfaces, modes. Pure functions; which devices there are and who may have them is the core's.
 */
#ifndef PROTO_DEVICE_H
#define PROTO_DEVICE_H

#include "base/err.h"
#include "base/rd.h"
#include "base/wr.h"
#include "proto/names.h"

enum dev_class { DEV_BLOCK, DEV_MIC, DEV_PCI, DEV_USB, DEV_N };
const char *dev_class_name(enum dev_class k);
/* dev_class_parse gives DEV_N for an unknown name. */
enum dev_class dev_class_parse(const char *name);

/* How an assignment comes into force. Manual ones are attached by hand and never stored. */
enum dev_mode { DEV_MANUAL, DEV_ASK, DEV_AUTO, DEV_REQUIRED, DEV_MODE_N };
const char *dev_mode_name(enum dev_mode m);
/* dev_mode_parse gives DEV_MODE_N for an unknown name. */
enum dev_mode dev_mode_parse(const char *name);

#define DEV_PORT_CAP 64
#define DEV_ID_CAP 192
#define DEV_IFACE_LEN 7
#define DEV_UNKNOWN "0000:0000::?******" /* the id of a device that nobody knows more about */

/* The name of a device, or a pattern of names: each field may be "*". */
struct dev_name {
	char backend[QNAME_MAX + 1];
	char port[DEV_PORT_CAP];
	char id[DEV_ID_CAP];
};

/* dev_port_ok: letters, digits and _ - . only, 1 to 63 of them. dev_id_ok: printable without blank, quotes, =, ` and \, 1 to 191 bytes. Neither
   takes "*" for what it is: a pattern is the caller's business. */
bool dev_port_ok(const char *s);
bool dev_id_ok(const char *s);
/* dev_name_parse reads BACKEND:PORT[:ID], dev_name_parse_arg the form of a qrexec argument BACKEND+PORT[+ID], in which _ stands for * and
   _______ at the end of an id for ?******. Without ID it is "*". -EINVAL with text. */
int dev_name_parse(struct dev_name *ret, const char *s, struct err *e) _must_check_;
int dev_name_parse_arg(struct dev_name *ret, const char *s, struct err *e) _must_check_;
/* dev_name_put and dev_name_put_arg write the two forms, always with the id. */
void dev_name_put(struct wr *w, const struct dev_name *d);
void dev_name_put_arg(struct wr *w, const struct dev_name *d);
/* dev_name_matches: is device `d` one of those that the pattern means? */
bool dev_name_matches(const struct dev_name *pattern, const struct dev_name *d);
/* dev_name_exact: no field is "*". */
bool dev_name_exact(const struct dev_name *d);
/* dev_name_rank orders patterns that match the same device: port and id 3, port only 2, id only 1, neither 0. The greatest wins. */
unsigned dev_name_rank(const struct dev_name *d);

/* Interfaces: seven characters, one of b u m p ? * and six of hex digits or *. */
bool dev_iface_ok(const char *s);
/* dev_iface_matches: does code `iface` (of a device) fall under `rule`, in which * stands for anything? Both have 7 characters. */
bool dev_iface_matches(const char *rule, const char *iface);
/* dev_iface_text gives a few words for the interface, such as "USB HID Keyboard"; never NULL. */
const char *dev_iface_text(const char *iface);

/* The serialised form: KEY='VALUE' separated by one blank; ' inside a value is \'. Values are printable ASCII. */
#define DEV_KEY_CAP 64
#define DEV_VALUE_CAP 1024
struct dev_field {
	char key[DEV_KEY_CAP], value[DEV_VALUE_CAP];
};
/* dev_field_next reads the next field: 1, 0 at the end, -EBADMSG with text. */
int dev_field_next(struct rd *r, struct dev_field *ret, struct err *e) _must_check_;
/* dev_field_put appends one (with a blank before it unless w is empty or ends in one). Bytes of the value that the form cannot carry become _. */
void dev_field_put(struct wr *w, const char *key, const char *value);

/* Options of an assignment or attachment. */
#define DEV_OPTS_MAX 8
struct dev_option {
	char key[32], value[128];
};
struct dev_options {
	struct dev_option v[DEV_OPTS_MAX]; /* ascending keys, each once */
	size_t n;
};
/* dev_option_set adds or replaces: -EINVAL for a name or value that the form cannot carry, -E2BIG. */
int dev_option_set(struct dev_options *o, const char *key, const char *value);
const char *dev_option_get(const struct dev_options *o, const char *key);

/* An assignment as it is asked for or stored. */
struct dev_assignment {
	struct dev_name dev;
	enum dev_class cls; /* DEV_N: the text did not say */
	enum dev_mode mode;
	char frontend[QNAME_MAX + 1]; /* "" = the text did not say */
	struct dev_options opts;
};
/* dev_assignment_parse reads the serialised form. Fields that are missing are "" (in dev), DEV_N, DEV_MANUAL. -EBADMSG with text for
   anything else than the keys of an assignment. */
int dev_assignment_parse(struct dev_assignment *ret, struct rd r, struct err *e) _must_check_;
/* dev_assignment_put writes it whole. */
void dev_assignment_put(struct wr *w, const struct dev_assignment *a);
/* dev_state_put writes mode and options only, the part that can change; dev_assignment_parse reads that too. */
void dev_state_put(struct wr *w, const struct dev_assignment *a);

/* What is known about a device. Texts are "" when unknown. */
struct dev_info {
	struct dev_name dev;
	enum dev_class cls;
	char vendor[128], product[128], manufacturer[128], name[128], serial[128];
	char ifaces[32 * DEV_IFACE_LEN + 1];
	char parent_port[DEV_PORT_CAP], parent_class[16];
	char attachment[QNAME_MAX + 1];
	struct dev_options extra; /* _sbdf, _mode, _size */
};
/* dev_info_parse reads the serialised form; unknown keys are refused. dev_info_put writes it. */
int dev_info_parse(struct dev_info *ret, struct rd r, struct err *e) _must_check_;
void dev_info_put(struct wr *w, const struct dev_info *d);
/* dev_info_text gives the words that lists show for a device: "USB HID Keyboard: Vendor Product". */
void dev_info_text(const struct dev_info *d, char *out, size_t cap);

#endif
