/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints: each phase's messages as they come in, authentic, before the
 * core sees them, and as they go out; what was dropped and why; what the
 * daemon is asked for and has done; what the core reports.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM pbft

#if !defined(PBFT_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define PBFT_TRACE_H

#include <linux/tracepoint.h>
#include "instance.h"

#define PBFT_TRACE_NAME_LEN (PBFT_NAME_MAX + 1)

#define pbft_trace_drop_name(_reason) \
	__print_symbolic(_reason, \
		{ PBFT_DROP_SHORT, "short" }, { PBFT_DROP_MAGIC, "magic" }, \
		{ PBFT_DROP_VERSION, "version" }, { PBFT_DROP_TYPE, "type" }, \
		{ PBFT_DROP_LENGTH, "length" }, { PBFT_DROP_CLUSTER, "cluster" }, \
		{ PBFT_DROP_EPOCH, "epoch" }, { PBFT_DROP_SENDER, "sender" }, \
		{ PBFT_DROP_KEY, "key" }, { PBFT_DROP_MAC, "mac" }, \
		{ PBFT_DROP_MALFORMED, "malformed" }, \
		{ PBFT_DROP_QUOTA, "quota" }, { PBFT_DROP_NOMEM, "nomem" }, \
		{ PBFT_DROP_STOPPED, "stopped" }, \
		{ PBFT_DROP_JOURNAL, "journal" })

/* A message between this instance and node @peer. */
DECLARE_EVENT_CLASS(pbft_message,
	TP_PROTO(const struct pbft_instance *inst, bool out, u32 peer,
		 u8 type, u64 view, u64 seq, u32 len),
	TP_ARGS(inst, out, peer, type, view, seq, len),
	TP_STRUCT__entry(
		__array(char, name, PBFT_TRACE_NAME_LEN)
		__field(u32, self)
		__field(bool, out)
		__field(u8, type)
		__field(u32, peer)
		__field(u32, len)
		__field(u64, view)
		__field(u64, seq)
	),
	TP_fast_assign(
		memcpy(__entry->name, inst->name, PBFT_TRACE_NAME_LEN);
		__entry->self = inst->conf.self.self;
		__entry->out = out;
		__entry->type = type;
		__entry->peer = peer;
		__entry->len = len;
		__entry->view = view;
		__entry->seq = seq;
	),
	TP_printk("%s[%u] %s %u type=%u view=%llu seq=%llu len=%u",
		  __entry->name, __entry->self,
		  __entry->out ? "to" : "from", __entry->peer,
		  __entry->type, __entry->view, __entry->seq, __entry->len)
);

#define PBFT_TRACE_MESSAGE(_name) \
	DEFINE_EVENT(pbft_message, _name, \
		TP_PROTO(const struct pbft_instance *inst, bool out, u32 peer, \
			 u8 type, u64 view, u64 seq, u32 len), \
		TP_ARGS(inst, out, peer, type, view, seq, len))

PBFT_TRACE_MESSAGE(pbft_request);
PBFT_TRACE_MESSAGE(pbft_pre_prepare);
PBFT_TRACE_MESSAGE(pbft_prepare);
PBFT_TRACE_MESSAGE(pbft_commit);
PBFT_TRACE_MESSAGE(pbft_reply);
PBFT_TRACE_MESSAGE(pbft_checkpoint);
PBFT_TRACE_MESSAGE(pbft_view_change);
PBFT_TRACE_MESSAGE(pbft_new_view);
PBFT_TRACE_MESSAGE(pbft_other);

TRACE_EVENT(pbft_drop,
	TP_PROTO(const struct pbft_instance *inst, u32 sender, u8 type, u8 reason),
	TP_ARGS(inst, sender, type, reason),
	TP_STRUCT__entry(
		__array(char, name, PBFT_TRACE_NAME_LEN)
		__field(u32, self)
		__field(u32, sender)
		__field(u8, type)
		__field(u8, reason)
	),
	TP_fast_assign(
		memcpy(__entry->name, inst->name, PBFT_TRACE_NAME_LEN);
		__entry->self = inst->conf.self.self;
		__entry->sender = sender;
		__entry->type = type;
		__entry->reason = reason;
	),
	TP_printk("%s[%u] sender=%u type=%u reason=%s",
		  __entry->name, __entry->self, __entry->sender, __entry->type,
		  pbft_trace_drop_name(__entry->reason))
);

