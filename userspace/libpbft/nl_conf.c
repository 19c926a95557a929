// SPDX-License-Identifier: GPL-2.0
/*
 * Netlink: administration. A configuration into PBFT_CMD_SET, and what GET and
 * EVENT say back into structures. One table serves both directions.
 */
#include <errno.h>
#include <stdio.h>

#include "libpbft/nl_priv.h"

enum field_kind {
	F_U8,
	F_U32,
	F_U64,
	F_BYTES,		/* exactly size bytes */
	F_STRING,		/* size bytes with NUL */
};

struct field {
	u16 attr;
	u8 kind;
	u16 size;
	size_t offset;
};

#define STATUS(attr, kind, member) { attr, kind, \
	sizeof(((struct pbft_nl_status *)0)->member), \
	offsetof(struct pbft_nl_status, member) }
#define CLUSTER(attr, kind, member) { attr, kind, \
	sizeof(((struct pbft_cluster *)0)->member), \
	offsetof(struct pbft_cluster, member) }
#define INSTANCE(attr, kind, member) { attr, kind, \
	sizeof(((struct pbft_nl_instance *)0)->member), \
	offsetof(struct pbft_nl_instance, member) }

static const struct field status_fields[] = {
	STATUS(PBFT_A_NAME, F_STRING, name),
	STATUS(PBFT_A_SELF, F_U32, self),
	STATUS(PBFT_A_STATE, F_U32, state),
	STATUS(PBFT_A_REASON, F_STRING, reason),
	STATUS(PBFT_A_VIEW, F_U64, view),
	STATUS(PBFT_A_PRIMARY, F_U32, primary),
	STATUS(PBFT_A_FLAGS, F_U32, flags),
	STATUS(PBFT_A_STABLE, F_U64, stable),
	STATUS(PBFT_A_COMMITTED, F_U64, committed),
	STATUS(PBFT_A_HEAD, F_BYTES, head),
	STATUS(PBFT_A_CHECKPOINT, F_U64, checkpoint),
	STATUS(PBFT_A_CHECKPOINT_DIGEST, F_BYTES, checkpoint_digest),
	STATUS(PBFT_A_FETCH_TARGET, F_U64, fetch_target),
	STATUS(PBFT_A_FETCH_DONE, F_U64, fetch_done),
	STATUS(PBFT_A_FETCH_TOTAL, F_U64, fetch_total),
	STATUS(PBFT_A_RECOVER_POINT, F_U64, recover_point),
	STATUS(PBFT_A_RECOVER_VIEW, F_U64, recover_view),
	STATUS(PBFT_A_PENDING, F_U32, pending),
	STATUS(PBFT_A_MEMORY, F_U64, memory),
	STATUS(PBFT_A_KEY_ID, F_U8, key_id),
	STATUS(PBFT_A_PEER_ID, F_U32, suspect),
};

static const struct field cluster_fields[] = {
	CLUSTER(PBFT_A_CLUSTER, F_U64, cfg.cluster),
	CLUSTER(PBFT_A_EPOCH, F_U32, cfg.epoch),
	CLUSTER(PBFT_A_FAULTS, F_U32, cfg.f),
	CLUSTER(PBFT_A_MAC, F_STRING, mac),
	CLUSTER(PBFT_A_MTU, F_U32, mtu),
	CLUSTER(PBFT_A_CHECKPOINT_INTERVAL, F_U32, cfg.k),
	CLUSTER(PBFT_A_WINDOW, F_U32, cfg.l),
	CLUSTER(PBFT_A_PIPELINE, F_U32, cfg.pipeline),
	CLUSTER(PBFT_A_BATCH_MAX, F_U32, cfg.batch_max),
	CLUSTER(PBFT_A_BATCH_BYTES, F_U32, cfg.batch_bytes),
	CLUSTER(PBFT_A_INLINE_MAX, F_U32, cfg.inline_max),
	CLUSTER(PBFT_A_TIMEOUT, F_U64, cfg.t_base),
	CLUSTER(PBFT_A_TIMEOUT_MAX, F_U64, cfg.t_max),
	CLUSTER(PBFT_A_STATUS_INTERVAL, F_U64, cfg.t_status),
	CLUSTER(PBFT_A_HEARTBEAT, F_U64, cfg.t_heartbeat),
	CLUSTER(PBFT_A_CLOCK_SKEW, F_U64, cfg.clock_skew),
	CLUSTER(PBFT_A_RECOVERY_INTERVAL, F_U64, recovery),
};

