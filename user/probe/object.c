// SPDX-License-Identifier: GPL-2.0-or-later
#include "probe/object.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "proc/process.h"

/* The hook's name, given by the interface between dynamic linkers and debuggers (<link.h>, r_brk); glibc and
 * musl. */
static const char *const hook_names[] = {"_dl_debug_state", "__dl_debug_state"};

struct hook_search {
	struct elf_file *elf;
	uint64_t offset;
};

static bool find_hook(const struct elf_symbol *symbol, void *data)
{
	struct hook_search *search = data;

	for (size_t i = 0; i < sizeof(hook_names) / sizeof(hook_names[0]); i++) {
		if (!strcmp(symbol->name, hook_names[i]))
			return !elf_file_address_to_offset(search->elf, symbol->address, &search->offset);
	}
	return true;
}

static void object_free(struct object *object)
{
	if (!object)
		return;
	elf_file_close(object->elf);
	if (object->fd >= 0)
		close(object->fd);
	array_free(&object->functions);
	free(object->path);
	free(object);
}

/* Look into the file. Whatever is wrong with it is kept as its problem: it is no reason not to trace others.
 */
static void object_examine(struct object *object, const char *root)
{
	struct hook_search search = {0};

	object->elf = elf_file_open(object->fd, object->path, root, &object->problem);
	if (!object->elf)
		return;
	if (allocator_functions_find(object->elf, &object->functions, &object->problem))
		return;
	search.elf = object->elf;
	elf_file_for_each_function(object->elf, find_hook, &search);
	object->hook = search.offset;
}

/* Take over an open file. @return the object, or NULL; the descriptor is closed or owned by the object. */
static struct object *object_add(
	struct object_cache *cache, int fd, const char *path, const char *root, struct error *err)
{
	struct object *object, **item;
	struct stat status;

	if (fstat(fd, &status)) {
		error_set_errno(err, errno, "cannot look at %s", path);
		close(fd);
		return NULL;
	}
	object = object_find(cache, status.st_dev, status.st_ino);
	if (object) {
		close(fd);
		return object;
	}
	object = calloc(1, sizeof(*object));
	item = object ? array_push(cache) : NULL;
	if (!item || !(object->path = strdup(path))) {
		if (item)
			cache->count--;
		free(object);
		close(fd);
		error_set_errno(err, ENOMEM, "cannot look at %s", path);
		return NULL;
	}
	object->fd = fd;
	object->device = status.st_dev;
	object->inode = status.st_ino;
	object_examine(object, root);
	*item = object;
	return object;
}

struct object *object_find(const struct object_cache *cache, dev_t device, ino_t inode)
{
	for (size_t i = 0; i < cache->count; i++) {
		if (cache->items[i]->inode == inode && cache->items[i]->device == device)
			return cache->items[i];
	}
	return NULL;
}

struct object *object_of_mapping(
	struct object_cache *cache, pid_t pid, const struct proc_map *map, struct error *err)
{
	char root[64];
	int fd;

	fd = proc_map_open(pid, map, err);
	if (fd < 0)
		return NULL;
	proc_root(pid, root, sizeof(root));
	return object_add(cache, fd, map->path, root, err);
}

struct object *object_of_path(struct object_cache *cache, const char *path, struct error *err)
{
	/* Not to wait for a writer, should it be a pipe. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0) {
		error_set_errno(err, errno, "cannot open %s", path);
		return NULL;
	}
	return object_add(cache, fd, path, "", err);
}

void object_cache_free(struct object_cache *cache)
{
	for (size_t i = 0; i < cache->count; i++)
		object_free(cache->items[i]);
	array_free(cache);
}
