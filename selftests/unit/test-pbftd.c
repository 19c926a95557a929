// SPDX-License-Identifier: GPL-2.0
/*
 * The daemon as a user runs it: four processes of pbftd --userspace on
 * loopback, each with its database, that are killed, restarted, emptied.
 *
 *	unit-pbftd [path of pbftd]
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libpbft/kv.h"
#include "replicas.h"
#include "tap.h"

#define N	4
#define MS	1000000ull

static struct test_cluster tc;
static struct pbft_client *client;
static const char *pbftd = "build/bin/pbftd";
static char top[64];
static pid_t pids[N];

/* ---- files ---------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *sb, int type,
		      struct FTW *ftw)
{
	return remove(path);
}

static void clean_up(void)
{
	u32 i;

	for (i = 0; i < N; i++)
		if (pids[i] > 0) {
			kill(pids[i], SIGKILL);
			waitpid(pids[i], NULL, 0);
		}
	if (top[0] && !getenv("KEEP"))
		nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *path_of(const char *what, u32 i)
{
	static char path[8][128];
	static int turn;

	turn = (turn + 1) % 8;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s%u", top, what, i);
	return path[turn];
}

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return good;
}

static bool write_files(void)
{
	char key[PBFT_KEY_TEXT_LEN + 2];
	bool good = write_text(path_of("cluster", 0), tc.text);
	u32 i;

	for (i = 0; i < N; i++) {
		pbft_key_to_text(key, tc.keys[i]);
		strcat(key, "\n");
		good &= write_text(path_of("key", i), key);
	}
	return good;
}

/* ---- processes --------------------------------------------------------------------- */

static pid_t spawn(const char *const argv[], const char *out)
{
	pid_t pid = fork();

	if (!pid) {
		int fd = open(out, O_WRONLY | O_CREAT | O_APPEND, 0600);

		dup2(fd, 1);
		dup2(fd, 2);
		execv(pbftd, (char *const *)argv);
		_exit(127);
	}
	return pid;
}

static void start(u32 i, bool genesis, const char *more)
{
	const char *argv[] = {
		"pbftd", "--userspace", "-c", path_of("cluster", 0),
		"-k", path_of("key", i), "--db", path_of("db", i),
		"--status", path_of("status", i),
		genesis ? "--genesis" : more, more, NULL
	};

	unlink(path_of("status", i));
	pids[i] = spawn(argv, path_of("log", i));
}

static int stop(u32 i, int sig)
{
	int status = -1;

	kill(pids[i], sig);
	waitpid(pids[i], &status, 0);
	pids[i] = 0;
	return status;
}

