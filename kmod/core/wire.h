/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The wire format: every message, byte for byte. All integers little endian.
 *
 * A message is header, body, authentication. The header's length counts header
 * and body; what follows is, by type, nothing, one MAC, or an authenticator of
 * n MACs. A MAC covers every byte of header and body. The header's sender is
 * always who sent the datagram: what is passed on for others travels inside
 * RELAY, PRE-PREPARE or BATCH with its own header and authenticator.
 *
 * Documentation/wire-format.rst says the same in prose.
 */
#ifndef PBFT_CORE_WIRE_H
#define PBFT_CORE_WIRE_H

#include "types.h"
#include "hash.h"

#define PBFT_MAGIC	0x54464250u	/* "PBFT" */
#define PBFT_VERSION	1

enum pbft_type {
	PBFT_REQUEST = 1,	/* client -> replica, authenticator */
	PBFT_REPLY,		/* replica -> client */
	PBFT_PRE_PREPARE,
	PBFT_PREPARE,
	PBFT_COMMIT,
	PBFT_CHECKPOINT,
	PBFT_VIEW_CHANGE,	/* authenticator */
	PBFT_VIEW_CHANGE_ACK,
	PBFT_NEW_VIEW,		/* authenticator */
	PBFT_STATUS,
	PBFT_COMMITTED,		/* COMMITTED-PROOF */
	PBFT_FETCH,		/* send me the batch with this digest */
	PBFT_BATCH,		/* a whole batch, every request inline */
	PBFT_RELAY,		/* another node's message, whole */
	PBFT_QUERY_STABLE,
	PBFT_REPLY_STABLE,
	PBFT_REJOIN,		/* a recovering replica names its recovery point */
	PBFT_NACK,		/* these clients' requests fail my check */
	PBFT_ENDORSE,		/* this request passed my check */
	PBFT_FRAGMENT,		/* a piece of a message above the MTU */
	PBFT_PEER_DATA,		/* daemon to daemon; the core never sees it */
	PBFT_HELLO,		/* client -> replica: this is my address */
	PBFT_HELLO_ACK,
	PBFT_TYPE_MAX = PBFT_HELLO_ACK,
};

/* What follows the body. */
enum pbft_auth {
	PBFT_AUTH_NONE,		/* already complete, send as it is */
	PBFT_AUTH_MAC,		/* one MAC per destination */
	PBFT_AUTH_VECTOR,	/* n MACs, one for each replica, the same to all */
};

struct pbft_hdr {
	__le32 magic;
	u8 version;
	u8 type;
	u8 key_id;		/* generation of the sender's keys; set by the shell */
	u8 flags;		/* 0 */
	__le32 length;		/* header and body */
	__le32 sender;
	__le64 cluster;
	__le32 epoch;
	__le32 reserved;	/* 0 */
	__le64 view;
	__le64 seq;
} __packed __aligned(8);

/* view = 0, seq = t, sender = client */
struct pbft_request {
	struct pbft_hdr hdr;
	__le64 session;
	u8 flags;		/* PBFT_REQ_*, outside the digest */
	u8 replier;		/* who sends the result in full; outside the digest */
	__le16 reserved;
	__le32 op_len;
	u8 op[];
} __packed __aligned(8);

#define PBFT_REQ_READ_ONLY	0x01
#define PBFT_REPLIER_ALL	0xff

/* seq = sequence number of the batch, view = replier's view */
struct pbft_reply {
	struct pbft_hdr hdr;
	__le32 client;
	u8 status;		/* enum pbft_reply_status */
	u8 flags;		/* PBFT_REPLY_* */
	__le16 reserved;
	__le64 session;
	__le64 t;
	struct pbft_digest result_digest;	/* pbft_result_digest() */
	__le32 result_len;	/* bytes that follow: the result, or 0 */
	__le32 full_len;	/* bytes of the result */
	u8 result[];
} __packed __aligned(8);

#define PBFT_REPLY_TENTATIVE	0x01
#define PBFT_REPLY_DIGEST_ONLY	0x02
/* Results up to this many bytes come in full from every replica. */
#define PBFT_REPLY_INLINE	64

