/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Codec of vm_spec. The decoder is the only way by which a machine description reaches the spawner, so it checks every field: a
 * value that passed can be put on a command line or opened beneath a directory without a further look.
 */
#include "vmm/spec.h"

#include "base/str.h"
#include "proto/names.h"

#define VM_MEMORY_MIN_MIB 16
#define VM_MEMORY_MAX_MIB (4u * 1024 * 1024)
#define VM_VCPUS_MAX 240
#define VM_DISK_MAX_BYTES (64ull << 40)

static void put_disk(struct wr *w, const struct vm_disk *d)
{
	wr_lstr(w, d->serial);
	wr_lstr(w, d->pool_dir);
	wr_u8(w, d->readonly);
	wr_u64le(w, d->ephemeral_size);
	wr_u32le(w, d->n_layers);
	for (uint32_t i = 0; i < d->n_layers && i < VM_LAYERS_MAX; i++) {
		wr_lstr(w, d->layers[i].path);
		wr_u8(w, d->layers[i].format);
	}
}

void vm_spec_put(struct wr *w, const struct vm_spec *s)
{
	if (s->n_disks > VM_DISKS_MAX) {
		wr_fail(w);
		return;
	}
	wr_u32le(w, s->qid);
	wr_lstr(w, s->name);
	wr_lstr(w, s->uuid);
	wr_lstr(w, s->start_id);
	wr_lstr(w, s->default_user);
	wr_lstr(w, s->kernel);
	wr_lstr(w, s->kernelopts);
	wr_u8(w, s->accel);
	wr_u8(w, s->start);
	wr_lstr(w, s->state);
	wr_u8(w, s->debug);
	wr_u8(w, s->template_based);
	wr_u32le(w, s->memory_mib);
	wr_u32le(w, s->vcpus);
	wr_u32le(w, s->ports);
	wr_u32le(w, s->gui_mib);
	wr_u32le(w, s->n_disks);
	for (uint32_t i = 0; i < s->n_disks; i++) {
		if (s->disks[i].n_layers > VM_LAYERS_MAX)
			wr_fail(w);
		put_disk(w, &s->disks[i]);
	}
}

static bool get_bool(struct rd *r)
{
	uint8_t v = rd_u8(r);

	if (v > 1)
		rd_fail(r);
	return v == 1;
}

bool vm_key_ok(const char *s)
{
	return strlen(s) == VM_STATE_KEY_LEN && strspn(s, "0123456789abcdef") == VM_STATE_KEY_LEN;
}

bool vm_path_ok(const char *s)
{
	const char *p = s;

	if (!s[0] || !str_chars(s, "_-.+@~:/"))
		return false;
	for (;;) {
		size_t n = strcspn(p, "/");

		if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		if (!p[n])
			return true;
		p += n + 1;
	}
}

bool vm_abs_ok(const char *s)
{
	if (s[0] != '/' || !s[1])
		return false;
	for (const char *p = s; *p; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p == 0x7f)
			return false;
	for (const char *p = s; (p = strstr(p, "/..")); p += 3)
		if (p[3] == '/' || !p[3])
			return false;
	return true;
}

static bool printable(const char *s)
{
	for (; *s; s++)
		if (*s < 0x20 || *s > 0x7e)
			return false;
	return true;
}

static bool format_given(uint8_t f)
{
	return f == VM_FMT_GIVEN || f == VM_FMT_GIVEN_DEVICE;
}

int vm_spec_given(const struct vm_spec *s)
{
	for (uint32_t i = 0; i < s->n_disks && i < VM_DISKS_MAX; i++)
		if (s->disks[i].n_layers && format_given(s->disks[i].layers[0].format))
			return (int)i;
	return -1;
}

static int check_disk(const struct vm_disk *d, struct err *e)
{
	if (!d->serial[0] || !str_chars(d->serial, "-_"))
		return err_set(e, EINVAL, "disk: serial number is not valid");
	if (!vm_abs_ok(d->pool_dir))
		return err_set(e, EINVAL, "disk %s: pool directory is not an absolute path", d->serial);
	if (d->n_layers == 0 && d->ephemeral_size == 0)
		return err_set(e, EINVAL, "disk %s: no layer and no size", d->serial);
	if (d->ephemeral_size && d->readonly)
		return err_set(e, EINVAL, "disk %s: read-only and ephemeral", d->serial);
	if (d->ephemeral_size > VM_DISK_MAX_BYTES || d->ephemeral_size % 512)
		return err_set(e, EINVAL, "disk %s: size is not valid", d->serial);
	if (d->n_layers && format_given(d->layers[0].format) && (d->n_layers > 1 || d->ephemeral_size))
		return err_set(e, EINVAL, "disk %s: one that is given has one layer and no size", d->serial);
	for (uint32_t i = 0; i < d->n_layers; i++) {
		if (!vm_path_ok(d->layers[i].path))
			return err_set(e, EINVAL, "disk %s: layer %u: path is not valid", d->serial, i);
		if (d->layers[i].format >= VM_FMT_N || (i > 0 && d->layers[i].format != VM_FMT_QCOW2))
			return err_set(e, EINVAL, "disk %s: layer %u: format is not valid", d->serial, i);
	}
	return 0;
}

