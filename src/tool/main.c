/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * bulkhead-tools: all command line tools in one program. The name it was called with selects the tool; called by its own name it
 * takes the tool's name as first argument, or one of --list, --dump-man TOOL PROSE, --complete INDEX WORD….
 * Compiled a second time with BUILD_TOOLS it is the program of the tools that need more libraries.
 */
#include "tool/tool.h"

#ifdef BUILD_TOOLS
#define PROGRAM "bulkhead-build-tools"
#define VERB(symbol, name)
#define VERB_BUILD(symbol, name) ROW(symbol)
#else
#define PROGRAM "bulkhead-tools"
#define VERB(symbol, name) ROW(symbol)
#define VERB_BUILD(symbol, name)
#endif

#define ROW(symbol) extern const struct verb verb_##symbol;
#include "tool/verbs.def"
#undef ROW

static const struct verb *const verbs[] = {
#define ROW(symbol) &verb_##symbol,
#include "tool/verbs.def"
#undef ROW
};

const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (streq(verbs[i]->name, name))
			return verbs[i];
	return NULL;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int list(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		printf("%-22s  %s\n", verbs[i]->name, verbs[i]->summary);
	return fflush(stdout) == 0 ? 0 : EXIT_FAIL;
}

static int dump_man(const char *name, const char *prose)
{
	const struct verb *v = verb_find(name);
	int r;

	if (!v) {
		(void)fprintf(stderr, PROGRAM ": error: no tool is called '%s'\n", name);
		return EXIT_USAGE;
	}
	r = tool_dump_man(v, prose, stdout);
	if (r == 0 && fflush(stdout) != 0)
		r = -errno;
	if (r < 0)
		(void)fprintf(stderr, PROGRAM ": error: '%s': %s\n", prose, strerror(-r));
	return r < 0 ? EXIT_FAIL : 0;
}

int main(int argc, char **argv)
{
	const struct verb *v = argc > 0 ? verb_find(base_name(argv[0])) : NULL;

	if (v)
		return tool_run_verb(v, argc, argv);
	if (argc >= 2 && streq(argv[1], "--list"))
		return list();
	if (argc == 4 && streq(argv[1], "--dump-man"))
		return dump_man(argv[2], argv[3]);
	if (argc >= 3 && streq(argv[1], "--complete"))
		return tool_complete(argc - 2, argv + 2);
	if (argc >= 2 && (v = verb_find(argv[1])))
		return tool_run_verb(v, argc - 1, argv + 1);
	(void)fprintf(stderr, PROGRAM ": error: call it by a tool's name, or with one as first argument; '" PROGRAM
				      " --list' shows them\n");
	return EXIT_USAGE;
}
