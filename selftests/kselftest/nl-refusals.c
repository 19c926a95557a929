// SPDX-License-Identifier: GPL-2.0
/*
 * Every refusal of the netlink family, by its error and its sentence, and that
 * what was refused has changed nothing. Runs in a network namespace of its own
 * with the loopback up; prints TAP.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libpbft/crypto.h"
#include "nl-refusals.h"
#include "../unit/tap.h"

static const struct pbft_nl_up genesis = { .genesis = true };

/* ---- messages -------------------------------------------------------------- */

/* The edit of this attribute, if @r has one. */
static const struct edit *edit_of(const struct refusal *r, int entry, int attr)
{
	for (int i = 0; i < EDITS_MAX; i++)
		if (r->edits[i].op != KEEP && r->edits[i].entry == entry &&
		    r->edits[i].attr == attr)
			return &r->edits[i];
	return NULL;
}

static void put(struct nl_msg *msg, const struct refusal *r, int entry, int attr,
		const void *data, size_t len)
{
	if (!edit_of(r, entry, attr))
		nla_put(msg, attr, len, data);
}

static void put_edits(struct nl_msg *msg, const struct refusal *r, int entry)
{
	for (int i = 0; i < EDITS_MAX; i++)
		if (r->edits[i].op == SET && r->edits[i].entry == entry)
			nla_put(msg, r->edits[i].attr, r->edits[i].len,
				r->edits[i].data);
}

static struct sockaddr_in endpoint_of(u32 id)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(7000),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK + id),
	};
}

static void put_entry(struct nl_msg *msg, const struct fixture *fx,
		      const struct refusal *r, int entry)
{
	int type = entry == CLIENT ? PBFT_A_CLIENT : PBFT_A_REPLICA;
	u32 id = entry == CLIENT ? 100 : (u32)entry;
	struct sockaddr_in in = endpoint_of(id);
	struct nlattr *nest;

	if (edit_of(r, TOP, type))
		return;
	nest = nla_nest_start(msg, type | NLA_F_NESTED);
	put(msg, r, entry, PBFT_NODE_A_ID, &id, sizeof(id));
	put(msg, r, entry, PBFT_NODE_A_PUBLIC_KEY, fx->public_key[entry], 32);
	if (entry != CLIENT)
		put(msg, r, entry, PBFT_NODE_A_ENDPOINT, &in, sizeof(in));
	put_edits(msg, r, entry);
	nla_nest_end(msg, nest);
}

static void put_set(struct nl_msg *msg, const struct fixture *fx,
		    const struct refusal *r)
{
	u64 cluster = 42;
	u32 self = 0;

	put(msg, r, TOP, PBFT_A_CLUSTER, &cluster, sizeof(cluster));
	put(msg, r, TOP, PBFT_A_SELF, &self, sizeof(self));
	put(msg, r, TOP, PBFT_A_PRIVATE_KEY, fx->private_key[0], 32);
	for (int entry = 0; entry <= CLIENT; entry++)
		put_entry(msg, fx, r, entry);
}

int send_refusal(struct fixture *fx, const struct refusal *r)
{
	struct nl_msg *msg = pbft_nl_msg(fx->nl, r->cmd, NLM_F_ACK, 80000);
	int err;

	if (!msg)
		return -ENOMEM;
	if (spec_from_daemon(r->cmd))
		put(msg, r, TOP, PBFT_A_ID, &fx->id, sizeof(fx->id));
	else
		put(msg, r, TOP, PBFT_A_NAME, fx->name, strlen(fx->name) + 1);
	if (r->cmd == PBFT_CMD_SET)
		put_set(msg, fx, r);
	put_edits(msg, r, TOP);
	err = pbft_nl_transact(fx->nl, msg, NULL, NULL);
	if (err)
		note_refusal(pbft_nl_error(fx->nl));
	return err;
}

/* ---- TAP for the other files ------------------------------------------------ */

bool point(bool good, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return ok(good, "%s", text);
}

