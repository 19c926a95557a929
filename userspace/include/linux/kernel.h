/* SPDX-License-Identifier: GPL-2.0 */
#ifndef PBFT_SHIM_LINUX_KERNEL_H
#define PBFT_SHIM_LINUX_KERNEL_H

#include_next <linux/kernel.h>
#include <linux/types.h>
#include <limits.h>

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#endif
#ifndef ALIGN
#define ALIGN(x, a) (((x) + (a) - 1) & ~((__typeof__(x))(a) - 1))
#endif
#ifndef DIV_ROUND_UP
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#endif
#ifndef container_of
#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))
#endif
#ifndef min
#define min(a, b) ({ __typeof__(a) _na = (a); __typeof__(b) _nb = (b); _na < _nb ? _na : _nb; })
#define max(a, b) ({ __typeof__(a) _xa = (a); __typeof__(b) _xb = (b); _xa > _xb ? _xa : _xb; })
#define min_t(t, a, b) min((t)(a), (t)(b))
#define max_t(t, a, b) max((t)(a), (t)(b))
#endif
#ifndef swap
#define swap(a, b) do { __typeof__(a) _t = (a); (a) = (b); (b) = _t; } while (0)
#endif
#ifndef struct_size
#define struct_size(p, member, n) (sizeof(*(p)) + sizeof((p)->member[0]) * (size_t)(n))
#endif

#define U32_MAX UINT32_MAX
#define U64_MAX UINT64_MAX
#define S64_MAX INT64_MAX

#endif
