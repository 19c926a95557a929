// SPDX-License-Identifier: GPL-2.0
/* The transcript, as a person reads it: printed as it goes, or the tail kept. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "ghost.h"

#define RING 4096

void trace_line(struct sim *sim, const char *fmt, ...)
{
	char *line;
	va_list ap;
	int n;

	if (!sim->ring)
		sim->ring = calloc(RING, sizeof(*sim->ring));
	line = sim->ring[sim->ring_pos++ % RING];
	n = snprintf(line, sizeof(*sim->ring), "%llu.%06llu ", llu(sim->now / SEC),
		     llu(sim->now % SEC / 1000));
	va_start(ap, fmt);
	vsnprintf(line + n, sizeof(*sim->ring) - n, fmt, ap);
	va_end(ap);
	if (sim->on_line)
		sim->on_line(sim, line + n);
	if (sim->trace_now)
		puts(line);
}

void trace_ring_each(struct sim *sim, u32 lines, void (*fn)(const char *line))
{
	u32 i = sim->ring_pos > lines ? sim->ring_pos - lines : 0;

	if (!sim->ring)
		return;
	if (sim->ring_pos - i > RING)
		i = sim->ring_pos - RING;
	for (; i < sim->ring_pos; i++)
		fn(sim->ring[i % RING]);
}

/* Alternates between a few buffers, for several in one line. */
const char *trace_end(u32 end)
{
	static char names[4][16];
	static u32 turn;
	char *s = names[turn++ & 3];

	if (end < PBFT_CLIENT_ID_MIN)
		snprintf(s, sizeof(names[0]), "r%u", end);
	else
		snprintf(s, sizeof(names[0]), "c%u", end - PBFT_CLIENT_ID_MIN);
	return s;
}

static void describe_status(const struct pbft_status_msg *m, char *out, size_t size)
{
	snprintf(out, size, " h %llu flags %x have %llx need %llx",
		 llu(le64_to_cpu(m->h)), le32_to_cpu(m->flags),
		 llu(le64_to_cpu(m->vc_have)), llu(le64_to_cpu(m->vc_need)));
}

static void describe_view_change(const struct pbft_view_change *m, char *out, size_t size)
{
	const struct pbft_vc_c *c = (const void *)m->body;
	const struct pbft_vc_pq *p = (const void *)(c + le32_to_cpu(m->c_count));
	u32 i, ps = le32_to_cpu(m->p_count), cs = le32_to_cpu(m->c_count);
	int n;

	if (sizeof(*m) + cs * sizeof(*c) + (u64)(ps + le32_to_cpu(m->q_count)) * sizeof(*p) !=
	    le32_to_cpu(m->hdr.length)) {
		snprintf(out, size, " malformed");
		return;
	}
	n = snprintf(out, size, " h %llu c", llu(le64_to_cpu(m->h)));
	for (i = 0; i < cs && (size_t)n < size; i++)
		n += snprintf(out + n, size - n, " %llu", llu(le64_to_cpu(c[i].seq)));
	if ((size_t)n < size)
		n += snprintf(out + n, size - n, " q %u p", le32_to_cpu(m->q_count));
	for (i = 0; i < ps && (size_t)n < size; i++)
		n += snprintf(out + n, size - n, " %llu:%08x/%llu",
			      llu(le64_to_cpu(p[i].seq)), short_digest(&p[i].digest),
			      llu(le64_to_cpu(p[i].view)));
}

static void describe_new_view(const struct pbft_new_view *m, char *out, size_t size)
{
	u32 i, vs = le32_to_cpu(m->v_count), xs = le32_to_cpu(m->x_count);
	const struct pbft_nv_v *v = (const void *)m->body;
	const struct pbft_digest *x = (const void *)(v + vs);
	int n;

	if (sizeof(*m) + vs * sizeof(*v) + (u64)xs * sizeof(*x) != le32_to_cpu(m->hdr.length)) {
		snprintf(out, size, " malformed");
		return;
	}
	n = snprintf(out, size, " base %llu v", llu(le64_to_cpu(m->base)));
	for (i = 0; i < vs && (size_t)n < size; i++)
		n += snprintf(out + n, size - n, " %u", le32_to_cpu(v[i].origin));
	for (i = 0; i < xs && (size_t)n < size; i++)
		n += snprintf(out + n, size - n, "%s %08x", i ? "" : " x", short_digest(&x[i]));
}

static void describe_body(const struct pbft_hdr *h, char *out, size_t size)
{
	const struct pbft_reply *reply = (const void *)h;
	const struct pbft_vc_ack *ack = (const void *)h;
	const struct pbft_checkpoint *ck = (const void *)h;
	const struct pbft_reply_stable *rs = (const void *)h;

	*out = 0;
	switch (h->type) {
	case PBFT_PRE_PREPARE:
	case PBFT_BATCH:
		snprintf(out, size, " %08x count %u",
			 short_digest(&((const struct pbft_pre_prepare *)h)->digest),
			 le32_to_cpu(((const struct pbft_pre_prepare *)h)->count));
		break;
	case PBFT_PREPARE:
	case PBFT_COMMIT:
	case PBFT_FETCH:
		snprintf(out, size, " %08x",
			 short_digest(&((const struct pbft_vote *)h)->digest));
		break;
	case PBFT_CHECKPOINT:
		snprintf(out, size, " %08x%s", short_digest(&ck->digest),
			 ck->flags ? " stable" : "");
		break;
	case PBFT_REPLY:
		snprintf(out, size, " t %llu status %u", llu(le64_to_cpu(reply->t)),
			 reply->status);
		break;
	case PBFT_VIEW_CHANGE_ACK:
		snprintf(out, size, " origin %u %08x", le32_to_cpu(ack->origin),
			 short_digest(&ack->digest));
		break;
	case PBFT_COMMITTED:
		snprintf(out, size, " count %u %08x",
			 le32_to_cpu(((const struct pbft_committed *)h)->count),
			 short_digest(((const struct pbft_committed *)h)->digests));
		break;
	case PBFT_REPLY_STABLE:
		snprintf(out, size, " prepared %llu", llu(le64_to_cpu(rs->prepared)));
		break;
	case PBFT_STATUS:
		describe_status((const void *)h, out, size);
		break;
	case PBFT_VIEW_CHANGE:
		describe_view_change((const void *)h, out, size);
		break;
	case PBFT_NEW_VIEW:
		describe_new_view((const void *)h, out, size);
		break;
	case PBFT_RELAY:
		trace_message(((const struct pbft_relay *)h)->inner, out, size);
		break;
	}
}

void trace_message(const void *msg, char *out, size_t size)
{
	const struct pbft_hdr *h = msg;
	char body[160];

	describe_body(h, body, sizeof(body));
	if (h->type == PBFT_RELAY)
		snprintf(out, size, "RELAY(%s)", body);
	else
		snprintf(out, size, "%s view %llu seq %llu%s", pbft_type_name(h->type),
			 llu(le64_to_cpu(h->view)), llu(le64_to_cpu(h->seq)), body);
}