/* The core asks the application for something (enum pbft_out_type). */
TRACE_EVENT(pbft_task,
	TP_PROTO(const struct pbft_instance *inst, u8 type, u64 seq),
	TP_ARGS(inst, type, seq),
	TP_STRUCT__entry(
		__array(char, name, PBFT_TRACE_NAME_LEN)
		__field(u32, self)
		__field(u8, type)
		__field(u64, seq)
	),
	TP_fast_assign(
		memcpy(__entry->name, inst->name, PBFT_TRACE_NAME_LEN);
		__entry->self = inst->conf.self.self;
		__entry->type = type;
		__entry->seq = seq;
	),
	TP_printk("%s[%u] %s seq=%llu",
		  __entry->name, __entry->self,
		  __print_symbolic(__entry->type,
			{ PBFT_OUT_APPLY, "apply" },
			{ PBFT_OUT_SNAPSHOT, "snapshot" },
			{ PBFT_OUT_DISCARD, "discard" },
			{ PBFT_OUT_FETCH_STATE, "fetch-state" }),
		  __entry->seq)
);

/* The daemon's answer: @cmd of enum pbft_cmd, @err what the core said. */
TRACE_EVENT(pbft_answer,
	TP_PROTO(const struct pbft_instance *inst, u8 cmd, u64 seq, int err),
	TP_ARGS(inst, cmd, seq, err),
	TP_STRUCT__entry(
		__array(char, name, PBFT_TRACE_NAME_LEN)
		__field(u32, self)
		__field(u8, cmd)
		__field(int, err)
		__field(u64, seq)
	),
	TP_fast_assign(
		memcpy(__entry->name, inst->name, PBFT_TRACE_NAME_LEN);
		__entry->self = inst->conf.self.self;
		__entry->cmd = cmd;
		__entry->err = err;
		__entry->seq = seq;
	),
	TP_printk("%s[%u] %s seq=%llu err=%d",
		  __entry->name, __entry->self,
		  __print_symbolic(__entry->cmd,
			{ PBFT_CMD_EXECUTED, "executed" },
			{ PBFT_CMD_CHECKPOINTED, "checkpointed" },
			{ PBFT_CMD_STATE_INSTALLED, "state-installed" }),
		  __entry->seq, __entry->err)
);

TRACE_EVENT(pbft_event,
	TP_PROTO(const struct pbft_instance *inst, u8 code, u64 view, u64 seq,
		 u32 replica),
	TP_ARGS(inst, code, view, seq, replica),
	TP_STRUCT__entry(
		__array(char, name, PBFT_TRACE_NAME_LEN)
		__field(u32, self)
		__field(u8, code)
		__field(u32, replica)
		__field(u64, view)
		__field(u64, seq)
	),
	TP_fast_assign(
		memcpy(__entry->name, inst->name, PBFT_TRACE_NAME_LEN);
		__entry->self = inst->conf.self.self;
		__entry->code = code;
		__entry->replica = replica;
		__entry->view = view;
		__entry->seq = seq;
	),
	TP_printk("%s[%u] %s view=%llu seq=%llu replica=%u",
		  __entry->name, __entry->self,
		  __print_symbolic(__entry->code,
			{ PBFT_EV_VIEW_CHANGE, "view-change" },
			{ PBFT_EV_NEW_VIEW, "new-view" },
			{ PBFT_EV_STABLE, "stable" },
			{ PBFT_EV_QUORUM_LOST, "quorum-lost" },
			{ PBFT_EV_BEHIND, "behind" },
			{ PBFT_EV_SYNCED, "synced" },
			{ PBFT_EV_RECOVERED, "recovered" },
			{ PBFT_EV_EVIDENCE, "evidence" },
			{ PBFT_EV_STOPPED, "stopped" }),
		  __entry->view, __entry->seq, __entry->replica)
);

#endif /* PBFT_TRACE_H */

#ifndef PBFT_TRACE_BY_TYPE
#define PBFT_TRACE_BY_TYPE

/* The tracepoint of a message's phase. */
static inline void pbft_trace_message(const struct pbft_instance *inst, bool out,
				      u32 peer, u8 type, u64 view, u64 seq,
				      u32 len)
{
	switch (type) {
	case PBFT_REQUEST:
		trace_pbft_request(inst, out, peer, type, view, seq, len);
		break;
	case PBFT_PRE_PREPARE:
		trace_pbft_pre_prepare(inst, out, peer, type, view, seq, len);
		break;
	case PBFT_PREPARE:
		trace_pbft_prepare(inst, out, peer, type, view, seq, len);
		break;
	case PBFT_COMMIT:
		trace_pbft_commit(inst, out, peer, type, view, seq, len);
		break;
	case PBFT_REPLY:
		trace_pbft_reply(inst, out, peer, type, view, seq, len);
		break;
	case PBFT_CHECKPOINT:
		trace_pbft_checkpoint(inst, out, peer, type, view, seq, len);
		break;
	case PBFT_VIEW_CHANGE:
		trace_pbft_view_change(inst, out, peer, type, view, seq, len);
		break;
	case PBFT_NEW_VIEW:
		trace_pbft_new_view(inst, out, peer, type, view, seq, len);
		break;
	default:
		trace_pbft_other(inst, out, peer, type, view, seq, len);
	}
}

#endif /* PBFT_TRACE_BY_TYPE */

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH .
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
