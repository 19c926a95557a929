// SPDX-License-Identifier: GPL-2.0
/*
 * The cluster file: defaults, every refusal with its file and line, limits, and
 * that what is printed reads back to the same.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libpbft/cluster.h"
#include "libpbft/crypto.h"
#include "tap.h"

#define R0 "[Replica]\nId = 0\nPublicKey = @a\nEndpoint = 10.0.0.1:7000\n"	/* 4 lines */
#define R1 "[Replica]\nId = 1\nPublicKey = @b\nEndpoint = 10.0.0.2:7000\n"
#define R2 "[Replica]\nId = 2\nPublicKey = @c\nEndpoint = 10.0.0.3:7000\n"
#define R3 "[Replica]\nId = 3\nPublicKey = @d\nEndpoint = 10.0.0.4:7000\n"
#define R123 R1 R2 R3
#define REPLICAS R0 R123	/* 16 lines */
#define C100 "[Client]\nId = 100\nPublicKey = @e\n"
#define HEAD "[Cluster]\nId = 7\n"	/* 2 lines */

/* @x becomes the base64 of 32 bytes x. */
static char *expand(const char *text)
{
	char *out = malloc(strlen(text) * (PBFT_KEY_TEXT_LEN + 1) + 1), *p = out;
	u8 key[32];

	for (; *text; text++) {
		if (*text != '@') {
			*p++ = *text;
			continue;
		}
		memset(key, *++text, sizeof(key));
		pbft_key_to_text(p, key);
		p += PBFT_KEY_TEXT_LEN;
	}
	*p = 0;
	return out;
}

static int parse(struct pbft_cluster *c, const char *text, char *err,
		 size_t errlen)
{
	char *full = expand(text);
	int rc;

	err[0] = 0;
	rc = pbft_cluster_parse(c, "f", full, err, errlen);
	free(full);
	return rc;
}

