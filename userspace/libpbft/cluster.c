// SPDX-License-Identifier: GPL-2.0
/*
 * The cluster file: parsing and every check that a file can fail.
 *
 * libinih splits lines into keys and values. It does not tell a repeated
 * section from a continued one, nor at which line it is, so the lines are fed
 * to it one by one by next_line(), which watches both.
 */
#include <errno.h>
#include <ini.h>
#include <linux/pbft.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "core/frag.h"
#include "libpbft/cluster.h"
#include "libpbft/crypto.h"

#define FILE_MAX	(1024 * 1024)

enum section {
	SEC_NONE,
	SEC_CLUSTER,
	SEC_REPLICA,
	SEC_CLIENT,
};

static const char *const section_names[] = {
	[SEC_CLUSTER] = "Cluster",
	[SEC_REPLICA] = "Replica",
	[SEC_CLIENT] = "Client",
};

struct entry {			/* one [Replica] or [Client], and where it began */
	struct pbft_node node;
	bool replica;
	u32 line;
};

struct parser {
	struct pbft_cluster *c;
	const char *name;
	char *err;
	size_t errlen;
	int rc;			/* the first error, -errno */

	const char *text;	/* what is left of it */
	u32 line;

	enum section section;
	u32 section_line;
	u32 cluster_line;	/* of [Cluster]; 0: none yet */
	u32 seen;		/* keys of this section, by index in its table */
	bool faults_set;

	struct entry *entries;
	u32 n_entries, cap_entries;
};

static int __attribute__((format(printf, 4, 5)))
fail(struct parser *p, u32 line, int rc, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (p->rc)
		return p->rc;
	p->rc = rc;
	if (line)
		n = snprintf(p->err, p->errlen, "%s:%u: ", p->name, line);
	else
		n = snprintf(p->err, p->errlen, "%s: ", p->name);
	if (n < 0 || (size_t)n >= p->errlen)
		return rc;
	va_start(ap, fmt);
	vsnprintf(p->err + n, p->errlen - n, fmt, ap);
	va_end(ap);
	return rc;
}

/* ---- keys --------------------------------------------------------------- */

enum kind {
	KIND_U32,
	KIND_U64,
	KIND_TIME,
	KIND_MAC,
	KIND_PUBLIC_KEY,
	KIND_ENDPOINT,
};

struct key {
	const char *name;
	enum kind kind;
	size_t offset;		/* into struct pbft_cluster or struct pbft_node */
	bool required;
};

#define CFG(field) offsetof(struct pbft_cluster, cfg.field)
#define NODE(field) offsetof(struct pbft_node, field)

static const struct key cluster_keys[] = {
	{ "Id", KIND_U64, CFG(cluster), true },
	{ "Epoch", KIND_U32, CFG(epoch), false },
	{ "Faults", KIND_U32, CFG(f), false },
	{ "Mac", KIND_MAC, offsetof(struct pbft_cluster, mac), false },
	{ "Mtu", KIND_U32, offsetof(struct pbft_cluster, mtu), false },
	{ "CheckpointInterval", KIND_U32, CFG(k), false },
	{ "Window", KIND_U32, CFG(l), false },
	{ "Pipeline", KIND_U32, CFG(pipeline), false },
	{ "BatchMax", KIND_U32, CFG(batch_max), false },
	{ "BatchBytes", KIND_U32, CFG(batch_bytes), false },
	{ "InlineMax", KIND_U32, CFG(inline_max), false },
	{ "Timeout", KIND_TIME, CFG(t_base), false },
	{ "TimeoutMax", KIND_TIME, CFG(t_max), false },
	{ "StatusInterval", KIND_TIME, CFG(t_status), false },
	{ "Heartbeat", KIND_TIME, CFG(t_heartbeat), false },
	{ "ClockSkew", KIND_TIME, CFG(clock_skew), false },
	{ "Recovery", KIND_TIME, offsetof(struct pbft_cluster, recovery), false },
};

static const struct key replica_keys[] = {
	{ "Id", KIND_U32, NODE(id), true },
	{ "PublicKey", KIND_PUBLIC_KEY, NODE(public_key), true },
	{ "Endpoint", KIND_ENDPOINT, NODE(endpoint), true },
};

static const struct key client_keys[] = {
	{ "Id", KIND_U32, NODE(id), true },
	{ "PublicKey", KIND_PUBLIC_KEY, NODE(public_key), true },
};