static const struct field instance_fields[] = {
	INSTANCE(PBFT_A_PUBLIC_KEY, F_BYTES, public_key),
	INSTANCE(PBFT_A_SERVICE, F_U32, service),
	INSTANCE(PBFT_A_NULL_REPLY, F_U32, null_reply),
};

#define RECOVERY(attr, kind, member) { attr, kind, \
	sizeof(((struct pbft_nl_recovery *)0)->member), \
	offsetof(struct pbft_nl_recovery, member) }

static const struct field recovery_fields[] = {
	RECOVERY(PBFT_RECOVERY_A_STATE, F_U32, state),
	RECOVERY(PBFT_RECOVERY_A_SEQ, F_U64, seq),
	RECOVERY(PBFT_RECOVERY_A_TOTAL, F_U32, total),
	RECOVERY(PBFT_RECOVERY_A_CHECKED, F_U32, checked),
	RECOVERY(PBFT_RECOVERY_A_DAMAGED, F_U32, damaged),
	RECOVERY(PBFT_RECOVERY_A_REPAIRED, F_U32, repaired),
	RECOVERY(PBFT_RECOVERY_A_ENDED, F_U64, ended),
};

#define JOURNAL(attr, kind, member) { attr, kind, \
	sizeof(((struct pbft_nl_journal *)0)->member), \
	offsetof(struct pbft_nl_journal, member) }

static const struct field journal_fields[] = {
	JOURNAL(PBFT_JOURNAL_A_MODE, F_U32, mode),
	JOURNAL(PBFT_JOURNAL_A_FLAGS, F_U32, flags),
	JOURNAL(PBFT_JOURNAL_A_SIZE, F_U64, size),
	JOURNAL(PBFT_JOURNAL_A_USED, F_U64, used),
	JOURNAL(PBFT_JOURNAL_A_RECORDS, F_U64, records),
	JOURNAL(PBFT_JOURNAL_A_FRAMES, F_U64, frames),
	JOURNAL(PBFT_JOURNAL_A_SYNCS, F_U64, syncs),
	JOURNAL(PBFT_JOURNAL_A_BYTES, F_U64, bytes),
	JOURNAL(PBFT_JOURNAL_A_COMPACTIONS, F_U64, compactions),
	JOURNAL(PBFT_JOURNAL_A_REPLAYED, F_U64, replayed),
};

static int field_put(struct nl_msg *msg, const struct field *f, const void *base)
{
	const void *v = (const char *)base + f->offset;

	if (f->kind == F_STRING)
		return nla_put_string(msg, f->attr, v);
	return nla_put(msg, f->attr, f->size, v);
}

/* 1: taken; 0: no such field here; -EBADMSG. */
static int field_get(const struct field *f, size_t count, void *base,
		     const struct nlattr *a)
{
	void *v;

	for (; count && f->attr != nla_type(a); f++)
		count--;
	if (!count)
		return 0;
	v = (char *)base + f->offset;
	if (f->kind == F_STRING) {
		snprintf(v, f->size, "%.*s", nla_len(a),
			 (const char *)nla_data(a));
		return 1;
	}
	return pbft_nl_bytes(a, v, f->size) ? 1 : -EBADMSG;
}

static int get_recovery(struct pbft_nl_recovery *r, const struct nlattr *nest)
{
	const struct nlattr *a;
	int rem, rc;

	nla_for_each_nested(a, nest, rem) {
		if (nla_type(a) == PBFT_RECOVERY_A_SCHEDULED)
			r->scheduled = true;
		rc = field_get(recovery_fields, ARRAY_SIZE(recovery_fields), r, a);
		if (rc < 0)
			return rc;
	}
	return 1;
}

/* As field_get(). */
static int status_attr(struct pbft_nl_status *st, const struct nlattr *a)
{
	if (nla_type(a) == PBFT_A_RECOVERY)
		return get_recovery(&st->recovery, a);
	return field_get(status_fields, ARRAY_SIZE(status_fields), st, a);
}

bool pbft_nl_status_parse(struct pbft_nl_status *st, const struct nlmsghdr *nlh)
{
	const struct nlattr *a;
	int rem;

	nl_for_each(a, nlh, rem)
		if (status_attr(st, a) < 0)
			return false;
	return st->name[0];
}

/* ---- SET ----------------------------------------------------------------- */

