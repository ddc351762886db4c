/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records of qvm-undo as they are read, and which calls take others back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tool/inverse.h"
#include "tool/journal.h"

static struct journal_entry parsed(const char *text)
{
	struct journal_entry ent = { .no = 1 };

	ent.data = xstrdup(text);
	journal_parse(&ent, ent.data);
	return ent;
}

static void done(struct journal_entry *ent)
{
	free(ent->ops);
	free(ent->data);
}

static void whole_lines(void **state)
{
	struct journal_entry ent = parsed("command\tqvm-x a\\tb\nop\tt\\n\tq\tm\ta\tp\\\\\\t\\n\nop\tu\tq\t\ta\t\n");

	assert_string_equal(ent.command, "qvm-x a\tb");
	assert_int_equal(ent.n, 2);
	assert_string_equal(ent.ops[0].text, "t\n");
	assert_string_equal(ent.ops[0].dest, "q");
	assert_string_equal(ent.ops[0].method, "m");
	assert_string_equal(ent.ops[0].arg, "a");
	assert_string_equal(ent.ops[0].payload, "p\\\t\n");
	assert_string_equal(ent.ops[1].method, "");
	assert_string_equal(ent.ops[1].payload, "");
	done(&ent);
	(void)state;
}

static void broken_lines(void **state)
{
	static const char *const texts[] = { "", "\n", "op\n", "op\ta\tb\tc\td\n", "op\ta\tb\tc\td\te\tf\n", "op\ta\tb\tc\td\te", "x\ta\tb\tc\td\te\n" };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct journal_entry ent = parsed(texts[i]);

		assert_int_equal(ent.n, 0);
		assert_null(ent.command);
		done(&ent);
	}
	(void)state;
}

static void what_went_again(void **state)
{
	struct journal_entry ent = parsed("command\tc\nop\tt\tx\tadmin.vm.Remove\t\tu\nop\tt\ty\tadmin.vm.Remove\t\tu\ngone\tx\nop\tt\tx\tother\t\t\n");

	assert_int_equal(ent.n, 2);
	assert_string_equal(ent.ops[0].dest, "y");
	assert_string_equal(ent.ops[1].method, "other");
	done(&ent);
	(void)state;
}

static void only_inverses(void **state)
{
	static const char *const good[] = { "admin.vm.property.Set", "admin.property.Reset", "admin.vm.tag.Remove", "admin.vm.Remove", "admin.pool.Remove",
					    "admin.vm.volume.Set.rw", "admin.vm.volume.Revert", "admin.vm.device.block.Unassign", "admin.label.Create" };
	static const char *const bad[] = { "", "admin.vm.Kill", "admin.vm.Create.AppVM", "admin.vm.volume.Clear", "admin.vm.volume.Resize", "admin.vm.property",
					   "admin.vm.volume.Set.", "admin.vm.device..Unassign.x", "admin.vm.property.Setx", "internal.vm.Table" };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(inverse_allowed(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(inverse_allowed(bad[i]));
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(whole_lines), cmocka_unit_test(broken_lines), cmocka_unit_test(what_went_again),
					    cmocka_unit_test(only_inverses) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
