/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What PBFT_OUT_PERSIST says, as bytes, and back. The same in every journal,
 * whoever writes it. All integers little endian.
 */
#ifndef PBFT_CORE_RECORD_H
#define PBFT_CORE_RECORD_H

#include "core.h"

struct pbft_record_disk {
	__le32 len;		/* of all, padded to 8 bytes */
	__le32 msg_len;		/* bytes of the message */
	u8 code;		/* enum pbft_persist */
	u8 again;		/* said before, said once more */
	u8 reserved[6];		/* 0 */
	__le64 seq;
	__le64 view;
	__le64 time;
	struct pbft_digest digest;
	struct pbft_digest chain;
	u8 msg[];
} __packed __aligned(8);

#define PBFT_RECORD_MAX	(sizeof(struct pbft_record_disk) + PBFT_MSG_MAX + \
			 PBFT_N_MAX * PBFT_MAC_LEN)

/* Bytes of the record of @out, which is a PERSIST. No lock needed. */
u32 pbft_record_size(const struct pbft_wire_id *id, const struct pbft_out *out);

/* Write it to @dst, pbft_record_size() bytes, for replica @self. No lock needed. */
void pbft_record_put(void *dst, const struct pbft_wire_id *id, u32 self,
		     const struct pbft_out *out);

/**
 * pbft_record_get() - the record at @data
 * @len: bytes there are
 * @rec: filled; rec->buf, if there is one, is the caller's to put
 *
 * Checks lengths only: what the message says is for pbft_restore() to check.
 * Return: bytes of it; -EBADMSG: this is none; -ENOMEM.
 */
int pbft_record_get(const struct pbft_wire_id *id, const void *data, u32 len,
		    struct pbft_record *rec);

const char *pbft_record_name(u8 code);

#endif /* PBFT_CORE_RECORD_H */