/* Run to its end; *@text gets what it said. Return the exit status. */
static int run_to_end(const char *const argv[], char *text, size_t size)
{
	const char *out = path_of("out", 9);
	int status, fd;
	ssize_t n;
	pid_t pid;

	unlink(out);
	pid = spawn(argv, out);
	waitpid(pid, &status, 0);
	fd = open(out, O_RDONLY);
	n = read(fd, text, size - 1);
	text[n > 0 ? n : 0] = 0;
	close(fd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- status --------------------------------------------------------------------------- */

struct state {
	u64 view, last_exec, h;
	bool pending, mute, fetching;
	char chain[65];
	u64 installed, replayed;
};

static u64 get(struct json_object *o, const char *key)
{
	return json_object_get_int64(json_object_object_get(o, key));
}

static bool read_status(u32 i, struct state *s)
{
	struct json_object *o = json_object_from_file(path_of("status", i));

	memset(s, 0, sizeof(*s));
	if (!o)
		return false;
	s->view = get(o, "view");
	s->last_exec = get(o, "last_exec");
	s->h = get(o, "h");
	s->pending = get(o, "pending");
	s->mute = get(o, "mute");
	s->fetching = get(o, "fetching");
	s->installed = get(json_object_object_get(o, "state_transfer"),
			   "installed");
	s->replayed = get(json_object_object_get(o, "journal"), "replayed");
	snprintf(s->chain, sizeof(s->chain), "%s",
		 json_object_get_string(json_object_object_get(o, "chain")));
	json_object_put(o);
	return true;
}

/* Replica @i runs, votes, and has executed what @than has. */
static bool caught_up(u32 i, u32 than, u64 limit)
{
	u64 end = test_now() + limit;
	struct state s, t;

	while (test_now() < end) {
		if (read_status(i, &s) && read_status(than, &t) && !s.mute &&
		    !s.pending && !s.fetching && s.last_exec &&
		    s.last_exec + 4 >= t.last_exec)
			return true;
		usleep(50000);
	}
	diag("replica %u: view %llu exec %llu (replica %u: %llu)%s%s%s", i,
	     (unsigned long long)s.view, (unsigned long long)s.last_exec, than,
	     (unsigned long long)t.last_exec, s.mute ? " mute" : "",
	     s.pending ? " pending" : "", s.fetching ? " fetching" : "");
	return false;
}

/* ---- the client -------------------------------------------------------------------------- */

static u32 answered, bad;

static void on_done(void *arg, int err, u8 status, const void *result, u32 len)
{
	answered++;
	if (err || status != PBFT_ST_OK || !len || *(const u8 *)result != PBFT_KV_OK)
		bad++;
}

static bool put_many(u32 from, u32 count, u32 vlen)
{
	static u8 op[PBFT_OP_MAX], value[PBFT_KV_VALUE_MAX];
	u64 end = test_now() + 120000 * MS;
	u32 sent = 0;
	char key[32];
	int klen, len;

	answered = 0;
	bad = 0;
	while (answered < count && test_now() < end) {
		while (sent < count) {
			klen = snprintf(key, sizeof(key), "key-%u", from + sent);
			memset(value, from + sent, vlen);
			len = pbft_kv_put(op, sizeof(op), key, klen, value, vlen);
			if (pbft_client_submit(client, op, len, 0, on_done, NULL))
				break;
			sent++;
		}
		pbft_client_poll(client, 10 * MS);
	}
	return answered == count && !bad;
}

static bool value_is(u32 k, u32 vlen)
{
	u8 op[300], status, *r;
	void *result;
	char key[32];
	u32 len;
	int klen = snprintf(key, sizeof(key), "key-%u", k);
	bool good;

	if (pbft_client_call(client, op, pbft_kv_get(op, sizeof(op), key, klen),
			     60000 * MS, &status, &result, &len))
		return false;
	r = result;
	good = status == PBFT_ST_OK && len == 5 + vlen && r[0] == PBFT_KV_OK &&
	       (!vlen || r[5] == (u8)k);
	free(result);
	return good;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_start(void)
{
	u32 i;

	ok(test_cluster_make(&tc, N, "Timeout = 500ms\nHeartbeat = 100ms\nCheckpointInterval = 16\nWindow = 64\n") &&
	   write_files(), "a cluster's files");
	for (i = 0; i < N; i++)
		start(i, true, NULL);
	ok(!pbft_client_open(&client, &tc.cluster, TEST_CLIENT, tc.client_keys[0]),
	   "a client");
	ok(put_many(0, 500, 100) && value_is(7, 100) && value_is(499, 100),
	   "500 values are stored and one is read");
	ok(put_many(500, 20, 50000) && value_is(519, 50000), "20 large ones");
	for (i = 0; i < N; i++)
		ok(caught_up(i, 0, 20000 * MS), "replica %u is there", i);
}

static void test_killed(void)
{
	struct state s;

	stop(3, SIGKILL);
	ok(put_many(520, 300, 100), "a replica is killed: work goes on");
	start(3, false, NULL);
	ok(caught_up(3, 0, 60000 * MS), "it restarts with its database and catches up");

	ok(WIFEXITED(stop(2, SIGTERM)), "another one is told to stop");
	if (rename(path_of("db", 2), path_of("gone", 2)))
		diag("cannot move the database");
	ok(put_many(1000, 300, 1000), "work goes on");
	start(2, false, NULL);
	ok(caught_up(2, 0, 60000 * MS) && read_status(2, &s) && s.installed,
	   "it comes back without a database and fetches the state");

	stop(0, SIGKILL);
	ok(put_many(2000, 100, 100) && value_is(2099, 100) && value_is(1, 100),
	   "the primary is killed: work goes on");
	ok(read_status(1, &s) && s.view > 0, "in another view");
	start(0, false, "--check");
	ok(caught_up(0, 1, 60000 * MS), "it restarts, after a check, and catches up");
	ok(put_many(3000, 200, 100), "with all four");
}

static void dump(u32 i, char *text, size_t size)
{
	const char *argv[] = { "pbftd", "--dump-head", "--db", path_of("db", i), NULL };

	if (run_to_end(argv, text, size))
		diag("%s", text);
}

static void test_end(void)
{
	char text[N][1024], *root;
	u32 i, same = 0;

	for (i = 0; i < N; i++)
		caught_up(i, (i + 1) % N, 20000 * MS);
	dump(0, text[0], sizeof(text[0]));
	ok(strstr(text[0], "seq ") && strstr(text[0], "\nroot "),
	   "the head of a database in use can be read");
	for (i = 0; i < N; i++) {
		int status = stop(i, SIGTERM);

		ok(WIFEXITED(status) && !WEXITSTATUS(status),
		   "replica %u stops when told to", i);
	}
	for (i = 0; i < N; i++) {
		dump(i, text[i], sizeof(text[i]));
		root = strstr(text[i], "root ");
		same += root && strstr(text[0], root);
	}
	ok(same == N, "all databases have the same state");
	if (same != N)
		for (i = 0; i < N; i++)
			diag("%s", text[i]);
}

static void refused(const char *what, const char *sentence, int code,
		    const char *const argv[])
{
	char text[1024];
	int rc = run_to_end(argv, text, sizeof(text));

	ok(rc == code && strstr(text, sentence), "%s", what);
	diag("%.*s", (int)strcspn(text, "\n"), text);
}

#define RUN(...) ((const char *const []){ "pbftd", __VA_ARGS__, NULL })

static void test_refusals(void)
{
	const char *c = path_of("cluster", 0), *k0 = path_of("key", 0);
	const char *k1 = path_of("key", 1), *db0 = path_of("db", 0);

	refused("another replica's database", "belongs to replica 0", 1,
		RUN("--userspace", "-c", c, "-k", k1, "--db", db0));
	refused("a key that is not that replica's", "not the one of replica 0", 1,
		RUN("--userspace", "-c", c, "-k", k1, "--self", "0", "--db", db0));
	refused("a new cluster with an old database", "without --genesis", 1,
		RUN("--userspace", "-c", c, "-k", k0, "--db", db0, "--genesis"));
	refused("no cluster file", "nowhere", 1,
		RUN("--userspace", "-c", "/nowhere", "-k", k0, "--db", db0));
	refused("no database", "--db is missing", 2,
		RUN("--userspace", "-c", c, "-k", k0));
	refused("two backends", "either", 2,
		RUN("--userspace", "-i", "x", "-c", c, "-k", k0, "--db", db0));
	refused("an option's value", "--sync is", 2, RUN("--sync", "sometimes"));
}

static void start_with_journal(u32 i)
{
	const char *argv[] = {
		"pbftd", "--userspace", "-c", path_of("cluster", 0),
		"-k", path_of("key", i), "--db", path_of("other-db", i),
		"--status", path_of("status", i), "--sync", "checkpoint",
		"--journal", path_of("journal", i), "--journal-size", "16M",
		/* as a boot script would, each time */
		"--genesis", NULL
	};

	unlink(path_of("status", i));
	pids[i] = spawn(argv, path_of("log", i));
}

static u32 remembering(void)
{
	struct state s;
	u32 i, count = 0;

	for (i = 0; i < N; i++)
		count += read_status(i, &s) && !s.mute && s.replayed;
	return count;
}

/* All at once, with databases that end at the last checkpoint. */
static void test_all_killed(void)
{
	u32 i;

	for (i = 0; i < N; i++)
		start_with_journal(i);
	/* a new cluster knows no session in the middle */
	pbft_client_close(client);
	ok(!pbft_client_open(&client, &tc.cluster, TEST_CLIENT + 1, tc.client_keys[1]),
	   "another client opens");
	ok(put_many(0, 400, 100), "a new cluster with journals");
	for (i = 0; i < N; i++)
		stop(i, SIGKILL);
	for (i = 0; i < N; i++)
		start_with_journal(i);
	ok(put_many(400, 100, 100), "all are killed and start again: work goes on");
	for (i = 0; i < N; i++)
		ok(caught_up(i, (i + 1) % N, 60000 * MS), "replica %u is there", i);
	ok(remembering() == N, "all remember");
	for (i = 0; i < 400 && value_is(i, 100); i++)
		;
	ok(i == 400, "and all that was acknowledged is there");
	for (i = 0; i < N; i++)
		ok(WIFEXITED(stop(i, SIGTERM)), "replica %u stops when told to", i);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		pbftd = argv[1];
	snprintf(top, sizeof(top), "/tmp/pbft-pbftd-XXXXXX");
	if (access(pbftd, X_OK) || !mkdtemp(top)) {
		printf("Bail out! no %s, or no room for files\n", pbftd);
		return 1;
	}
	atexit(clean_up);
	test_start();
	test_killed();
	test_end();
	test_refusals();
	test_all_killed();
	pbft_client_close(client);
	pbft_cluster_free(&tc.cluster);
	return done_testing();
}
