// SPDX-License-Identifier: GPL-2.0
/* Scripted replicas for the test of the client; see fake-cluster.h. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include "fake-cluster.h"

static int bind_socket(bool ipv6, struct pbft_node *node)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	socklen_t len = ipv6 ? sizeof(in6) : sizeof(in);
	int size = 4 * 1024 * 1024, fd;

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in6.sin6_addr = in6addr_loopback;
	fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, ipv6 ? (void *)&in6 : (void *)&in, len))
		abort();
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	node->endpoint_len = sizeof(node->endpoint);
	getsockname(fd, (struct sockaddr *)&node->endpoint, &node->endpoint_len);
	return fd;
}

static void set_tx_key(struct fake *fk, u32 i)
{
	struct pbft_pair_id pair = {
		fk->wire.cluster, fk->wire.epoch, i, FAKE_CLIENT, fk->mac
	};

	pbft_pair_key(&pair, fk->r[i].private_key, fk->r[i].public_key,
		      fk->client_node.public_key, fk->r[i].key_id, true,
		      &fk->r[i].tx);
}

void fake_init(struct fake *fk, bool ipv6, const char *mac)
{
	struct pbft_pair_id pair;
	u32 i;

	memset(fk, 0, sizeof(*fk));
	fk->next = 1;
	pbft_config_default(&fk->cluster.cfg);
	fk->cluster.cfg.cluster = 0x1122334455667788;
	fk->cluster.cfg.epoch = 1;
	fk->cluster.cfg.n = FAKE_N;
	fk->cluster.cfg.f = 1;
	fk->cluster.cfg.t_base = 60 * 1000000ull;
	fk->cluster.mtu = PBFT_MTU_DEFAULT;
	strcpy(fk->cluster.mac, mac);
	if (!pbft_mac_by_name(&fk->mac, mac))
		abort();
	fk->wire.cluster = fk->cluster.cfg.cluster;
	fk->wire.epoch = 1;
	fk->wire.n = FAKE_N;
	pbft_genkey(fk->client_private);
	pbft_pubkey(fk->client_node.public_key, fk->client_private);
	fk->client_node.id = FAKE_CLIENT;
	fk->cluster.clients = &fk->client_node;
	fk->cluster.n_clients = 1;
	fk->cluster.n_replicas = FAKE_N;
	for (i = 0; i < FAKE_N; i++) {
		struct fake_replica *r = &fk->r[i];
		struct pbft_node *node = &fk->cluster.replicas[i];

		node->id = i;
		r->fd = bind_socket(ipv6 && i == FAKE_N - 1, node);
		pbft_genkey(r->private_key);
		pbft_pubkey(r->public_key, r->private_key);
		memcpy(node->public_key, r->public_key, 32);
		pair = (struct pbft_pair_id){
			fk->wire.cluster, 1, i, FAKE_CLIENT, fk->mac
		};
		pbft_pair_key(&pair, r->private_key, r->public_key,
			      fk->client_node.public_key, 0, false, &r->rx);
		set_tx_key(fk, i);
	}
}

void fake_exit(struct fake *fk)
{
	u32 i;

	for (i = 0; i < FAKE_N; i++) {
		close(fk->r[i].fd);
		pbft_reasm_free(&fk->r[i].reasm);
	}
	for (i = 0; i < PBFT_CLIENT_WINDOW; i++)
		pbft_buf_put(fk->held[i]);
	for (i = 0; i < fk->queued; i++)
		free(fk->queue[i].data);
}

u32 fake_result(const struct fake *fk, const void *op, u32 len, u8 *out)
{
	u32 want = fk->result_len ?: len + 2;

	memset(out, 'x', want + 1);
	memcpy(out, "r:", 2);
	memcpy(out + 2, op, min(len, want - 2));
	out[want] = '\0';
	return want;
}

/* ---- sending -------------------------------------------------------- */

static void enqueue(struct fake *fk, u32 replica, const void *data, u32 len)
{
	struct fake_reply *e = &fk->queue[fk->queued];

	if (fk->queued == FAKE_QUEUE)
		return;
	e->replica = replica;
	e->len = len;
	e->data = malloc(len);
	memcpy(e->data, data, len);
	fk->queued++;
}

static void flush(struct fake *fk)
{
	u32 i;

	for (i = 0; i < fk->queued; i++) {
		struct fake_reply *e =
			&fk->queue[fk->reverse ? fk->queued - 1 - i : i];
		struct fake_replica *r = &fk->r[e->replica];

		if (r->client_len)
			sendto(r->fd, e->data, e->len, 0,
			       (struct sockaddr *)&r->client, r->client_len);
		free(e->data);
	}
	fk->queued = 0;
}

