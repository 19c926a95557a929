// SPDX-License-Identifier: GPL-2.0
/*
 * The file or block device that holds a journal: which ones will do, that each
 * serves one instance only, and reading, writing and flushing it. Userspace
 * opens it; the kernel never sees a path.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include "disk.h"

/* Of all namespaces. The mutex is a leaf. */
static DEFINE_MUTEX(media_mutex);
static LIST_HEAD(media);

/* The same for all device nodes of a device, all links of a file. */
static const struct inode *medium_inode(const struct file *file)
{
	return file->f_mapping->host;
}

u64 pbft_medium_size(const struct file *file)
{
	return i_size_read(medium_inode(file));
}

/* ---- input and output ------------------------------------------------------------ */

static int medium_failed(struct pbft_disk *disk, int err, bool sync)
{
	if (!disk->io_err) {
		disk->io_err = err;
		disk->io_sync = sync;
	}
	return err;
}

static int medium_read(void *arg, u64 off, void *buf, u32 len)
{
	struct pbft_disk *disk = arg;
	loff_t pos = off;
	ssize_t n;

	while (len) {
		n = kernel_read(disk->file, buf, len, &pos);
		if (n <= 0)
			return medium_failed(disk, n ?: -EIO, false);
		buf += n;
		len -= n;
	}
	return 0;
}

static int medium_write(void *arg, u64 off, const void *buf, u32 len)
{
	struct pbft_disk *disk = arg;
	loff_t pos = off;
	ssize_t n;

	/* Whoever shares the descriptor can change that at any time. */
	if (disk->file->f_flags & (O_APPEND | O_DIRECT))
		return medium_failed(disk, -EINVAL, false);
	while (len) {
		n = kernel_write(disk->file, buf, len, &pos);
		if (n <= 0)
			return medium_failed(disk, n ?: -EIO, false);
		buf += n;
		len -= n;
	}
	return 0;
}

static int medium_sync(void *arg)
{
	struct pbft_disk *disk = arg;
	int err = vfs_fsync(disk->file, 1);

	return err ? medium_failed(disk, err, true) : 0;
}

/* ---- which ones will do ------------------------------------------------------------- */

static int medium_check(const struct file *file, u64 need, const char **why)
{
	umode_t mode = medium_inode(file)->i_mode;

	*why = "the journal must be a regular file or a block device";
	if (!S_ISREG(mode) && !S_ISBLK(mode))
		return -EINVAL;
	*why = "the journal must be open for reading and writing";
	if (!(file->f_mode & FMODE_READ) || !(file->f_mode & FMODE_WRITE))
		return -EBADF;
	*why = "the journal must not be open with O_APPEND or O_DIRECT";
	if (file->f_flags & (O_APPEND | O_DIRECT))
		return -EINVAL;
	*why = "what holds the journal cannot be read and written by the kernel";
	if (!(file->f_mode & FMODE_CAN_READ) || !(file->f_mode & FMODE_CAN_WRITE))
		return -EINVAL;
	*why = "the journal is too small: it takes 16 MB, and twice the window in full batches";
	if (pbft_medium_size(file) < need)
		return -ENOSPC;
	return 0;
}

static int medium_claim(struct pbft_disk *disk, struct file *file)
{
	struct pbft_disk *other;
	int err = 0;

	mutex_lock(&media_mutex);
	list_for_each_entry(other, &media, node) {
		if (medium_inode(other->file) == medium_inode(file))
			err = -EBUSY;
	}
	if (!err) {
		disk->file = get_file(file);
		list_add(&disk->node, &media);
	}
	mutex_unlock(&media_mutex);
	return err;
}

int pbft_medium_open(struct pbft_disk *disk, struct file *file, const char **why)
{
	const struct pbft_config *cfg = &disk->inst->conf.core;
	u64 need = max_t(u64, PBFT_JOURNAL_MIN, 2ull * cfg->l * cfg->batch_bytes);
	int err = medium_check(file, need, why);

	if (err)
		return err;
	*why = "another instance has its journal in this file or device";
	err = medium_claim(disk, file);
	if (err)
		return err;
	disk->io.read = medium_read;
	disk->io.write = medium_write;
	disk->io.sync = medium_sync;
	disk->io.arg = disk;
	return 0;
}

void pbft_medium_close(struct pbft_disk *disk)
{
	mutex_lock(&media_mutex);
	list_del(&disk->node);
	mutex_unlock(&media_mutex);
	fput(disk->file);
}
