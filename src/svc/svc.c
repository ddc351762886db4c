/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the small programs behind dom0's services share. */
#include "svc/svc.h"

#include "base/fsx.h"
#include "base/io.h"
#include "base/paths.h"
#include "base/sandbox.h"
#include "base/str.h"

static _noreturn_ void refuse(const char *why)
{
	fprintf(stderr, "%s\n", why);
	exit(1);
}

void svc_begin(struct svc *s)
{
	static char full[SERVICE_MAX + 1];
	const char *name = getenv("QREXEC_SERVICE_FULL_NAME"), *caller = getenv("QREXEC_REMOTE_DOMAIN");
	struct err e = { 0 };
	char *plus;

	if (!name || !caller || str_copy(full, sizeof full, name) < 0 || qname_parse(&s->caller, caller, NULL) < 0)
		refuse("this program is a qrexec service: it is started for calls of qubes");
	plus = strchr(full, '+');
	if (plus)
		*plus = '\0';
	s->name = full;
	s->arg = plus ? plus + 1 : "";
	if (paths_init(NULL, &e) < 0)
		refuse(err_text(&e, -EINVAL));
}

int svc_confine(const char *dir, struct err *e)
{
	struct sandbox_path paths[] = { { .path = dir, .write = true } };
	int r = dir ? fs_mkdir_p(dir, 0755, e) : 0;

	return r < 0 ? r : sandbox_enter(SB_SERVICE, paths, dir ? 1 : 0, e);
}

int svc_confine_device(const char *path, struct err *e)
{
	struct sandbox_path device = { .path = path, .write = true, .dev = true };

	return sandbox_enter(SB_SERVICE, &device, 1, e);
}

int svc_input(size_t max, char **ret, size_t *ret_len, struct err *e)
{
	_cleanup_free_ char *buf = xmalloc(max + 1);
	ssize_t n = read_full(STDIN_FILENO, buf, max + 1);

	if (n < 0)
		return err_errno(e, (int)-n, "reading the input");
	if ((size_t)n > max)
		return err_set(e, EFBIG, "more than %zu bytes of input", max);
	buf[n] = '\0';
	*ret = STEAL_PTR(buf);
	*ret_len = (size_t)n;
	return 0;
}

int svc_end(const struct svc *s, int r, const struct err *e)
{
	char shown[ERR_MSG_MAX];
	const char *text = err_text(e, r);

	if (r < 0)
		fprintf(stderr, "%s: %s\n", s->name, str_escape(shown, sizeof shown, text, strlen(text)));
	return r < 0 ? 1 : 0;
}