static const struct {
	const char *text;
	const char *err;
} refusals[] = {
	/* lines */
	{ "", "f: there is no [Cluster]" },
	{ "Id = 1\n", "f:1: Id stands before the first section" },
	{ "[Cluster]\nwhat\n", "f:2: not a section, comment, or Key = Value" },
	{ "\n[Cluster\n", "f:2: this section has no ]" },
	{ "[Cluster] Id = 7\n", "f:1: a section stands on a line of its own" },
	{ "[Kluster]\n", "f:1: unknown section [Kluster]" },
	{ "[cluster]\n", "f:1: unknown section [cluster]" },
	{ "[Cluster \n]\n", "f:1: this section has no ]" },
	{ "# c\n\n[Peer]\n", "f:3: unknown section [Peer]" },
	{ HEAD "Mac = 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
	  "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\n",
	  "f:3: this line is longer than 199 bytes" },
	/* keys */
	{ HEAD "id = 8\n", "f:3: unknown key id in [Cluster]" },
	{ HEAD "Endpoint = 10.0.0.1:1\n", "f:3: unknown key Endpoint in [Cluster]" },
	{ C100 "Endpoint = 10.0.0.1:1\n", "f:4: unknown key Endpoint in [Client]" },
	{ HEAD "Id = 8\n", "f:3: Id stands twice in this [Cluster]" },
	{ HEAD "Mac =\n", "f:3: Mac has no value" },
	{ HEAD "Mac = # none\n", "f:3: Mac has no value" },
	/* values */
	{ "[Cluster]\nId = x\n", "f:2: Id = x: not a number of at most 64 bits" },
	{ "[Cluster]\nId = -1\n", "f:2: Id = -1: not a number of at most 64 bits" },
	{ "[Cluster]\nId = 0x\n", "f:2: Id = 0x: not a number of at most 64 bits" },
	{ "[Cluster]\nId = 18446744073709551616\n",
	  "f:2: Id = 18446744073709551616: not a number of at most 64 bits" },
	{ HEAD "Epoch = 4294967296\n",
	  "f:3: Epoch = 4294967296: not a number of at most 32 bits" },
	{ HEAD "Window = 256 # slots\nWindow = 1 2\n",
	  "f:4: Window stands twice in this [Cluster]" },
	{ HEAD "Window = 1 2\n", "f:3: Window = 1 2: not a number of at most 32 bits" },
	{ HEAD "Timeout = 500\n",
	  "f:3: Timeout = 500: not a time such as 500ms (ns, us, ms, s, min)" },
	{ HEAD "Timeout = 5h\n",
	  "f:3: Timeout = 5h: not a time such as 500ms (ns, us, ms, s, min)" },
	{ HEAD "Timeout = 18446744074s\n",
	  "f:3: Timeout = 18446744074s: not a time such as 500ms (ns, us, ms, s, min)" },
	{ HEAD "Mac = 0123456789012345678901234567890123456789012345678901234567890123\n",
	  "f:3: Mac is longer than 63 bytes" },
	{ "[Client]\nPublicKey = AAAA\n",
	  "f:2: PublicKey is not the base64 of 32 bytes" },
	{ "[Client]\nPublicKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
	  "f:2: PublicKey is all zero" },
	{ "[Replica]\nEndpoint = 10.0.0.1\n",
	  "f:2: Endpoint 10.0.0.1: an endpoint is ADDRESS:PORT" },
	{ "[Replica]\nEndpoint = 10.0.0.1:0\n",
	  "f:2: Endpoint 10.0.0.1:0: the port is a number from 1 to 65535" },
	{ "[Replica]\nEndpoint = 10.0.0.1:65536\n",
	  "f:2: Endpoint 10.0.0.1:65536: the port is a number from 1 to 65535" },
	{ "[Replica]\nEndpoint = host:7000\n",
	  "f:2: Endpoint host:7000: not a numeric IPv4 address, or an IPv6 address in brackets" },
	{ "[Replica]\nEndpoint = fd00::1:7000\n",
	  "f:2: Endpoint fd00::1:7000: not a numeric IPv4 address, or an IPv6 address in brackets" },
	{ "[Replica]\nEndpoint = [fd00::1]7000\n",
	  "f:2: Endpoint [fd00::1]7000: an IPv6 endpoint is [ADDRESS]:PORT" },
	{ "[Replica]\nEndpoint = [fd00::g]:7000\n",
	  "f:2: Endpoint [fd00::g]:7000: not a numeric IPv6 address" },
	{ "[Replica]\nEndpoint = 0.0.0.0:7000\n",
	  "f:2: Endpoint 0.0.0.0:7000: not the address of one host" },
	{ "[Replica]\nEndpoint = [ff02::1]:7000\n",
	  "f:2: Endpoint [ff02::1]:7000: not the address of one host" },
	{ "[Replica]\nEndpoint = [::ffff:10.0.0.1]:7000\n",
	  "f:2: Endpoint [::ffff:10.0.0.1]:7000: an IPv4 address is written without brackets" },
	{ "[Replica]\nEndpoint = [fe80::1]:7000\n",
	  "f:2: Endpoint [fe80::1]:7000: a link-local address means another host on every machine" },
	/* sections */
	{ "[Cluster]\nEpoch = 1\n[Client]\n", "f:1: this [Cluster] has no Id" },
	{ HEAD "[Replica]\nId = 0\n", "f:3: this [Replica] has no PublicKey" },
	{ HEAD "[Replica]\n" R0, "f:3: this [Replica] has no Id" },
	{ HEAD "[Replica]\nId = 0\nPublicKey = @a\n" R1,
	  "f:3: this [Replica] has no Endpoint" },
	{ HEAD "[Client]\nId = 100\n", "f:3: this [Client] has no PublicKey" },
	{ HEAD REPLICAS HEAD, "f:19: a second [Cluster], the first is in line 1" },
	{ HEAD "[Replica]\nId = 64\nPublicKey = @a\nEndpoint = 10.0.0.1:1\n",
	  "f:3: replica id 64: ids run from 0 to at most 63" },
	{ HEAD "[Client]\nId = 63\nPublicKey = @a\n",
	  "f:3: client id 63: ids run from 64 to 2147483647" },
	{ HEAD "[Client]\nId = 0x80000000\nPublicKey = @a\n",
	  "f:3: client id 2147483648: ids run from 64 to 2147483647" },
	/* the whole file */
	{ REPLICAS, "f: there is no [Cluster]" },
	{ HEAD, "f: there is no [Replica]" },
	{ HEAD R1 R0 R1 R2 R3, "f:11: a second replica 1, the first is in line 3" },
	{ HEAD REPLICAS C100 C100, "f:22: a second client 100, the first is in line 19" },
	{ HEAD R0 R2 R3 R1 "[Replica]\nId = 5\nPublicKey = @x\nEndpoint = 10.0.0.6:7000\n",
	  "f:19: replica 5 follows, but there is no replica 4: ids run from 0 without gaps" },
	{ HEAD R123, "f:3: replica 1 follows, but there is no replica 0: ids run from 0 without gaps" },
	{ HEAD REPLICAS "[Client]\nId = 100\nPublicKey = @b\n",
	  "f:19: client 100 has the PublicKey of replica 1 in line 7" },
	{ HEAD R0 R1 R2 "[Replica]\nId = 3\nPublicKey = @d\nEndpoint = 10.0.0.2:7000\n",
	  "f:15: replicas 1 and 3 have the same Endpoint" },
	{ HEAD R0 R1 R2 "[Replica]\nId = 3\nPublicKey = @d\nEndpoint = [fd00::1]:7000\n",
	  "f:15: replica 3 and replica 0 have endpoints of different families" },
	{ "[Cluster]\nId = 0\n" REPLICAS, "f:1: the cluster id must not be 0" },
	{ HEAD R0 R1 R2, "f:1: the number of replicas must be from 4 to 64" },
	{ HEAD "Faults = 2\n" REPLICAS,
	  "f:1: faults must be at least 1, and replicas at least 3 * faults + 1" },
	{ HEAD "Mtu = 1023\n" REPLICAS, "f:1: Mtu must be from 1024 to 65000" },
	{ HEAD "Mtu = 65001\n" REPLICAS, "f:1: Mtu must be from 1024 to 65000" },
	{ HEAD "Recovery = 999ms\n" REPLICAS, "f:1: Recovery must be 0 or from 1s to 366 days" },
	{ HEAD "Recovery = 31622401s\n" REPLICAS,
	  "f:1: Recovery must be 0 or from 1s to 366 days" },
	{ HEAD "Recovery = never\n" REPLICAS,
	  "f:3: Recovery = never: not a time such as 500ms (ns, us, ms, s, min)" },
	{ "\n" HEAD "Window = 100\n" REPLICAS,
	  "f:2: the window must be a multiple of the checkpoint interval, 2 to 32 times it, at most 1024" },
};

