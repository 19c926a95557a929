// SPDX-License-Identifier: GPL-2.0
/* Decisions from bytes, failing, and the hash of the targets that use the core. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "fuzz.h"

/* Of the address sanitizer; gcc has it without the header. */
size_t __sanitizer_get_current_allocated_bytes(void);

void fuzz_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s:%d: ", file, line);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}

size_t fuzz_bytes(struct fuzz_in *in, void *out, size_t max)
{
	size_t n = min(max, in->left);

	if (n)
		memcpy(out, in->p, n);
	in->p += n;
	in->left -= n;
	return n;
}

u8 fuzz_u8(struct fuzz_in *in)
{
	u8 v = 0;

	fuzz_bytes(in, &v, 1);
	return v;
}

u16 fuzz_u16(struct fuzz_in *in)
{
	u8 lo = fuzz_u8(in);

	return lo | (u16)fuzz_u8(in) << 8;
}

u64 fuzz_u64(struct fuzz_in *in)
{
	__le64 v = 0;

	fuzz_bytes(in, &v, sizeof(v));
	return le64_to_cpu(v);
}

size_t fuzz_heap(void)
{
	return __sanitizer_get_current_allocated_bytes();
}
