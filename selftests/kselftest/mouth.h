/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The mouth of a node that is no correct one: says whatever it is given, under
 * that node's own keys, whole or in fragments, with MACs that hold or that do
 * not. It never listens.
 */
#ifndef PBFT_MOUTH_H
#define PBFT_MOUTH_H

#include "core/buf.h"
#include "libpbft/cluster.h"
#include "libpbft/crypto.h"

#define MOUTH_MAX	(PBFT_MSG_MAX + PBFT_N_MAX * PBFT_MAC_LEN)

struct mouth {
	const struct pbft_cluster *cluster;
	struct pbft_wire_id wire;
	u32 self;
	int fd;
	struct pbft_mac_key key[PBFT_N_MAX];	/* of what we send to each replica */
	u64 said, lost;				/* datagrams; lost: not taken by the socket */
};

/* @private_key: of node @self of @cluster, which must outlive the mouth. 0 or -errno. */
int mouth_open(struct mouth *m, const struct pbft_cluster *cluster, u32 self,
	       const u8 private_key[32]);
/* The same with the key file @path; on failure @err holds a sentence. */
int mouth_open_file(struct mouth *m, const struct pbft_cluster *cluster, u32 self,
		    const char *path, char *err, size_t errlen);
void mouth_close(struct mouth *m);

/*
 * Append to the header and body at @msg, which has room for it, what its type
 * wants for receiver @to. MACs in @spoil (entries of an authenticator; any bit:
 * the one MAC) are wrong. Return the length of the whole.
 */
u32 mouth_seal(struct mouth *m, void *msg, u32 to, u64 spoil);

/* One datagram as it is, to replica @to. */
void mouth_datagram(struct mouth *m, u32 to, const void *data, u32 len);

/* A sealed message, in fragments of @mtu if it is longer. */
void mouth_send(struct mouth *m, u32 to, const void *msg, u32 len, u32 mtu);

/* One fragment of a message, with a good MAC whatever its fields say. */
void mouth_fragment(struct mouth *m, u32 to, struct pbft_fragment *frag);

#endif /* PBFT_MOUTH_H */
