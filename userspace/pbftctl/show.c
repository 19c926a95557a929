// SPDX-License-Identifier: GPL-2.0
/* pbftctl show: what the kernel says of its instances. */
#include <inttypes.h>
#include <stdio.h>

#include "libpbft/journal_file.h"
#include "pbftctl.h"

/* NULL: ourselves, or nothing is known of it. */
static const struct pbft_nl_peer *peer_of(const struct pbft_nl_instance *in, u32 id)
{
	for (u32 i = 0; i < in->n_peers; i++)
		if (in->peers[i].id == id)
			return &in->peers[i];
	return NULL;
}

/* ---- for people ---------------------------------------------------------- */

static void print_counters(const struct pbft_nl_counters *cs, const char *indent)
{
	const char *sep = indent;

	for (u32 i = 0; i < cs->count; i++) {
		if (!cs->c[i].value)
			continue;
		printf("%s%s %" PRIu64, sep, cs->c[i].name, cs->c[i].value);
		sep = ", ";
	}
	if (sep != indent)
		putchar('\n');
}

static void print_node(const struct pbft_nl_instance *in,
		       const struct pbft_node *n, const char *what)
{
	char key[PBFT_KEY_TEXT_LEN + 1], endpoint[PBFT_ENDPOINT_TEXT_LEN];
	const struct pbft_nl_peer *p = peer_of(in, n->id);

	pbft_key_to_text(key, n->public_key);
	printf("  %s %u: %s", what, n->id, key);
	if (n->endpoint.ss_family) {
		pbft_endpoint_to_text(endpoint, &n->endpoint);
		printf(" %s", endpoint);
	}
	if (p && p->key_id)
		printf(" generation %u", p->key_id);
	putchar('\n');
	if (p)
		print_counters(&p->counters, "    ");
}

static const struct {
	u32 flag;
	const char *name;
} journal_flags[] = {
	{ PBFT_JF_TORN, "torn" },
	{ PBFT_JF_DAMAGED, "damaged" },
	{ PBFT_JF_FAILED, "failed" },
};

static void print_journal(const struct pbft_nl_journal *j)
{
	printf("  journal %s", pbft_journal_mode_name(j->mode));
	if (j->mode != PBFT_JOURNAL_NONE)
		printf(", %" PRIu64 " of %" PRIu64 " bytes used, records %" PRIu64
		       " frames %" PRIu64 " flushes %" PRIu64 " bytes %" PRIu64
		       " compactions %" PRIu64 " replayed %" PRIu64,
		       (u64)j->used, (u64)j->size, (u64)j->records, (u64)j->frames,
		       (u64)j->syncs, (u64)j->bytes, (u64)j->compactions,
		       (u64)j->replayed);
	for (size_t i = 0; i < ARRAY_SIZE(journal_flags); i++)
		if (j->flags & journal_flags[i].flag)
			printf(" %s", journal_flags[i].name);
	putchar('\n');
}

static void print_instance(const struct pbft_nl_instance *in)
{
	const struct pbft_cluster *c = &in->cluster;
	char key[PBFT_KEY_TEXT_LEN + 1], digest[2 * PBFT_DIGEST_LEN + 1];

	pbft_key_to_text(key, in->public_key);
	printf("instance %s: ", in->st.name);
	print_status_line(stdout, &in->st);
	printf("\n  cluster 0x%016" PRIx64 " epoch %u: replica %u of %u, %u may be faulty\n",
	       c->cfg.cluster, c->cfg.epoch, in->st.self, c->cfg.n, c->cfg.f);
	printf("  public key %s, generation %u\n", key, in->st.key_id);
	if (in->service == PBFT_SERVICE_NULL)
		printf("  service null, replies of %u bytes\n", in->null_reply);
	if (in->st.checkpoint) {
		hex_text(digest, in->st.checkpoint_digest, PBFT_DIGEST_LEN);
		printf("  checkpoint %" PRIu64 " state %s\n",
		       (u64)in->st.checkpoint, digest);
	}
	if (in->st.state != PBFT_STATE_DOWN)
		print_journal(&in->journal);
	if (in->st.recovery.state != PBFT_RECOVERY_NONE) {
		printf("  ");
		print_recovery(stdout, &in->st);
		putchar('\n');
	}
	printf("  requests pending %u, memory %" PRIu64 " bytes\n",
	       in->st.pending, (u64)in->st.memory);
	print_counters(&in->counters, "  ");
	for (u32 i = 0; i < c->n_replicas; i++)
		print_node(in, &c->replicas[i], "replica");
	for (u32 i = 0; i < c->n_clients; i++)
		print_node(in, &c->clients[i], "client");
}

/* ---- for programs ----------------------------------------------------------- */