/* Authenticate a message with room for the MAC and send it, in pieces if large. */
static void send_message(struct fake *fk, u32 replica, void *msg, u32 len)
{
	struct fake_replica *r = &fk->r[replica];
	u32 mtu = fk->cluster.mtu, i, count, part;
	struct pbft_hdr *h = msg;
	u8 frag[PBFT_MTU_DEFAULT] __aligned(8);
	u64 id;

	set_tx_key(fk, replica);
	h->key_id = r->key_id;
	pbft_mac(&r->tx, msg, len, (u8 *)msg + len);
	if (r->way & FAKE_BAD_MAC)
		((u8 *)msg)[len] ^= 1;
	len += PBFT_MAC_LEN;
	count = pbft_frag_count(mtu, len);
	if (count == 1) {
		enqueue(fk, replica, msg, len);
		return;
	}
	id = pbft_frag_id(msg, len);
	for (i = 0; i < count; i++) {
		part = pbft_frag_build(frag, mtu, &fk->wire, replica, msg, len, id, i);
		((struct pbft_hdr *)frag)->key_id = r->key_id;
		pbft_mac(&r->tx, frag, part, frag + part);
		enqueue(fk, replica, frag, part + PBFT_MAC_LEN);
	}
}

static void noise(struct fake *fk, u32 replica)
{
	u8 junk[200];
	u32 i;

	for (i = 0; i < sizeof(junk); i++)
		junk[i] = i * 37 + fk->executed;
	enqueue(fk, replica, junk, sizeof(junk));
	enqueue(fk, replica, junk, 0);
	memcpy(junk, "PBFT\1\2", 6);
	enqueue(fk, replica, junk, sizeof(junk));
	enqueue(fk, replica, junk, 7);
}

static void send_reply(struct fake *fk, u32 replica,
		       const struct pbft_request *req, u8 status, u64 seq)
{
	static u8 msg[sizeof(struct pbft_reply) + PBFT_OP_MAX + 64] __aligned(8);
	struct pbft_reply *m = (void *)msg;
	struct fake_replica *r = &fk->r[replica];
	u32 len = 0;

	if (r->way & FAKE_SILENT)
		return;
	if (r->way & FAKE_GARBAGE)
		noise(fk, replica);
	if (r->way & FAKE_STALE)
		status = PBFT_ST_STALE;
	memset(m, 0, sizeof(*m));
	if (status == PBFT_ST_OK || status == PBFT_ST_APP_ERROR)
		len = fake_result(fk, req->op, le32_to_cpu(req->op_len), m->result);
	if (r->way & FAKE_LIE)
		memcpy(m->result, "LIES", min(len, 4u));
	pbft_result_digest(&m->result_digest, status, m->result, len);
	m->full_len = cpu_to_le32(len);
	if (len > PBFT_REPLY_INLINE && req->replier != replica &&
	    req->replier != PBFT_REPLIER_ALL) {
		m->flags = PBFT_REPLY_DIGEST_ONLY;
		len = 0;
	}
	if (r->way & FAKE_BAD_BODY)
		m->result_digest.b[5] ^= 1;
	if (r->way & FAKE_TENTATIVE)
		m->flags |= PBFT_REPLY_TENTATIVE;
	pbft_wire_header(&m->hdr, &fk->wire, PBFT_REPLY, sizeof(*m) + len, replica,
			 r->view, seq);
	m->client = cpu_to_le32(FAKE_CLIENT);
	m->status = status;
	m->session = req->session;
	m->t = req->hdr.seq;
	m->result_len = cpu_to_le32(len);
	send_message(fk, replica, m, sizeof(*m) + len);
}

static void reply_all(struct fake *fk, const struct pbft_request *req, u8 status)
{
	u32 i;

	for (i = 0; i < FAKE_N; i++)
		send_reply(fk, i, req, status, fk->seq);
}

/* ---- receiving ------------------------------------------------------ */

static void hold(struct fake *fk, const struct pbft_request *req, u32 len)
{
	u64 t = le64_to_cpu(req->hdr.seq);
	struct pbft_buf **at = &fk->held[t % PBFT_CLIENT_WINDOW];

	pbft_buf_put(*at);
	*at = pbft_buf_alloc(len);
	memcpy((*at)->data, req, len);
}

static void execute_held(struct fake *fk)
{
	for (;;) {
		struct pbft_buf **at = &fk->held[fk->next % PBFT_CLIENT_WINDOW];
		const struct pbft_request *req;

		if (!*at)
			return;
		req = (void *)(*at)->data;
		if (le64_to_cpu(req->hdr.seq) != fk->next)
			return;
		fk->next++;
		fk->seq++;
		fk->executed++;
		reply_all(fk, req, fk->status);
		pbft_buf_put(*at);
		*at = NULL;
	}
}