static const struct {
	const struct key *keys;
	size_t count;
} tables[] = {
	[SEC_CLUSTER] = { cluster_keys, ARRAY_SIZE(cluster_keys) },
	[SEC_REPLICA] = { replica_keys, ARRAY_SIZE(replica_keys) },
	[SEC_CLIENT] = { client_keys, ARRAY_SIZE(client_keys) },
};

static int set_mac(struct parser *p, char *mac, const char *value)
{
	if (strlen(value) >= sizeof(p->c->mac))
		return fail(p, p->line, -EINVAL,
			    "Mac is longer than %zu bytes", sizeof(p->c->mac) - 1);
	strcpy(mac, value);
	return 0;
}

static int set_public_key(struct parser *p, u8 *key, const char *value)
{
	static const u8 zero[32];

	if (!pbft_key_from_text(key, value))
		return fail(p, p->line, -EINVAL,
			    "PublicKey is not the base64 of 32 bytes");
	if (!memcmp(key, zero, sizeof(zero)))
		return fail(p, p->line, -EINVAL, "PublicKey is all zero");
	return 0;
}

static int set_endpoint(struct parser *p, struct pbft_node *n, const char *value)
{
	const char *wrong;

	wrong = pbft_endpoint_from_text(&n->endpoint, &n->endpoint_len, value);
	if (wrong)
		return fail(p, p->line, -EINVAL, "Endpoint %s: %s", value, wrong);
	return 0;
}

static int set_value(struct parser *p, const struct key *k, void *base,
		     const char *value)
{
	void *field = (char *)base + k->offset;
	u64 v;

	switch (k->kind) {
	case KIND_U32:
		if (!pbft_number_from_text(&v, value, U32_MAX))
			return fail(p, p->line, -EINVAL,
				    "%s = %s: not a number of at most 32 bits",
				    k->name, value);
		*(u32 *)field = v;
		return 0;
	case KIND_U64:
		if (!pbft_number_from_text(field, value, U64_MAX))
			return fail(p, p->line, -EINVAL,
				    "%s = %s: not a number of at most 64 bits",
				    k->name, value);
		return 0;
	case KIND_TIME:
		if (!pbft_time_from_text(field, value))
			return fail(p, p->line, -EINVAL,
				    "%s = %s: not a time such as 500ms (ns, us, ms, s, min)",
				    k->name, value);
		return 0;
	case KIND_MAC:
		return set_mac(p, field, value);
	case KIND_PUBLIC_KEY:
		return set_public_key(p, field, value);
	case KIND_ENDPOINT:
		return set_endpoint(p, base, value);
	}
	return 0;
}

/* libinih's handler: one key. Return 0 to stop. */
static int on_key(void *user, const char *section, const char *name,
		  const char *value)
{
	struct parser *p = user;
	void *base = p->c;
	const struct key *k;
	size_t i;

	(void)section;
	if (p->rc)
		return 0;
	if (p->section == SEC_NONE) {
		fail(p, p->line, -EINVAL, "%s stands before the first section",
		     name);
		return 0;
	}
	for (i = 0; i < tables[p->section].count; i++)
		if (!strcmp(tables[p->section].keys[i].name, name))
			break;
	if (i == tables[p->section].count) {
		fail(p, p->line, -EINVAL, "unknown key %s in [%s]", name,
		     section_names[p->section]);
		return 0;
	}
	k = &tables[p->section].keys[i];
	if (p->seen & (1u << i)) {
		fail(p, p->line, -EINVAL, "%s stands twice in this [%s]", name,
		     section_names[p->section]);
		return 0;
	}
	p->seen |= 1u << i;
	if (!*value) {
		fail(p, p->line, -EINVAL, "%s has no value", name);
		return 0;
	}
	if (p->section != SEC_CLUSTER)
		base = &p->entries[p->n_entries - 1].node;
	else if (k->offset == CFG(f))
		p->faults_set = true;
	return !set_value(p, k, base, value);
}

/* ---- sections ------------------------------------------------------------ */

static int check_node_id(struct parser *p, const struct entry *e)
{
	if (e->replica && e->node.id >= PBFT_N_MAX)
		return fail(p, e->line, -EINVAL,
			    "replica id %u: ids run from 0 to at most %u",
			    e->node.id, PBFT_N_MAX - 1);
	if (!e->replica && (e->node.id < PBFT_CLIENT_ID_MIN ||
			    e->node.id > PBFT_CLIENT_ID_MAX))
		return fail(p, e->line, -EINVAL,
			    "client id %u: ids run from %u to %u", e->node.id,
			    PBFT_CLIENT_ID_MIN, PBFT_CLIENT_ID_MAX);
	return 0;
}

