// SPDX-License-Identifier: GPL-2.0
/*
 * Flushing at checkpoints, beside the work: an fsync may take longer than many
 * batches, and nothing that the daemon promises waits for it.
 */
#include <errno.h>
#include <pthread.h>
#include "store.h"

struct pbft_syncer {
	MDB_env *env;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool wanted, stop;
	int rc;
};

static void *syncer_main(void *arg)
{
	struct pbft_syncer *s = arg;
	int rc;

	pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		if (!s->wanted) {
			pthread_cond_wait(&s->cond, &s->lock);
			continue;
		}
		s->wanted = false;
		pthread_mutex_unlock(&s->lock);
		rc = mdb_env_sync(s->env, 1);
		pthread_mutex_lock(&s->lock);
		if (rc && !s->rc)
			s->rc = rc;
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

struct pbft_syncer *pbft_syncer_start(MDB_env *env)
{
	struct pbft_syncer *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->env = env;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->cond, NULL);
	if (pthread_create(&s->thread, NULL, syncer_main, s)) {
		free(s);
		return NULL;
	}
	return s;
}

int pbft_syncer_kick(struct pbft_syncer *s)
{
	int rc;

	pthread_mutex_lock(&s->lock);
	s->wanted = true;
	rc = s->rc;
	pthread_cond_signal(&s->cond);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

void pbft_syncer_stop(struct pbft_syncer *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->cond);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	pthread_cond_destroy(&s->cond);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