static void get_disk(struct rd *r, struct vm_disk *d)
{
	rd_lstr(r, d->serial, sizeof d->serial);
	rd_lstr(r, d->pool_dir, sizeof d->pool_dir);
	d->readonly = get_bool(r);
	d->ephemeral_size = rd_u64le(r);
	d->n_layers = rd_u32le(r);
	if (d->n_layers > VM_LAYERS_MAX)
		rd_fail(r);
	for (uint32_t i = 0; rd_ok(r) && i < d->n_layers; i++) {
		rd_lstr(r, d->layers[i].path, sizeof d->layers[i].path);
		d->layers[i].format = rd_u8(r);
	}
}

static int check_names(const struct vm_spec *s, struct err *e)
{
	struct qname name;
	struct uuid uuid;
	int r = qname_parse(&name, s->name, e);

	if (r < 0)
		return r;
	if (s->qid == 0 || s->qid > 0xffff || streq(s->name, "dom0"))
		return err_set(e, EINVAL, "dom0 is not started by the spawner");
	if (uuid_parse(&uuid, s->uuid) < 0)
		return err_set(e, EINVAL, "uuid is not valid");
	if (!s->start_id[0] || !str_chars(s->start_id, "-"))
		return err_set(e, EINVAL, "start id is not valid");
	if (!s->default_user[0] || s->default_user[0] == '-' || !str_chars(s->default_user, "_-."))
		return err_set(e, EINVAL, "default user is not valid");
	if (s->kernel[0] && (!vm_path_ok(s->kernel) || strchr(s->kernel, '/')))
		return err_set(e, EINVAL, "kernel is not the name of a directory");
	if (!printable(s->kernelopts))
		return err_set(e, EINVAL, "kernelopts: only printable ASCII is allowed");
	return 0;
}

static int check_spec(const struct vm_spec *s, struct err *e)
{
	int r = check_names(s, e), given = vm_spec_given(s);

	if (r < 0)
		return r;
	if (s->accel > ACCEL_TCG)
		return err_set(e, EINVAL, "accelerator is not known");
	if (s->start >= VM_START_N || (s->start == VM_START_COLD ? s->state[0] != '\0' : !vm_key_ok(s->state)))
		return err_set(e, EINVAL, "the kind of start and the key of its state do not fit");
	if (s->memory_mib < VM_MEMORY_MIN_MIB || s->memory_mib > VM_MEMORY_MAX_MIB)
		return err_set(e, EINVAL, "memory: %u MiB is out of range", s->memory_mib);
	if (s->vcpus == 0 || s->vcpus > VM_VCPUS_MAX)
		return err_set(e, EINVAL, "vcpus: %u is out of range", s->vcpus);
	if (s->ports && (s->ports < VMM_PORTS || s->ports > VMM_PORTS_MAX))
		return err_set(e, EINVAL, "ports: %u is out of range", s->ports);
	if (s->gui_mib && (s->gui_mib < VMM_GUI_MIN_MIB || s->gui_mib > VMM_GUI_MAX_MIB || s->gui_mib & (s->gui_mib - 1)))
		return err_set(e, EINVAL, "memory for pixels: %u MiB is not valid", s->gui_mib);
	if (given >= 0 && s->start != VM_START_COLD)
		return err_set(e, EINVAL, "a machine of a saved state is given no disk");
	for (uint32_t i = 0; i < s->n_disks; i++) {
		r = check_disk(&s->disks[i], e);
		if (r < 0)
			return r;
		if (given >= 0 && i > (uint32_t)given && s->disks[i].n_layers && format_given(s->disks[i].layers[0].format))
			return err_set(e, EINVAL, "more than one disk is given");
		for (uint32_t j = 0; j < i; j++)
			if (streq(s->disks[i].serial, s->disks[j].serial))
				return err_set(e, EINVAL, "two disks have the serial number %s",
					       s->disks[i].serial);
	}
	return 0;
}

int vm_spec_get(struct rd *r, struct vm_spec *ret, struct err *e)
{
	struct vm_spec s;
	int k;

	memset(&s, 0, sizeof s);
	s.qid = rd_u32le(r);
	rd_lstr(r, s.name, sizeof s.name);
	rd_lstr(r, s.uuid, sizeof s.uuid);
	rd_lstr(r, s.start_id, sizeof s.start_id);
	rd_lstr(r, s.default_user, sizeof s.default_user);
	rd_lstr(r, s.kernel, sizeof s.kernel);
	rd_lstr(r, s.kernelopts, sizeof s.kernelopts);
	s.accel = rd_u8(r);
	s.start = rd_u8(r);
	rd_lstr(r, s.state, sizeof s.state);
	s.debug = get_bool(r);
	s.template_based = get_bool(r);
	s.memory_mib = rd_u32le(r);
	s.vcpus = rd_u32le(r);
	s.ports = rd_u32le(r);
	s.gui_mib = rd_u32le(r);
	s.n_disks = rd_u32le(r);
	if (s.n_disks > VM_DISKS_MAX)
		rd_fail(r);
	for (uint32_t i = 0; rd_ok(r) && i < s.n_disks; i++)
		get_disk(r, &s.disks[i]);
	if (!rd_done(r))
		return err_set(e, EBADMSG, "malformed machine description");
	k = check_spec(&s, e);
	if (k < 0)
		return k;
	*ret = s;
	return 0;
}
