// SPDX-License-Identifier: GPL-2.0
/* _exit() that writes gcov's counts first (linked with --wrap). */
#include <gcov.h>

__attribute__((noreturn)) void __real__exit(int status);
__attribute__((noreturn)) void __wrap__exit(int status);

void __wrap__exit(int status)
{
	__gcov_dump();
	__real__exit(status);
}
