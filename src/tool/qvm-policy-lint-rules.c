/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-policy lint: rules that never decide, names that mean nothing, rules that give too much. */
#include "tool/qvm-policy-lint.h"

/* Services known without a policy that names them; a name near one of these is most likely a slip. */
static const char *const known[] = {
	"qubes.Filecopy", "qubes.OpenInVM", "qubes.OpenURL", "qubes.VMShell", "qubes.VMRootShell", "qubes.VMExec", "qubes.VMExecGUI",
	"qubes.VMRootExec", "qubes.StartApp", "qubes.GetAppmenus", "qubes.GetImageRGBA", "qubes.SetDateTime", "qubes.SyncNtpClock",
	"qubes.GetDate", "qubes.GetRandomizedTime", "qubes.SuspendPre", "qubes.SuspendPost", "qubes.SuspendPreAll", "qubes.SuspendPostAll",
	"qubes.ResizeDisk", "qubes.DetachPciDevice", "qubes.Backup", "qubes.Restore", "qubes.RegisterBackupLocation", "qubes.RestoreById",
	"qubes.SelectFile", "qubes.SelectDirectory", "qubes.PostInstall", "qubes.InstallUpdatesGUI", "qubes.ShowInTerminal",
	"qubes.WaitForSession", "qubes.WaitForRunningSystem", "qubes.WaitForNetworkUplink", "qubes.TemplateSearch", "qubes.TemplateDownload",
	"qubes.UpdatesProxy", "qubes.ConnectTCP", "qubes.NotifyUpdates", "qubes.NotifyTools", "qubes.FeaturesRequest", "qubes.Log",
	"qubes.SyncAppMenus", "qubes.ReceiveUpdates", "qubes.Notifications", "qubes.WindowIconUpdater", "qubes.ClipboardPaste",
	"qubes.InputMouse", "qubes.InputKeyboard", "qubes.InputTablet", "qubes.USB", "qubes.USBAttach", "qubes.USBDetach", "qubes.Gpg2",
	"qubes.Gpg", "qubes.PdfConvert", "policy.List", "policy.Get", "policy.Replace", "policy.Remove", "policy.GetFiles",
	"policy.include.List", "policy.include.Get", "policy.include.Replace", "policy.include.Remove", "policy.RegisterArgument",
	"policy.EvalSimple", "policy.EvalGUI", "policy.Ask", "policy.Notify",
};

/* Whoever may call these of any qube owns it, or can fill it. */
static const struct {
	const char *service, *why;
} dangerous[] = {
	{ "qubes.VMShell", "run any command in" }, { "qubes.VMRootShell", "run any command as root in" }, { "qubes.VMExec", "run any command in" },
	{ "qubes.VMExecGUI", "run any command in" }, { "qubes.VMRootExec", "run any command as root in" }, { "qubes.Filecopy", "put files into" },
	{ "qubes.OpenInVM", "open any file in" }, { "qubes.OpenURL", "open any address in" }, { "qubes.ConnectTCP", "reach the network ports of" },
	{ "qubes.StartApp", "start programs in" }, { "qubes.ClipboardPaste", "paste into" },
};

static const char *const classes[] = { "AdminVM", "AppVM", "TemplateVM", "StandaloneVM", "DispVM", "RemoteVM" };

/* Edit distance, at most 3 (more is 3). */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[64], n = (unsigned)strlen(b), prev, keep, least;

	if (n >= ARRAY_SIZE(row) || strlen(a) >= ARRAY_SIZE(row))
		return 3;
	for (unsigned i = 0; i <= n; i++)
		row[i] = i;
	for (unsigned k = 1; a[k - 1]; k++) {
		prev = row[0];
		row[0] = k;
		for (unsigned i = 1; i <= n; i++) {
			keep = row[i];
			least = MIN(row[i], row[i - 1]) + 1;
			row[i] = MIN(least, prev + (a[k - 1] != b[i - 1]));
			prev = keep;
		}
	}
	return MIN(row[n], 3u);
}