static int section_end(struct parser *p)
{
	enum section s = p->section;

	if (s == SEC_NONE)
		return 0;
	for (size_t i = 0; i < tables[s].count; i++)
		if (tables[s].keys[i].required && !(p->seen & (1u << i)))
			return fail(p, p->section_line, -EINVAL,
				    "this [%s] has no %s", section_names[s],
				    tables[s].keys[i].name);
	if (s == SEC_CLUSTER)
		return 0;
	return check_node_id(p, &p->entries[p->n_entries - 1]);
}

static int add_entry(struct parser *p)
{
	struct entry *e;

	if (p->n_entries == PBFT_N_MAX + PBFT_CLUSTER_CLIENTS_MAX)
		return fail(p, p->line, -E2BIG,
			    "more than %u replicas and clients",
			    PBFT_N_MAX + PBFT_CLUSTER_CLIENTS_MAX);
	if (p->n_entries == p->cap_entries) {
		u32 cap = p->cap_entries ? 2 * p->cap_entries : 16;

		e = reallocarray(p->entries, cap, sizeof(*e));
		if (!e)
			return fail(p, p->line, -ENOMEM, "out of memory");
		p->entries = e;
		p->cap_entries = cap;
	}
	e = &p->entries[p->n_entries++];
	memset(e, 0, sizeof(*e));
	e->replica = p->section == SEC_REPLICA;
	e->line = p->line;
	return 0;
}

/* @line begins with '['. */
static int section_begin(struct parser *p, const char *line, size_t len)
{
	const char *end = memchr(line, ']', len), *rest;
	enum section s;

	if (section_end(p))
		return p->rc;
	if (!end)
		return fail(p, p->line, -EINVAL, "this section has no ]");
	for (rest = end + 1; rest < line + len; rest++) {
		if (*rest == '#' || *rest == ';')
			break;
		if (!strchr(" \t\r\n", *rest))
			return fail(p, p->line, -EINVAL,
				    "a section stands on a line of its own");
	}
	for (s = SEC_CLUSTER; s <= SEC_CLIENT; s++)
		if (strlen(section_names[s]) == (size_t)(end - line - 1) &&
		    !memcmp(line + 1, section_names[s], end - line - 1))
			break;
	if (s > SEC_CLIENT)
		return fail(p, p->line, -EINVAL, "unknown section %.*s",
			    (int)min_t(size_t, end - line + 1, 40), line);
	p->section = s;
	p->section_line = p->line;
	p->seen = 0;
	if (s != SEC_CLUSTER)
		return add_entry(p);
	if (p->cluster_line)
		return fail(p, p->line, -EINVAL,
			    "a second [Cluster], the first is in line %u",
			    p->cluster_line);
	p->cluster_line = p->line;
	return 0;
}

/* libinih's reader: the next line into @buf, as fgets() would. */
static char *next_line(char *buf, int size, void *stream)
{
	struct parser *p = stream;
	const char *start, *nl;
	size_t len;

	if (p->rc || !*p->text)
		return NULL;
	nl = strchr(p->text, '\n');
	len = nl ? (size_t)(nl + 1 - p->text) : strlen(p->text);
	p->line++;
	start = p->text;
	p->text += len;
	if (p->line == 1 && len >= 3 && !memcmp(start, "\xEF\xBB\xBF", 3)) {
		start += 3;
		len -= 3;
	}
	while (len && (*start == ' ' || *start == '\t')) {
		start++;
		len--;
	}
	if (!len || *start == '#' || *start == ';') {
		/* a comment may be of any length */
		strcpy(buf, "\n");
		return buf;
	}
	if (len >= (size_t)size) {
		fail(p, p->line, -EINVAL, "this line is longer than %d bytes",
		     size - 1);
		return NULL;
	}
	if (*start == '[' && section_begin(p, start, len))
		return NULL;
	memcpy(buf, start, len);
	buf[len] = 0;
	return buf;
}

