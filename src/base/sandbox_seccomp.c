/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From groups of call names to a seccomp filter. */
#include <linux/filter.h>
#include <linux/net.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "base/sandbox_parts.h"

/* Stands for our own pid in a filter that is built before the process which loads it exists. No pid is so great. */
#define SELF_PID 0x7f5eb0d1u
#define FILTER_MAX 4096

#define GROUP(symbol, ...) static const char *const group_##symbol[] = { __VA_ARGS__ };
#include "base/sandbox.def"

static const struct {
	const char *const *calls;
	size_t n;
} group_table[GI_N] = {
#define GROUP(symbol, ...) [GI_##symbol] = { group_##symbol, ARRAY_SIZE(group_##symbol) },
#include "base/sandbox.def"
};

/* Refused with an error where a profile does not allow them: libraries try them and have another way. */
static const struct {
	const char *call;
	int error;
} soft[] = {
	{ "io_uring_setup", ENOSYS }, { "io_uring_enter", ENOSYS }, { "io_uring_register", ENOSYS },
	{ "clone3", ENOSYS },	      { "prctl", EINVAL },	    { "open", EACCES },
	{ "openat", EACCES },	      { "openat2", EACCES },	    { "stat", EACCES },
	{ "lstat", EACCES },	      { "statx", EACCES },	    { "access", EACCES },
	{ "faccessat", EACCES },      { "faccessat2", EACCES },	    { "readlink", EACCES },
	{ "readlinkat", EACCES },     { "getcwd", EACCES },	    { "sched_setaffinity", EPERM },
	{ "setpriority", EPERM },     { "mbind", EPERM },	    { "set_mempolicy", EPERM },
	{ "get_mempolicy", EPERM },   { "io_setup", ENOSYS },
};

static bool allowed(unsigned groups, const char *call)
{
	for (size_t g = 0; g < GI_N; g++)
		for (size_t i = 0; groups & 1u << g && i < group_table[g].n; i++)
			if (strcmp(group_table[g].calls[i], call) == 0)
				return true;
	return false;
}

/* The group of a strict profile is its own and goes with no other. */
static bool strict(unsigned groups)
{
	return groups == G_GUID;
}

/* Calls of a group that are only allowed after a look at their arguments. */
static bool by_argument(const char *call)
{
	return strcmp(call, "mmap") == 0 || strcmp(call, "mprotect") == 0 || strcmp(call, "tgkill") == 0;
}

static int rule(scmp_filter_ctx f, uint32_t action, const char *call, unsigned n,
		const struct scmp_arg_cmp *args)
{
	int nr = seccomp_syscall_resolve_name(call);

	/* A name that this architecture lacks cannot be called either. */
	if (nr == __NR_SCMP_ERROR || nr < 0)
		return 0;
	return seccomp_rule_add_array(f, action, nr, n, args);
}

static int add_groups(scmp_filter_ctx f, unsigned groups)
{
	int r = 0;

	for (size_t g = 0; g < GI_N && r == 0; g++)
		for (size_t i = 0; groups & 1u << g && i < group_table[g].n && r == 0; i++)
			if (!by_argument(group_table[g].calls[i]))
				r = rule(f, SCMP_ACT_ALLOW, group_table[g].calls[i], 0, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(soft) && r == 0 && !strict(groups); i++)
		if (!allowed(groups, soft[i].call))
			r = rule(f, SCMP_ACT_ERRNO((uint16_t)soft[i].error), soft[i].call, 0, NULL);
	return r;
}

/* No role starts programs or loads code, so new executable memory is an error (and no more, as a failed dlopen is no attack). */
static int add_no_code(scmp_filter_ctx f)
{
	static const char *const calls[] = { "mmap", "mprotect" };
	struct scmp_arg_cmp plain = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	struct scmp_arg_cmp code = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC);
	struct scmp_arg_cmp self = SCMP_A0(SCMP_CMP_EQ, SELF_PID);
	/* abort() signals its own process; no other one may be signalled. */
	int r = rule(f, SCMP_ACT_ALLOW, "tgkill", 1, &self);

	for (size_t i = 0; i < ARRAY_SIZE(calls) && r == 0; i++) {
		r = rule(f, SCMP_ACT_ALLOW, calls[i], 1, &plain);
		if (r == 0)
			r = rule(f, SCMP_ACT_ERRNO(EPERM), calls[i], 1, &code);
	}
	return r;
}

/* The library takes one comparison of an argument in a rule, so the families that are refused are named one by one. */
static int add_sockets_inet(scmp_filter_ctx f)
{
	struct scmp_arg_cmp above = SCMP_A0(SCMP_CMP_GT, AF_INET6);
	int r = rule(f, SCMP_ACT_ERRNO(EPERM), "socket", 1, &above);

	for (unsigned family = 0; family <= AF_INET6 && r == 0; family++) {
		struct scmp_arg_cmp is = SCMP_A0(SCMP_CMP_EQ, family);
		bool ok = family == AF_UNIX || family == AF_INET || family == AF_INET6;

		r = rule(f, ok ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM), "socket", 1, &is);
	}
	return r;
}

