/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The policy language: every token in every place, every action and parameter, directives, errors, and format against parse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "proto/policy.h"

/* --- tokens ------------------------------------------------------------------------------------------------------ */
static const struct {
	const char *text;
	enum pol_kind kind;
	bool ok[POL_CTX_N]; /* source, target, redirect, intended */
} token_table[] = {
	{ "work", POL_NAME, { 1, 1, 1, 1 } },
	{ "uuid:4a2b", POL_NAME, { 1, 1, 1, 1 } },
	{ "with space", POL_NAME, { 1, 1, 1, 1 } },
	{ "a@b", POL_NAME, { 1, 1, 1, 1 } },
	{ "dom0", POL_ADMIN, { 1, 1, 1, 1 } },
	{ "@adminvm", POL_ADMIN, { 1, 1, 1, 1 } },
	{ "uuid:00000000-0000-0000-0000-000000000000", POL_ADMIN, { 1, 1, 1, 1 } },
	{ "*", POL_WILDCARD, { 1, 1, 0, 0 } },
	{ "@anyvm", POL_ANY, { 1, 1, 0, 0 } },
	{ "@default", POL_DEFAULT, { 0, 1, 0, 1 } },
	{ "@type:AppVM", POL_TYPE, { 1, 1, 0, 0 } },
	{ "@tag:x", POL_TAG, { 1, 1, 0, 0 } },
	{ "@dispvm", POL_DISPVM, { 0, 1, 1, 1 } },
	{ "@dispvm:dvm", POL_DISPVM_TEMPLATE, { 1, 1, 1, 1 } },
	{ "@dispvm:uuid:1", POL_DISPVM_TEMPLATE, { 1, 1, 1, 1 } },
	{ "@dispvm:@tag:x", POL_DISPVM_TAG, { 1, 1, 0, 0 } },
	{ "", POL_NAME, { 0, 0, 0, 0 } },
	{ "@", POL_NAME, { 0, 0, 0, 0 } },
	{ "@none", POL_NAME, { 0, 0, 0, 0 } },
	{ "@anyvmx", POL_NAME, { 0, 0, 0, 0 } },
	{ "@Default", POL_NAME, { 0, 0, 0, 0 } },
	{ "@tag:", POL_NAME, { 0, 0, 0, 0 } },
	{ "@tag:@x", POL_NAME, { 0, 0, 0, 0 } },
	{ "@type:", POL_NAME, { 0, 0, 0, 0 } },
	{ "@type:a@b", POL_NAME, { 0, 0, 0, 0 } },
	{ "@dispvm:", POL_NAME, { 0, 0, 0, 0 } },
	{ "@dispvm:@x", POL_NAME, { 0, 0, 0, 0 } },
	{ "@dispvm:@tag:", POL_NAME, { 0, 0, 0, 0 } },
	{ "@dispvm:@tag:@x", POL_NAME, { 0, 0, 0, 0 } },
	{ "@dispvm:@type:x", POL_NAME, { 0, 0, 0, 0 } },
};

static void tokens(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(token_table); i++)
		for (int c = 0; c < POL_CTX_N; c++) {
			struct pol_token t = { 0 };
			struct err e = { 0 };
			int r = pol_token_parse(&t, (enum pol_context)c, token_table[i].text, &e);

			if ((r == 0) != token_table[i].ok[c])
				fail_msg("token '%s' in context %d gives %d", token_table[i].text, c, r);
			if (r == 0)
				assert_int_equal(t.kind, token_table[i].kind);
			else
				assert_true(e.msg[0]);
			pol_token_fini(&t);
		}
}