/* A known name that is nearly this one; NULL when this one is known itself or none is near. */
static const char *near_service(const struct lint *l, const char *name)
{
	const struct policy *p = l->p->policy;
	const char *best = NULL;
	unsigned least = 3, d;

	for (size_t i = 0; i < ARRAY_SIZE(known) + p->n_rules; i++) {
		const struct pol_rule *r = i < ARRAY_SIZE(known) ? NULL : &p->rules[i - ARRAY_SIZE(known)];
		const char *s = r ? r->service : known[i];

		if (!s || (r && !lint_shipped(l, r->file)))
			continue;
		if (streq(s, name))
			return NULL;
		d = strlen(name) > 6 ? distance(name, s) : 3;
		if (d < least) {
			least = d;
			best = s;
		}
	}
	return best;
}

static void place(const struct lint *l, const struct pol_rule *r, char *out, size_t cap)
{
	(void)!str_printf(out, cap, "%s:%u", pq_short(l->p, r->file), r->line);
}

static bool of_qubes(const struct pol_token *t)
{
	return t->kind == POL_NAME || t->kind == POL_TAG || t->kind == POL_TYPE;
}

/* Does a fit every qube of the table that b fits? False when b fits none. */
static bool covers_now(const struct lint *l, const struct pol_token *a, const struct pol_token *b, bool source)
{
	bool any = false;

	if (pol_token_covers(a, b))
		return true;
	if (!l->table || !of_qubes(a) || !of_qubes(b))
		return false;
	for (size_t i = 0; i < l->p->si.n; i++) {
		const char *name = l->p->si.v[i]->name;
		struct pol_request r;

		if (!pol_request_raw(&r, &l->p->si, name, name) || !(source ? pol_match_source(b, &r) : pol_match_target(b, &r)))
			continue;
		any = true;
		if (!(source ? pol_match_source(a, &r) : pol_match_target(a, &r)))
			return false;
	}
	return any;
}

/* As pol_rule_covers, with the qubes that there are. */
static bool rule_covers_now(const struct lint *l, const struct pol_rule *a, const struct pol_rule *b)
{
	if (a->service && (!b->service || !streq(a->service, b->service)))
		return false;
	if (a->argument && (!b->argument || !streq(a->argument, b->argument)))
		return false;
	return covers_now(l, &a->source, &b->source, true) && covers_now(l, &a->target, &b->target, false);
}

static void covered_now(struct lint *l, size_t i)
{
	const struct pol_rule *b = &l->p->policy->rules[i];
	char at[300];

	if (b->line == 0 || lint_shipped(l, b->file))
		return;
	for (size_t k = 0; k < i; k++) {
		const struct pol_rule *a = &l->p->policy->rules[k];

		if (a->line == 0 || !rule_covers_now(l, a, b))
			continue;
		place(l, a, at, sizeof at);
		lint_add(l, SEV_WARNING, "never-decides", b->file, b->line,
			 "with the qubes there are now it never decides a call, because %s comes first: move it before that rule, or remove it", at);
		return;
	}
}

/* False when no rule before number i covers it. */
static bool covered(struct lint *l, size_t i)
{
	const struct pol_rule *b = &l->p->policy->rules[i];
	char at[300];

	if (b->line == 0)
		return true;
	for (size_t k = 0; k < i; k++) {
		const struct pol_rule *a = &l->p->policy->rules[k];
		bool overridden = lint_shipped(l, b->file) && !streq(a->file, b->file);

		if (a->line == 0 || !pol_rule_covers(a, b))
			continue;
		place(l, a, at, sizeof at);
		/* The system's own files hold alternatives; only what the user wrote is worth a word. */
		if (overridden && lint_shipped(l, a->file))
			return true;
		if (overridden)
			lint_add(l, SEV_NOTE, "never-decides", b->file, b->line, "overridden: %s comes first and fits every call that this rule fits", at);
		else
			lint_add(l, SEV_WARNING, "never-decides", b->file, b->line,
				 "never decides a call, because %s comes first and fits all the same calls: move it before that rule, or remove it", at);
		return true;
	}
	return false;
}

static void source_never(struct lint *l, const struct pol_rule *r)
{
	if (r->source.kind == POL_DISPVM_TEMPLATE || r->source.kind == POL_DISPVM_TAG)
		lint_add(l, SEV_WARNING, "never-decides", r->file, r->line,
			 "never decides a call: the source of a call is a qube, never '%s'; name the qube, a tag or @type:DispVM", r->source.text);
}

static bool tag_used(const struct lint *l, const char *tag, bool dvm)
{
	for (size_t i = 0; i < l->p->si.n; i++)
		if (pol_qube_has_tag(l->p->si.v[i], tag) && (!dvm || l->p->si.v[i]->template_for_dispvms))
			return true;
	return false;
}