static int add_sockets(scmp_filter_ctx f, unsigned groups)
{
	struct scmp_arg_cmp is_unix = SCMP_A0(SCMP_CMP_EQ, AF_UNIX), other = SCMP_A0(SCMP_CMP_NE, AF_UNIX);
	int r;

	if (groups & G_INET)
		return add_sockets_inet(f);
	if (!(groups & G_UNIX))
		return rule(f, SCMP_ACT_ERRNO(EPERM), "socket", 0, NULL);
	r = rule(f, SCMP_ACT_ALLOW, "socket", 1, &is_unix);
	return r < 0 ? r : rule(f, SCMP_ACT_ERRNO(EPERM), "socket", 1, &other);
}

static int add_rest(scmp_filter_ctx f, unsigned groups)
{
	static const unsigned long requests[] = { FIONBIO, FIONREAD, FIOCLEX, FIONCLEX, TCGETS, TIOCGWINSZ, TCFLSH };
	struct scmp_arg_cmp own[2] = { SCMP_A0(SCMP_CMP_EQ, 0), SCMP_A2(SCMP_CMP_EQ, 0) };
	/* fstat() of this libc is newfstatat(fd, "", …, AT_EMPTY_PATH). */
	struct scmp_arg_cmp empty_path = SCMP_A3(SCMP_CMP_MASKED_EQ, 0x1000, 0x1000);
	struct scmp_arg_cmp named_path = SCMP_A3(SCMP_CMP_MASKED_EQ, 0x1000, 0);
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(requests) && r == 0 && !(groups & G_IOCTL); i++) {
		struct scmp_arg_cmp is = SCMP_A1(SCMP_CMP_EQ, requests[i]);

		r = rule(f, SCMP_ACT_ALLOW, "ioctl", 1, &is);
	}
	if (r == 0)
		r = rule(f, SCMP_ACT_ALLOW, "prlimit64", 2, own);
	if (r == 0 && !(groups & G_FILES_RO)) {
		r = rule(f, SCMP_ACT_ALLOW, "newfstatat", 1, &empty_path);
		if (r == 0)
			r = rule(f, SCMP_ACT_ERRNO(EACCES), "newfstatat", 1, &named_path);
	}
	return r;
}

/* A profile that is nothing but its list: also new executable memory kills. */
static int add_strict(scmp_filter_ctx f, unsigned groups)
{
	struct scmp_arg_cmp plain = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	int r = add_groups(f, groups);

	return r < 0 || !allowed(groups, "mmap") ? r : rule(f, SCMP_ACT_ALLOW, "mmap", 1, &plain);
}

static int build(scmp_filter_ctx f, unsigned groups)
{
	int r;

	if (strict(groups))
		return add_strict(f, groups);
	r = add_groups(f, groups);
	if (r == 0)
		r = add_no_code(f);
	if (r == 0)
		r = add_sockets(f, groups);
	if (r == 0)
		r = add_rest(f, groups);
	/* A hash of the call number instead of a long chain of comparisons. */
	return r == 0 ? seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2) : r;
}

/* The library gives the finished program to a descriptor only. */
static int take(scmp_filter_ctx f, struct sock_filter *ret, unsigned short *ret_n)
{
	_cleanup_fd_ int fd = memfd_create("filter", MFD_CLOEXEC);
	ssize_t n = -1;
	int r = fd < 0 ? -errno : seccomp_export_bpf(f, fd);

	if (r == 0 && lseek(fd, 0, SEEK_SET) == 0)
		n = read_full(fd, ret, FILTER_MAX * sizeof *ret);
	if (r == 0 && (n <= 0 || (size_t)n % sizeof *ret || (size_t)n / sizeof *ret >= FILTER_MAX))
		r = -EIO;
	if (r == 0)
		*ret_n = (unsigned short)((size_t)n / sizeof *ret);
	return r;
}

static struct {
	unsigned groups;
	unsigned short n; /* 0 = nothing was prepared */
	struct sock_filter *code;
} ready;

static int prepare(unsigned groups)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r = f ? build(f, groups) : -ENOMEM;

	if (!ready.code)
		ready.code = xcalloc(FILTER_MAX, sizeof *ready.code);
	ready.n = 0;
	ready.groups = groups;
	if (r == 0)
		r = take(f, ready.code, &ready.n);
	if (f)
		seccomp_release(f);
	return r;
}

void sandbox_build_seccomp(unsigned groups)
{
	(void)prepare(groups);
}

/* Exactly one comparison is with the pid; a filter where it is not found would let no abort() through, or any signal. */
static bool set_self(void)
{
	unsigned found = 0;

	for (unsigned short i = 0; i < ready.n; i++)
		if (BPF_CLASS(ready.code[i].code) == BPF_JMP && ready.code[i].k == SELF_PID) {
			ready.code[i].k = (uint32_t)getpid();
			found++;
		}
	return found == 1;
}

int sandbox_load_seccomp(unsigned groups, struct err *e)
{
	struct sock_fprog prog;
	int r = ready.n && ready.groups == groups ? 0 : prepare(groups);

	if (r < 0)
		return err_errno(e, -r, "sandbox: seccomp filter");
	if (!strict(groups) && !set_self())
		return err_set(e, EIO, "sandbox: seccomp filter: unexpected form");
	prog = (struct sock_fprog){ .len = ready.n, .filter = ready.code };
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		return err_errno(e, errno, "sandbox: seccomp filter");
	ready.n = 0;
	return 0;
}