static void test_refusals(void)
{
	struct pbft_cluster c;
	char err[256];
	int rc;

	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		rc = parse(&c, refusals[i].text, err, sizeof(err));
		if (!ok(rc < 0 && !strcmp(err, refusals[i].err), "%s",
			refusals[i].err))
			diag("returned %d: %s", rc, err);
		pbft_cluster_free(&c);
	}
}

static void test_defaults(void)
{
	struct pbft_config cfg = { 0 };
	struct pbft_cluster c;
	char err[256];
	int rc;

	rc = parse(&c, HEAD REPLICAS, err, sizeof(err));
	if (!ok(!rc, "a file with nothing but what is needed"))
		diag("%s", err);
	pbft_config_default(&cfg);
	cfg.cluster = 7;
	cfg.epoch = 1;
	cfg.n = 4;
	cfg.f = 1;
	ok(!memcmp(&c.cfg, &cfg, sizeof(cfg)), "the defaults are the core's");
	ok(!strcmp(c.mac, "siphash128") && c.mtu == 1400 && !c.recovery,
	   "Mac and Mtu have defaults, Recovery is off");
	ok(c.n_replicas == 4 && !c.n_clients, "four replicas, no client");
	pbft_cluster_free(&c);
	rc = parse(&c, HEAD REPLICAS
		   "[Replica]\nId=4\nPublicKey=@x\nEndpoint=10.0.0.5:1\n"
		   "[Replica]\nId=5\nPublicKey=@y\nEndpoint=10.0.0.6:1\n"
		   "[Replica]\nId=6\nPublicKey=@z\nEndpoint=10.0.0.7:1\n",
		   err, sizeof(err));
	ok(!rc && c.cfg.f == 2, "seven replicas tolerate two faults by default");
	pbft_cluster_free(&c);
}

