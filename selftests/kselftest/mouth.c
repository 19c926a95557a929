// SPDX-License-Identifier: GPL-2.0
/* Sealing and sending for nodes that lie; see mouth.h. */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/frag.h"
#include "mouth.h"

static const struct pbft_node *node_of(const struct pbft_cluster *c, u32 id)
{
	return id < c->n_replicas ? &c->replicas[id] : pbft_cluster_client(c, id);
}

static int derive_keys(struct mouth *m, enum pbft_mac_kind mac,
		       const u8 private_key[32])
{
	const struct pbft_pair_id base = {
		.cluster = m->wire.cluster, .epoch = m->wire.epoch, .self = m->self,
		.mac = mac,
	};
	u8 public_key[32];
	int rc = pbft_pubkey(public_key, private_key);

	for (u32 i = 0; !rc && i < m->wire.n; i++) {
		struct pbft_pair_id id = base;

		if (i == m->self)
			continue;
		id.peer = i;
		rc = pbft_pair_key(&id, private_key, public_key,
				   m->cluster->replicas[i].public_key, 0, true,
				   &m->key[i]);
	}
	return rc;
}

int mouth_open(struct mouth *m, const struct pbft_cluster *cluster, u32 self,
	       const u8 private_key[32])
{
	enum pbft_mac_kind mac;
	int rc;

	memset(m, 0, sizeof(*m));
	m->cluster = cluster;
	m->wire.cluster = cluster->cfg.cluster;
	m->wire.epoch = cluster->cfg.epoch;
	m->wire.n = cluster->n_replicas;
	m->self = self;
	m->fd = -1;
	if (!node_of(cluster, self))
		return -ENOENT;
	if (!pbft_mac_by_name(&mac, cluster->mac))
		return -EPROTONOSUPPORT;
	rc = derive_keys(m, mac, private_key);
	if (rc)
		return rc;
	m->fd = socket(cluster->replicas[0].endpoint.ss_family,
		       SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return m->fd < 0 ? -errno : 0;
}

int mouth_open_file(struct mouth *m, const struct pbft_cluster *cluster, u32 self,
		    const char *path, char *err, size_t errlen)
{
	u8 key[32];
	int rc = pbft_key_load(path, false, key, err, errlen);

	if (rc)
		return rc;
	rc = mouth_open(m, cluster, self, key);
	explicit_bzero(key, sizeof(key));
	if (rc)
		snprintf(err, errlen, "node %u: cannot speak for it: %s", self,
			 strerror(-rc));
	return rc;
}

void mouth_close(struct mouth *m)
{
	if (m->fd >= 0)
		close(m->fd);
	explicit_bzero(m->key, sizeof(m->key));
	m->fd = -1;
}

static void put_mac(struct mouth *m, u8 *msg, u32 len, u8 *at, u32 to, bool spoil)
{
	if (!m->key[to].valid) {
		memset(at, 0, PBFT_MAC_LEN);
		return;
	}
	pbft_mac(&m->key[to], msg, len, at);
	at[0] ^= spoil;
}

u32 mouth_seal(struct mouth *m, void *msg, u32 to, u64 spoil)
{
	struct pbft_hdr *h = msg;
	u32 len = le32_to_cpu(h->length);

	switch (pbft_wire_auth(h->type)) {
	case PBFT_AUTH_NONE:
		return len;
	case PBFT_AUTH_MAC:
		put_mac(m, msg, len, msg + len, to, spoil);
		return len + PBFT_MAC_LEN;
	case PBFT_AUTH_VECTOR:
		break;
	}
	for (u32 i = 0; i < m->wire.n; i++)
		put_mac(m, msg, len, msg + len + i * PBFT_MAC_LEN, i, spoil >> i & 1);
	return len + m->wire.n * PBFT_MAC_LEN;
}

void mouth_datagram(struct mouth *m, u32 to, const void *data, u32 len)
{
	const struct pbft_node *node = &m->cluster->replicas[to];

	m->said++;
	if (sendto(m->fd, data, len, MSG_NOSIGNAL, (const void *)&node->endpoint,
		   node->endpoint_len) < 0)
		m->lost++;
}

void mouth_fragment(struct mouth *m, u32 to, struct pbft_fragment *frag)
{
	mouth_datagram(m, to, frag, mouth_seal(m, frag, to, 0));
}

void mouth_send(struct mouth *m, u32 to, const void *msg, u32 len, u32 mtu)
{
	static u8 frag[PBFT_MTU_MAX] __aligned(8);
	u32 count = pbft_frag_count(mtu, len);
	u64 id = count > 1 ? pbft_frag_id(msg, len) : 0;

	if (count == 1) {
		mouth_datagram(m, to, msg, len);
		return;
	}
	for (u32 i = 0; i < count; i++) {
		pbft_frag_build(frag, mtu, &m->wire, m->self, msg, len, id, i);
		mouth_fragment(m, to, (void *)frag);
	}
}