/* --- rules ------------------------------------------------------------------------------------------------------- */
static const struct {
	const char *line;
	const char *formatted; /* NULL = must be an error */
} rule_table[] = {
	{ "a * b c allow", "a * b c allow" },
	{ "  a\t*  b\xc2\xa0" "c  deny ", "a * b c deny" },
	{ "* * * * deny", "* * * * deny" },
	{ "a.b_c-D9 + @anyvm dom0 ask", "a.b_c-D9 + @anyvm @adminvm ask" },
	{ "a +x+y.z_- b c allow", "a +x+y.z_- b c allow" },
	{ "a * b c allow target=d user=u notify=yes autostart=no", "a * b c allow target=d user=u notify=yes autostart=no" },
	{ "a * b c allow notify=no autostart=yes", "a * b c allow" },
	{ "a * b c deny notify=no", "a * b c deny notify=no" },
	{ "a * b c deny notify=yes", "a * b c deny" },
	{ "a * b c allow keep=yes", "a * b c allow keep=yes" },
	{ "a * b c ask keep=no", "a * b c ask keep=no" },
	{ "a * b c ask default_target=@dispvm target=dom0", "a * b c ask target=@adminvm default_target=@dispvm" },
	{ "a * b @default allow target=@dispvm:x", "a * b @default allow target=@dispvm:x" },
	{ "a * b @default ask", "a * b @default ask" },
	{ "a * b @default deny", "a * b @default deny" },
	{ "a * b c allow user=x=y", "a * b c allow user=x=y" },
	{ "", NULL },
	{ "a", NULL },
	{ "a * b c", NULL },
	{ "a b c allow d", NULL },
	{ "a+b * c d allow", NULL },
	{ "a,b * c d allow", NULL },
	{ "a x b c allow", NULL },
	{ "a +x@ b c allow", NULL },
	{ "* + b c allow", NULL },
	{ "* +x b c allow", NULL },
	{ "a * @default c allow", NULL },
	{ "a * @dispvm c allow", NULL },
	{ "a * b @default allow", NULL },
	{ "a * b c Allow", NULL },
	{ "a * b c allow,target=d", NULL },
	{ "a * b c allow target", NULL },
	{ "a * b c allow target=", NULL },
	{ "a * b c allow target=*", NULL },
	{ "a * b c allow target=@anyvm", NULL },
	{ "a * b c allow target=@default", NULL },
	{ "a * b c allow target=@tag:x", NULL },
	{ "a * b c allow target=@dispvm:@tag:x", NULL },
	{ "a * b c allow target=d target=d", NULL },
	{ "a * b c allow notify=maybe", NULL },
	{ "a * b c allow notify=Yes", NULL },
	{ "a * b c allow autostart=", NULL },
	{ "a * b c allow default_target=d", NULL },
	{ "a * b c ask default_target=@default", NULL },
	{ "a * b c deny target=d", NULL },
	{ "a * b c deny user=d", NULL },
	{ "a * b c deny autostart=no", NULL },
	{ "a * b c allow =x", NULL },
	{ "a * b c allow x=y", NULL },
	{ "a * b c allow \xff", NULL },
};

static void rules(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rule_table); i++) {
		_cleanup_wr_ struct wr w = wr_grow(4096);
		struct pol_rule r = { 0 };
		struct err e = { 0 };
		int k = pol_rule_parse(&r, rule_table[i].line, &e);

		if ((k == 0) != (rule_table[i].formatted != NULL))
			fail_msg("rule '%s' gives %d %s", rule_table[i].line, k, e.msg);
		if (k < 0) {
			assert_true(e.msg[0]);
			continue;
		}
		pol_rule_format(&w, &r);
		wr_u8(&w, 0);
		assert_string_equal((char *)w.buf, rule_table[i].formatted);
		pol_rule_fini(&r);
	}
}

