// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define NAME_TRIES 100 /* random names that are tried before giving up */

struct output_file {
	char *path; /* as given, for messages */
	FILE *stream;
	bool direct;	 /* the stream leads to the place itself */
	bool borrowed;	 /* the stream is stdout */
	int directory;	 /* of the place, or -1 */
	char *name;	 /* in the directory */
	char *temporary; /* name in the directory of what is written; NULL while it has none */
};

static void output_file_free(struct output_file *file)
{
	if (file->stream && !file->borrowed)
		fclose(file->stream);
	if (file->temporary)
		unlinkat(file->directory, file->temporary, 0);
	if (file->directory >= 0)
		close(file->directory);
	free(file->temporary);
	free(file->name);
	free(file->path);
	free(file);
}

/* Is this the file that a descriptor of our own leads to? */
static bool is_descriptor(const struct stat *status, int fd)
{
	struct stat own;

	return !fstat(fd, &own) && own.st_dev == status->st_dev && own.st_ino == status->st_ino;
}

/* Write to the place itself: a device, a pipe, or what /dev/stdout leads to. */
static int open_direct(struct output_file *file, const struct stat *status, struct error *err)
{
	int fd;

	file->direct = true;
	if (is_descriptor(status, STDOUT_FILENO)) {
		file->stream = stdout;
		file->borrowed = true;
		return 0;
	}
	/* Opening /dev/stderr anew would begin at the start of the file that it was redirected to. */
	if (is_descriptor(status, STDERR_FILENO))
		fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		fd = open(file->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot write to %s", file->path);
	file->stream = fdopen(fd, "w");
	if (!file->stream) {
		error_set_errno(err, errno, "cannot write to %s", file->path);
		close(fd);
		return -1;
	}
	return 0;
}

/*
 * The real path of an existing file, behind all symbolic links. It is opened for writing first: that applies
 * the kernel's own rules to it, those on links in directories that anybody can write to
 * (fs.protected_symlinks) included, which resolving the path alone would evade. Returns a new string, or NULL
 * with the error set.
 */
static char *find_existing(const char *path, struct error *err)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat resolved;
	char *real;

	if (fd < 0) {
		error_set_errno(err, errno, "cannot write to %s", path);
		return NULL;
	}
	real = realpath(path, NULL);
	if (real && !lstat(real, &resolved) && is_descriptor(&resolved, fd))
		return real;
	error_set(err, ERROR_SYSTEM, "cannot write to %s: its place cannot be found (was it just removed?)",
		path);
	free(real);
	return NULL;
}

/* Open the directory that a path leads to, and keep the name in it. */
static int split_place(struct output_file *file, char *path, struct error *err)
{
	char *slash = strrchr(path, '/');
	const char *folder = ".";

	file->name = strdup(slash ? slash + 1 : path);
	if (!file->name)
		return error_set(err, ERROR_SYSTEM, "cannot write to %s: out of memory", file->path);
	if (!file->name[0])
		return error_set_errno(err, *path ? EISDIR : ENOENT, "cannot write to %s", file->path);
	if (slash) {
		*slash = '\0';
		folder = slash == path ? "/" : path;
	}
	file->directory = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (file->directory < 0)
		return error_set_errno(err, errno, "cannot write to %s", file->path);
	return 0;
}

static int find_place(struct output_file *file, bool exists, struct error *err)
{
	char *path = exists ? find_existing(file->path, err) : strdup(file->path);
	int result;

	if (!path)
		return exists ? -1
			      : error_set(err, ERROR_SYSTEM, "cannot write to %s: out of memory", file->path);
	result = split_place(file, path, err);
	free(path);
	return result;
}

/* A hidden name beside the place, hard to guess. Returns a new string, or NULL when memory ran out. */
static char *random_name(void)
{
	unsigned char random[8];
	char *name;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		memset(random, 0, sizeof(random)); /* the name need not be secret: it is opened with O_EXCL */
	if (asprintf(&name, ".leaktop-%02x%02x%02x%02x%02x%02x%02x%02x", random[0], random[1], random[2],
		    random[3], random[4], random[5], random[6], random[7]) < 0)
		return NULL;
	return name;
}