enum pbft_reply_status {
	PBFT_ST_OK = 0,		/* executed; the result is the application's */
	PBFT_ST_STALE = 1,	/* older than the replies that are kept, or a closed session */
	PBFT_ST_OUT_OF_ORDER = 2,	/* t above the next: not executed, send again */
	PBFT_ST_APP_ERROR = 3,	/* executed; the application refused the operation */
};

/* PRE-PREPARE (view, seq) and BATCH (seq; view unused) */
struct pbft_pre_prepare {
	struct pbft_hdr hdr;
	struct pbft_digest digest;	/* pbft_batch_digest(), or the null digest */
	__le64 time;		/* agreed time, ns since the epoch, proposed */
	__le32 count;
	__le32 reserved;
	u8 entries[];		/* struct pbft_entry, each padded to 8 bytes */
} __packed __aligned(8);

struct pbft_entry {
	__le32 len;		/* of the REQUEST inline, authenticator included; 0: by reference */
	__le32 client;
	__le64 session;
	__le64 t;
	struct pbft_digest digest;	/* D(request); trusted for nothing when inline */
	u8 request[];
} __packed __aligned(8);

/* PREPARE, COMMIT: view, seq */
struct pbft_vote {
	struct pbft_hdr hdr;
	struct pbft_digest digest;
} __packed __aligned(8);

/* seq */
struct pbft_checkpoint {
	struct pbft_hdr hdr;
	struct pbft_digest digest;	/* D_ck, pbft_checkpoint_digest() of the rest */
	struct pbft_digest app;		/* the application's state, sessions included */
	struct pbft_digest chain;	/* hash chain over batches 1..seq */
	__le64 time;		/* agreed time after batch seq */
	__le32 flags;		/* PBFT_CK_STABLE: the sender holds q matching ones */
	__le32 reserved;
} __packed __aligned(8);

#define PBFT_CK_STABLE	0x01

struct pbft_vc_c {		/* a checkpoint held */
	__le64 seq;
	struct pbft_digest digest;
} __packed __aligned(8);

struct pbft_vc_pq {		/* prepared, or pre-prepared, last in this view */
	__le64 seq;
	__le64 view;
	struct pbft_digest digest;
} __packed __aligned(8);

/* view = the view wanted; C by seq, P by seq, Q by (seq, view descending) */
struct pbft_view_change {
	struct pbft_hdr hdr;
	__le64 h;
	__le32 c_count;
	__le32 p_count;
	__le32 q_count;
	__le32 reserved;
	u8 body[];		/* C[], P[], Q[] */
} __packed __aligned(8);

/* view */
struct pbft_vc_ack {
	struct pbft_hdr hdr;
	__le32 origin;		/* whose VIEW-CHANGE */
	__le32 reserved;
	struct pbft_digest digest;	/* pbft_vc_digest() */
} __packed __aligned(8);

struct pbft_nv_v {
	__le32 origin;
	__le32 reserved;
	struct pbft_digest digest;
} __packed __aligned(8);

/* view; V by origin, X[i] is the digest at base + 1 + i */
struct pbft_new_view {
	struct pbft_hdr hdr;
	__le64 base;
	struct pbft_digest base_digest;
	__le32 v_count;
	__le32 x_count;
	u8 body[];		/* struct pbft_nv_v V[], struct pbft_digest X[] */
} __packed __aligned(8);

/* view, seq = last committed, contiguous */
struct pbft_status_msg {
	struct pbft_hdr hdr;
	__le64 h;		/* stable checkpoint */
	__le64 nonce;		/* rises with every STATUS of this sender's life */
	__le64 vc_have;		/* pending: VIEW-CHANGEs of this view held */
	__le64 vc_need;		/* pending: bodies or acks the NEW-VIEW held still needs */
	__le32 flags;		/* PBFT_STF_* */
	__le32 bits;		/* sequence numbers described, from seq + 1 */
	u8 map[];		/* two bits each, low bits first: PBFT_STB_*; padded to 8 bytes */
} __packed __aligned(8);

#define PBFT_STATUS_BITS_MAX	8192	/* sequence numbers in one STATUS */

