// SPDX-License-Identifier: GPL-2.0
/*
 * Crypto against published vectors (FIPS 180-4, RFC 4231, RFC 7748, those of
 * SipHash's reference implementation) and against OpenSSL's SipHash, key derivation, the text form of keys and the private key file.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

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

/* @mac is that of @len bytes under @k, which takes no other. */
static void test_refuses(const struct pbft_mac_key *k, const u8 *data, size_t len,
			 u8 mac[PBFT_MAC_LEN])
{
	struct pbft_mac_key none = { .kind = k->kind };
	u32 i;

	ok(pbft_mac_ok(k, data, len, mac), "a right MAC is accepted");
	ok(pbft_mac_ok(k, data, len, mac), "and accepted again: a key is not used up");
	ok(!pbft_mac_ok(k, data, len - 1, mac), "of shorter data it is refused");
	for (i = 0; i < PBFT_MAC_LEN * 8; i++) {
		mac[i / 8] ^= 1 << i % 8;
		if (pbft_mac_ok(k, data, len, mac))
			break;
		mac[i / 8] ^= 1 << i % 8;
	}
	ok(i == PBFT_MAC_LEN * 8, "with any one bit flipped it is refused");
	ok(!pbft_mac_ok(&none, data, len, mac), "a key never set accepts nothing");
}

static void test_hmac(void)
{
	struct pbft_mac_key k;
	u8 key[256], data[256], mac[PBFT_MAC_LEN];
	size_t klen, dlen = 0;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(hmacs); i++) {
		klen = repeat(key, hmacs[i].key, hmacs[i].key_repeat);
		dlen = repeat(data, hmacs[i].data, hmacs[i].data_repeat);
		pbft_mac_key_set(&k, PBFT_MAC_HMAC_SHA256, key, klen);
		pbft_mac(&k, data, dlen, mac);
		ok(is_hex(mac, sizeof(mac), hmacs[i].mac),
		   "HMAC-SHA256, RFC 4231 test case %u", i + 1);
	}
	test_refuses(&k, data, dlen, mac);
}

/* Key 00 01 .. 0f, of the message 00 01 .. so long. */
static const struct {
	u32 len;
	const char *mac;
} siphashes[] = {
	{ 0, "a3817f04ba25a8e66df67214c7550293" },
	{ 1, "da87c1d86b99af44347659119b22fc45" },
	{ 7, "a1f1ebbed8dbc153c0b84aa61ff08239" },
	{ 8, "3b62a9ba6258f5610f83e264f31497b4" },
	{ 15, "5493e99933b0a8117e08ec0f97cfc3d9" },
	{ 16, "6ee2a4ca67b054bbfd3315bf85230577" },
	{ 63, "5150d1772f50834a503e069a973fbd7c" },
};

/* SHA-256 of all 64 published MACs, lengths 0 to 63, one after the other. */
#define SIPHASHES_SHA256	\
	"ecfaa9fe47ff788fa834a9863ea2715a2880cd37d2b8c3c194402838428119b9"

static void test_siphash_vectors(void)
{
	u8 key[32], data[64], all[64][PBFT_MAC_LEN];
	struct pbft_iov iov = { all, sizeof(all) };
	struct pbft_mac_key k;
	struct pbft_digest d;
	u32 i;

	for (i = 0; i < 64; i++)
		data[i] = i;
	/* what comes after the first 16 bytes of a derived key is of no account */
	memcpy(key, data, 32);
	pbft_mac_key_set(&k, PBFT_MAC_SIPHASH, key, sizeof(key));
	for (i = 0; i < 64; i++)
		pbft_mac(&k, data, i, all[i]);
	for (i = 0; i < ARRAY_SIZE(siphashes); i++)
		ok(is_hex(all[siphashes[i].len], PBFT_MAC_LEN, siphashes[i].mac),
		   "SipHash-2-4-128, published vector for %u bytes", siphashes[i].len);
	pbft_hash(&d, &iov, 1);
	ok(is_hex(d.b, 32, SIPHASHES_SHA256), "and all 64 of them");
	test_refuses(&k, data, 63, all[63]);
}

