// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * empty_probes --entry|--sites PID: place probes that do nothing on the allocator functions of a process, in
 * the same way as leaktrace does, either at the functions' entries or at leaktrace's probe sites; print
 * "ready", and hold them until standard input ends. Tells what of leaktrace's cost is the kernel's.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "empty_probes.skel.h"
#include "probe/object.h"
#include "probe/uprobe_multi.h"
#include "proc/maps.h"

static int place(const struct empty_probes_bpf *skeleton, const struct object *object, bool entry, pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", object->fd);
	for (size_t i = 0; i < object->functions.count; i++) {
		const struct allocator_function *function = &object->functions.items[i];
		uint64_t offset = function->offset + (entry ? 0 : function->site.offset);
		bool returns = allocator_kind_returns(function->kind);
		const struct bpf_program *program = returns ? skeleton->progs.session : skeleton->progs.plain;

		if (uprobe_multi_link(bpf_program__fd(program),
			    returns ? ATTACH_UPROBE_SESSION : ATTACH_UPROBE_MULTI, path, &offset, NULL, 1,
			    pid, false) < 0)
			return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct empty_probes_bpf *skeleton = empty_probes_bpf__open();
	struct object_cache objects = {0};
	struct proc_maps maps = {0};
	struct error err = {0};
	bool entry;
	pid_t pid;

	if (argc != 3 || (strcmp(argv[1], "--entry") && strcmp(argv[1], "--sites")) || !skeleton) {
		fputs("usage: empty_probes --entry|--sites PID\n", stderr);
		return 2;
	}
	entry = !strcmp(argv[1], "--entry");
	pid = (pid_t)strtol(argv[2], NULL, 10);
	bpf_program__set_expected_attach_type(
		skeleton->progs.session, (enum bpf_attach_type)ATTACH_UPROBE_SESSION);
	bpf_program__set_expected_attach_type(
		skeleton->progs.plain, (enum bpf_attach_type)ATTACH_UPROBE_MULTI);
	if (empty_probes_bpf__load(skeleton) || proc_maps_read(pid, &maps, &err)) {
		fprintf(stderr, "empty_probes: %s\n", err.code ? err.message : strerror(errno));
		return 3;
	}
	for (size_t i = 0; i < maps.count; i++) {
		const struct object *object;

		if (!maps.items[i].executable || !maps.items[i].inode)
			continue;
		object = object_of_mapping(&objects, pid, &maps.items[i], &err);
		if (object && place(skeleton, object, entry, pid)) {
			perror("empty_probes: cannot place a probe");
			return 3;
		}
	}
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
	proc_maps_free(&maps);
	object_cache_free(&objects);
	empty_probes_bpf__destroy(skeleton);
	return 0;
}