static void old_rules(void **state)
{
	static const struct {
		const char *line, *formatted;
	} table[] = {
		{ "$anyvm $dispvm allow,user=x", "s +a @anyvm @dispvm allow user=x" },
		{ "$anyvm,$dispvm:$tag:t ask , default_target=b", "s +a @anyvm @dispvm:@tag:t ask default_target=b" },
		{ "@tag:t dom0 deny", "s +a @tag:t @adminvm deny" },
		{ "a $default allow", NULL },
		{ "a b", NULL },
		{ "a b allow c", NULL },
		{ "s +a a b allow", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_wr_ struct wr w = wr_grow(4096);
		struct pol_rule r = { 0 };
		int k = pol_rule_parse_40(&r, "s", "+a", table[i].line, NULL);

		if ((k == 0) != (table[i].formatted != NULL))
			fail_msg("old rule '%s' gives %d", table[i].line, k);
		if (k < 0)
			continue;
		pol_rule_format(&w, &r);
		wr_u8(&w, 0);
		assert_string_equal((char *)w.buf, table[i].formatted);
		pol_rule_fini(&r);
	}
}

/* --- format(parse(x)) -------------------------------------------------------------------------------------------- */
static uint64_t seed = 20261122;
static unsigned rnd(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}
#define PICK(a) ((a)[rnd(ARRAY_SIZE(a))])

static void random_rule(struct wr *w)
{
	static const char *const svc[] = { "s", "a.B-c_9" }, *const arg[] = { "*", "+", "+x+y" },
				 *const src[] = { "work", "*", "@anyvm", "dom0", "@tag:t", "@type:T", "uuid:1", "@dispvm:d", "@dispvm:@tag:t" },
				 *const tgt[] = { "work", "*", "@anyvm", "@adminvm", "@tag:t", "@type:T", "@default", "@dispvm", "@dispvm:d" },
				 *const act[] = { "allow", "ask", "deny" }, *const red[] = { "x", "dom0", "@dispvm", "@dispvm:y" };
	unsigned a = rnd(3);

	wr_printf(w, "%s %s %s %s %s", PICK(svc), PICK(arg), PICK(src), PICK(tgt), act[a]);
	if (rnd(2))
		wr_printf(w, " notify=%s", rnd(2) ? "yes" : "no");
	if (a == 2)
		return;
	wr_printf(w, " target=%s", PICK(red));
	if (rnd(2))
		wr_printf(w, " autostart=%s", rnd(2) ? "yes" : "no");
	if (rnd(2))
		wr_str(w, " user=me");
	if (a == 1 && rnd(2))
		wr_printf(w, " default_target=%s", PICK(red));
}

static bool token_eq(const struct pol_token *a, const struct pol_token *b)
{
	if (!a->text || !b->text)
		return a->text == b->text;
	return a->kind == b->kind && streq(a->text, b->text) && streq(a->value, b->value) && a->hash == b->hash;
}

static bool text_eq(const char *a, const char *b)
{
	return a && b ? streq(a, b) : a == b;
}

static void round_trip(void **state)
{
	for (int i = 0; i < 20000; i++) {
		_cleanup_wr_ struct wr w = wr_grow(4096), out = wr_grow(4096), again = wr_grow(4096);
		struct pol_rule a = { 0 }, b = { 0 };

		random_rule(&w);
		wr_u8(&w, 0);
		if (pol_rule_parse(&a, (char *)w.buf, NULL) < 0)
			fail_msg("%s", (char *)w.buf);
		pol_rule_format(&out, &a);
		wr_u8(&out, 0);
		assert_int_equal(pol_rule_parse(&b, (char *)out.buf, NULL), 0);
		pol_rule_format(&again, &b);
		wr_u8(&again, 0);
		assert_string_equal((char *)out.buf, (char *)again.buf);
		assert_true(token_eq(&a.source, &b.source) && token_eq(&a.target, &b.target) && token_eq(&a.redirect, &b.redirect) &&
			    token_eq(&a.default_to, &b.default_to));
		assert_true(text_eq(a.service, b.service) && text_eq(a.argument, b.argument) && text_eq(a.user, b.user));
		assert_true(a.action == b.action && a.notify == b.notify && a.autostart == b.autostart);
		pol_rule_fini(&a);
		pol_rule_fini(&b);
	}
}

/* --- loading ----------------------------------------------------------------------------------------------------- */
/* A world of files: "D/NAME" with D = r (run), e (etc), l (legacy); a directory exists when it has an entry "D/". */
struct vfile {
	const char *path, *text;
};

static const char *dir_char(int dir)
{
	return dir == POL_DIR_LEGACY ? "l" : dir == 0 ? "r" : "e";
}

static int v_text(void *arg, int dir, const char *path, char **ret, size_t *ret_len, struct err *e)
{
	_cleanup_free_ char *full = xasprintf("%s/%s", dir_char(dir), path);

	for (const struct vfile *f = arg; f->path; f++)
		if (streq(f->path, full) && f->text) {
			*ret = xstrdup(f->text);
			*ret_len = strlen(f->text);
			return 0;
		}
	return err_set(e, ENOENT, "no such file");
}

static int v_list(void *arg, int dir, const char *path, char ***ret, size_t *ret_n, struct err *e)
{
	_cleanup_free_ char *prefix = streq(path, ".") ? xasprintf("%s/", dir_char(dir)) : xasprintf("%s/%s/", dir_char(dir), path);
	bool exists = false;
	char **v = NULL;
	size_t n = 0;

	for (const struct vfile *f = arg; f->path; f++) {
		const char *rest = f->path + strlen(prefix);

		if (!str_starts(f->path, prefix))
			continue;
		exists = true;
		if (!*rest || strchr(rest, '/'))
			continue;
		v = xreallocarray(v, n + 1, sizeof(*v));
		v[n++] = xstrdup(rest);
	}
	if (!exists)
		return err_set(e, ENOENT, "no such directory");
	*ret = v;
	*ret_n = n;
	return 0;
}

static const char *v_dir(void *arg, int dir)
{
	return dir_char(dir);
}

/* Rules as "FILE:LINE RULE;" text, or the error. */
static char *load(const struct vfile *files, int *ret_code)
{
	const struct pol_loader l = { .arg = (void *)(uintptr_t)files, .text = v_text, .list = v_list, .dir_name = v_dir };
	struct wr w = wr_grow(1u << 20);
	struct policy *p = NULL;
	struct err e = { 0 };

	*ret_code = policy_load(&p, &l, 2, &e);
	if (*ret_code < 0)
		wr_str(&w, e.msg);
	for (size_t i = 0; p && i < p->n_rules; i++) {
		wr_printf(&w, "%s:%u ", p->rules[i].file, p->rules[i].line);
		pol_rule_format(&w, &p->rules[i]);
		wr_str(&w, ";");
	}
	if (p)
		policy_free(p);
	return wr_take(&w, NULL);
}

#define V(...) ((const struct vfile[]){ { "r/", NULL }, { "e/", NULL }, __VA_ARGS__, { NULL, NULL } })

static void expect_rules(const struct vfile *files, const char *want)
{
	int r;
	_cleanup_free_ char *got = load(files, &r);

	assert_string_equal(got ? got : "", want);
	assert_int_equal(r, 0);
}

static void expect_error(const struct vfile *files, const char *want)
{
	int r;
	_cleanup_free_ char *got = load(files, &r);

	if (r != -EBADMSG || !strstr(got, want))
		fail_msg("wanted error '%s', got %d '%s'", want, r, got);
}

static void directories(void **state)
{
	int r;
	const struct vfile no_run[] = { { "e/", NULL }, { NULL, NULL } };
	_cleanup_free_ char *got = load(no_run, &r);

	assert_int_equal(r, -ENOENT);
	expect_rules(V({ "e/x", "junk" }), "");
	expect_rules(V({ "e/b.policy", "s * b b deny" }, { "r/a.policy", "s * a a deny" }, { "e/10.policy", "s * c c deny" }),
		     "e/10.policy:1 s * c c deny;r/a.policy:1 s * a a deny;e/b.policy:1 s * b b deny;");
	expect_rules(V({ "e/a.policy", "s * e e deny" }, { "r/a.policy", "s * r r deny" }), "r/a.policy:1 s * r r deny;");
	/* a shadowed file is not even read */
	expect_rules(V({ "e/a.policy", "junk" }, { "r/a.policy", "" }), "");
	expect_rules(V({ "e/.a.policy", "junk" }, { "e/a.policy.bak", "junk" }, { "e/README", "junk" }), "");
	expect_error(V({ "e/A.policy", "" }), "e/A.policy");
	expect_error(V({ "r/a b.policy", "" }), "name of a policy file");
	expect_error(V({ "e/a.policy", "# c\n\njunk\n" }), "e/a.policy:3: ");
	expect_error(V({ "e/a.policy", "s * a b deny\n" }, { "e/b.policy", "s * a\n" }), "e/b.policy:1: ");
	expect_rules(V({ "e/a.policy", "# c\r\n \t\r\ns * a b deny\rs * c d deny" }),
		     "e/a.policy:3 s * a b deny;e/a.policy:4 s * c d deny;");
	expect_error(V({ "e/a.policy", "s * a b deny # c\n" }), "has no '='");
	expect_error(V({ "e/a.policy", "\xef\xbb\xbf# c\n" }), "e/a.policy:1");
	expect_error(V({ "e/a.policy", "# \xff\n" }), "not UTF-8");
}

static void includes(void **state)
{
	expect_rules(V({ "e/a.policy", "!include inc/x\ns * a a deny" }, { "e/inc/x", "s * x x deny" }),
		     "e/inc/x:1 s * x x deny;e/a.policy:2 s * a a deny;");
	/* relative to the top-level file's directory, not to the including one */
	expect_rules(V({ "r/a.policy", "!include inc/x" }, { "r/inc/x", "!include y" }, { "r/y", "s * y y deny" }), "r/y:1 s * y y deny;");
	expect_error(V({ "r/a.policy", "# c\n!include inc/x" }, { "e/inc/x", "" }), "r/a.policy:2: r/inc/x: no such file");
	expect_error(V({ "e/a.policy", "!include inc" }, { "e/inc/x", "" }), "no such file");
	expect_error(V({ "e/a.policy", "!include a.policy" }), "includes itself");
	expect_error(V({ "e/a.policy", "!include x" }, { "e/x", "!include y" }, { "e/y", "!include x" }), "includes itself");
	expect_error(V({ "e/a.policy", "!include" }), "number of parameters");
	expect_error(V({ "e/a.policy", "!include x y" }, { "e/x", "" }), "number of parameters");
	expect_error(V({ "e/a.policy", "!includ x" }), "unknown directive");
	expect_error(V({ "e/a.policy", "!" }), "unknown directive");
	expect_rules(V({ "e/a.policy", "!include-dir d" }, { "e/d/2.policy", "s * b b deny" }, { "e/d/1.policy", "s * a a deny" },
		       { "e/d/.3.policy", "junk" }, { "e/d/junk", "junk" }),
		     "e/d/1.policy:1 s * a a deny;e/d/2.policy:1 s * b b deny;");
	expect_rules(V({ "e/a.policy", "!include-dir d" }, { "e/d/", NULL }), "");
	expect_error(V({ "e/a.policy", "!include-dir d" }), "no such directory");
	expect_error(V({ "e/a.policy", "!include-dir d" }, { "e/d/X.policy", "" }), "a.policy:1: ");
	expect_rules(V({ "e/a.policy", "!include-service s +a x" }, { "e/x", "$anyvm b allow,user=u\n!include y" }, { "e/y", "c d deny" }),
		     "e/x:1 s +a @anyvm b allow user=u;e/y:1 s +a c d deny;");
	expect_rules(V({ "e/a.policy", "!include-service * * x" }, { "e/x", "$include:y" }, { "e/y", "c d deny" }), "e/y:1 * * c d deny;");
	expect_error(V({ "e/a.policy", "!include-service * +a x" }, { "e/x", "" }), "a.policy:1");
	expect_error(V({ "e/a.policy", "!include-service s a x" }, { "e/x", "" }), "a.policy:1");
	expect_error(V({ "e/a.policy", "!include-service s * x" }, { "e/x", "s * a b deny" }), "e/x:1");
	expect_error(V({ "e/a.policy", "!include-service s * x" }, { "e/x", "!include-dir d" }, { "e/d/", NULL }), "only !include");
	expect_error(V({ "e/a.policy", "!include-service s * x" }, { "e/x", "!compat-4.0" }, { "l/", NULL }), "only !include");
	expect_error(V({ "e/a.policy", "!include-service s *" }), "number of parameters");
}

static void compat(void **state)
{
	expect_rules(V({ "e/a.policy", "!compat-4.0\n* * @anyvm @anyvm deny" }, { "l/s", "$anyvm $anyvm ask" }, { "l/s+b", "a b allow" },
		       { "l/s+a", "a b allow" }, { "l/.x", "junk" }, { "l/x.rpmnew", "junk" }, { "l/x.rpmsave", "junk" }, { "l/x.swp", "junk" },
		       { "l/x~", "junk" }, { "l/a", "$include:inc" }, { "l/inc", "" }),
		     "l/s+a:1 s +a a b allow;l/s+a:0 s +a @anyvm @anyvm deny;l/s+a:0 s +a @anyvm @adminvm deny;"
		     "l/s+b:1 s +b a b allow;l/s+b:0 s +b @anyvm @anyvm deny;l/s+b:0 s +b @anyvm @adminvm deny;"
		     "l/s:1 s * @anyvm @anyvm ask;e/a.policy:2 * * @anyvm @anyvm deny;");
	expect_rules(V({ "e/a.policy", "!compat-4.0" }, { "l/", NULL }), "");
	expect_error(V({ "e/a.policy", "!compat-4.0" }), "no such directory");
	expect_error(V({ "e/a.policy", "!compat-4.0 x" }, { "l/", NULL }), "number of parameters");
	expect_error(V({ "e/a.policy", "!compat-4.0" }, { "l/s", "!compat-4.0" }), "only !include");
	expect_error(V({ "e/a.policy", "!compat-4.0" }, { "l/s", "a b c" }), "l/s:1");
}

/* An include bomb ends by its limits. */
static void bomb(void **state)
{
	struct vfile files[POL_DEPTH_MAX + 4] = { { "r/", NULL }, { "e/", NULL }, { "e/a.policy", "!include f0" } };
	char paths[POL_DEPTH_MAX][16], texts[POL_DEPTH_MAX][64];

	for (int i = 0; i < POL_DEPTH_MAX; i++) {
		assert_int_equal(str_printf(paths[i], sizeof paths[i], "e/f%d", i), 0);
		assert_int_equal(str_printf(texts[i], sizeof texts[i], "!include f%d\n!include f%d", i + 1, i + 1), 0);
		files[3 + i] = (struct vfile){ paths[i], texts[i] };
	}
	expect_error(files, "nested includes");
	texts[20][0] = '\0'; /* 2^20 reads within the depth limit */
	expect_error(files, "files");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens),	cmocka_unit_test(rules),    cmocka_unit_test(old_rules), cmocka_unit_test(round_trip),
		cmocka_unit_test(directories), cmocka_unit_test(includes), cmocka_unit_test(compat),	  cmocka_unit_test(bomb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
