/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * uprobe_multi links: any number of probes of one program placed by one system call. libbpf learned of them
 * after the version that Debian 12 has, so the call is made here, whatever libbpf is installed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* From the kernel's <linux/bpf.h>, where older headers lack them: to be set as a program's expected attach
 * type. */
#define ATTACH_UPROBE_MULTI 48 /* Linux 6.6 */
#define ATTACH_UPROBE_SESSION                                                                                \
	57 /* Linux 6.13: runs at the entry and, if that returned 0, at the return too */

/**
 * Place probes.
 *
 * @param program      descriptor of a loaded program
 * @param attach_type  one of the above, as the program was loaded with
 * @param path         of the file to probe
 * @param offsets      file offsets of instructions, `count` of them
 * @param cookies      what bpf_get_attach_cookie() gives the program at each of them; NULL: 0
 * @param pid          only in this process; 0: in all
 * @param at_return    at the return of the functions that begin there (not with sessions)
 * @return a descriptor that keeps the probes in place until it is closed, or -1 with errno
 */
int uprobe_multi_link(int program, int attach_type, const char *path, const uint64_t *offsets,
	const uint64_t *cookies, size_t count, pid_t pid, bool at_return);
