// SPDX-License-Identifier: GPL-2.0
/*
 * Everything that may go wrong in a run has a name and can be left out of it:
 * `--without loss,star,equivocate`. What is left out is drawn all the same, so
 * that as much as possible of the rest stays as it was.
 */
#include <stdio.h>
#include <string.h>
#include "byz.h"

enum {
	X_LOSS, X_DUP, X_REORDER, X_REPLAY, X_CORRUPT, X_MTU, X_BIG, X_BYZ_CLIENTS,
	X_LIARS, X_SLOW_APP, X_JOURNAL, X_CORRUPT_STATE, X_MAX
};

#define X_FIRST		SIM_F_MAX
#define TRAIT_FIRST	(X_FIRST + X_MAX)
#define FEATURES	(TRAIT_FIRST + BYZ_TRAITS)

static const char * const names[FEATURES] = {
	[SIM_F_PARTITION] = "partition", [SIM_F_ISOLATE] = "isolate",
	[SIM_F_ONE_WAY] = "one-way", [SIM_F_STAR] = "star", [SIM_F_LOSSY] = "lossy-links",
	[SIM_F_SLOW_LINK] = "slow-links", [SIM_F_LARGE_LOSS] = "large-loss",
	[SIM_F_CRASH] = "crash", [SIM_F_WIPE] = "wipe", [SIM_F_PAUSE] = "pause",
	[SIM_F_CLOCK] = "clock", [SIM_F_DAEMON_DIES] = "daemon-dies",
	[SIM_F_DAEMON_SLOW] = "daemon-slow", [SIM_F_NOMEM] = "no-memory",
	[SIM_F_CLIENT_REBOOT] = "client-reboot", [SIM_F_AT_PREPARED] = "at-prepared",
	[SIM_F_AT_COMMITTED] = "at-committed", [SIM_F_AT_STABLE] = "at-stable",
	[SIM_F_AT_NEW_VIEW] = "at-new-view", [SIM_F_BLACKOUT] = "blackout",
	[SIM_F_ROT] = "bit-rot",
	[X_FIRST + X_LOSS] = "loss", [X_FIRST + X_DUP] = "dup",
	[X_FIRST + X_REORDER] = "reorder", [X_FIRST + X_REPLAY] = "replay",
	[X_FIRST + X_CORRUPT] = "corrupt", [X_FIRST + X_MTU] = "mtu",
	[X_FIRST + X_BIG] = "big-ops", [X_FIRST + X_BYZ_CLIENTS] = "faulty-clients",
	[X_FIRST + X_LIARS] = "liars", [X_FIRST + X_SLOW_APP] = "slow-app",
	[X_FIRST + X_JOURNAL] = "journal",
	[X_FIRST + X_CORRUPT_STATE] = "corrupt-state",
};

u32 feature_count(void)
{
	return FEATURES;
}

const char *feature_name(u32 i)
{
	return i < TRAIT_FIRST ? names[i] : byz_trait_names[i - TRAIT_FIRST];
}

/* Return: the first word that names nothing, or NULL. */
const char *feature_parse(const char *list, u64 *set)
{
	static char word[32];
	size_t len;
	u32 i;

	for (; *list; list += len + (list[len] == ',')) {
		len = strcspn(list, ",");
		snprintf(word, sizeof(word), "%.*s", (int)len, list);
		for (i = 0; i < FEATURES && strcmp(word, feature_name(i)); i++)
			;
		if (i == FEATURES)
			return word;
		*set |= 1ull << i;
	}
	return NULL;
}

void feature_print(u64 set)
{
	const char *sep = "";

	for (; set; set &= set - 1) {
		printf("%s%s", sep, feature_name(__ffs64(set)));
		sep = ",";
	}
}

static bool has(u64 set, u32 x)
{
	return set >> (X_FIRST + x) & 1;
}

void feature_apply(struct sim_plan *p, const struct sim_options *opt)
{
	u64 out = opt->without;

	p->faults &= ~out;
	p->no_traits = out >> TRAIT_FIRST;
	p->loss = has(out, X_LOSS) ? 0 : p->loss;
	p->dup = has(out, X_DUP) ? 0 : p->dup;
	p->reorder = has(out, X_REORDER) ? 0 : p->reorder;
	p->replay = has(out, X_REPLAY) ? 0 : p->replay;
	p->corrupt = has(out, X_CORRUPT) ? 0 : p->corrupt;
	p->mtu = has(out, X_MTU) ? 0 : p->mtu;
	p->big_ppm = has(out, X_BIG) ? 0 : p->big_ppm;
	if (has(out, X_BYZ_CLIENTS)) {
		p->clients -= p->byz_clients;
		p->byz_clients = 0;
	}
	p->byz = has(out, X_LIARS) ? 0 : p->byz;
	if (has(out, X_SLOW_APP)) {
		p->app_delay = 20000;
		p->durable_ppm = 1000000;
	}
	if (has(out, X_JOURNAL)) {
		p->journal = 0;
		p->faults &= ~SIM_F_DISK;
	}
	if (has(out, X_CORRUPT_STATE))
		p->corrupt_every = 0;
	if (opt->until)
		p->chaos = min(p->chaos, opt->until * MS);
	if (opt->ops)
		p->ops = min(p->ops, opt->ops);
	if (opt->clients)
		p->clients = min(p->clients, opt->clients);
	p->byz_clients = min(p->byz_clients, p->clients - 1);
}