static const char full[] =
	"\xEF\xBB\xBF# all keys, in an unusual order and layout\n"
	R3 R1 "\n"
	"[Client]\t; the second one\n  Id = 200\n\tPublicKey=@f\n" C100
	"[Cluster]\r\n"
	"Id = 0xfedcba9876543210 # hexadecimal\r\n"
	"Epoch = 3\nFaults = 1\nMac = cmac(aes)\nMtu = 8000\n"
	"CheckpointInterval = 16\nWindow = 64\nPipeline = 3\nBatchMax = 5\n"
	"BatchBytes = 4096\nInlineMax = 100\nTimeout = 250ms\nTimeoutMax = 2min\n"
	"StatusInterval = 1500us\nHeartbeat = 3 s\nClockSkew = 0\nRecovery = 40min\n"
	R2 R0;

static void test_full(void)
{
	struct pbft_cluster c;
	const struct pbft_node *n;
	char err[256], *text = NULL, *again = NULL;
	size_t len;
	u8 key[32];
	FILE *f;
	int rc;

	rc = parse(&c, full, err, sizeof(err));
	if (!ok(!rc, "every key, a byte order mark, CR LF, comments, any order"))
		diag("%s", err);
	ok(c.cfg.cluster == 0xfedcba9876543210 && c.cfg.epoch == 3 && c.cfg.k == 16 &&
	   c.cfg.l == 64 && c.cfg.pipeline == 3 && c.cfg.batch_max == 5 &&
	   c.cfg.batch_bytes == 4096 && c.cfg.inline_max == 100 && c.mtu == 8000 &&
	   !strcmp(c.mac, "cmac(aes)"), "numbers are what the file says");
	ok(c.cfg.t_base == 250000000 && c.cfg.t_max == 120000000000 &&
	   c.cfg.t_status == 1500000 && c.cfg.t_heartbeat == 3000000000 &&
	   !c.cfg.clock_skew && c.recovery == 2400000000000, "times are what the file says");
	memset(key, 'c', sizeof(key));
	n = pbft_cluster_by_key(&c, key);
	ok(n && n->id == 2 && n == &c.replicas[2] &&
	   ntohs(((struct sockaddr_in *)&n->endpoint)->sin_port) == 7000,
	   "replicas stand by id and are found by key");
	memset(key, 'f', sizeof(key));
	n = pbft_cluster_by_key(&c, key);
	ok(n && n->id == 200 && n == pbft_cluster_client(&c, 200) &&
	   n == &c.clients[1], "clients are sorted and found by id and key");
	memset(key, 'q', sizeof(key));
	ok(!pbft_cluster_by_key(&c, key) && !pbft_cluster_client(&c, 150) &&
	   !pbft_cluster_client(&c, 0) && !pbft_cluster_client(&c, ~0u),
	   "what is not there is not found");

	f = open_memstream(&text, &len);
	pbft_cluster_print(f, &c);
	fclose(f);
	pbft_cluster_free(&c);
	rc = pbft_cluster_parse(&c, "again", text, err, sizeof(err));
	if (!ok(!rc, "what is printed is accepted"))
		diag("%s", err);
	f = open_memstream(&again, &len);
	pbft_cluster_print(f, &c);
	fclose(f);
	ok(!strcmp(text, again), "and reads back to the same");
	pbft_cluster_free(&c);
	free(text);
	free(again);
}

/* n replicas and m clients, with distinct keys */
static char *big_file(u32 n, u32 m)
{
	char *text = NULL, b64[PBFT_KEY_TEXT_LEN + 1];
	size_t len;
	u8 key[32];
	FILE *f = open_memstream(&text, &len);

	fprintf(f, "[Cluster]\nId = 1\n");
	for (u32 i = 0; i < n + m; i++) {
		memset(key, 1, sizeof(key));
		memcpy(key, &i, sizeof(i));
		pbft_key_to_text(b64, key);
		if (i < n)
			fprintf(f, "[Replica]\nId=%u\nPublicKey=%s\nEndpoint=[fd00::%x]:%u\n",
				i, b64, i + 1, i + 1);
		else
			fprintf(f, "[Client]\nId=%u\nPublicKey=%s\n", 64 + i - n,
				b64);
	}
	fclose(f);
	return text;
}

