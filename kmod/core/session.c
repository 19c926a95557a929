// SPDX-License-Identifier: GPL-2.0
#include "session.h"

enum pbft_session_verdict pbft_session_check(struct pbft_session *s,
					     u64 session, u64 t)
{
	if (session < s->session)
		return PBFT_SESSION_STALE;
	if (session > s->session) {
		if (t != 1)
			return PBFT_SESSION_OUT_OF_ORDER;
		s->session = session;
		s->next = 1;
		return PBFT_SESSION_EXECUTE;
	}
	if (t == s->next)
		return PBFT_SESSION_EXECUTE;
	if (t > s->next)
		return PBFT_SESSION_OUT_OF_ORDER;
	return t + PBFT_CLIENT_WINDOW >= s->next ? PBFT_SESSION_REPEAT :
						   PBFT_SESSION_STALE;
}