#define PBFT_STF_PENDING	0x01	/* between VIEW-CHANGE and NEW-VIEW */
#define PBFT_STF_HAVE_NEW_VIEW	0x02
#define PBFT_STF_MUTE		0x04	/* recovering: does not vote */
#define PBFT_STB_NONE		0	/* no PRE-PREPARE of this view */
#define PBFT_STB_PRE_PREPARED	1
#define PBFT_STB_PREPARED	2
#define PBFT_STB_COMMITTED	3

/* seq = first; digests of batches committed at seq, seq + 1, ... */
struct pbft_committed {
	struct pbft_hdr hdr;
	__le32 count;
	__le32 reserved;
	struct pbft_digest digests[];
} __packed __aligned(8);

#define PBFT_COMMITTED_MAX	32

/* seq */
struct pbft_fetch {
	struct pbft_hdr hdr;
	struct pbft_digest digest;
} __packed __aligned(8);

struct pbft_relay {
	struct pbft_hdr hdr;
	u8 inner[];		/* a REQUEST, VIEW-CHANGE or NEW-VIEW with its authenticator */
} __packed __aligned(8);

struct pbft_query_stable {
	struct pbft_hdr hdr;
	__le64 nonce;
} __packed __aligned(8);

/* view = the replier's, seq = its last checkpoint */
struct pbft_reply_stable {
	struct pbft_hdr hdr;
	__le64 nonce;
	__le64 prepared;	/* highest sequence number prepared */
} __packed __aligned(8);

/* view = lowest the sender may vote in, seq = its recovery point */
struct pbft_rejoin {
	struct pbft_hdr hdr;
	__le64 h;		/* where it is */
} __packed __aligned(8);

/* view, seq: a batch held because of these clients' requests */
struct pbft_nack {
	struct pbft_hdr hdr;
	struct pbft_digest digest;
	__le32 count;
	__le32 reserved;
	__le32 clients[];	/* padded to 8 bytes */
} __packed __aligned(8);

struct pbft_endorse {
	struct pbft_hdr hdr;
	__le32 client;
	__le32 flags;		/* PBFT_ENDORSE_ASK: answer with yours */
	__le64 session;
	__le64 t;
	struct pbft_digest digest;
} __packed __aligned(8);

#define PBFT_ENDORSE_ASK	0x01

struct pbft_fragment {
	struct pbft_hdr hdr;
	__le64 id;		/* same bytes, same id: retransmissions combine */
	__le32 total;		/* bytes of the whole message, authentication included */
	__le32 offset;		/* a multiple of the fragment size */
	__le32 size;		/* fragment size of this message; the last may be shorter */
	__le32 reserved;
	u8 data[];
} __packed __aligned(8);

/* Fragment sizes are a multiple of this, and at least 512 bytes. */
#define PBFT_FRAG_ALIGN		64

struct pbft_peer_data {
	struct pbft_hdr hdr;
	u8 data[];
} __packed __aligned(8);

/* sender = client; seq rises with every HELLO of the session */
struct pbft_hello {
	struct pbft_hdr hdr;
	__le64 session;
} __packed __aligned(8);

/* view = the replier's, seq = echoed from HELLO */
struct pbft_hello_ack {
	struct pbft_hdr hdr;
	__le64 session;		/* echoed */
} __packed __aligned(8);

/* What a well-formed header says, in host order. */
struct pbft_head {
	u8 type;
	u8 key_id;
	u32 len;		/* header and body */
	u32 sender;
	u64 view;
	u64 seq;
};

/* Why a packet was dropped before the core saw it; the shells count these. */
enum pbft_drop {
	PBFT_OK = 0,
	PBFT_DROP_SHORT,
	PBFT_DROP_MAGIC,
	PBFT_DROP_VERSION,
	PBFT_DROP_TYPE,
	PBFT_DROP_LENGTH,
	PBFT_DROP_CLUSTER,
	PBFT_DROP_EPOCH,
	PBFT_DROP_SENDER,
	PBFT_DROP_KEY,		/* no key with this id for this sender */
	PBFT_DROP_MAC,
	PBFT_DROP_MALFORMED,	/* body against the rules of its type */
	PBFT_DROP_QUOTA,
	PBFT_DROP_NOMEM,
	PBFT_DROP_STOPPED,	/* the instance does not run */
	PBFT_DROP_JOURNAL,	/* the journal is behind */
	PBFT_DROP_MAX
};

