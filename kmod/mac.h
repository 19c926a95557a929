/* SPDX-License-Identifier: GPL-2.0 */
/* One direction of one pair of nodes: a MAC key, ready to use. */
#ifndef PBFT_MAC_H
#define PBFT_MAC_H

#include <linux/workqueue.h>
#include "core/types.h"
#include "siphash.h"

#define PBFT_MAC_NAME_MAX	63
#define PBFT_MAC_DEFAULT	PBFT_SIPHASH_NAME

struct crypto_shash;

struct pbft_key {
	u8 id;			/* generation, as in the header */
	struct crypto_shash *tfm;	/* NULL: SipHash, under sip */
	struct pbft_siphash_key sip;
	struct rcu_work free_work;
};

/**
 * pbft_mac_check() - can MACs be made by the algorithm of this name?
 * @name: PBFT_SIPHASH_NAME, or one that the crypto API knows
 * @why: set to a sentence that says why not
 * Return: 0, -EINVAL, or -ENOMEM if it was not possible to find out. May sleep.
 */
int pbft_mac_check(const char *name, const char **why);

/* A key of PBFT_KEY_LEN bytes; the caller wipes its copy. May sleep. ERR_PTR. */
struct pbft_key *pbft_key_new(const char *mac, u8 id, const u8 *key);
/* No reader may be left. NULL is allowed. */
void pbft_key_free(struct pbft_key *key);
/* After a grace period, in process context. NULL is allowed. */
void pbft_key_free_rcu(struct pbft_key *key);

/* Any context. Return 0, or -errno when the algorithm failed. */
int pbft_mac(const struct pbft_key *key, const void *data, u32 len,
	     u8 mac[PBFT_MAC_LEN]);
bool pbft_mac_ok(const struct pbft_key *key, const void *data, u32 len,
		 const u8 mac[PBFT_MAC_LEN]);

#endif /* PBFT_MAC_H */
