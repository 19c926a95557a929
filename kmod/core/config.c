// SPDX-License-Identifier: GPL-2.0
/* Configuration: defaults, limits, and what a core of that size may hold. */
#include "core.h"

#define MS 1000000ull
#define SEC (1000 * MS)

void pbft_config_default(struct pbft_config *cfg)
{
	cfg->k = 64;
	cfg->l = 256;
	cfg->pipeline = 4;
	cfg->batch_max = 64;
	cfg->batch_bytes = 32 * 1024;
	cfg->inline_max = 1024;
	cfg->clients_max = 1024;
	cfg->t_base = 1000 * MS;
	cfg->t_max = 60 * SEC;
	cfg->t_status = 100 * MS;
	cfg->t_heartbeat = 500 * MS;
	cfg->t_resend = 50 * MS;
	cfg->t_rejoin = 10 * SEC;
	cfg->clock_skew = 60 * SEC;
	cfg->journal = true;
}

const char *pbft_config_check(const struct pbft_config *cfg)
{
	if (!cfg->cluster)
		return "the cluster id must not be 0";
	if (cfg->n < PBFT_N_MIN || cfg->n > PBFT_N_MAX)
		return "the number of replicas must be from 4 to 64";
	if (!cfg->f || cfg->n < 3 * cfg->f + 1)
		return "faults must be at least 1, and replicas at least 3 * faults + 1";
	if (cfg->self >= cfg->n)
		return "our own replica id must be one of the cluster's";
	if (!cfg->k || cfg->k > 1024)
		return "the checkpoint interval must be from 1 to 1024";
	if (cfg->l > 1024 || cfg->l % cfg->k || cfg->l < 2 * cfg->k ||
	    cfg->l > 32 * cfg->k)
		return "the window must be a multiple of the checkpoint interval, 2 to 32 times it, at most 1024";
	if (!cfg->pipeline || cfg->pipeline > cfg->l)
		return "the pipeline must be from 1 to the window";
	if (!cfg->batch_max || cfg->batch_max > PBFT_BATCH_MAX)
		return "the batch limit must be from 1 to 256 requests";
	if (cfg->batch_bytes < 1024 || cfg->batch_bytes > 256 * 1024)
		return "the batch size must be from 1024 to 262144 bytes";
	if (cfg->inline_max > cfg->batch_bytes / 2)
		return "the inline limit must be at most half the batch size";
	if (!cfg->clients_max || cfg->clients_max > 65536)
		return "the client limit must be from 1 to 65536";
	if (cfg->t_base < MS || cfg->t_base > 3600 * SEC)
		return "the timeout must be from 1 ms to 1 h";
	if (cfg->t_max < cfg->t_base || cfg->t_max > 24 * 3600 * SEC)
		return "the largest timeout must be from the first timeout to 24 h";
	if (cfg->t_status < MS || cfg->t_status > 60 * SEC)
		return "the status interval must be from 1 ms to 60 s";
	if (cfg->t_heartbeat < MS || cfg->t_heartbeat > 600 * SEC)
		return "the heartbeat must be from 1 ms to 10 min";
	if (cfg->t_resend < MS || cfg->t_resend > 60 * SEC)
		return "the resend interval must be from 1 ms to 60 s";
	if (cfg->t_rejoin < MS || cfg->t_rejoin > 24 * 3600 * SEC)
		return "the rejoin interval must be from 1 ms to 24 h";
	if (cfg->clock_skew > 365 * 24 * 3600 * SEC)
		return "the clock skew must be at most a year";
	return NULL;
}
