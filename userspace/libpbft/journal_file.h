/* SPDX-License-Identifier: GPL-2.0 */
/* The file or block device that holds a journal (core/journal.h), in userspace. */
#ifndef PBFT_JOURNAL_FILE_H
#define PBFT_JOURNAL_FILE_H

#include "core/journal.h"

#define PBFT_JOURNAL_SIZE_DEFAULT	(64ull << 20)

/**
 * pbft_journal_file_open() - open a journal for its replica, or make room for one
 * @path: of the file, made if it is not there, or of a block device
 * @size: bytes of a new file, which are allocated; an old one keeps its size
 * @err: the sentence, when it fails
 * @errlen: bytes at @err
 *
 * No two can have it open at once. That lasts as long as the open file: with a
 * descriptor that was passed to the kernel, as long as the kernel has it.
 *
 * Return: a descriptor, or -errno with a sentence in @err; -EBUSY: in use.
 */
int pbft_journal_file_open(const char *path, u64 size, char *err, size_t errlen);

/* Open one to look at it: never written to. Returns as above. */
int pbft_journal_file_look(const char *path, char *err, size_t errlen);

/* Bytes of the file or device. Return: 0 or -errno. */
int pbft_journal_file_size(int fd, u64 *bytes);

/* For pbft_journal_open(); @fd must stay where it is. Looking writes nothing. */
struct pbft_journal_io pbft_journal_file_io(const int *fd);
struct pbft_journal_io pbft_journal_file_io_look(const int *fd);

/* "none", "async", "sync" and back; -EINVAL. enum pbft_journal_mode */
const char *pbft_journal_mode_name(u32 mode);
int pbft_journal_mode_from_text(u32 *mode, const char *text);

/* A number with K, M, or G; -EINVAL: it is none, or less than a journal needs. */
int pbft_journal_size_from_text(u64 *size, const char *text);

#endif /* PBFT_JOURNAL_FILE_H */