/* ---- the whole file -------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->replica != y->replica)
		return x->replica ? -1 : 1;
	if (x->node.id != y->node.id)
		return x->node.id < y->node.id ? -1 : 1;
	return x->line < y->line ? -1 : 1;
}

static int by_key(const void *a, const void *b)
{
	const struct entry *x = *(const struct entry *const *)a;
	const struct entry *y = *(const struct entry *const *)b;
	int d = memcmp(x->node.public_key, y->node.public_key, 32);

	return d ? d : x->line < y->line ? -1 : 1;
}

static int check_ids(struct parser *p)
{
	for (u32 i = 0; i < p->n_entries; i++) {
		const struct entry *e = &p->entries[i];
		const char *what = e->replica ? "replica" : "client";

		if (i && e[-1].replica == e->replica &&
		    e[-1].node.id == e->node.id)
			return fail(p, e->line, -EINVAL,
				    "a second %s %u, the first is in line %u",
				    what, e->node.id, e[-1].line);
		if (e->replica && e->node.id != i)
			return fail(p, e->line, -EINVAL,
				    "replica %u follows, but there is no replica %u: ids run from 0 without gaps",
				    e->node.id, i);
	}
	return 0;
}

static int check_keys(struct parser *p)
{
	const struct entry **sorted;

	sorted = calloc(p->n_entries, sizeof(*sorted));
	if (!sorted)
		return fail(p, 0, -ENOMEM, "out of memory");
	for (u32 i = 0; i < p->n_entries; i++)
		sorted[i] = &p->entries[i];
	qsort(sorted, p->n_entries, sizeof(*sorted), by_key);
	for (u32 i = 1; i < p->n_entries && !p->rc; i++) {
		const struct entry *a = sorted[i - 1], *b = sorted[i];

		if (!memcmp(a->node.public_key, b->node.public_key, 32))
			fail(p, b->line, -EINVAL,
			     "%s %u has the PublicKey of %s %u in line %u",
			     b->replica ? "replica" : "client", b->node.id,
			     a->replica ? "replica" : "client", a->node.id,
			     a->line);
	}
	free(sorted);
	return p->rc;
}

/* One socket serves a replica, so all of them speak one family. */
static int check_endpoints(struct parser *p)
{
	for (u32 i = 1; i < p->c->n_replicas; i++) {
		const struct entry *e = &p->entries[i];

		if (e->node.endpoint.ss_family !=
		    p->entries[0].node.endpoint.ss_family)
			return fail(p, e->line, -EINVAL,
				    "replica %u and replica 0 have endpoints of different families",
				    i);
		for (u32 j = 0; j < i; j++)
			if (!memcmp(&p->entries[j].node.endpoint,
				    &e->node.endpoint, sizeof(e->node.endpoint)))
				return fail(p, max(e->line, p->entries[j].line),
					    -EINVAL,
					    "replicas %u and %u have the same Endpoint",
					    j, i);
	}
	return 0;
}

static int take_nodes(struct parser *p)
{
	struct pbft_cluster *c = p->c;

	while (c->n_replicas < p->n_entries && p->entries[c->n_replicas].replica)
		c->n_replicas++;
	c->n_clients = p->n_entries - c->n_replicas;
	if (c->n_clients > PBFT_CLUSTER_CLIENTS_MAX)
		return fail(p, p->entries[p->n_entries - 1].line, -E2BIG,
			    "%u clients, more than %u", c->n_clients,
			    PBFT_CLUSTER_CLIENTS_MAX);
	c->clients = calloc(c->n_clients + 1, sizeof(*c->clients));
	if (!c->clients)
		return fail(p, 0, -ENOMEM, "out of memory");
	for (u32 i = 0; i < c->n_replicas; i++)
		c->replicas[i] = p->entries[i].node;
	for (u32 i = 0; i < c->n_clients; i++)
		c->clients[i] = p->entries[c->n_replicas + i].node;
	return 0;
}