/* false: OpenSSL did not do it. */
static bool openssl_siphash(const u8 *key, const u8 *data, size_t len, u8 out[16])
{
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
	EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
	size_t size = 16, got = 0;
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
		OSSL_PARAM_construct_end(),
	};
	bool good = ctx && EVP_MAC_init(ctx, key, 16, params) == 1 &&
		    EVP_MAC_update(ctx, data, len) == 1 &&
		    EVP_MAC_final(ctx, out, &got, 16) == 1 && got == 16;

	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(mac);
	return good;
}

/* Lengths 0 to 300, which is past where its low byte wraps; at all alignments. */
static void test_siphash_openssl(unsigned int seed)
{
	u8 key[32], room[300 + 2 * 8], want[16], got[16 + 8];
	u32 len, at, i, same = 0, compared = 0;
	struct pbft_mac_key k;

	for (len = 0; len <= 300; len++) {
		for (i = 0; i < sizeof(key); i++)
			key[i] = rand_r(&seed);
		for (i = 0; i < sizeof(room); i++)
			room[i] = rand_r(&seed);
		pbft_mac_key_set(&k, PBFT_MAC_SIPHASH, key, sizeof(key));
		for (at = 0; at < 8; at++) {
			pbft_mac(&k, room + at, len, got + at);
			compared += openssl_siphash(key, room + at, len, want);
			same += !memcmp(want, got + at, sizeof(want));
		}
	}
	ok(compared == 301 * 8 && same == compared,
	   "OpenSSL's SipHash gives the same: %u of %u", same, compared);
}

static void test_mac_names(void)
{
	enum pbft_mac_kind kind;

	ok(pbft_mac_by_name(&kind, "siphash128") && kind == PBFT_MAC_SIPHASH &&
	   pbft_mac_by_name(&kind, "hmac(sha256)") && kind == PBFT_MAC_HMAC_SHA256,
	   "the MACs there are, by name");
	ok(!pbft_mac_by_name(&kind, "cmac(aes)") && !pbft_mac_by_name(&kind, "") &&
	   !pbft_mac_by_name(&kind, "siphash") && !pbft_mac_by_name(&kind, "SipHash128"),
	   "and no other");
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
static void test_pair_keys(enum pbft_mac_kind kind)
{
	struct pbft_pair_id ab = { 0x1122334455667788, 3, 1, 100, kind };
	struct pbft_pair_id ba = { 0x1122334455667788, 3, 100, 1, kind };
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
	ba.cluster--;
	ba.mac = !kind;
	pbft_pair_key(&ba, b, pub_b, pub_a, 0, false, &other);
	ok(!pbft_mac_ok(&other, "message", 7, mac), "another MAC is another MAC");
}

/* The derivation byte for byte: HMAC(shared, label cluster epoch from to ...). */
static void test_kdf_layout(enum pbft_mac_kind kind)
{
	struct pbft_pair_id id = {
		0x0807060504030201, 0x0c0b0a09, 0x100f0e0d, 0x14131211, kind
	};
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
	pbft_mac_key_set(&want, kind, d.b, 32);
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

int main(int argc, char **argv)
{
	unsigned int seed = argc > 1 ? strtoul(argv[1], NULL, 0) : 1;

	diag("seed %u: unit-crypto SEED", seed);
	test_hash();
	test_hmac();
	test_siphash_vectors();
	test_siphash_openssl(seed);
	test_mac_names();
	test_x25519();
	test_pair_keys(PBFT_MAC_SIPHASH);
	test_pair_keys(PBFT_MAC_HMAC_SHA256);
	test_kdf_layout(PBFT_MAC_SIPHASH);
	test_kdf_layout(PBFT_MAC_HMAC_SHA256);
	test_text();
	test_file();
	return done_testing();
}
