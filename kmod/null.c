// SPDX-License-Identifier: GPL-2.0
/*
 * The null service: an application in the kernel without state, whose result
 * is a fixed number of zero bytes. For measuring agreement without a daemon,
 * and for tests. Having no state it answers everything at once, and it keeps
 * no sessions: executing a request twice changes nothing.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include "instance.h"

int pbft_null_init(struct pbft_instance *inst)
{
	u32 i, len = inst->conf.null_reply;

	if (inst->conf.service != PBFT_SERVICE_NULL)
		return 0;
	inst->null_reply = kvzalloc(max(len, 1u), GFP_KERNEL);
	inst->null_results = kcalloc(PBFT_BATCH_MAX, sizeof(*inst->null_results),
				     GFP_KERNEL);
	if (!inst->null_reply || !inst->null_results) {
		pbft_null_exit(inst);
		return -ENOMEM;
	}
	for (i = 0; i < PBFT_BATCH_MAX; i++) {
		inst->null_results[i].status = PBFT_ST_OK;
		inst->null_results[i].len = len;
		inst->null_results[i].data = inst->null_reply;
	}
	return 0;
}

void pbft_null_exit(struct pbft_instance *inst)
{
	kvfree(inst->null_reply);
	kfree(inst->null_results);
	inst->null_reply = NULL;
	inst->null_results = NULL;
}

void pbft_null_do(struct pbft_instance *inst, struct pbft_core *core, u64 now,
		  const struct pbft_out *out)
{
	static const struct pbft_digest state;	/* of no state: all zero */
	u32 count;
	int err = 0;

	switch (out->type) {
	case PBFT_OUT_APPLY:
		count = out->batch ? pbft_batch_count(out->batch) : 0;
		err = count > PBFT_BATCH_MAX ? -EINVAL :
			pbft_executed(core, now, out->head.seq,
				      inst->null_results, count);
		break;
	case PBFT_OUT_SNAPSHOT:
		err = pbft_checkpointed(core, now, out->head.seq, &state);
		break;
	case PBFT_OUT_FETCH_STATE:
		err = pbft_state_installed(core, now, out->head.seq,
					   &out->digest);
		break;
	}
	if (err)
		pbft_stop(core, "the null service and the core disagree");
}