static int check_file(struct parser *p)
{
	struct pbft_cluster *c = p->c;
	const char *wrong;

	if (!p->cluster_line)
		return fail(p, 0, -EINVAL, "there is no [Cluster]");
	if (!p->n_entries)
		return fail(p, 0, -EINVAL, "there is no [Replica]");
	qsort(p->entries, p->n_entries, sizeof(*p->entries), by_id);
	if (check_ids(p) || check_keys(p) || take_nodes(p) || check_endpoints(p))
		return p->rc;
	c->cfg.n = c->n_replicas;
	if (!p->faults_set)
		c->cfg.f = pbft_max_faults(c->cfg.n ? c->cfg.n : 1);
	if (c->cfg.clients_max < c->n_clients)
		c->cfg.clients_max = c->n_clients;
	if (c->mtu < PBFT_MTU_MIN || c->mtu > PBFT_MTU_MAX)
		return fail(p, p->cluster_line, -EINVAL,
			    "Mtu must be from %u to %u", PBFT_MTU_MIN, PBFT_MTU_MAX);
	if (c->recovery &&
	    (c->recovery < PBFT_RECOVERY_MIN || c->recovery > PBFT_RECOVERY_MAX))
		return fail(p, p->cluster_line, -EINVAL,
			    "Recovery must be 0 or from 1s to 366 days");
	wrong = pbft_config_check(&c->cfg);
	if (wrong)
		return fail(p, p->cluster_line, -EINVAL, "%s", wrong);
	return 0;
}

static void set_inih(void)
{
	ini_allow_multiline = false;
	ini_stop_on_first_error = true;
	ini_inline_comment_prefixes = (char *)";#";
}

int pbft_cluster_parse(struct pbft_cluster *c, const char *name,
		       const char *text, char *err, size_t errlen)
{
	struct parser p = {
		.c = c,
		.name = name,
		.err = err,
		.errlen = errlen,
		.text = text,
	};
	int bad;

	memset(c, 0, sizeof(*c));
	pbft_config_default(&c->cfg);
	c->cfg.epoch = 1;
	c->mtu = PBFT_MTU_DEFAULT;
	strcpy(c->mac, PBFT_MAC_DEFAULT);
	set_inih();
	bad = ini_parse_stream(next_line, &p, on_key, &p);
	if (bad && !p.rc)
		fail(&p, p.line, -EINVAL, "not a section, comment, or Key = Value");
	if (!p.rc && !section_end(&p))
		check_file(&p);
	free(p.entries);
	if (p.rc)
		pbft_cluster_free(c);
	return p.rc;
}

static char *read_all(const char *path, char *err, size_t errlen, int *rc)
{
	char *text = NULL;
	size_t len;
	FILE *f;

	f = fopen(path, "re");
	if (!f) {
		*rc = -errno;
		snprintf(err, errlen, "%s: %s", path, strerror(errno));
		return NULL;
	}
	text = malloc(FILE_MAX + 1);
	len = text ? fread(text, 1, FILE_MAX + 1, f) : 0;
	if (!text || ferror(f)) {
		*rc = text ? -EIO : -ENOMEM;
		snprintf(err, errlen, "%s: %s", path,
			 text ? "cannot be read" : "out of memory");
	} else if (len > FILE_MAX) {
		*rc = -EFBIG;
		snprintf(err, errlen, "%s: larger than %u bytes", path, FILE_MAX);
	} else if (memchr(text, 0, len)) {
		*rc = -EINVAL;
		snprintf(err, errlen, "%s: contains a zero byte", path);
	} else {
		text[len] = 0;
		*rc = 0;
	}
	fclose(f);
	if (*rc) {
		free(text);
		return NULL;
	}
	return text;
}

int pbft_cluster_load(struct pbft_cluster *c, const char *path, char *err,
		      size_t errlen)
{
	char *text;
	int rc;

	memset(c, 0, sizeof(*c));
	text = read_all(path, err, errlen, &rc);
	if (!text)
		return rc;
	rc = pbft_cluster_parse(c, path, text, err, errlen);
	free(text);
	return rc;
}

void pbft_cluster_free(struct pbft_cluster *c)
{
	free(c->clients);
	c->clients = NULL;
	c->n_clients = 0;
}

const struct pbft_node *pbft_cluster_client(const struct pbft_cluster *c, u32 id)
{
	u32 lo = 0, hi = c->n_clients;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (c->clients[mid].id == id)
			return &c->clients[mid];
		if (c->clients[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

const struct pbft_node *pbft_cluster_by_key(const struct pbft_cluster *c,
					    const u8 public_key[32])
{
	for (u32 i = 0; i < c->n_replicas; i++)
		if (!memcmp(c->replicas[i].public_key, public_key, 32))
			return &c->replicas[i];
	for (u32 i = 0; i < c->n_clients; i++)
		if (!memcmp(c->clients[i].public_key, public_key, 32))
			return &c->clients[i];
	return NULL;
}
