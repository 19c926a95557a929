// SPDX-License-Identifier: GPL-2.0
/*
 * Crypto against published vectors (FIPS 180-4, RFC 4231, RFC 7748), key
 * derivation, the text form of keys and the private key file.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/kdf.h"
#include "libpbft/crypto.h"
#include "tap.h"

static size_t unhex(u8 *out, const char *hex)
{
	size_t n = 0;
	unsigned int byte;

	for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
		out[n++] = byte;
	return n;
}

static bool is_hex(const u8 *data, size_t len, const char *hex)
{
	u8 want[64];

	return unhex(want, hex) >= len && !memcmp(data, want, len);
}

static void test_hash(void)
{
	struct pbft_iov iov[3] = { { "a", 1 }, { "", 0 }, { "bc", 2 } };
	struct pbft_digest d;

	pbft_hash(&d, iov, 0);
	ok(is_hex(d.b, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
	   "SHA-256 of nothing");
	pbft_hash(&d, iov, 3);
	ok(is_hex(d.b, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
	   "SHA-256 of abc, in pieces");
}

/* RFC 4231. A MAC is the first 16 bytes, which is also test case 5. */
static const struct {
	const char *key;
	int key_repeat;		/* of the byte, when key is one byte */
	const char *data;
	int data_repeat;
	const char *mac;
} hmacs[] = {
	{ "0b", 20, "4869205468657265", 1, "b0344c61d8db38535ca8afceaf0bf12b" },
	{ "4a656665", 1,
	  "7768617420646f2079612077616e7420666f72206e6f7468696e673f", 1,
	  "5bdcc146bf60754e6a042426089575c7" },
	{ "aa", 20, "dd", 50, "773ea91e36800e46854db8ebd09181a7" },
	{ "0102030405060708090a0b0c0d0e0f10111213141516171819", 1, "cd", 50,
	  "82558a389a443c0ea4cc819899f2083a" },
	{ "0c", 20, "546573742057697468205472756e636174696f6e", 1,
	  "a3b6167473100ee06e0c796c2955552b" },
	{ "aa", 131,
	  "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b6579204669727374",
	  1, "60e431591ee0b67f0d8a26aacbf5b77f" },
	{ "aa", 131,
	  "5468697320697320612074657374207573696e672061206c6172676572207468616e20626c6f636b2d73697a65206b657920616e642061206c6172676572207468616e20626c6f636b2d73697a6520646174612e20546865206b6579206e6565647320746f20626520686173686564206265666f7265206265696e6720757365642062792074686520484d414320616c676f726974686d2e",
	  1, "9b09ffa71b942fcb27635fbcd5b0e944" },
};

static size_t repeat(u8 *out, const char *hex, int times)
{
	size_t len = unhex(out, hex);

	if (times > 1) {
		memset(out, out[0], times);
		len = times;
	}
	return len;
}

static void test_hmac(void)
{
	struct pbft_mac_key k, none = { .valid = false };
	u8 key[256], data[256], mac[PBFT_MAC_LEN];
	size_t klen, dlen = 0;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(hmacs); i++) {
		klen = repeat(key, hmacs[i].key, hmacs[i].key_repeat);
		dlen = repeat(data, hmacs[i].data, hmacs[i].data_repeat);
		pbft_mac_key_set(&k, key, klen);
		pbft_mac(&k, data, dlen, mac);
		ok(is_hex(mac, sizeof(mac), hmacs[i].mac),
		   "HMAC-SHA256, RFC 4231 test case %u", i + 1);
	}
	ok(pbft_mac_ok(&k, data, dlen, mac), "a right MAC is accepted");
	ok(pbft_mac_ok(&k, data, dlen, mac), "and accepted again: a key is not used up");
	ok(!pbft_mac_ok(&k, data, dlen - 1, mac), "of shorter data it is refused");
	for (i = 0; i < PBFT_MAC_LEN * 8; i++) {
		mac[i / 8] ^= 1 << i % 8;
		if (pbft_mac_ok(&k, data, dlen, mac))
			break;
		mac[i / 8] ^= 1 << i % 8;
	}
	ok(i == PBFT_MAC_LEN * 8, "with any one bit flipped it is refused");
	ok(!pbft_mac_ok(&none, data, dlen, mac), "a key never set accepts nothing");
}