static void name_of(struct lint *l, const struct pol_rule *r, const struct pol_token *t, const char *what)
{
	const struct pol_qube *q = pol_sysinfo_find(&l->p->si, t->value);

	if (t->kind == POL_NAME && !q)
		lint_add(l, SEV_WARNING, "unknown-qube", r->file, r->line, "there is no qube '%s' (%s): correct the name, or create the qube", t->value, what);
	if (t->kind == POL_DISPVM_TEMPLATE && (!q || !q->template_for_dispvms))
		lint_add(l, SEV_WARNING, "unknown-qube", r->file, r->line, "'%s' is no template of disposables (%s): %s", t->value, what,
			 q ? "set its property template_for_dispvms" : "there is no such qube");
	if (t->kind == POL_TAG && !tag_used(l, t->value, false))
		lint_add(l, SEV_NOTE, "unknown-tag", r->file, r->line, "no qube has the tag '%s' (%s): add it with qvm-tags, or correct it", t->value, what);
	if (t->kind == POL_DISPVM_TAG && !tag_used(l, t->value, true))
		lint_add(l, SEV_NOTE, "unknown-tag", r->file, r->line, "no template of disposables has the tag '%s' (%s)", t->value, what);
}

static void class_of(struct lint *l, const struct pol_rule *r, const struct pol_token *t)
{
	if (t->kind != POL_TYPE)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
		if (streq(classes[i], t->value))
			return;
	lint_add(l, SEV_WARNING, "unknown-class", r->file, r->line,
		 "there is no class '%s': AppVM, TemplateVM, StandaloneVM, DispVM and RemoteVM exist", t->value);
}

static void names(struct lint *l, const struct pol_rule *r)
{
	const char *near = r->service ? near_service(l, r->service) : NULL;

	if (near)
		lint_add(l, SEV_WARNING, "unknown-service", r->file, r->line, "no service '%s' is known; was '%s' meant?", r->service, near);
	class_of(l, r, &r->source);
	class_of(l, r, &r->target);
	/* The system's files name qubes and tags of setups that need not be there. */
	if (!l->table || lint_shipped(l, r->file))
		return;
	name_of(l, r, &r->source, "source");
	name_of(l, r, &r->target, "target");
	if (r->redirect.text)
		name_of(l, r, &r->redirect, "target=");
	if (r->default_to.text)
		name_of(l, r, &r->default_to, "default_target=");
}

static bool anything(const struct pol_token *t)
{
	return t->kind == POL_ANY || t->kind == POL_WILDCARD;
}

static void danger(struct lint *l, const struct pol_rule *r)
{
	bool many = anything(&r->source) || r->source.kind == POL_TYPE;
	bool to_dom0 = r->redirect.text ? r->redirect.kind == POL_ADMIN : r->target.kind == POL_ADMIN || r->target.kind == POL_WILDCARD;

	if (r->action != POL_ALLOW || !many)
		return;
	if (!r->service && anything(&r->target)) {
		lint_add(l, SEV_ERROR, "dangerous", r->file, r->line,
			 "lets %s call every service of every qube without a question: name the service, the source and the target", r->source.text);
		return;
	}
	if (r->service && to_dom0 && (str_starts(r->service, "admin.") || str_starts(r->service, "policy.")))
		lint_add(l, SEV_ERROR, "dangerous", r->file, r->line, "lets %s administer the system (%s): name the qube that may", r->source.text,
			 r->service);
	for (size_t i = 0; r->service && i < ARRAY_SIZE(dangerous); i++)
		if (streq(r->service, dangerous[i].service) && anything(&r->target) && !r->redirect.text)
			lint_add(l, SEV_ERROR, "dangerous", r->file, r->line,
				 "lets %s %s every qube without a question: name the source or the target, or say ask", r->source.text, dangerous[i].why);
}

void lint_rules(struct lint *l)
{
	for (size_t i = 0; i < l->p->policy->n_rules; i++) {
		const struct pol_rule *r = &l->p->policy->rules[i];

		if (!covered(l, i))
			covered_now(l, i);
		source_never(l, r);
		if (r->line == 0)
			continue;
		names(l, r);
		danger(l, r);
	}
}