/* The network identity that every header must carry. */
struct pbft_wire_id {
	u64 cluster;
	u32 epoch;
	u32 n;
};

/**
 * pbft_wire_check() - is this datagram a well-formed message of this cluster?
 * @id: the cluster
 * @data: the datagram, whole
 * @len: its length in bytes
 * @head: the header in host order, valid when PBFT_OK is returned
 *
 * Checks the header and that every length, count and index inside the body
 * stays within bounds; nothing about it is authentic yet. The sender is in
 * range for the type: a replica (< n), a client for REQUEST and HELLO, either
 * for FRAGMENT.
 *
 * Return: PBFT_OK or the reason to drop it. Any context, no side effects.
 */
enum pbft_drop pbft_wire_check(const struct pbft_wire_id *id, const void *data,
			       u32 len, struct pbft_head *head);

/* What follows the body of a message of @type; PBFT_AUTH_MAC for unknown ones. */
enum pbft_auth pbft_wire_auth(u8 type);

/* Bytes of authentication after the body of a message of @type. */
u32 pbft_wire_auth_len(u8 type, u32 n);

/* Does the core keep the buffer of such a message? Others it only reads. */
bool pbft_wire_retained(u8 type);

const char *pbft_type_name(u8 type);
const char *pbft_drop_name(enum pbft_drop drop);

/* Fill a header; key_id is left 0 for the shell to set when it authenticates. */
void pbft_wire_header(struct pbft_hdr *hdr, const struct pbft_wire_id *id,
		      u8 type, u32 len, u32 sender, u64 view, u64 seq);

/* D(request): client, session, t and operation; not replier, flags or MACs. */
void pbft_request_digest(struct pbft_digest *out, u32 client, u64 session,
			 u64 t, const void *op, u32 op_len);

void pbft_result_digest(struct pbft_digest *out, u8 status, const void *result,
			u32 len);

/* d of a batch: binds seq, agreed time and the requests' digests; never the view. */
void pbft_batch_digest(struct pbft_digest *out, u64 seq, u64 time,
		       const struct pbft_digest *reqs, u32 count);

/* The digest that stands for "nothing happens at this sequence number". */
void pbft_null_digest(struct pbft_digest *out);

void pbft_checkpoint_digest(struct pbft_digest *out,
			    const struct pbft_wire_id *id, u64 seq,
			    const struct pbft_digest *app,
			    const struct pbft_digest *chain, u64 time);

/* dv: origin, view and body of a VIEW-CHANGE; not its key id or MACs. */
void pbft_vc_digest(struct pbft_digest *out, const struct pbft_view_change *vc);

/* chain_n = H(chain_{n-1}, n, d_n) */
void pbft_chain_next(struct pbft_digest *chain, u64 seq,
		     const struct pbft_digest *d);

/*
 * Requests carried inside a message, in order: the one in a RELAY, those inline
 * in a PRE-PREPARE or BATCH. The shell walks them to check the authenticator
 * entry meant for it, and reports the ones that hold in the verdict.
 */
struct pbft_inner {
	const u8 *data;		/* header, body, authenticator; NULL: by reference */
	u32 len;
	struct pbft_head head;
	u32 off;		/* iteration state: bytes of the outer message consumed */
	u32 index;
};

/**
 * pbft_inner_first()/pbft_inner_next() - walk the messages inside @data
 *
 * @data must have passed pbft_wire_check(), which also checked the inner ones.
 * A RELAY has one; types that carry nothing have none. Entries by reference
 * are visited with data == NULL.
 *
 * Return: false when there are no more.
 */
bool pbft_inner_first(const void *data, u32 len, u32 n, struct pbft_inner *it);
bool pbft_inner_next(const void *data, u32 len, u32 n, struct pbft_inner *it);

#endif /* PBFT_CORE_WIRE_H */
