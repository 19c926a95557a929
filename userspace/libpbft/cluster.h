/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The cluster file: INI in the manner of WireGuard's, the same on every machine
 * and without secrets.
 *
 *	[Cluster]
 *	Id = 0x1f2e3d4c5b6a7988		# 64 bits, not 0
 *	Epoch = 1			# default 1
 *	Faults = 1			# default (n - 1) / 3
 *	Mac = siphash128		# default; or one of the crypto API
 *	Mtu = 1400			# bytes of UDP payload
 *	CheckpointInterval = 64
 *	Window = 256
 *	Pipeline = 4
 *	BatchMax = 64
 *	BatchBytes = 32768
 *	InlineMax = 1024
 *	Timeout = 1s			# ns, us, ms, s, min
 *	TimeoutMax = 60s
 *	StatusInterval = 100ms
 *	Heartbeat = 500ms
 *	ClockSkew = 60s			# 0: any
 *	Recovery = 0			# in this time every replica recovers once; 0: never
 *
 *	[Replica]			# once for each, ids 0..n-1
 *	Id = 0
 *	PublicKey = <base64>
 *	Endpoint = 10.0.0.1:7000	# or [fd00::1]:7000; one family for all
 *
 *	[Client]
 *	Id = 100			# 64..0x7fffffff
 *	PublicKey = <base64>
 *
 * Unknown sections and keys, repeated keys, duplicate ids, keys or endpoints,
 * gaps in the replica ids are errors that name file and line.
 */
#ifndef PBFT_CLUSTER_H
#define PBFT_CLUSTER_H

#include <stdio.h>
#include <sys/socket.h>
#include "core/core.h"

#define PBFT_CLUSTER_CLIENTS_MAX	4096

struct pbft_node {
	u32 id;
	u8 public_key[32];
	struct sockaddr_storage endpoint;	/* replicas; family 0: none */
	socklen_t endpoint_len;
};

struct pbft_cluster {
	struct pbft_config cfg;	/* self and genesis unset; defaults filled in; clients_max set */
	char mac[64];
	u32 mtu;
	u64 recovery;		/* ns; 0: never */
	u32 n_replicas;
	struct pbft_node replicas[PBFT_N_MAX];	/* by id */
	u32 n_clients;
	struct pbft_node *clients;	/* by id, ascending */
};

/* Return 0, or -errno with a sentence naming file and line in @err. */
int pbft_cluster_load(struct pbft_cluster *c, const char *path, char *err,
		      size_t errlen);
/* The same from memory, @name standing for the file in errors (also fuzzed). */
int pbft_cluster_parse(struct pbft_cluster *c, const char *name,
		       const char *text, char *err, size_t errlen);
void pbft_cluster_free(struct pbft_cluster *c);

const struct pbft_node *pbft_cluster_client(const struct pbft_cluster *c, u32 id);
/* The node, replica or client, that owns a public key; NULL if none does. */
const struct pbft_node *pbft_cluster_by_key(const struct pbft_cluster *c,
					    const u8 public_key[32]);

/* Write a cluster file that pbft_cluster_parse() reads back to the same. */
void pbft_cluster_print(FILE *f, const struct pbft_cluster *c);

/* Room for any numeric endpoint, brackets, port and NUL. */
#define PBFT_ENDPOINT_TEXT_LEN	64

/* "10.0.0.1:7000" or "[fd00::1]:7000", numeric only. Return NULL or what is wrong. */
const char *pbft_endpoint_from_text(struct sockaddr_storage *addr,
				    socklen_t *len, const char *text);
void pbft_endpoint_to_text(char text[PBFT_ENDPOINT_TEXT_LEN],
			   const struct sockaddr_storage *addr);

/* A whole number, decimal or 0x..., up to @max. false: it is not. */
bool pbft_number_from_text(u64 *out, const char *text, u64 max);
/* "500ms", "10s", "0" to ns: units ns, us, ms, s, min. */
bool pbft_time_from_text(u64 *ns, const char *text);
#define PBFT_TIME_TEXT_LEN	24
/* In the largest unit that is exact. */
void pbft_time_to_text(char text[PBFT_TIME_TEXT_LEN], u64 ns);

#endif /* PBFT_CLUSTER_H */
