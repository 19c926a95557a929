/* SPDX-License-Identifier: GPL-2.0 */
/* What fuzz-client gives a client instead of a network, a clock and secret keys. */
#ifndef PBFT_FUZZ_CLIENT_ENV_H
#define PBFT_FUZZ_CLIENT_ENV_H

#include "fuzz.h"

#define ENV_MTU		1400
#define ENV_SESSION	1000000000ull	/* what the wall clock says, ns */
#define ENV_MAC_GOOD	0xa5		/* first byte of a MAC that holds */

struct client_env {
	bool active;		/* else the real ones are called */
	u64 now;
	u64 sent;		/* datagrams that left */
};

extern struct client_env client_env;

/* A datagram for the client; the oldest give way when there are too many. */
void env_deliver(const void *data, u32 len);
void env_reset(void);

#endif /* PBFT_FUZZ_CLIENT_ENV_H */