void remark(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	diag("%s", text);
}

/* ---- checks ---------------------------------------------------------------- */

static void run(struct fixture *fx, const struct refusal *table)
{
	for (const struct refusal *r = table; r->what; r++) {
		int err = send_refusal(fx, r);
		bool good = err == r->err &&
			    !strcmp(pbft_nl_error(fx->nl), r->text);

		if (!ok(good, "%s: %s", r->what, r->text))
			diag("%s, \"%s\"; wanted %s", err ? strerror(-err) :
			     "accepted", err ? pbft_nl_error(fx->nl) : "",
			     strerror(-r->err));
	}
}

static void must(struct fixture *fx, int err, const char *what)
{
	if (!ok(!err, "%s", what))
		diag("%s", pbft_nl_error(fx->nl));
}

/* The instance as text: configuration and state. */
static char *picture(struct fixture *fx)
{
	struct pbft_nl_instance *in;
	char *text = NULL;
	size_t len;
	FILE *f;

	if (pbft_nl_get(fx->nl, fx->name, &in))
		return strdup(pbft_nl_error(fx->nl));
	f = open_memstream(&text, &len);
	fprintf(f, "%u %u %u %u\n", in->st.state, in->st.self, in->service,
		in->st.key_id);
	pbft_cluster_print(f, &in->cluster);
	fclose(f);
	pbft_nl_instance_free(in);
	return text;
}

static void run_unchanged(struct fixture *fx, const struct refusal *table,
			  const char *what)
{
	char *before = picture(fx), *after;

	run(fx, table);
	after = picture(fx);
	if (!ok(!strcmp(before, after), "%s", what))
		diag("before: %s, after: %s", before, after);
	free(before);
	free(after);
}

static void check_up_fails(struct fixture *fx, const char *text)
{
	int err = pbft_nl_up(fx->nl, fx->name, &genesis);

	note_refusal(pbft_nl_error(fx->nl));
	if (!ok(err && !strcmp(pbft_nl_error(fx->nl), text), "UP: %s", text))
		diag("%d: %s", err, pbft_nl_error(fx->nl));
}

static void test_endpoints(struct fixture *fx)
{
	const struct sockaddr_in far = {
		.sin_family = AF_INET,
		.sin_port = htons(7000),
		.sin_addr.s_addr = htonl(0x0a010203),
	};
	const struct refusal elsewhere = {
		.cmd = PBFT_CMD_SET,
		.edits = { RAW(0, PBFT_NODE_A_ENDPOINT, far) },
	};
	struct sockaddr_in own = endpoint_of(0);
	int fd;

	must(fx, send_refusal(fx, &elsewhere), "an endpoint elsewhere is accepted");
	check_up_fails(fx, "our own endpoint is not an address of this namespace");
	must(fx, send_refusal(fx, &(struct refusal){ .cmd = PBFT_CMD_SET }),
	     "and replaced by one that is here");
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (bind(fd, (struct sockaddr *)&own, sizeof(own)))
		diag("bind: %s", strerror(errno));
	check_up_fails(fx, "our own endpoint is in use by another socket");
	close(fd);
}

static void test_null_service(struct fixture *fx)
{
	const struct refusal null_service = {
		.cmd = PBFT_CMD_SET,
		.edits = { U32(TOP, PBFT_A_SERVICE, PBFT_SERVICE_NULL) },
	};
	static const struct pbft_nl_head head;
	struct pbft_nl_bound bound;
	int err;

	must(fx, pbft_nl_down(fx->nl, fx->name), "DOWN");
	must(fx, send_refusal(fx, &null_service), "the null service");
	must(fx, pbft_nl_up(fx->nl, fx->name, &genesis), "UP");
	err = pbft_nl_bind(fx->nl, fx->name, &head, &bound);
	note_refusal(pbft_nl_error(fx->nl));
	ok(err == -EINVAL && !strcmp(pbft_nl_error(fx->nl),
		"this instance runs the null service, which needs no daemon"),
	   "BIND to it: %s", pbft_nl_error(fx->nl));
	err = pbft_nl_recover(fx->nl, fx->name);
	note_refusal(pbft_nl_error(fx->nl));
	ok(err == -EINVAL && !strcmp(pbft_nl_error(fx->nl),
		"this instance runs the null service, which has no state to recover"),
	   "RECOVER of it: %s", pbft_nl_error(fx->nl));
}

