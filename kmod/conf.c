// SPDX-License-Identifier: GPL-2.0
/*
 * Configuration without the nodes. One table says which attribute is which
 * field; setting, showing and comparing all go by it.
 */
#include <linux/string.h>
#include "conf.h"
#include "netlink.h"

struct field {
	u8 attr;
	u8 size;
	u16 offset;
	const char *name;
};

#define FIELD(_attr, _member, _name) { \
	.attr = _attr, \
	.size = sizeof_field(struct pbft_conf, _member), \
	.offset = offsetof(struct pbft_conf, _member), \
	.name = _name, \
}

static const struct field fields[] = {
	FIELD(PBFT_A_CLUSTER, core.cluster, "the cluster id"),
	FIELD(PBFT_A_EPOCH, core.epoch, "the epoch"),
	FIELD(PBFT_A_FAULTS, core.f, "the number of faults"),
	FIELD(PBFT_A_SELF, core.self, "our own replica id"),
	FIELD(PBFT_A_MTU, mtu, "the MTU"),
	FIELD(PBFT_A_CHECKPOINT_INTERVAL, core.k, "the checkpoint interval"),
	FIELD(PBFT_A_WINDOW, core.l, "the window"),
	FIELD(PBFT_A_PIPELINE, core.pipeline, "the pipeline"),
	FIELD(PBFT_A_BATCH_MAX, core.batch_max, "the batch limit"),
	FIELD(PBFT_A_BATCH_BYTES, core.batch_bytes, "the batch size"),
	FIELD(PBFT_A_INLINE_MAX, core.inline_max, "the inline limit"),
	FIELD(PBFT_A_TIMEOUT, core.t_base, "the timeout"),
	FIELD(PBFT_A_TIMEOUT_MAX, core.t_max, "the largest timeout"),
	FIELD(PBFT_A_STATUS_INTERVAL, core.t_status, "the status interval"),
	FIELD(PBFT_A_HEARTBEAT, core.t_heartbeat, "the heartbeat"),
	FIELD(PBFT_A_CLOCK_SKEW, core.clock_skew, "the clock skew"),
	FIELD(PBFT_A_SERVICE, service, "the service"),
	FIELD(PBFT_A_NULL_REPLY, null_reply, "the null service's reply"),
	FIELD(PBFT_A_RECOVERY_INTERVAL, recovery, "the recovery interval"),
};

static u64 field_get(const struct pbft_conf *conf, const struct field *f)
{
	const void *p = (const char *)conf + f->offset;

	return f->size == sizeof(u64) ? *(const u64 *)p : *(const u32 *)p;
}

static void field_set(struct pbft_conf *conf, const struct field *f,
		      const struct nlattr *attr)
{
	void *p = (char *)conf + f->offset;

	if (f->size == sizeof(u64))
		*(u64 *)p = nla_get_u64(attr);
	else
		*(u32 *)p = nla_get_u32(attr);
}

void pbft_conf_default(struct pbft_conf *conf)
{
	memset(conf, 0, sizeof(*conf));
	pbft_config_default(&conf->core);
	conf->core.epoch = 1;
	conf->mtu = PBFT_MTU_DEFAULT;
	conf->service = PBFT_SERVICE_DAEMON;
	strscpy(conf->self.mac, PBFT_MAC_DEFAULT, sizeof(conf->self.mac));
}

static void identity_update(struct pbft_conf *conf)
{
	struct pbft_identity *id = &conf->self;

	id->cluster = conf->core.cluster;
	id->epoch = conf->core.epoch;
	id->self = conf->core.self;
}

void pbft_conf_parse(struct pbft_conf *conf, struct genl_info *info)
{
	struct nlattr *attr;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		attr = info->attrs[fields[i].attr];
		if (attr)
			field_set(conf, &fields[i], attr);
	}
	attr = info->attrs[PBFT_A_KEY_ID];
	if (attr)
		conf->key_id = nla_get_u8(attr);
	attr = info->attrs[PBFT_A_MAC];
	if (attr)
		nla_strscpy(conf->self.mac, attr, sizeof(conf->self.mac));
	attr = info->attrs[PBFT_A_PRIVATE_KEY];
	if (attr) {
		nla_memcpy(conf->self.private_key, attr, PBFT_KEY_LEN);
		conf->self.has_key = true;
	}
	identity_update(conf);
}

int pbft_conf_check(const struct pbft_conf *conf, struct genl_info *info)
{
	const char *why = pbft_config_check(&conf->core);

	if (why)
		return pbft_refuse_text(info->extack, NULL, -EINVAL, why);
	if (conf->mtu < PBFT_MTU_MIN || conf->mtu > PBFT_MTU_MAX)
		return pbft_refuse(info->extack, info->attrs[PBFT_A_MTU], -EINVAL,
				   "the MTU must be from %u to %u bytes",
				   PBFT_MTU_MIN, PBFT_MTU_MAX);
	if (conf->service > PBFT_SERVICE_NULL)
		return pbft_refuse(info->extack, info->attrs[PBFT_A_SERVICE],
				   -EINVAL, "%u is no service", conf->service);
	if (conf->null_reply > PBFT_OP_MAX)
		return pbft_refuse(info->extack, info->attrs[PBFT_A_NULL_REPLY],
				   -EINVAL,
				   "the null service's reply must be at most %u bytes",
				   PBFT_OP_MAX);
	if (conf->recovery && (conf->recovery < PBFT_RECOVERY_MIN ||
			       conf->recovery > PBFT_RECOVERY_MAX))
		return pbft_refuse(info->extack,
				   info->attrs[PBFT_A_RECOVERY_INTERVAL], -EINVAL,
				   "the recovery interval must be 0 or from 1 s to 366 days");
	return 0;
}

const char *pbft_conf_differs(const struct pbft_conf *a,
			      const struct pbft_conf *b)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		if (field_get(a, &fields[i]) != field_get(b, &fields[i]))
			return fields[i].name;
	}
	if (a->core.n != b->core.n)
		return "the number of replicas";
	if (a->key_id != b->key_id)
		return "the key generation";
	if (strcmp(a->self.mac, b->self.mac))
		return "the MAC";
	if (a->self.has_key != b->self.has_key ||
	    memcmp(a->self.private_key, b->self.private_key, PBFT_KEY_LEN))
		return "the private key";
	if (!pbft_addr_eq(&a->listen, &b->listen))
		return "our own endpoint";
	return NULL;
}

bool pbft_identity_eq(const struct pbft_identity *a,
		      const struct pbft_identity *b)
{
	return a->cluster == b->cluster && a->epoch == b->epoch &&
	       a->self == b->self && a->has_key == b->has_key &&
	       !memcmp(a->private_key, b->private_key, PBFT_KEY_LEN) &&
	       !strcmp(a->mac, b->mac);
}

int pbft_conf_put(struct sk_buff *skb, const struct pbft_conf *conf)
{
	const struct field *f;
	u64 value;
	int err;

	for (f = fields; f < fields + ARRAY_SIZE(fields); f++) {
		if (f->attr == PBFT_A_SELF)	/* part of the status */
			continue;
		value = field_get(conf, f);
		err = f->size == sizeof(u64) ?
			nla_put_u64_64bit(skb, f->attr, value, PBFT_A_PAD) :
			nla_put_u32(skb, f->attr, value);
		if (err)
			return err;
	}
	if (nla_put_string(skb, PBFT_A_MAC, conf->self.mac) ||
	    (conf->self.has_key &&
	     nla_put(skb, PBFT_A_PUBLIC_KEY, PBFT_KEY_LEN,
		     conf->self.public_key)))
		return -EMSGSIZE;
	return 0;
}