static void test_x25519(void)
{
	u8 a[32], b[32], pub_a[32], pub_b[32], out[32];
	static const u8 zero[32];

	unhex(a, "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
	unhex(b, "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
	ok(!pbft_pubkey(pub_a, a) &&
	   is_hex(pub_a, 32, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"),
	   "RFC 7748 6.1: Alice's public key");
	ok(!pbft_pubkey(pub_b, b) &&
	   is_hex(pub_b, 32, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"),
	   "RFC 7748 6.1: Bob's public key");
	ok(!pbft_shared_secret(out, a, pub_b) &&
	   is_hex(out, 32, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"),
	   "RFC 7748 6.1: the shared secret as Alice finds it");
	ok(!pbft_shared_secret(out, b, pub_a) &&
	   is_hex(out, 32, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"),
	   "RFC 7748 6.1: and as Bob finds it");
	unhex(a, "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
	unhex(pub_b, "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
	ok(!pbft_shared_secret(out, a, pub_b) &&
	   is_hex(out, 32, "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"),
	   "RFC 7748 5.2: first vector");
	ok(pbft_shared_secret(out, a, zero) == -EKEYREJECTED,
	   "the point 0 is refused");
	unhex(pub_b, "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800");
	ok(pbft_shared_secret(out, a, pub_b) == -EKEYREJECTED &&
	   !memcmp(out, zero, 32), "a point of order 8 is refused");
}

/* Two nodes that derive each for itself must meet, direction by direction. */
static void test_pair_keys(void)
{
	struct pbft_pair_id ab = { 0x1122334455667788, 3, 1, 100 };
	struct pbft_pair_id ba = { 0x1122334455667788, 3, 100, 1 };
	struct pbft_mac_key tx, rx, back, other;
	u8 a[32], b[32], pub_a[32], pub_b[32], mac[PBFT_MAC_LEN];

	ok(!pbft_genkey(a) && !pbft_genkey(b) && memcmp(a, b, 32) &&
	   !(a[0] & 7) && (a[31] & 0xc0) == 0x40, "generated keys differ and are clamped");
	pbft_pubkey(pub_a, a);
	pbft_pubkey(pub_b, b);
	pbft_pair_key(&ab, a, pub_a, pub_b, 0, true, &tx);
	pbft_pair_key(&ba, b, pub_b, pub_a, 0, false, &rx);
	pbft_mac(&tx, "message", 7, mac);
	ok(pbft_mac_ok(&rx, "message", 7, mac), "what a sends b verifies");
	pbft_pair_key(&ab, a, pub_a, pub_b, 0, false, &back);
	ok(!pbft_mac_ok(&back, "message", 7, mac), "a does not take its own message back");
	pbft_pair_key(&ba, b, pub_b, pub_a, 1, false, &other);
	ok(!pbft_mac_ok(&other, "message", 7, mac), "another generation is another key");
	ba.epoch++;
	pbft_pair_key(&ba, b, pub_b, pub_a, 0, false, &other);
	ok(!pbft_mac_ok(&other, "message", 7, mac), "another epoch is another key");
	ba.epoch--;
	ba.cluster++;
	pbft_pair_key(&ba, b, pub_b, pub_a, 0, false, &other);
	ok(!pbft_mac_ok(&other, "message", 7, mac), "another cluster is another key");
}

/* The derivation byte for byte: HMAC(shared, label cluster epoch from to ...). */
static void test_kdf_layout(void)
{
	struct pbft_pair_id id = { 0x0807060504030201, 0x0c0b0a09, 0x100f0e0d, 0x14131211 };
	struct pbft_mac_key got, want;
	u8 shared[32], pub[32], peer[32], text[104], key[32], mac[16], mac2[16];
	struct pbft_iov iov[2];
	struct pbft_digest d;
	u8 pad[64];
	int i;

	memset(shared, 0x11, 32);
	memset(pub, 0x22, 32);
	memset(peer, 0x33, 32);
	ok(sizeof(struct pbft_kdf) == sizeof(text), "the input has no padding");
	memcpy(text, "pbft pair key v1", 16);
	for (i = 0; i < 20; i++)
		text[16 + i] = i + 1;
	text[36] = 5;
	memset(text + 37, 0, 3);
	memcpy(text + 40, pub, 32);
	memcpy(text + 72, peer, 32);

	memset(pad, 0x36, 64);
	for (i = 0; i < 32; i++)
		pad[i] ^= shared[i];
	iov[0] = (struct pbft_iov){ pad, 64 };
	iov[1] = (struct pbft_iov){ text, sizeof(text) };
	pbft_hash(&d, iov, 2);
	for (i = 0; i < 64; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	memcpy(key, d.b, 32);
	iov[1] = (struct pbft_iov){ key, 32 };
	pbft_hash(&d, iov, 2);
	pbft_mac_key_set(&want, d.b, 32);
	pbft_mac(&want, "x", 1, mac);
	pbft_pair_key_shared(&id, shared, pub, peer, 5, true, &got);
	pbft_mac(&got, "x", 1, mac2);
	ok(!memcmp(mac, mac2, 16), "the derivation is what kdf.h says");
}

static const char * const not_keys[] = {
	"",
	"=",
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",	/* no padding */
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",	/* 33 bytes */
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",	/* 31 bytes */
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=A",
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
	" AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=",	/* spare bits set */
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAC=",
	"AAAAAAAAAAAAAAAAAAAA=AAAAAAAAAAAAAAAAAAAAAA=",
	"AAAA-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",	/* URL alphabet */
	"AAAA_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	"AAAA\377AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
};

static void test_text(void)
{
	char text[PBFT_KEY_TEXT_LEN + 1], last;
	u8 key[32], back[32];
	int i, j, good = 0, spellings = 0;

	unhex(key, "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
	pbft_key_to_text(text, key);
	ok(!strcmp(text, "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo="),
	   "a key as base64");
	for (i = 0; i < 256; i++) {
		for (j = 0; j < 32; j++)
			key[j] = i + 37 * j;
		pbft_key_to_text(text, key);
		good += pbft_key_from_text(back, text) && !memcmp(key, back, 32);
	}
	ok(good == 256, "keys of every byte value come back");
	for (i = 0; i < (int)ARRAY_SIZE(not_keys); i++)
		ok(!pbft_key_from_text(back, not_keys[i]), "not a key, number %d", i);
	last = text[42];
	for (i = 1; i < 256; i++) {
		text[42] = i;
		if (pbft_key_from_text(back, text) && !memcmp(back, key, 32))
			spellings += i == last ? 1 : 100;
	}
	ok(spellings == 1, "a key has one spelling");
}

static bool refused(const char *path, const char *content, mode_t mode, bool lax)
{
	FILE *f = fopen(path, "w");
	char err[256] = "";
	u8 key[32];
	int ret;

	fputs(content, f);
	fclose(f);
	chmod(path, mode);
	ret = pbft_key_load(path, lax, key, err, sizeof(err));
	if (ret)
		diag("%s", err);
	return ret && strstr(err, path);
}

#define KEY_TEXT "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo="

static void test_file(void)
{
	char path[] = "/tmp/pbft-unit-key-XXXXXX", err[256];
	u8 key[32];

	close(mkstemp(path));
	ok(!refused(path, KEY_TEXT "\n", 0600, false), "a private key file");
	ok(!refused(path, "# of node 3\n\n  " KEY_TEXT " # really\r\n\n", 0400, false),
	   "with comments, blanks and blank lines");
	ok(!refused(path, KEY_TEXT, 0600, false), "without a newline at the end");
	ok(refused(path, KEY_TEXT "\n", 0640, false), "refused: others may read it");
	ok(!refused(path, KEY_TEXT "\n", 0644, true), "unless that is allowed");
	ok(refused(path, "", 0600, false), "refused: empty");
	ok(refused(path, "# nothing\n", 0600, false), "refused: only a comment");
	ok(refused(path, KEY_TEXT "\n" KEY_TEXT "\n", 0600, false), "refused: two keys");
	ok(refused(path, KEY_TEXT " x\n", 0600, false), "refused: more on the line");
	unlink(path);
	ok(pbft_key_load(path, false, key, err, sizeof(err)) == -ENOENT &&
	   strstr(err, path), "refused by name: no such file");
	ok(pbft_key_load("/tmp", true, key, err, sizeof(err)) == -EISDIR,
	   "refused: a directory");
}

int main(void)
{
	test_hash();
	test_hmac();
	test_x25519();
	test_pair_keys();
	test_kdf_layout();
	test_text();
	test_file();
	return done_testing();
}
