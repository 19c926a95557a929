// SPDX-License-Identifier: GPL-2.0
/*
 * The virtual network: every packet is a copy of bytes that may be delayed,
 * lost, repeated, corrupted, or come back much later from the archive.
 * Links are directed; what is cut is cut one way.
 */
#include "sim.h"

u32 net_index(u32 end)
{
	return end < PBFT_CLIENT_ID_MIN ? end : PBFT_N_MAX + end - PBFT_CLIENT_ID_MIN;
}

/* Does the link between replica or client @from and @to carry anything? */
static bool connected(struct sim_net *net, u32 from, u32 to)
{
	if (to < PBFT_CLIENT_ID_MIN)
		return !(net->cut[net_index(from)] >> to & 1);
	/* towards clients: a client cut off from a replica does not hear it either */
	return !(net->cut[net_index(to)] >> from & 1);
}

static bool marked(const u64 *set, u32 from, u32 to)
{
	return to < PBFT_CLIENT_ID_MIN ? set[net_index(from)] >> to & 1 :
					 set[net_index(to)] >> from & 1;
}

static u64 draw_delay(struct sim *sim, u32 from, u32 to)
{
	struct sim_net *net = &sim->net;
	u64 d = prng_range(&sim->rng_net, net->delay_min, net->delay_max);

	if (prng_chance(&sim->rng_net, net->reorder))
		d += prng_below(&sim->rng_net, 10 * net->delay_max);
	if (marked(net->slow, from, to))
		d = 20 * d + prng_below(&sim->rng_net, sim->plan.cfg.t_base);
	return d;
}

bool net_pass(struct sim *sim, u32 from, u32 to, u32 len, u64 *delay)
{
	struct sim_net *net = &sim->net;
	u32 loss = net->loss;

	if (!connected(net, from, to))
		return false;
	if (marked(net->lossy, from, to))
		loss += 500000;
	if (len > sim->plan.large)
		loss += net->large_loss;
	if (prng_chance(&sim->rng_net, loss))
		return false;
	*delay = draw_delay(sim, from, to);
	return true;
}

static void deliver(struct sim *sim, u32 from, u32 to, struct pbft_buf *buf, u64 delay)
{
	struct sim_event *ev = sim_event_add(sim, sim->now + delay, SIM_EV_PACKET, to);

	ev->from = from;
	ev->buf = buf;
}

static struct pbft_buf *corrupted(struct sim *sim, const struct pbft_buf *buf)
{
	struct pbft_buf *bad = sim_buf(buf->len);
	u32 flips = prng_range(&sim->rng_net, 1, 3);

	memcpy(bad->data, buf->data, buf->len);
	if (prng_chance(&sim->rng_net, 200000))
		bad->len = prng_below(&sim->rng_net, buf->len + 1);
	while (flips-- && bad->len)
		bad->data[prng_below(&sim->rng_net, bad->len)] ^=
			1u << prng_below(&sim->rng_net, 8);
	return bad;
}

/* Keep a sample of everything, old and new alike. */
static void archive(struct sim *sim, u32 from, u32 to, struct pbft_buf *buf)
{
	struct sim_net *net = &sim->net;
	u64 k = net->sent < SIM_ARCHIVE ? net->sent :
		prng_below(&sim->rng_net, 4 * SIM_ARCHIVE);
	struct sim_old *old;

	if (k >= SIM_ARCHIVE)
		return;
	old = &net->archive[k];
	pbft_buf_put(old->buf);
	old->buf = pbft_buf_get(buf);
	old->from = from;
	old->to = to;
}

static void replay(struct sim *sim)
{
	struct sim_old *old = &sim->net.archive[prng_below(&sim->rng_net, SIM_ARCHIVE)];
	u64 delay;

	if (old->buf && net_pass(sim, old->from, old->to, old->buf->len, &delay))
		deliver(sim, old->from, old->to, pbft_buf_get(old->buf), delay);
}

void net_send(struct sim *sim, u32 from, u32 to, struct pbft_buf *buf)
{
	struct sim_net *net = &sim->net;
	u64 delay;

	if (sim->intercept && sim->intercept(sim, from, to, buf))
		return;
	if (net->replay || sim->plan.byz) {
		archive(sim, from, to, buf);
		if (prng_chance(&sim->rng_net, net->replay))
			replay(sim);
	}
	net->sent++;
	if (!net_pass(sim, from, to, buf->len, &delay)) {
		net->lost++;
		pbft_buf_put(buf);
		return;
	}
	if (prng_chance(&sim->rng_net, net->dup))
		deliver(sim, from, to, pbft_buf_get(buf), draw_delay(sim, from, to));
	if (prng_chance(&sim->rng_net, net->corrupt)) {
		struct pbft_buf *bad = corrupted(sim, buf);

		pbft_buf_put(buf);
		buf = bad;
	}
	deliver(sim, from, to, buf, delay);
}

void net_heal(struct sim *sim)
{
	struct sim_net *net = &sim->net;

	memset(net->cut, 0, sizeof(net->cut));
	memset(net->lossy, 0, sizeof(net->lossy));
	memset(net->slow, 0, sizeof(net->slow));
	net->loss = 0;
	net->large_loss = 0;
	net->corrupt = 0;
}

void net_free(struct sim *sim)
{
	u32 i;

	for (i = 0; i < SIM_ARCHIVE; i++)
		pbft_buf_put(sim->net.archive[i].buf);
	memset(&sim->net, 0, sizeof(sim->net));
}