static void test_limits(void)
{
	struct pbft_cluster c;
	char err[256], *text;
	int rc;

	text = big_file(64, PBFT_CLUSTER_CLIENTS_MAX);
	rc = pbft_cluster_parse(&c, "big", text, err, sizeof(err));
	if (!ok(!rc && c.n_replicas == 64 && c.cfg.f == 21 &&
		c.n_clients == 4096 && c.cfg.clients_max == 4096,
		"64 replicas and 4096 clients"))
		diag("%s", err);
	pbft_cluster_free(&c);
	free(text);

	text = big_file(4, PBFT_CLUSTER_CLIENTS_MAX + 1);
	rc = pbft_cluster_parse(&c, "big", text, err, sizeof(err));
	if (!ok(rc == -E2BIG && !strcmp(err, "big:12307: 4097 clients, more than 4096"),
		"4097 clients are refused"))
		diag("%s", err);
	pbft_cluster_free(&c);
	free(text);

	text = big_file(4, PBFT_CLUSTER_CLIENTS_MAX + 80);
	rc = pbft_cluster_parse(&c, "big", text, err, sizeof(err));
	if (!ok(rc == -E2BIG && strstr(err, "more than 4160 replicas and clients"),
		"many more are not even stored"))
		diag("%s", err);
	pbft_cluster_free(&c);
	free(text);

	rc = parse(&c, HEAD REPLICAS, err, sizeof(err));
	pbft_cluster_free(&c);
	rc = parse(&c, "[Kluster]\n", err, 5);
	ok(rc && !strcmp(err, "f:1:"), "a short error buffer is kept to");
}

static void test_load(void)
{
	char path[] = "/tmp/test-cluster-XXXXXX", err[256], want[300];
	struct pbft_cluster c;
	FILE *f;
	int rc, fd = mkstemp(path);

	f = fdopen(fd, "w");
	fwrite("[Cluster]\0\n", 1, 11, f);
	fflush(f);
	rc = pbft_cluster_load(&c, path, err, sizeof(err));
	snprintf(want, sizeof(want), "%s: contains a zero byte", path);
	ok(rc == -EINVAL && !strcmp(err, want), "a zero byte is refused");
	pbft_cluster_free(&c);

	rc = ftruncate(fd, 1024 * 1024 + 1);
	rc = pbft_cluster_load(&c, path, err, sizeof(err));
	snprintf(want, sizeof(want), "%s: larger than 1048576 bytes", path);
	ok(rc == -EFBIG && !strcmp(err, want), "a huge file is refused");
	pbft_cluster_free(&c);
	fclose(f);
	unlink(path);

	rc = pbft_cluster_load(&c, path, err, sizeof(err));
	snprintf(want, sizeof(want), "%s: No such file or directory", path);
	ok(rc == -ENOENT && !strcmp(err, want), "a missing file is named");
	pbft_cluster_free(&c);
	rc = pbft_cluster_load(&c, "/", err, sizeof(err));
	ok(rc < 0 && !strncmp(err, "/: ", 3), "a directory is refused");
	pbft_cluster_free(&c);
}

static void test_values(void)
{
	char text[PBFT_TIME_TEXT_LEN];
	u64 v;

	ok(pbft_number_from_text(&v, "18446744073709551615", U64_MAX) && v == U64_MAX &&
	   pbft_number_from_text(&v, "0xffffffffffffffff", U64_MAX) && v == U64_MAX,
	   "the largest number");
	ok(!pbft_number_from_text(&v, "0x10000000000000000", U64_MAX) &&
	   !pbft_number_from_text(&v, "256", 255) &&
	   !pbft_number_from_text(&v, "9", 8) && !pbft_number_from_text(&v, "", 8) &&
	   !pbft_number_from_text(&v, " 1", 8) && !pbft_number_from_text(&v, "+1", 8),
	   "what is larger or no number is refused");
	pbft_time_to_text(text, 90 * 1000000000ull);
	ok(!strcmp(text, "90s"), "90 s are not a whole number of minutes");
	pbft_time_to_text(text, 18446744073709551615ull);
	ok(!strcmp(text, "18446744073709551615ns") &&
	   pbft_time_from_text(&v, text) && v == U64_MAX, "the longest time");
}

int main(void)
{
	test_defaults();
	test_full();
	test_refusals();
	test_limits();
	test_load();
	test_values();
	return done_testing();
}
