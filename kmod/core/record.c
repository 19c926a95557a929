// SPDX-License-Identifier: GPL-2.0
/* Records of a journal: written from the outbox, read for pbft_restore(). */
#include "internal.h"
#include "record.h"

static const char * const names[PBFT_REC_MAX] = {
	[PBFT_REC_PRE_PREPARED] = "PRE-PREPARED",
	[PBFT_REC_PREPARED] = "PREPARED",
	[PBFT_REC_VIEW_CHANGE] = "VIEW-CHANGE",
	[PBFT_REC_NEW_VIEW] = "NEW-VIEW",
	[PBFT_REC_CHECKPOINT] = "CHECKPOINT",
	[PBFT_REC_BASE] = "BASE",
	[PBFT_REC_STABLE] = "STABLE",
	[PBFT_REC_RAISED] = "RAISED",
	[PBFT_REC_REMEMBERS] = "REMEMBERS",
	[PBFT_REC_FORGOT] = "FORGOT",
};

const char *pbft_record_name(u8 code)
{
	return code < PBFT_REC_MAX ? names[code] : "unknown";
}

/* The message in a record; of a RELAY, what it carries. Batches are written out. */
static u32 message_of(const struct pbft_wire_id *id, const struct pbft_out *out,
		      const void **msg)
{
	const struct pbft_buf *buf = out->buf;
	struct pbft_inner in;

	*msg = NULL;
	if (out->batch)
		return pbft_batch_wire_size(out->batch);
	if (!buf)
		return 0;
	*msg = buf->data;
	if (((const struct pbft_hdr *)buf->data)->type == PBFT_RELAY &&
	    pbft_inner_first(buf->data, buf->len, id->n, &in)) {
		*msg = in.data;
		return in.len;
	}
	return buf->len;
}

u32 pbft_record_size(const struct pbft_wire_id *id, const struct pbft_out *out)
{
	const void *msg;

	return sizeof(struct pbft_record_disk) + ALIGN(message_of(id, out, &msg), 8);
}

void pbft_record_put(void *dst, const struct pbft_wire_id *id, u32 self,
		     const struct pbft_out *out)
{
	struct pbft_record_disk *d = dst;
	const void *msg;
	u32 len = message_of(id, out, &msg);

	memset(d, 0, sizeof(*d));
	d->len = cpu_to_le32(sizeof(*d) + ALIGN(len, 8));
	d->msg_len = cpu_to_le32(len);
	d->code = out->code;
	d->again = out->again;
	d->seq = cpu_to_le64(out->head.seq);
	d->view = cpu_to_le64(out->view);
	d->time = cpu_to_le64(out->head.time);
	d->digest = out->digest;
	d->chain = out->head.chain;
	if (out->batch)
		pbft_batch_write(d->msg, id, PBFT_BATCH, self, 0, out->batch);
	else if (len)
		memcpy(d->msg, msg, len);
	memset(d->msg + len, 0, ALIGN(len, 8) - len);
}

int pbft_record_get(const struct pbft_wire_id *id, const void *data, u32 len,
		    struct pbft_record *rec)
{
	const struct pbft_record_disk *d = data;
	u32 size, msg_len, room = id->n * PBFT_MAC_LEN;

	if (len < sizeof(*d))
		return -EBADMSG;
	size = le32_to_cpu(d->len);
	msg_len = le32_to_cpu(d->msg_len);
	if (size > len || size > PBFT_RECORD_MAX || d->code >= PBFT_REC_MAX ||
	    msg_len > PBFT_MSG_MAX + room ||
	    size != sizeof(*d) + ALIGN(msg_len, 8))
		return -EBADMSG;
	memset(rec, 0, sizeof(*rec));
	rec->code = d->code;
	rec->again = d->again;
	rec->view = le64_to_cpu(d->view);
	rec->head.seq = le64_to_cpu(d->seq);
	rec->head.time = le64_to_cpu(d->time);
	rec->head.chain = d->chain;
	rec->digest = d->digest;
	if (!msg_len)
		return size;
	/* room for the authenticator that an own message was never given */
	rec->buf = pbft_buf_alloc(msg_len + room);
	if (!rec->buf)
		return -ENOMEM;
	rec->buf->len = msg_len;
	memcpy(rec->buf->data, d->msg, msg_len);
	memset(rec->buf->data + msg_len, 0, room);
	return size;
}
