/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls that truncate silently, overflow, start a shell, or race: using one is a compile error. (alloca: -Walloca.) */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#undef strcpy
#undef strcat
#undef strncpy
#undef strncat
#undef sprintf
#undef vsprintf
#undef strtok
#define strcpy(...) banned_call_use_str_copy
#define strcat(...) banned_call_use_struct_wr
#define strncpy(...) banned_call_use_str_copy
#define strncat(...) banned_call_use_struct_wr
#define sprintf(...) banned_call_use_str_printf
#define vsprintf(...) banned_call_use_str_printf
#define strtok(...) banned_call_use_struct_rd
#define gets(...) banned_call_use_read_full
#define atoi(...) banned_call_use_str_u64
#define atol(...) banned_call_use_str_u64
#define atoll(...) banned_call_use_str_u64
#define system(...) banned_call_use_proc_spawn
#define popen(...) banned_call_use_proc_spawn
#define mktemp(...) banned_call_use_mkstemp
#define tmpnam(...) banned_call_use_mkstemp
#define tempnam(...) banned_call_use_mkstemp
#define localtime(...) banned_call_use_localtime_r
#define gmtime(...) banned_call_use_gmtime_r
#define asctime(...) banned_call_use_strftime
#define ctime(...) banned_call_use_strftime

#endif
