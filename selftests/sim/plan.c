// SPDX-License-Identifier: GPL-2.0
/* What one seed decides before anything happens. */
#include <stdio.h>
#include "sim.h"

static u32 choose_n(struct prng *r)
{
	static const u8 sizes[] = { 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 5, 5, 6,
				    7, 7, 7, 7, 10, 13 };

	if (prng_chance(r, 3000))
		return 31;
	return sizes[prng_below(r, ARRAY_SIZE(sizes))];
}

static void plan_config(struct sim_plan *p, struct prng *r)
{
	struct pbft_config *c = &p->cfg;

	c->k = prng_range(r, 1, 8);
	c->l = c->k * prng_range(r, 2, 5);
	c->pipeline = prng_range(r, 1, min_t(u32, c->l, 12));
	c->batch_max = prng_range(r, 1, 8);
	c->batch_bytes = prng_range(r, 1024, 8192);
	c->inline_max = prng_range(r, 0, c->batch_bytes / 2);
	c->clients_max = SIM_CLIENTS_MAX;
	c->t_base = prng_range(r, 200, 1000) * MS;
	c->t_max = c->t_base * prng_range(r, 8, 20);
	c->t_status = prng_range(r, 25, 150) * MS;
	c->t_heartbeat = c->t_base / prng_range(r, 2, 4);
	c->t_resend = prng_range(r, 5, 60) * MS;
	c->t_rejoin = prng_range(r, 500, 4000) * MS;
	c->clock_skew = prng_chance(r, 500000) ? 0 : prng_range(r, 2, 60) * SEC;
}

static void plan_network(struct sim_plan *p, struct prng *r)
{
	p->delay_min = prng_range(r, 10, 200) * 1000;
	p->delay_max = p->delay_min + prng_range(r, 1, prng_chance(r, 200000) ? 25000 : 3000) * 1000;
	if (prng_chance(r, 600000))
		p->loss = prng_below(r, prng_chance(r, 200000) ? 200000 : 30000);
	if (prng_chance(r, 500000))
		p->dup = prng_below(r, 100000);
	if (prng_chance(r, 600000))
		p->reorder = prng_below(r, 200000);
	if (prng_chance(r, 400000))
		p->replay = prng_below(r, 50000);
	if (prng_chance(r, 300000))
		p->corrupt = prng_below(r, 30000);
	p->large = prng_range(r, 300, 1500);
	p->mtu = prng_chance(r, 350000) ? prng_range(r, PBFT_MTU_MIN, 1500) : 0;
}

static u64 choose_byz(struct prng *r, u32 n, u32 count)
{
	u64 set = 0;

	while (hweight64(set) < count)
		set |= 1ull << prng_below(r, n);
	return set;
}

void sim_plan(struct sim_plan *p, u64 seed, const struct sim_options *opt)
{
	struct pbft_config *c = &p->cfg;
	const char *wrong;
	struct prng r;

	prng_seed(&r, seed, 0);
	memset(p, 0, sizeof(*p));
	pbft_config_default(c);
	c->cluster = 1 + (seed & 0xffff);
	c->epoch = 1;
	c->n = choose_n(&r);
	if (opt->n)
		c->n = opt->n;
	c->f = pbft_max_faults(c->n);
	if (c->f > 1 && prng_chance(&r, 150000))
		c->f--;
	plan_config(p, &r);
	plan_network(p, &r);
	if (prng_chance(&r, 600000))
		p->byz = choose_byz(&r, c->n, prng_range(&r, 1, c->f));
	p->clients = prng_range(&r, 2, 5);
	if (prng_chance(&r, 350000))
		p->byz_clients = prng_range(&r, 1, 2);
	p->window = prng_chance(&r, 500000) ? prng_range(&r, 1, 4) : prng_range(&r, 1, 40);
	p->ops = prng_range(&r, 10, 120);
	p->think = prng_range(&r, 0, 200) * MS;
	p->big_ppm = prng_chance(&r, 500000) ? prng_below(&r, 200000) : 0;
	p->keys = prng_range(&r, 1, 12);
	p->app_delay = prng_range(&r, 20, prng_chance(&r, 200000) ? 30000 : 1000) * 1000;
	p->durable_ppm = prng_chance(&r, 300000) ? 1000000 : prng_range(&r, 10000, 500000);
	p->faults = prng_chance(&r, 100000) ? 0 :
		    prng_chance(&r, 300000) ? SIM_F_ALL : prng_u64(&r) & SIM_F_ALL;
	p->chaos = prng_range(&r, 5, 40) * c->t_base;
	p->chaos_every = prng_range(&r, 1, 8) * c->t_base;

	if (!opt->byzantine)
		p->byz = 0;
	if (!opt->byz_clients)
		p->byz_clients = 0;
	p->clients += p->byz_clients;
	p->faults &= opt->faults;
	/* its own stream: what the seed decides else stays what it is */
	prng_seed(&r, seed, 8);
	if (prng_chance(&r, 400000)) {
		p->journal = prng_range(&r, 1, 3) * (SIM_DISK_MAX / 3);
		p->sync_delay = prng_range(&r, 50, prng_chance(&r, 300000) ? 20000 : 2000) * 1000;
	} else {
		p->faults &= ~SIM_F_DISK;
	}
	if (prng_chance(&r, 250000) && p->faults)
		p->corrupt_every = prng_range(&r, 2, 20) * c->t_base;
	feature_apply(p, opt);
	if (opt->short_run || c->n > 13) {
		p->ops = min_t(u32, p->ops, 15);
		p->chaos /= 3;
	}
	p->settle = 60 * c->t_max + 100 * c->t_base;
	c->self = 0;
	wrong = pbft_config_check(c);
	if (wrong) {
		fprintf(stderr, "sim: seed %llu makes a bad configuration: %s\n",
			(unsigned long long)seed, wrong);
		c->k = 4;
		c->l = 16;
	}
}

void sim_plan_print(const struct sim_plan *p, u64 seed)
{
	const struct pbft_config *c = &p->cfg;

	printf("seed %llu: n %u f %u byz %#llx k %u l %u pipeline %u batch %u/%u inline %u t_base %llums t_max %llums status %llums heartbeat %llums resend %llums rejoin %llums\n",
	       (unsigned long long)seed, c->n, c->f, (unsigned long long)p->byz, c->k, c->l,
	       c->pipeline, c->batch_max, c->batch_bytes, c->inline_max,
	       (unsigned long long)(c->t_base / MS), (unsigned long long)(c->t_max / MS),
	       (unsigned long long)(c->t_status / MS),
	       (unsigned long long)(c->t_heartbeat / MS),
	       (unsigned long long)(c->t_resend / MS),
	       (unsigned long long)(c->t_rejoin / MS));
	printf("  clients %u (%u faulty) window %u ops %u keys %u mtu %u delay %llu-%lluus loss %u dup %u reorder %u replay %u corrupt %u ppm, faults %#x every %llums for %llums journal %u sync %lluus corrupt every %llums\n",
	       p->clients, p->byz_clients, p->window, p->ops, p->keys, p->mtu,
	       (unsigned long long)(p->delay_min / 1000),
	       (unsigned long long)(p->delay_max / 1000),
	       p->loss, p->dup, p->reorder, p->replay, p->corrupt, p->faults,
	       (unsigned long long)(p->chaos_every / MS),
	       (unsigned long long)(p->chaos / MS), p->journal,
	       (unsigned long long)(p->sync_delay / 1000),
	       (unsigned long long)(p->corrupt_every / MS));
}
