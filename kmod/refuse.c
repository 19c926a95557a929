// SPDX-License-Identifier: GPL-2.0
/*
 * Refusals in words. Where the kernel keeps a buffer for the text with each
 * request it is used. Where not (before 6.2), the text has to outlive the
 * handler and nobody tells when it has been sent: a pool of texts then, each
 * used again after a while at the earliest. Should the pool run out, which takes
 * hundreds of refusals in a second, the sentence goes out with its place
 * holders.
 */
#include <linux/jiffies.h>
#include <linux/spinlock.h>
#include "compat.h"
#include "netlink.h"

#ifdef HAVE_EXTACK_BUFFER

__printf(2, 0)
static const char *format(struct netlink_ext_ack *extack, const char *fmt,
			  va_list args)
{
	vsnprintf(extack->_msg_buf, sizeof(extack->_msg_buf), fmt, args);
	return extack->_msg_buf;
}

#else

#define TEXTS		512
#define TEXT_LEN	80
#define TEXT_REST	(5 * HZ)

static struct {
	spinlock_t lock;
	unsigned int next;
	unsigned long used[TEXTS];	/* jiffies */
	char text[TEXTS][TEXT_LEN];
} pool = { .lock = __SPIN_LOCK_UNLOCKED(pool.lock) };

__printf(2, 0)
static const char *format(struct netlink_ext_ack *extack, const char *fmt,
			  va_list args)
{
	const char *text = fmt;
	unsigned int i;

	spin_lock(&pool.lock);
	i = pool.next;
	if (!pool.used[i] || time_after(jiffies, pool.used[i] + TEXT_REST)) {
		pool.next = (i + 1) % TEXTS;
		pool.used[i] = jiffies | 1;	/* 0: never */
		vsnprintf(pool.text[i], TEXT_LEN, fmt, args);
		text = pool.text[i];
	}
	spin_unlock(&pool.lock);
	return text;
}

#endif

int pbft_refuse_text(struct netlink_ext_ack *extack, const struct nlattr *attr,
		     int err, const char *text)
{
	if (extack) {
		extack->bad_attr = attr;
		extack->_msg = text;
	}
	return err;
}

int pbft_refuse(struct netlink_ext_ack *extack, const struct nlattr *attr,
		int err, const char *fmt, ...)
{
	const char *text = fmt;
	va_list args;

	if (extack && strchr(fmt, '%')) {
		va_start(args, fmt);
		text = format(extack, fmt, args);
		va_end(args);
	}
	return pbft_refuse_text(extack, attr, err, text);
}