static int put_node(struct nl_msg *msg, int attr, const struct pbft_node *n)
{
	struct nlattr *nest = nla_nest_start(msg, attr | NLA_F_NESTED);

	if (!nest || nla_put_u32(msg, PBFT_NODE_A_ID, n->id) ||
	    nla_put(msg, PBFT_NODE_A_PUBLIC_KEY, PBFT_PUBKEY_SIZE, n->public_key))
		return -EMSGSIZE;
	if (attr == PBFT_A_REPLICA &&
	    nla_put(msg, PBFT_NODE_A_ENDPOINT, n->endpoint_len, &n->endpoint))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

static int put_setup(struct nl_msg *msg, const char *name,
		     const struct pbft_nl_setup *s)
{
	const struct pbft_cluster *c = s->cluster;
	int rc;

	rc = nla_put_string(msg, PBFT_A_NAME, name);
	for (size_t i = 0; i < ARRAY_SIZE(cluster_fields); i++)
		rc |= field_put(msg, &cluster_fields[i], c);
	rc |= nla_put_u32(msg, PBFT_A_SELF, s->self);
	rc |= nla_put_u32(msg, PBFT_A_SERVICE, s->service);
	if (s->service == PBFT_SERVICE_NULL)
		rc |= nla_put_u32(msg, PBFT_A_NULL_REPLY, s->null_reply);
	if (s->private_key)
		rc |= nla_put(msg, PBFT_A_PRIVATE_KEY, PBFT_PUBKEY_SIZE,
			      s->private_key);
	for (u32 i = 0; i < c->n_replicas; i++)
		rc |= put_node(msg, PBFT_A_REPLICA, &c->replicas[i]);
	for (u32 i = 0; i < c->n_clients; i++)
		rc |= put_node(msg, PBFT_A_CLIENT, &c->clients[i]);
	return rc;
}

int pbft_nl_set(struct pbft_nl *nl, const char *name,
		const struct pbft_nl_setup *setup)
{
	size_t nodes = setup->cluster->n_replicas + setup->cluster->n_clients;
	struct nl_msg *msg;
	int rc;

	msg = pbft_nl_msg(nl, PBFT_CMD_SET, NLM_F_ACK,
			  4096 + strlen(name) + 128 * nodes);
	if (!msg)
		return -ENOMEM;
	if (put_setup(msg, name, setup)) {
		explicit_bzero(nlmsg_hdr(msg), nlmsg_hdr(msg)->nlmsg_len);
		nlmsg_free(msg);
		return pbft_nl_fail(nl, -EMSGSIZE,
				    "the configuration does not fit in a message");
	}
	nlmsg_get(msg);
	rc = pbft_nl_transact(nl, msg, NULL, NULL);
	explicit_bzero(nlmsg_hdr(msg), nlmsg_hdr(msg)->nlmsg_len);
	nlmsg_free(msg);
	return rc;
}

/* ---- commands with nothing but a name ---------------------------------------- */

static struct nl_msg *named(struct pbft_nl *nl, u8 cmd, const char *name)
{
	struct nl_msg *msg;

	msg = pbft_nl_msg(nl, cmd, NLM_F_ACK, strlen(name) + 64);
	if (msg)
		nla_put_string(msg, PBFT_A_NAME, name);
	return msg;
}

static int simple(struct pbft_nl *nl, u8 cmd, const char *name)
{
	struct nl_msg *msg = named(nl, cmd, name);

	return msg ? pbft_nl_transact(nl, msg, NULL, NULL) : -ENOMEM;
}

int pbft_nl_del(struct pbft_nl *nl, const char *name)
{
	return simple(nl, PBFT_CMD_DEL, name);
}

int pbft_nl_down(struct pbft_nl *nl, const char *name)
{
	return simple(nl, PBFT_CMD_DOWN, name);
}

int pbft_nl_recover(struct pbft_nl *nl, const char *name)
{
	return simple(nl, PBFT_CMD_RECOVER, name);
}

int pbft_nl_up(struct pbft_nl *nl, const char *name, const struct pbft_nl_up *up)
{
	struct nl_msg *msg = named(nl, PBFT_CMD_UP, name);

	if (!msg)
		return -ENOMEM;
	if (up->genesis)
		nla_put_flag(msg, PBFT_A_GENESIS);
	if (up->journal_mode != PBFT_JOURNAL_NONE) {
		nla_put_u32(msg, PBFT_A_JOURNAL_FD, up->journal_fd);
		nla_put_u32(msg, PBFT_A_JOURNAL_MODE, up->journal_mode);
	}
	return pbft_nl_transact(nl, msg, NULL, NULL);
}

int pbft_nl_set_key(struct pbft_nl *nl, const char *name, u8 key_id)
{
	struct nl_msg *msg = named(nl, PBFT_CMD_SET_KEY, name);

	if (!msg)
		return -ENOMEM;
	nla_put_u8(msg, PBFT_A_KEY_ID, key_id);
	return pbft_nl_transact(nl, msg, NULL, NULL);
}

/* ---- GET ----------------------------------------------------------------- */

static int add_counter(struct pbft_nl_counters *cs, const struct nlattr *nest)
{
	struct pbft_nl_counter *c;
	const struct nlattr *a;
	int rem;

	c = reallocarray(cs->c, cs->count + 1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	cs->c = c;
	c = &cs->c[cs->count];
	memset(c, 0, sizeof(*c));
	nla_for_each_nested(a, nest, rem) {
		if (nla_type(a) == PBFT_COUNTER_A_NAME)
			snprintf(c->name, sizeof(c->name), "%.*s", nla_len(a),
				 (const char *)nla_data(a));
		else if (nla_type(a) == PBFT_COUNTER_A_VALUE &&
			 !pbft_nl_u64(a, &c->value))
			return -EBADMSG;
	}
	cs->count++;
	return 0;
}

/* The peer that the counters of node @id go to. */
static struct pbft_nl_peer *peer_of(struct pbft_nl_instance *in, u32 id)
{
	struct pbft_nl_peer *p;

	if (in->n_peers && in->peers[in->n_peers - 1].id == id)
		return &in->peers[in->n_peers - 1];
	p = reallocarray(in->peers, in->n_peers + 1, sizeof(*p));
	if (!p)
		return NULL;
	in->peers = p;
	p = &in->peers[in->n_peers++];
	memset(p, 0, sizeof(*p));
	p->id = id;
	return p;
}

static int get_node(struct pbft_node *n, const struct nlattr *nest)
{
	const struct nlattr *a;
	bool id = false;
	int rem;

	memset(n, 0, sizeof(*n));
	nla_for_each_nested(a, nest, rem) {
		switch (nla_type(a)) {
		case PBFT_NODE_A_ID:
			id = pbft_nl_u32(a, &n->id);
			break;
		case PBFT_NODE_A_PUBLIC_KEY:
			if (!pbft_nl_bytes(a, n->public_key, PBFT_PUBKEY_SIZE))
				return -EBADMSG;
			break;
		case PBFT_NODE_A_ENDPOINT:
			if ((size_t)nla_len(a) > sizeof(n->endpoint))
				return -EBADMSG;
			memcpy(&n->endpoint, nla_data(a), nla_len(a));
			n->endpoint_len = nla_len(a);
			break;
		}
	}
	return id ? 0 : -EBADMSG;
}

static int get_node_peer(struct pbft_nl_instance *in, u32 id,
			     const struct nlattr *nest)
{
	struct pbft_nl_peer *p;
	const struct nlattr *a;
	int rem, rc;

	nla_for_each_nested(a, nest, rem) {
		if (nla_type(a) != PBFT_NODE_A_COUNTER &&
		    nla_type(a) != PBFT_NODE_A_KEY_ID)
			continue;
		p = peer_of(in, id);
		if (!p)
			return -ENOMEM;
		if (nla_type(a) == PBFT_NODE_A_COUNTER)
			rc = add_counter(&p->counters, a);
		else
			rc = pbft_nl_bytes(a, &p->key_id, 1) ? 0 : -EBADMSG;
		if (rc)
			return rc;
	}
	return 0;
}

static int add_replica(struct pbft_nl_instance *in, const struct nlattr *nest)
{
	struct pbft_cluster *c = &in->cluster;
	struct pbft_node n;
	int rc = get_node(&n, nest);

	if (rc)
		return rc;
	if (n.id >= PBFT_N_MAX)
		return -EBADMSG;
	c->replicas[n.id] = n;
	c->n_replicas = max(c->n_replicas, n.id + 1);
	c->cfg.n = c->n_replicas;
	return get_node_peer(in, n.id, nest);
}

static int add_client(struct pbft_nl_instance *in, const struct nlattr *nest)
{
	struct pbft_cluster *c = &in->cluster;
	struct pbft_node *list;
	int rc;

	/* grown at 1, 2, 4, 8, ... */
	if (!(c->n_clients & (c->n_clients - 1))) {
		list = reallocarray(c->clients,
				    c->n_clients ? 2 * c->n_clients : 1,
				    sizeof(*list));
		if (!list)
			return -ENOMEM;
		c->clients = list;
	}
	rc = get_node(&c->clients[c->n_clients], nest);
	if (rc)
		return rc;
	return get_node_peer(in, c->clients[c->n_clients++].id, nest);
}

static int get_journal(struct pbft_nl_journal *j, const struct nlattr *nest)
{
	const struct nlattr *a;
	int rem, rc;

	nla_for_each_nested(a, nest, rem) {
		rc = field_get(journal_fields, ARRAY_SIZE(journal_fields), j, a);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int instance_attr(struct pbft_nl_instance *in, const struct nlattr *a)
{
	int rc;

	switch (nla_type(a)) {
	case PBFT_A_REPLICA:
		return add_replica(in, a);
	case PBFT_A_CLIENT:
		return add_client(in, a);
	case PBFT_A_COUNTER:
		return add_counter(&in->counters, a);
	case PBFT_A_JOURNAL:
		return get_journal(&in->journal, a);
	}
	rc = status_attr(&in->st, a);
	if (!rc)
		rc = field_get(cluster_fields, ARRAY_SIZE(cluster_fields),
			       &in->cluster, a);
	if (!rc)
		rc = field_get(instance_fields, ARRAY_SIZE(instance_fields), in, a);
	return rc < 0 ? rc : 0;
}

struct get_arg {
	struct pbft_nl *nl;
	struct pbft_nl_instance **list;
};

/*
 * An instance with many clients comes in several messages, each beginning with
 * its name; what they repeat is the same.
 */
static struct pbft_nl_instance *instance_of(struct get_arg *ga,
					    const struct nlmsghdr *nlh)
{
	struct pbft_nl_instance **pos = ga->list;
	struct pbft_nl_status st = { 0 };

	if (!pbft_nl_status_parse(&st, nlh))
		return NULL;
	while (*pos && strcmp((*pos)->st.name, st.name))
		pos = &(*pos)->next;
	if (!*pos)
		*pos = calloc(1, sizeof(**pos));
	return *pos;
}

static int on_instance(void *arg, struct nlmsghdr *nlh)
{
	struct get_arg *ga = arg;
	struct pbft_nl_instance *in = instance_of(ga, nlh);
	const struct nlattr *a;
	int rem, rc;

	rc = in ? 0 : -EBADMSG;
	if (in)
		nl_for_each(a, nlh, rem) {
			rc = instance_attr(in, a);
			if (rc)
				break;
		}
	if (rc == -ENOMEM)
		return pbft_nl_fail(ga->nl, rc, "out of memory");
	if (rc)
		return pbft_nl_fail(ga->nl, rc,
				    "the kernel sent a malformed instance");
	in->cluster.cfg.self = in->st.self;
	in->cluster.cfg.genesis = in->st.flags & PBFT_F_GENESIS;
	return 0;
}

static int node_by_id(const void *a, const void *b)
{
	const struct pbft_node *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int get_once(struct pbft_nl *nl, const char *name,
		    struct pbft_nl_instance **out)
{
	struct get_arg ga = { nl, out };
	struct nl_msg *msg;
	int rc;

	*out = NULL;
	msg = pbft_nl_msg(nl, PBFT_CMD_GET, name ? NLM_F_ACK : NLM_F_DUMP,
			  64 + (name ? strlen(name) : 0));
	if (!msg)
		return -ENOMEM;
	if (name)
		nla_put_string(msg, PBFT_A_NAME, name);
	rc = pbft_nl_transact(nl, msg, on_instance, &ga);
	if (rc) {
		pbft_nl_instance_free(*out);
		*out = NULL;
	}
	return rc;
}

int pbft_nl_get(struct pbft_nl *nl, const char *name,
		struct pbft_nl_instance **out)
{
	int rc, tries = 0;

	do {	/* a list that changed underway is asked for again */
		rc = get_once(nl, name, out);
	} while (rc == -EAGAIN && ++tries < 20);
	for (struct pbft_nl_instance *in = *out; in; in = in->next)
		qsort(in->cluster.clients, in->cluster.n_clients,
		      sizeof(*in->cluster.clients), node_by_id);
	return rc;
}

void pbft_nl_instance_free(struct pbft_nl_instance *list)
{
	while (list) {
		struct pbft_nl_instance *in = list;

		list = in->next;
		for (u32 i = 0; i < in->n_peers; i++)
			free(in->peers[i].counters.c);
		free(in->peers);
		free(in->counters.c);
		pbft_cluster_free(&in->cluster);
		free(in);
	}
}