static struct json_object *node_json(const struct pbft_nl_instance *in,
				     const struct pbft_node *n)
{
	const struct pbft_nl_peer *p = peer_of(in, n->id);
	char key[PBFT_KEY_TEXT_LEN + 1], endpoint[PBFT_ENDPOINT_TEXT_LEN];
	struct json_object *o = json_object_new_object();

	put_u64(o, "id", n->id);
	pbft_key_to_text(key, n->public_key);
	put_string(o, "public_key", key);
	if (n->endpoint.ss_family) {
		pbft_endpoint_to_text(endpoint, &n->endpoint);
		put_string(o, "endpoint", endpoint);
	}
	if (p) {
		put_u64(o, "generation", p->key_id);
		put_json(o, "counters", counters_json(&p->counters));
	}
	return o;
}

static struct json_object *nodes_json(const struct pbft_nl_instance *in,
				      const struct pbft_node *nodes, u32 count)
{
	struct json_object *list = json_object_new_array();

	for (u32 i = 0; i < count; i++)
		json_object_array_add(list, node_json(in, &nodes[i]));
	return list;
}

static struct json_object *config_json(const struct pbft_nl_instance *in)
{
	const struct pbft_config *cfg = &in->cluster.cfg;
	struct json_object *o = json_object_new_object();
	char id[24];

	/* 64 bits do not survive programs that read numbers as doubles */
	snprintf(id, sizeof(id), "0x%016" PRIx64, cfg->cluster);
	put_string(o, "cluster", id);
	put_u64(o, "epoch", cfg->epoch);
	put_u64(o, "faults", cfg->f);
	put_string(o, "mac", in->cluster.mac);
	put_u64(o, "mtu", in->cluster.mtu);
	put_u64(o, "checkpoint_interval", cfg->k);
	put_u64(o, "window", cfg->l);
	put_u64(o, "pipeline", cfg->pipeline);
	put_u64(o, "batch_max", cfg->batch_max);
	put_u64(o, "batch_bytes", cfg->batch_bytes);
	put_u64(o, "inline_max", cfg->inline_max);
	put_u64(o, "timeout", cfg->t_base);
	put_u64(o, "timeout_max", cfg->t_max);
	put_u64(o, "status_interval", cfg->t_status);
	put_u64(o, "heartbeat", cfg->t_heartbeat);
	put_u64(o, "clock_skew", cfg->clock_skew);
	put_u64(o, "recovery_interval", in->cluster.recovery);
	put_string(o, "service", in->service == PBFT_SERVICE_NULL ? "null" :
		   "daemon");
	put_u64(o, "null_reply", in->null_reply);
	return o;
}

static struct json_object *journal_json(const struct pbft_nl_journal *j)
{
	struct json_object *o = json_object_new_object();

	put_string(o, "mode", pbft_journal_mode_name(j->mode));
	put_u64(o, "size", j->size);
	put_u64(o, "used", j->used);
	put_u64(o, "records", j->records);
	put_u64(o, "frames", j->frames);
	put_u64(o, "syncs", j->syncs);
	put_u64(o, "bytes", j->bytes);
	put_u64(o, "compactions", j->compactions);
	put_u64(o, "replayed", j->replayed);
	for (size_t i = 0; i < ARRAY_SIZE(journal_flags); i++)
		put_json(o, journal_flags[i].name,
			 json_object_new_boolean(j->flags & journal_flags[i].flag));
	return o;
}

static struct json_object *instance_json(const struct pbft_nl_instance *in)
{
	struct json_object *o = status_json(&in->st);
	char key[PBFT_KEY_TEXT_LEN + 1];

	pbft_key_to_text(key, in->public_key);
	put_string(o, "public_key", key);
	put_json(o, "config", config_json(in));
	put_json(o, "journal", journal_json(&in->journal));
	put_json(o, "counters", counters_json(&in->counters));
	put_json(o, "replicas", nodes_json(in, in->cluster.replicas,
					   in->cluster.n_replicas));
	put_json(o, "clients", nodes_json(in, in->cluster.clients,
					  in->cluster.n_clients));
	return o;
}

static void print_json(const struct pbft_nl_instance *list)
{
	struct json_object *all = json_object_new_array();

	for (; list; list = list->next)
		json_object_array_add(all, instance_json(list));
	puts(json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY |
					    JSON_C_TO_STRING_SPACED |
					    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(all);
}

static int run(const struct command *cmd, int argc, char **argv)
{
	bool json = false;
	const struct opt opts[] = { { .name = "json", .flag = &json } };
	struct pbft_nl_instance *list, *in;
	const char *name = NULL;
	struct pbft_nl *nl;
	int rc = EXIT_OK;

	if (parse_args(cmd, argc, argv, opts, 1, &name, 0, 1))
		return EXIT_USAGE;
	if (open_netlink(cmd, &nl))
		return EXIT_FAILED;
	if (pbft_nl_get(nl, name, &list)) {
		rc = set_failed(cmd, nl, name ? name : "all instances");
	} else {
		if (json)
			print_json(list);
		else
			for (in = list; in; in = in->next)
				print_instance(in);
		pbft_nl_instance_free(list);
	}
	pbft_nl_close(nl);
	return rc;
}

const struct command cmd_show = {
	.name = "show",
	.args = "[NAME] [--json]",
	.summary = "Show an instance, or all: state, configuration, counters.",
	.help =
	"  --json  a JSON array of instances; times in nanoseconds\n",
	.run = run,
};
