/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Client sessions: exactly once, in the client's own order.
 *
 * Pure functions on one client's record. The record belongs to the application
 * state: it is stored, digested and transferred with it, in the transaction
 * that executes the batch. A client numbers its operations 1, 2, 3, ... within
 * a session; a session with a higher number replaces the one before.
 */
#ifndef PBFT_CORE_SESSION_H
#define PBFT_CORE_SESSION_H

#include "types.h"
#include "wire.h"

struct pbft_session {
	u64 session;		/* 0: none yet */
	u64 next;		/* t that executes next; 1 in a new session */
};

enum pbft_session_verdict {
	PBFT_SESSION_EXECUTE,	/* run it, store the result under t, then advance() */
	PBFT_SESSION_REPEAT,	/* executed before: answer with the result stored under t */
	PBFT_SESSION_STALE,	/* answer PBFT_ST_STALE */
	PBFT_SESSION_OUT_OF_ORDER,	/* answer PBFT_ST_OUT_OF_ORDER */
};

/**
 * pbft_session_check() - what to do with request (@session, @t)
 *
 * A newer session with t = 1 opens it: @s changes, and results stored for the
 * old session are to be dropped. The results of the last PBFT_CLIENT_WINDOW
 * operations of the session, result t in place t % PBFT_CLIENT_WINDOW, are what
 * the caller stores.
 */
enum pbft_session_verdict pbft_session_check(struct pbft_session *s,
					     u64 session, u64 t);

/* After executing t == s->next. */
static inline void pbft_session_advance(struct pbft_session *s)
{
	s->next++;
}

#endif /* PBFT_CORE_SESSION_H */