/* Open a file with a name of its own in the directory. Returns a descriptor, or -1 with errno set. */
static int open_named(struct output_file *file)
{
	for (int i = 0; i < NAME_TRIES; i++) {
		char *name = random_name();
		int fd;

		if (!name)
			break;
		fd = openat(
			file->directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
		if (fd >= 0) {
			file->temporary = name;
			return fd;
		}
		free(name);
		if (errno != EEXIST)
			break;
	}
	return -1;
}

/* Give an open file that has no name one in the directory. Returns 0, or -1 with errno set. */
static int give_name(struct output_file *file)
{
	char source[64];

	snprintf(source, sizeof(source), "/proc/self/fd/%d", fileno(file->stream));
	for (int i = 0; i < NAME_TRIES; i++) {
		char *name = random_name();

		if (!name)
			break;
		if (!linkat(AT_FDCWD, source, file->directory, name, AT_SYMLINK_FOLLOW)) {
			file->temporary = name;
			return 0;
		}
		free(name);
		if (errno != EEXIST)
			break;
	}
	return -1;
}

/* Make the new file look like the one it will replace. */
static int copy_mode(int fd, const struct output_file *file, const struct stat *old, struct error *err)
{
	struct stat folder;
	bool shared = fstat(file->directory, &folder) != 0 || (folder.st_mode & S_ISVTX);

	/*
	 * In a shared directory the old file may have been put there by somebody who waits to own the new
	 * one. An owner that may not be given is no reason to fail: a program without privileges owns what it
	 * writes.
	 */
	if (!shared && fchown(fd, old->st_uid, old->st_gid) && fchown(fd, (uid_t)-1, old->st_gid))
		errno = 0;
	if (fchmod(fd, old->st_mode & 07777))
		return error_set_errno(err, errno, "cannot set the mode of %s", file->path);
	return 0;
}

static int open_aside(struct output_file *file, const struct stat *status, struct error *err)
{
	int fd;

	if (find_place(file, status != NULL, err))
		return -1;
	fd = openat(file->directory, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
	if (fd < 0 && errno != EACCES && errno != EROFS && errno != ENOSPC)
		fd = open_named(file);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot write to %s", file->path);
	file->stream = fdopen(fd, "w");
	if (!file->stream) {
		error_set_errno(err, errno, "cannot write to %s", file->path);
		close(fd);
		return -1;
	}
	return status ? copy_mode(fd, file, status, err) : 0;
}

static int open_place(struct output_file *file, struct error *err)
{
	struct stat status;

	if (!stat(file->path, &status)) {
		if (S_ISDIR(status.st_mode))
			return error_set_errno(err, EISDIR, "cannot write to %s", file->path);
		if (!S_ISREG(status.st_mode) || is_descriptor(&status, STDOUT_FILENO) ||
			is_descriptor(&status, STDERR_FILENO))
			return open_direct(file, &status, err);
		return open_aside(file, &status, err);
	}
	if (errno != ENOENT)
		return error_set_errno(err, errno, "cannot write to %s", file->path);
	if (!lstat(file->path, &status))
		return error_set(err, ERROR_SYSTEM,
			"cannot write to %s: it is a symbolic link to what does not exist (create it or "
			"remove the "
			"link)",
			file->path);
	return open_aside(file, NULL, err);
}

struct output_file *output_file_open(const char *path, struct error *err)
{
	struct output_file *file = calloc(1, sizeof(*file));

	if (file) {
		file->directory = -1;
		file->path = strdup(path);
	}
	if (!file || !file->path) {
		free(file);
		error_set(err, ERROR_SYSTEM, "cannot write to %s: out of memory", path);
		return NULL;
	}
	if (!strcmp(path, "-")) {
		file->stream = stdout;
		file->direct = file->borrowed = true;
		return file;
	}
	if (open_place(file, err)) {
		output_file_free(file);
		return NULL;
	}
	return file;
}

FILE *output_file_stream(struct output_file *file)
{
	return file->stream;
}

/* Everything written must be in the file before it takes the old one's place. */
static int complete(struct output_file *file, struct error *err)
{
	/* An earlier write may have failed and its errno be gone; a full disk is what it mostly is. */
	bool failed_before = ferror(file->stream);

	if (fflush(file->stream))
		return error_set_errno(err, errno, "cannot write to %s", file->path);
	if (failed_before)
		return error_set(err, ERROR_SYSTEM,
			"cannot write to %s: an earlier write failed (is the disk full?)", file->path);
	if (file->direct)
		return 0;
	if (fsync(fileno(file->stream)))
		return error_set_errno(err, errno, "cannot write to %s", file->path);
	if (!file->temporary && give_name(file))
		return error_set_errno(err, errno, "cannot write to %s", file->path);
	if (renameat(file->directory, file->temporary, file->directory, file->name))
		return error_set_errno(err, errno, "cannot write to %s", file->path);
	free(file->temporary);
	file->temporary = NULL;
	return 0;
}

int output_file_commit(struct output_file *file, struct error *err)
{
	int result = complete(file, err);

	output_file_free(file);
	return result;
}

void output_file_abort(struct output_file *file)
{
	if (file)
		output_file_free(file);
}
