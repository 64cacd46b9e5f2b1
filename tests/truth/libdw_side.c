// SPDX-License-Identifier: GPL-2.0-or-later
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proc/maps.h"
#include "tests/truth/truth.h"

struct libdw_side {
	pid_t pid;
	Dwfl *dwfl;
	bool attached;
};

/* Nothing is asked of servers in the network. */
static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_linux_proc_find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
};

struct libdw_side *libdw_side_open(pid_t pid, struct error *err)
{
	struct libdw_side *side = calloc(1, sizeof(*side));

	if (side) {
		side->pid = pid;
		side->dwfl = dwfl_begin(&callbacks);
		if (side->dwfl)
			return side;
	}
	error_set(err, ERROR_SYSTEM, "cannot begin with libdw");
	free(side);
	return NULL;
}

void libdw_side_free(struct libdw_side *side)
{
	if (!side)
		return;
	dwfl_end(side->dwfl);
	free(side);
}

int libdw_side_update(struct libdw_side *side, struct error *err)
{
	int failed;

	dwfl_report_begin(side->dwfl);
	failed = dwfl_linux_proc_report(side->dwfl, side->pid);
	if (dwfl_report_end(side->dwfl, NULL, NULL) || failed)
		return error_set(err, ERROR_SYSTEM, "libdw cannot read the target's mappings");
	/* Not before there is something mapped: it tells libdw the machine. */
	if (!side->attached && dwfl_linux_proc_attach(side->dwfl, side->pid, true))
		return error_set(err, ERROR_SYSTEM, "libdw cannot attach to the target: %s", dwfl_errmsg(-1));
	side->attached = true;
	return 0;
}

struct walk {
	struct libdw_stack *stack;
	size_t depth; /* frames met, the allocator's own included */
};

static int on_frame(Dwfl_Frame *frame, void *data)
{
	struct walk *walk = data;
	struct libdw_stack *stack = walk->stack;
	Dwarf_Addr address;
	bool interrupted;

	if (!dwfl_frame_pc(frame, &address, &interrupted))
		return -1;
	if (walk->depth++ == 0)
		return DWARF_CB_OK;
	stack->has_signal_frame |= interrupted;
	stack->frames[stack->frame_count++] = address;
	return stack->frame_count < MAX_FRAMES ? DWARF_CB_OK : DWARF_CB_ABORT;
}

void libdw_side_walk(struct libdw_side *side, pid_t tid, struct libdw_stack *stack)
{
	struct walk walk = {.stack = stack};

	memset(stack, 0, sizeof(*stack));
	dwfl_errno(); /* forget older ones */
	if (dwfl_getthread_frames(side->dwfl, tid, on_frame, &walk) < 0)
		stack->problem = dwfl_errmsg(-1);
}

static const char *base_name(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? slash + 1 : path ? path : "?";
}

const char *libdw_side_module(struct libdw_side *side, uint64_t address)
{
	Dwfl_Module *module = dwfl_addrmodule(side->dwfl, address);

	if (!module)
		return "?";
	return base_name(dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL));
}

bool libdw_side_is_return_probe(struct libdw_side *side, uint64_t address)
{
	struct proc_maps maps = {0};
	const struct proc_map *map;
	bool is;

	if (proc_maps_read(side->pid, &maps, NULL))
		return false;
	map = proc_maps_find(&maps, address);
	is = map && !strcmp(map->path, "[uprobes]");
	proc_maps_free(&maps);
	return is;
}

void libdw_side_describe(struct libdw_side *side, uint64_t address, char *text, size_t size)
{
	Dwfl_Module *module = dwfl_addrmodule(side->dwfl, address);
	const char *path, *function;
	Dwarf_Addr start;

	if (!module) {
		snprintf(text, size, "%#lx", address);
		return;
	}
	path = dwfl_module_info(module, NULL, &start, NULL, NULL, NULL, NULL, NULL);
	function = dwfl_module_addrname(module, address);
	snprintf(text, size, "%s+%#lx (%s)", base_name(path), address - start, function ? function : "?");
}