static void take_request(struct fake *fk, u32 replica,
			 const struct pbft_request *req, u32 len)
{
	struct fake_replica *r = &fk->r[replica];
	u64 t = le64_to_cpu(req->hdr.seq);
	const u8 *mac = (const u8 *)req + le32_to_cpu(req->hdr.length);

	if (!pbft_mac_ok(&r->rx, req, le32_to_cpu(req->hdr.length),
			 mac + replica * PBFT_MAC_LEN)) {
		r->malformed++;
		return;
	}
	r->requests++;
	r->to_all += req->replier == PBFT_REPLIER_ALL;
	if (fk->only_primary && r->view % FAKE_N != replica)
		return;
	if (le64_to_cpu(req->session) != fk->session) {
		fk->session = le64_to_cpu(req->session);
		fk->next = 1;
	}
	if (t < fk->next) {
		send_reply(fk, replica, req, fk->status, fk->seq);
	} else if (t > fk->next && fk->say_out_of_order) {
		fk->seq++;
		reply_all(fk, req, PBFT_ST_OUT_OF_ORDER);
	} else {
		hold(fk, req, len);
		execute_held(fk);
	}
}

static void take_hello(struct fake *fk, u32 replica, const struct pbft_hello *m,
		       const struct pbft_head *head,
		       const struct sockaddr_storage *from, socklen_t from_len)
{
	struct pbft_hello_ack ack __aligned(8);
	u8 msg[sizeof(ack) + PBFT_MAC_LEN] __aligned(8);
	struct fake_replica *r = &fk->r[replica];

	if (!pbft_mac_ok(&r->rx, m, head->len, (const u8 *)m + head->len)) {
		r->malformed++;
		return;
	}
	if (r->lose_hellos) {
		r->lose_hellos--;
		return;
	}
	r->hellos++;
	r->client = *from;
	r->client_len = from_len;
	r->hello_seq = head->seq;
	if (r->way & FAKE_SILENT)
		return;
	pbft_wire_header(&ack.hdr, &fk->wire, PBFT_HELLO_ACK, sizeof(ack), replica,
			 r->view, head->seq);
	ack.session = m->session;
	memcpy(msg, &ack, sizeof(ack));
	send_message(fk, replica, msg, sizeof(ack));
}

static void take_fragment(struct fake *fk, u32 replica,
			  const struct pbft_fragment *m,
			  const struct pbft_head *head)
{
	struct fake_replica *r = &fk->r[replica];
	struct pbft_head inner;
	enum pbft_drop drop;
	struct pbft_buf *buf;

	r->fragments++;
	if (!pbft_mac_ok(&r->rx, m, head->len, (const u8 *)m + head->len)) {
		r->malformed++;
		return;
	}
	buf = pbft_reasm_add(&r->reasm, m, PBFT_MSG_MAX, &drop);
	if (!buf)
		return;
	if (pbft_wire_check(&fk->wire, buf->data, buf->len, &inner) == PBFT_OK &&
	    inner.type == PBFT_REQUEST && inner.sender == FAKE_CLIENT)
		take_request(fk, replica, (void *)buf->data, buf->len);
	else
		r->malformed++;
	pbft_buf_put(buf);
}

static void take(struct fake *fk, u32 replica, const void *data, u32 len,
		 const struct sockaddr_storage *from, socklen_t from_len)
{
	struct fake_replica *r = &fk->r[replica];
	struct pbft_head head;

	if (pbft_wire_check(&fk->wire, data, len, &head) != PBFT_OK ||
	    head.sender != FAKE_CLIENT) {
		r->malformed++;
		return;
	}
	if (head.type != PBFT_HELLO && r->lose_datagrams) {
		r->lose_datagrams--;
		return;
	}
	switch (head.type) {
	case PBFT_HELLO:
		take_hello(fk, replica, data, &head, from, from_len);
		break;
	case PBFT_REQUEST:
		take_request(fk, replica, data, len);
		break;
	case PBFT_FRAGMENT:
		take_fragment(fk, replica, data, &head);
		break;
	default:
		r->malformed++;
	}
}

void fake_serve(struct fake *fk)
{
	static u8 data[65536] __aligned(8);
	struct sockaddr_storage from;
	u32 i;

	for (i = 0; i < FAKE_N; i++) {
		for (;;) {
			socklen_t from_len = sizeof(from);
			ssize_t len = recvfrom(fk->r[i].fd, data, sizeof(data), 0,
					       (struct sockaddr *)&from, &from_len);

			if (len < 0)
				break;
			take(fk, i, data, len, &from, from_len);
		}
	}
	flush(fk);
}