/* An instance that goes away under its daemon, and the socket that stays. */
static void test_daemon(struct fixture *fx, struct pbft_nl *second)
{
	static const struct pbft_nl_daemon_ops ops;
	struct pbft_nl *first = fx->nl;
	static const struct pbft_nl_head head;
	struct pbft_nl_bound bound;
	int err;

	must(fx, pbft_nl_bind(fx->nl, fx->name, &head, &bound), "BIND");
	fx->id = bound.id;
	fx->nl = second;
	must(fx, pbft_nl_recover(fx->nl, fx->name), "RECOVER");
	run(fx, stranger_commands);
	fx->nl = first;
	run(fx, daemon_commands);
	/* by the other one: the daemon's socket is told of the end */
	fx->nl = second;
	must(fx, pbft_nl_down(fx->nl, fx->name), "a stopped instance goes DOWN");
	err = pbft_nl_dispatch(first, &ops, NULL, 0);
	ok(err == -ENETDOWN, "its daemon hears: %s", pbft_nl_error(first));
	must(fx, pbft_nl_up(fx->nl, fx->name, &genesis), "and UP again");
	fx->nl = first;
}

static void test_unprivileged(struct fixture *fx)
{
	struct pbft_nl *nl;
	char err[256] = "";
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		if (setresgid(65534, 65534, 65534) ||
		    setresuid(65534, 65534, 65534))
			_exit(2);
		if (pbft_nl_open(&nl, err, sizeof(err)))
			_exit(3);
		if (pbft_nl_del(nl, fx->name) != -EPERM ||
		    strcmp(pbft_nl_error(nl),
			   "not permitted: this needs CAP_NET_ADMIN"))
			_exit(4);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (!ok(WIFEXITED(status) && !WEXITSTATUS(status),
		"without CAP_NET_ADMIN: not permitted"))
		diag("status %x", status);
}

int main(void)
{
	struct fixture fx = { .name = "new" };
	struct pbft_nl *second;
	char err[256];

	for (int i = 0; i <= CLIENT; i++)
		if (pbft_genkey(fx.private_key[i]) ||
		    pbft_pubkey(fx.public_key[i], fx.private_key[i]))
			return 1;
	if (pbft_nl_open(&fx.nl, err, sizeof(err)) ||
	    pbft_nl_open(&second, err, sizeof(err))) {
		printf("Bail out! %s\n", err);
		return 1;
	}
	run_unchanged(&fx, set_new, "none of these made an instance");

	fx.name = "x";
	must(&fx, send_refusal(&fx, &(struct refusal){ .cmd = PBFT_CMD_SET }),
	     "the message they all depart from is accepted");
	run_unchanged(&fx, set_down, "an instance that is down is as it was");
	run_unchanged(&fx, commands, "still");
	run_unchanged(&fx, commands_down, "still");
	test_endpoints(&fx);
	must(&fx, pbft_nl_up(fx.nl, fx.name, &genesis), "UP");
	run_unchanged(&fx, set_up, "an instance that is up is as it was");
	run_unchanged(&fx, commands_up, "still");
	test_many(&fx);
	test_unprivileged(&fx);
	test_daemon(&fx, second);
	test_null_service(&fx);
	must(&fx, pbft_nl_down(fx.nl, fx.name), "DOWN");
	test_raw_keys(&fx);
	test_interface(&fx);
	test_journal(&fx);
	test_all_texts();
	must(&fx, pbft_nl_del(fx.nl, fx.name), "DEL");
	pbft_nl_close(second);
	pbft_nl_close(fx.nl);
	return done_testing();
}
