// SPDX-License-Identifier: GPL-2.0
/*
 * The values of the cluster file as text, in both directions, and the printing
 * of a whole file.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>

#include "libpbft/cluster.h"
#include "libpbft/crypto.h"

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

/* Digits from *@text on, which is left at the first other character. */
static bool digits(u64 *out, const char **text, unsigned int base, u64 max)
{
	const char *p = *text;
	u64 v = 0;

	for (; digit_of(*p) < (int)base; p++) {
		unsigned int d = digit_of(*p);

		if (v > (max - d) / base || d > max)
			return false;
		v = v * base + d;
	}
	if (p == *text)
		return false;
	*text = p;
	*out = v;
	return true;
}

bool pbft_number_from_text(u64 *out, const char *text, u64 max)
{
	unsigned int base = 10;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		base = 16;
		text += 2;
	}
	return digits(out, &text, base, max) && !*text;
}

static const struct {
	const char *name;
	u64 ns;
} units[] = {
	{ "min", 60000000000ull },
	{ "s", 1000000000ull },
	{ "ms", 1000000ull },
	{ "us", 1000ull },
	{ "ns", 1ull },
};

bool pbft_time_from_text(u64 *ns, const char *text)
{
	u64 v;

	if (!digits(&v, &text, 10, U64_MAX))
		return false;
	while (*text == ' ')
		text++;
	if (!*text) {
		*ns = 0;
		return !v;	/* only zero needs no unit */
	}
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(text, units[i].name))
			continue;
		if (v > U64_MAX / units[i].ns)
			return false;
		*ns = v * units[i].ns;
		return true;
	}
	return false;
}

void pbft_time_to_text(char text[PBFT_TIME_TEXT_LEN], u64 ns)
{
	size_t i = 0;

	if (!ns) {
		strcpy(text, "0");
		return;
	}
	while (ns % units[i].ns)
		i++;
	snprintf(text, PBFT_TIME_TEXT_LEN, "%" PRIu64 "%s", ns / units[i].ns,
		 units[i].name);
}

/* The address without its port; @host is cut out of the text already. */
static const char *host_from_text(struct sockaddr_storage *addr, socklen_t *len,
				  const char *host, bool bracketed, u16 port)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)addr;
	struct sockaddr_in *in = (struct sockaddr_in *)addr;

	memset(addr, 0, sizeof(*addr));
	if (bracketed) {
		if (inet_pton(AF_INET6, host, &in6->sin6_addr) != 1)
			return "not a numeric IPv6 address";
		if (IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr) ||
		    IN6_IS_ADDR_MULTICAST(&in6->sin6_addr))
			return "not the address of one host";
		if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
			return "an IPv4 address is written without brackets";
		if (IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr))
			return "a link-local address means another host on every machine";
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		*len = sizeof(*in6);
		return NULL;
	}
	if (inet_pton(AF_INET, host, &in->sin_addr) != 1)
		return "not a numeric IPv4 address, or an IPv6 address in brackets";
	if (!in->sin_addr.s_addr || in->sin_addr.s_addr == htonl(INADDR_BROADCAST) ||
	    IN_MULTICAST(ntohl(in->sin_addr.s_addr)))
		return "not the address of one host";
	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	*len = sizeof(*in);
	return NULL;
}

const char *pbft_endpoint_from_text(struct sockaddr_storage *addr,
				    socklen_t *len, const char *text)
{
	const char *end, *port_text;
	char host[INET6_ADDRSTRLEN];
	bool bracketed = *text == '[';
	u64 port;

	if (bracketed) {
		text++;
		end = strchr(text, ']');
		if (!end || end[1] != ':')
			return "an IPv6 endpoint is [ADDRESS]:PORT";
		port_text = end + 2;
	} else {
		end = strrchr(text, ':');
		if (!end)
			return "an endpoint is ADDRESS:PORT";
		port_text = end + 1;
	}
	if (!digits(&port, &port_text, 10, 65535) || *port_text || !port)
		return "the port is a number from 1 to 65535";
	if ((size_t)(end - text) >= sizeof(host))
		return "the address is too long";
	memcpy(host, text, end - text);
	host[end - text] = 0;
	return host_from_text(addr, len, host, bracketed, port);
}

void pbft_endpoint_to_text(char text[PBFT_ENDPOINT_TEXT_LEN],
			   const struct sockaddr_storage *addr)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)addr;
	const struct sockaddr_in *in = (const struct sockaddr_in *)addr;
	char host[INET6_ADDRSTRLEN];

	if (addr->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(text, PBFT_ENDPOINT_TEXT_LEN, "[%s]:%u", host,
			 ntohs(in6->sin6_port));
	} else if (addr->ss_family == AF_INET) {
		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(text, PBFT_ENDPOINT_TEXT_LEN, "%s:%u", host,
			 ntohs(in->sin_port));
	} else {
		strcpy(text, "(none)");
	}
}

static void print_time(FILE *f, const char *key, u64 ns)
{
	char text[PBFT_TIME_TEXT_LEN];

	pbft_time_to_text(text, ns);
	fprintf(f, "%s = %s\n", key, text);
}

static void print_node(FILE *f, const char *section, const struct pbft_node *n)
{
	char key[PBFT_KEY_TEXT_LEN + 1], endpoint[PBFT_ENDPOINT_TEXT_LEN];

	pbft_key_to_text(key, n->public_key);
	fprintf(f, "\n[%s]\nId = %u\nPublicKey = %s\n", section, n->id, key);
	/* a client that the kernel tells of has one too, but not by configuration */
	if (n->id >= PBFT_CLIENT_ID_MIN || !n->endpoint.ss_family)
		return;
	pbft_endpoint_to_text(endpoint, &n->endpoint);
	fprintf(f, "Endpoint = %s\n", endpoint);
}

void pbft_cluster_print(FILE *f, const struct pbft_cluster *c)
{
	const struct pbft_config *cfg = &c->cfg;

	fprintf(f, "[Cluster]\nId = 0x%016" PRIx64 "\nEpoch = %u\nFaults = %u\n",
		cfg->cluster, cfg->epoch, cfg->f);
	fprintf(f, "Mac = %s\nMtu = %u\nCheckpointInterval = %u\nWindow = %u\n",
		c->mac, c->mtu, cfg->k, cfg->l);
	fprintf(f, "Pipeline = %u\nBatchMax = %u\nBatchBytes = %u\nInlineMax = %u\n",
		cfg->pipeline, cfg->batch_max, cfg->batch_bytes, cfg->inline_max);
	print_time(f, "Timeout", cfg->t_base);
	print_time(f, "TimeoutMax", cfg->t_max);
	print_time(f, "StatusInterval", cfg->t_status);
	print_time(f, "Heartbeat", cfg->t_heartbeat);
	print_time(f, "ClockSkew", cfg->clock_skew);
	print_time(f, "Recovery", c->recovery);
	for (u32 i = 0; i < c->n_replicas; i++)
		print_node(f, "Replica", &c->replicas[i]);
	for (u32 i = 0; i < c->n_clients; i++)
		print_node(f, "Client", &c->clients[i]);
}
