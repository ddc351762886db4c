/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tables of the core hold what their users rely on: methods, properties, life cycle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "core/api/api.h"

static void test_methods(void **state)
{
	assert_true(n_methods > 70);
	for (size_t i = 0; i < n_methods; i++) {
		const struct method *m = &methods[i];

		if (i)
			assert_true(strcmp(methods[i - 1].name, m->name) < 0); /* sorted and unique: dispatch searches by halves */
		assert_non_null(m->fn);
		assert_ptr_equal(method_find(m->name), m);
		assert_true(strlen(m->name) < sizeof ((struct admin_req *)0)->method);
		assert_true(m->body == B_NONE ? m->body_max == 0 : m->body_max > 0);
		assert_true(m->socket == SOCK_ADMIN || m->socket == SOCK_INTERNAL || m->socket == SOCK_MISC);
		assert_true((m->socket == SOCK_ADMIN) == str_starts(m->name, "admin."));
		if (m->arg == A_GPROP)
			assert_int_equal(m->dest, D_ADMIN);
	}
	assert_null(method_find(""));
	assert_null(method_find("admin.vm.Lis"));
	assert_null(method_find("admin.vm.List "));
}

static void test_props(void **state)
{
	for (size_t i = 0; i < P_N; i++) {
		const struct prop *p = &props[i];

		assert_non_null(p->dflt);
		assert_true(p->help && p->help[0]);
		assert_true(p->classes != 0);
		assert_true(!(p->classes & PC_GLOBAL) || p->classes == PC_GLOBAL);
		if (p->flags & (PF_RO | PF_ONCE))
			assert_null(p->check);
		/* One object has one property of a name. */
		for (size_t k = 0; k < i; k++)
			assert_false(streq(props[k].name, p->name) && props[k].classes & p->classes);
	}
	assert_ptr_equal(prop_find(NULL, "default_kernel"), &props[P_g_default_kernel]);
	assert_null(prop_find(NULL, "memory"));
}

static void test_life(void **state)
{
	struct err e;

	assert_int_equal(life_next(LIFE_HALTED, LIFE_EV_START, &e), LIFE_TRANSIENT);
	assert_int_equal(life_next(LIFE_RUNNING, LIFE_EV_START, &e), -AE_VM_NOT_HALTED);
	assert_int_equal(life_next(LIFE_HALTED, LIFE_EV_KILL, &e), -AE_VM_NOT_STARTED);
	assert_int_equal(life_next(LIFE_HALTED, LIFE_EV_SHUTDOWN, &e), -AE_VM_NOT_STARTED);
	assert_int_equal(life_next(LIFE_HALTED, LIFE_EV_PAUSE, &e), -AE_VM_NOT_RUNNING);
	assert_int_equal(life_next(LIFE_RUNNING, LIFE_EV_UNPAUSE, &e), -AE_VM_NOT_PAUSED);
	for (unsigned s = 0; s < LIFE_STATE_N; s++) {
		assert_true(life_name((enum life_state)s)[0]);
		/* Whatever happens, a qube that is not halted can get there. */
		if (s != LIFE_HALTED)
			assert_int_equal(life_next((enum life_state)s, LIFE_EV_GONE, &e), LIFE_HALTED);
		if (s != LIFE_HALTED)
			assert_true(life_next((enum life_state)s, LIFE_EV_KILL, &e) == LIFE_DYING);
		for (unsigned ev = 0; ev < LIFE_EVENT_N; ev++)
			assert_true(life_next((enum life_state)s, (enum life_event)ev, &e) < (int)LIFE_STATE_N);
	}
	assert_true(life_next(LIFE_STATE_N, LIFE_EV_START, &e) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_props),
		cmocka_unit_test(test_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
