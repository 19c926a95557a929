// SPDX-License-Identifier: GPL-2.0
/*
 * pbftctl journal: what a journal says, read from its file or device and never
 * written to. It needs neither the cluster file nor the kernel.
 */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "core/record.h"
#include "libpbft/journal_file.h"
#include "pbftctl.h"

struct look {
	const char *path;
	int fd;
	bool dump;
	struct pbft_journal j;
	u64 first, last;	/* positions of frames */
	u64 records, frames;
	bool any;
	u8 memory;		/* REMEMBERS, FORGOT, whichever came last */
};

static bool has_view(u8 code)
{
	return code == PBFT_REC_PRE_PREPARED || code == PBFT_REC_PREPARED ||
	       code == PBFT_REC_VIEW_CHANGE || code == PBFT_REC_NEW_VIEW;
}

static bool has_seq(u8 code)
{
	return code != PBFT_REC_VIEW_CHANGE && code != PBFT_REC_REMEMBERS &&
	       code != PBFT_REC_FORGOT;
}

static void print_record(const struct look *l, const struct pbft_record *rec)
{
	char digest[2 * 8 + 1];

	printf("%12" PRIu64 " %-12s", (u64)l->j.end, pbft_record_name(rec->code));
	if (has_seq(rec->code))
		printf(" seq %" PRIu64, (u64)rec->head.seq);
	if (has_view(rec->code))
		printf(" view %" PRIu64, (u64)rec->view);
	if (has_seq(rec->code)) {
		hex_text(digest, rec->digest.b, 8);
		printf(" digest %s", digest);
	}
	if (rec->buf)
		printf(" message %u", rec->buf->len);
	if (rec->again)
		printf(" again");
	putchar('\n');
}

static int on_record(void *arg, const struct pbft_record *rec)
{
	struct look *l = arg;

	if (!l->any || l->last != l->j.end)
		l->frames++;
	if (!l->any)
		l->first = l->j.end;
	l->any = true;
	l->last = l->j.end;
	l->records++;
	if (rec->code == PBFT_REC_REMEMBERS || rec->code == PBFT_REC_FORGOT)
		l->memory = rec->code;
	if (l->dump)
		print_record(l, rec);
	return 0;
}

static int read_all(struct look *l, const char **why)
{
	struct pbft_journal_io io = pbft_journal_file_io_look(&l->fd);
	struct pbft_wire_id id = { 0 };
	u32 self = 0;
	u64 bytes;
	int rc;

	*why = "the file's size cannot be told";
	rc = pbft_journal_file_size(l->fd, &bytes);
	if (!rc)
		rc = pbft_journal_peek(&io, &id, &self, why);
	if (rc)
		return rc;
	printf("%s: replica %u of %u, cluster 0x%016" PRIx64 " epoch %u\n", l->path, self,
	       id.n, (u64)id.cluster, id.epoch);
	rc = pbft_journal_open(&l->j, &id, self, &io, bytes, NULL, why);
	if (!rc)
		rc = pbft_journal_replay(&l->j, on_record, l, why);
	return rc;
}

static void summary(const struct look *l, int rc)
{
	printf("%" PRIu64 " records in %" PRIu64 " frames", l->records, l->frames);
	if (l->any)
		printf(", positions %" PRIu64 " to %" PRIu64 ", %" PRIu64 " of %" PRIu64
		       " bytes used", l->first, l->last, (u64)(l->j.end - l->j.start),
		       (u64)l->j.size);
	if (l->j.torn)
		printf(", unfinished end");
	if (rc == -EUCLEAN)
		printf(", records are lost");
	if (l->any)
		printf(": the replica would %s",
		       rc || l->memory != PBFT_REC_REMEMBERS ? "have forgotten" : "resume");
	putchar('\n');
}

static int look_at(const struct command *cmd, struct look *l)
{
	const char *why;
	char err[256];
	int rc;

	l->fd = pbft_journal_file_look(l->path, err, sizeof(err));
	if (l->fd < 0)
		return failed(cmd, "%s", err);
	rc = read_all(l, &why);
	if (!rc || rc == -EUCLEAN)
		summary(l, rc);
	pbft_journal_close(&l->j);
	close(l->fd);
	return rc ? failed(cmd, "%s: %s", l->path, why) : EXIT_OK;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	const char *pos[2] = { 0 };
	struct look l = { 0 };

	if (parse_args(cmd, argc, argv, NULL, 0, pos, 2, 2))
		return EXIT_USAGE;
	l.path = pos[1];
	l.dump = !strcmp(pos[0], "dump");
	if (!l.dump && strcmp(pos[0], "verify"))
		return misused(cmd, "%s: a journal can be dumped and verified", pos[0]);
	return look_at(cmd, &l);
}

const struct command cmd_journal = {
	.name = "journal",
	.args = "dump|verify PATH",
	.summary = "Read a journal that no replica uses now.",
	.help =
	"  dump    one line for each record: the position of its frame, what it is,\n"
	"          sequence number, view, digest, bytes of the message in it\n"
	"  verify  only the summary\n"
	"\n"
	"Fails if the journal cannot be read or records are missing that were durable.\n"
	"An unfinished end is no failure: nothing that was promised stood there.\n",
	.run = run,
};
