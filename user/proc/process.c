// SPDX-License-Identifier: GPL-2.0-or-later
#include "proc/process.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Read a small file below /proc/PID, cut to the buffer and terminated. @return its length, or -1 with errno.
 */
static ssize_t proc_read(pid_t pid, const char *name, char *buffer, size_t size)
{
	char path[64];
	_cleanup_close_ int fd = -1;
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	length = read(fd, buffer, size - 1);
	if (length < 0)
		return -1;
	buffer[length] = '\0';
	return length;
}

int proc_comm(pid_t pid, char comm[PROC_COMM_SIZE])
{
	ssize_t length = proc_read(pid, "comm", comm, PROC_COMM_SIZE);

	if (length <= 0) {
		comm[0] = '\0';
		return -1;
	}
	if (comm[length - 1] == '\n')
		comm[length - 1] = '\0';
	return 0;
}

/* @return the number in a line "NAME:\tNUMBER" of /proc/PID/status, or -1 */
static long status_number(const char *status, const char *name)
{
	const char *line = strstr(status, name);
	long number;

	if (!line || sscanf(line + strlen(name), "%ld", &number) != 1)
		return -1;
	return number;
}

static int look_failed(pid_t pid, struct error *err)
{
	if (errno == EACCES || errno == EPERM)
		return error_set(err, ERROR_UNSUPPORTED,
			"cannot look at process %d: %s (be root in its user and pid namespace, and without "
			"confinement)",
			pid, strerror(errno));
	return error_set_errno(err, errno == ENOENT ? ESRCH : errno, "cannot look at process %d", pid);
}

static int check_program(pid_t pid, struct error *err)
{
	unsigned char ident[EI_NIDENT] = {0};
	_cleanup_close_ int fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return look_failed(pid, err);
	if (read(fd, ident, sizeof(ident)) != sizeof(ident) || memcmp(ident, ELFMAG, SELFMAG))
		return 0; /* whatever it is, its mappings will tell */
	if (ident[EI_CLASS] != ELFCLASS64)
		return error_set(err, ERROR_UNSUPPORTED,
			"cannot trace process %d: it runs a 32-bit program (only 64-bit x86 programs can be "
			"traced)",
			pid);
	return 0;
}

int proc_check_traceable(pid_t pid, struct error *err)
{
	char status[8192];
	long leader;

	if (proc_read(pid, "status", status, sizeof(status)) < 0)
		return error_set_errno(err, errno == ENOENT ? ESRCH : errno, "cannot trace process %d", pid);
	leader = status_number(status, "\nTgid:");
	if (leader != pid)
		return error_set(err, ERROR_USAGE,
			"cannot trace process %d: it is a thread (trace its process: --pid %ld)", pid,
			leader);
	if (strstr(status, "\nState:\tZ"))
		return error_set(err, ERROR_GONE, "cannot trace process %d: it has ended (a zombie)", pid);
	if (status_number(status, "\nVmSize:") < 0)
		return error_set(err, ERROR_UNSUPPORTED,
			"cannot trace process %d: it is a kernel thread (it has no memory of its own)", pid);
	return check_program(pid, err);
}

bool proc_has_ended(pid_t pid)
{
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd ended = {.fd = fd, .events = POLLIN};

	if (fd < 0)
		return errno == ESRCH;
	return poll(&ended, 1, 0) > 0;
}

void proc_root(pid_t pid, char *root, size_t size)
{
	struct stat theirs, ours;

	snprintf(root, size, "/proc/%d/root", pid);
	if (stat(root, &theirs) || stat("/", &ours) ||
		(theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino))
		root[0] = '\0';
}

bool proc_overcommit_is_strict(void)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/sys/vm/overcommit_memory", "re");

	return file && fgetc(file) == '2';
}

bool proc_memory_is_limited(pid_t pid)
{
	struct rlimit space, data;

	if (proc_overcommit_is_strict())
		return true;
	if (prlimit(pid, RLIMIT_AS, NULL, &space) || prlimit(pid, RLIMIT_DATA, NULL, &data))
		return false;
	return space.rlim_cur != RLIM_INFINITY || data.rlim_cur != RLIM_INFINITY;
}

uint64_t proc_machine_memory(void)
{
	struct sysinfo info;

	if (sysinfo(&info))
		return 0;
	return ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
}

static int add_children_of_thread(pid_t pid, const char *tid, struct pid_list *pids)
{
	char path[320];
	_cleanup_fclose_ FILE *file = NULL;
	int child;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/children", pid, tid);
	file = fopen(path, "re");
	while (file && fscanf(file, "%d", &child) == 1) {
		pid_t *item = array_push(pids);

		if (!item)
			return -1;
		*item = child;
	}
	return 0;
}

static int add_children(pid_t pid, struct pid_list *pids)
{
	struct dirent *entry;
	int status = 0;
	char path[64];
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	while (tasks && !status && (entry = readdir(tasks))) {
		if (entry->d_name[0] != '.')
			status = add_children_of_thread(pid, entry->d_name, pids);
	}
	if (tasks)
		closedir(tasks);
	return status;
}

int proc_descendants(pid_t pid, struct pid_list *pids)
{
	size_t first = pids->count;

	if (add_children(pid, pids))
		return -1;
	for (size_t i = first; i < pids->count; i++) {
		if (add_children(pids->items[i], pids))
			return -1;
	}
	return 0;
}

static bool in_cgroup(pid_t pid, const char *cgroup)
{
	char text[PATH_MAX + 16];
	size_t length;
	char *path;

	if (proc_read(pid, "cgroup", text, sizeof(text)) < 0)
		return false;
	path = strstr(text, "0::");
	if (!path)
		return false;
	path += strlen("0::");
	path[strcspn(path, "\n")] = '\0';
	length = strlen(cgroup);
	while (length && cgroup[length - 1] == '/')
		length--;
	return !strncmp(path, cgroup, length) && (path[length] == '\0' || path[length] == '/');
}

/* A cgroup's path as /proc/PID/cgroup gives it: below the mount of the v2 hierarchy, where it has to exist.
 */
static const char *cgroup_path(const char *cgroup, struct error *err)
{
	static const char *const mounts[] = {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"};
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		size_t length = strlen(mounts[i]);

		if (!strncmp(cgroup, mounts[i], length) && (cgroup[length] == '/' || !cgroup[length])) {
			cgroup += length;
			break;
		}
	}
	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s/cgroup.procs", mounts[i], cgroup);
		if (!access(path, F_OK))
			return cgroup;
	}
	error_set(err, ERROR_USAGE,
		"cannot watch the cgroup %s: there is none (give its path as in /proc/PID/cgroup)", cgroup);
	return NULL;
}

int proc_list(const char *comm, const char *cgroup, struct pid_list *pids, struct error *err)
{
	char name[PROC_COMM_SIZE];
	struct dirent *entry;
	DIR *directory;

	if (cgroup && !(cgroup = cgroup_path(cgroup, err)))
		return -1;
	directory = opendir("/proc");
	if (!directory)
		return error_set_errno(err, errno, "cannot list processes");
	while ((entry = readdir(directory))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10), *item;

		if (pid <= 0 || pid == getpid())
			continue;
		if (comm && (proc_comm(pid, name) || strcmp(name, comm) != 0))
			continue;
		if (cgroup && !in_cgroup(pid, cgroup))
			continue;
		if (proc_check_traceable(pid, NULL))
			continue;
		item = array_push(pids);
		if (!item) {
			closedir(directory);
			return error_set_errno(err, ENOMEM, "cannot list processes");
		}
		*item = pid;
	}
	closedir(directory);
	return 0;
}
