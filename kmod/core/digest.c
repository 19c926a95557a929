// SPDX-License-Identifier: GPL-2.0
/*
 * Digests of wire objects. Each begins with a label of its own, so that bytes
 * hashed for one purpose can never stand for another.
 */
#include "wire.h"

#define LABEL_LEN 8

struct label {
	u8 s[LABEL_LEN];
};

static const struct label label_request = { "pbft-req" };
static const struct label label_result = { "pbft-res" };
static const struct label label_batch = { "pbft-bat" };
static const struct label label_null = { "pbft-nul" };
static const struct label label_checkpoint = { "pbft-ckp" };
static const struct label label_vc = { "pbft-vch" };
static const struct label label_chain = { "pbft-chn" };

static void hash2(struct pbft_digest *out, const void *a, size_t alen,
		  const void *b, size_t blen)
{
	struct pbft_iov iov[2] = { { a, alen }, { b, blen } };

	pbft_hash(out, iov, 2);
}

void pbft_request_digest(struct pbft_digest *out, u32 client, u64 session,
			 u64 t, const void *op, u32 op_len)
{
	struct {
		struct label label;
		__le32 client;
		__le32 op_len;
		__le64 session;
		__le64 t;
	} __packed head = {
		.label = label_request,
		.client = cpu_to_le32(client),
		.op_len = cpu_to_le32(op_len),
		.session = cpu_to_le64(session),
		.t = cpu_to_le64(t),
	};

	hash2(out, &head, sizeof(head), op, op_len);
}

void pbft_result_digest(struct pbft_digest *out, u8 status, const void *result,
			u32 len)
{
	struct {
		struct label label;
		u8 status;
	} __packed head = { .label = label_result, .status = status };

	hash2(out, &head, sizeof(head), result, len);
}

void pbft_batch_digest(struct pbft_digest *out, u64 seq, u64 time,
		       const struct pbft_digest *reqs, u32 count)
{
	struct {
		struct label label;
		__le64 seq;
		__le64 time;
		__le32 count;
	} __packed head = {
		.label = label_batch,
		.seq = cpu_to_le64(seq),
		.time = cpu_to_le64(time),
		.count = cpu_to_le32(count),
	};

	if (!count) {
		pbft_null_digest(out);
		return;
	}
	hash2(out, &head, sizeof(head), reqs, count * sizeof(*reqs));
}

void pbft_null_digest(struct pbft_digest *out)
{
	hash2(out, &label_null, sizeof(label_null), NULL, 0);
}

void pbft_checkpoint_digest(struct pbft_digest *out,
			    const struct pbft_wire_id *id, u64 seq,
			    const struct pbft_digest *app,
			    const struct pbft_digest *chain, u64 time)
{
	struct {
		struct label label;
		__le64 cluster;
		__le32 epoch;
		__le32 n;
		__le64 seq;
		__le64 time;
		struct pbft_digest app;
		struct pbft_digest chain;
	} __packed __aligned(8) all = {
		.label = label_checkpoint,
		.cluster = cpu_to_le64(id->cluster),
		.epoch = cpu_to_le32(id->epoch),
		.n = cpu_to_le32(id->n),
		.seq = cpu_to_le64(seq),
		.time = cpu_to_le64(time),
		.app = *app,
		.chain = *chain,
	};

	hash2(out, &all, sizeof(all), NULL, 0);
}

void pbft_vc_digest(struct pbft_digest *out, const struct pbft_view_change *vc)
{
	struct {
		struct label label;
		__le32 sender;
		__le64 view;
	} __packed head = {
		.label = label_vc,
		.sender = vc->hdr.sender,
		.view = vc->hdr.view,
	};

	hash2(out, &head, sizeof(head), (const u8 *)vc + sizeof(vc->hdr),
	      le32_to_cpu(vc->hdr.length) - sizeof(vc->hdr));
}

void pbft_chain_next(struct pbft_digest *chain, u64 seq,
		     const struct pbft_digest *d)
{
	struct {
		struct label label;
		__le64 seq;
		struct pbft_digest prev;
		struct pbft_digest d;
	} __packed __aligned(8) all = {
		.label = label_chain,
		.seq = cpu_to_le64(seq),
		.prev = *chain,
		.d = *d,
	};

	hash2(chain, &all, sizeof(all), NULL, 0);
}
