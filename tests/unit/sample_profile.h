/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A made-up profile for the tests of reports: one site of every kind, hostile names included. */
#pragma once

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "trace/profile.h"

#define LIBC   "/usr/lib/x86_64-linux-gnu/libc.so.6"
#define SERVER "/opt/shop/bin/server"

/* A test without memory has nothing to say. */
static inline void *sample_need(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

static inline char *sample_string(const char *text)
{
	return text ? sample_need(strdup(text)) : NULL;
}

/* One frame of a stack as a test writes it. */
struct sample_frame {
	const char *function, *file;
	int line;
	const char *module;
	uint64_t offset;
	bool inlined;
};

static inline struct profile_site *sample_site(struct profile *profile, uint64_t id, const char *comm,
	uint64_t bytes, uint64_t blocks, const struct sample_frame *frames, size_t count)
{
	struct profile_site *site = sample_need(array_push(&profile->sites));

	site->id = id;
	site->pid = 1234;
	strncpy(site->comm, comm, sizeof(site->comm));
	site->domain = "heap";
	site->counts = (struct profile_counts){bytes, blocks, 3 * bytes, 3 * blocks, 2 * blocks};
	site->frames = sample_need(calloc(count ? count : 1, sizeof(*site->frames)));
	site->frame_count = count;
	for (size_t i = 0; i < count; i++) {
		struct profile_frame *frame = &site->frames[i];

		frame->address = 0x7f0000000000 + frames[i].offset;
		frame->offset = frames[i].offset;
		frame->module = sample_string(frames[i].module);
		frame->function = sample_string(frames[i].function);
		frame->file = sample_string(frames[i].file);
		frame->line = frames[i].line;
		frame->inlined = frames[i].inlined;
	}
	return site;
}

/* Give a site a straight or bent series from `low` to `high` over the session. */
static inline void sample_series(
	struct profile_site *site, double duration, uint64_t low, uint64_t high, bool bent)
{
	site->point_count = 61;
	site->points = sample_need(calloc(site->point_count, sizeof(*site->points)));
	for (size_t i = 0; i < site->point_count; i++) {
		double x = (double)i / 60, y = bent ? 1 - (1 - x) * (1 - x) * (1 - x) : x;

		site->points[i].time = x * duration;
		site->points[i].bytes = low + (uint64_t)(y * (double)(high - low));
	}
}

static inline void sample_growth(struct profile_site *site, enum growth_class growth, enum verdict verdict,
	double leak, double seconds, double r2)
{
	site->factor = (struct leak_factor){.growth = growth,
		.coef = {0.01, 0.98, 0.005},
		.leak = leak,
		.min_size = 100,
		.max_size = leak,
		.rate = leak / seconds,
		.r2 = r2};
	site->verdict = verdict;
}

static inline void sample_warning(struct profile *profile, const char *text)
{
	*(char **)sample_need(array_push(&profile->warnings)) = sample_string(text);
}

/* 60 seconds of a server: two sites that grow, a cache, one held at exit, steady ones, one without a stack.
 */
static inline void sample_profile(struct profile *profile)
{
	static const struct sample_frame session[] = {
		{"malloc", NULL, 0, LIBC, 0x8b0f0, false},
		{"xmalloc", "/src/shop/util.c", 12, SERVER, 0x2210, true},
		{"session_create", "/src/shop/session.c", 120, SERVER, 0x2210, false},
		{"accept_client", "/src/shop/net.c", 88, SERVER, 0x3000, false},
		{"main", "/src/shop/main.c", 301, SERVER, 0x4000, false},
		{NULL, NULL, 0, LIBC, 0x2724a, false},
		{"__libc_start_main", NULL, 0, LIBC, 0x27305, false},
		{"_start", NULL, 0, SERVER, 0x1100, false},
	};
	static const struct sample_frame queue[] = {
		{"operator new(unsigned long)", NULL, 0, "/usr/lib/x86_64-linux-gnu/libstdc++.so.6", 0xa9000,
			false},
		{"__gnu_cxx::new_allocator<std::pair<const std::__cxx11::basic_string<char, "
		 "std::char_traits<char>, "
		 "std::allocator<char> >, shop::Order> >::allocate(unsigned long, void const*)",
			"/usr/include/c++/12/bits/new_allocator.h", 137, SERVER, 0x5010, true},
		{"std::vector<shop::Order, std::allocator<shop::Order> >::push_back(shop::Order const&)",
			"/usr/include/c++/12/bits/stl_vector.h", 1287, SERVER, 0x5010, true},
		{"void shop::Queue<shop::Order, shop::Policy<3, (shop::Kind)1> >::enqueue<shop::Order "
		 "const&>(shop::Order "
		 "const&)",
			"/src/shop/queue.hpp", 42, SERVER, 0x5010, false},
		{"shop::walk(shop::Node*)", "/src/shop/walk.cpp", 7, SERVER, 0x6000, false},
		{"shop::walk(shop::Node*)", "/src/shop/walk.cpp", 7, SERVER, 0x6000, false},
		{"shop::walk(shop::Node*)", "/src/shop/walk.cpp", 7, SERVER, 0x6000, false},
		{"worker", "/src/shop/worker.cpp", 55, SERVER, 0x7000, false},
		{"start_thread", NULL, 0, LIBC, 0x89134, false},
		{"clone3", NULL, 0, LIBC, 0x1097dc, false},
	};
	static const struct sample_frame cache[] = {
		{"calloc", NULL, 0, LIBC, 0x8c000, false},
		{"cache_fill", "/src/shop/cache.c", 9, SERVER, 0x8000, false},
		{"main", "/src/shop/main.c", 310, SERVER, 0x4100, false},
	};
	static const struct sample_frame stripped[] = {
		{NULL, NULL, 0, LIBC, 0x8b0f0, false},
		{NULL, NULL, 0, "/opt/shop/lib/libplug.so", 0x1a2b3, false},
		{NULL, NULL, 0, SERVER, 0x9abc, false},
	};
	struct profile_site *site;
	struct profile_probe *probe;

	*profile = (struct profile){.start = {1795255200, 250000000},
		.duration = 60,
		.interval = 1,
		.kernel = "6.18.0",
		.arch = "x86_64"};
	*(pid_t *)sample_need(array_push(&profile->pids)) = 1234;
	profile->totals = (struct profile_counts){13002342, 34567, 1288490188, 1234567, 1200000};
	probe = sample_need(array_push(&profile->probes));
	*probe = (struct profile_probe){.object = sample_string(LIBC),
		.function = "malloc",
		.offset = 0x8b0f0,
		.instruction = "push %r12",
		.emulated = true,
		.mechanism = "uprobe"};
	probe = sample_need(array_push(&profile->probes));
	*probe = (struct profile_probe){.object = sample_string(LIBC),
		.function = "free",
		.offset = 0x8b6f9,
		.instruction = "push %rbp",
		.emulated = true,
		.mechanism = "uprobe"};

	site = sample_site(profile, 0x1111, "server", 3565158, 3481, session, 8);
	site->counts.frees = 0;
	sample_growth(site, GROWTH_LINEAR, VERDICT_LOGICAL_LEAK, 1258291, 60, 0.993);
	sample_series(site, 60, 2306867, 3565158, false);
	site = sample_site(profile, 0x2222, "server", 430080, 210, queue, 10);
	sample_growth(site, GROWTH_EXPONENTIAL, VERDICT_LOGICAL_LEAK, 215040, 60, 0.91);
	sample_series(site, 60, 215040, 430080, false);
	for (size_t i = 0; i < 30; i++)
		site->points[i].bytes = 215040;
	site = sample_site(profile, 0x3333, "server", 204800, 50, cache, 3);
	sample_growth(site, GROWTH_LOGARITHMIC, VERDICT_CACHE, 190000, 60, 0.97);
	sample_series(site, 60, 14800, 204800, true);
	site->first_seen = 6;
	site = sample_site(profile, 0x4444, "server", 8000000, 2, stripped, 3);
	sample_growth(site, GROWTH_CONSTANT, VERDICT_STEADY, 0, 60, 1);
	site = sample_site(profile, 0x5555, "server", 1048576, 1, cache, 3);
	sample_growth(site, GROWTH_CONSTANT, VERDICT_STEADY, 0, 60, 1);
	site = sample_site(profile, 0x6666, "server", 4096, 4, NULL, 0);
	sample_growth(site, GROWTH_CONSTANT, VERDICT_UNKNOWN, 0, 60, 0);
	site->no_stack = true;
	site = sample_site(profile, 0x7777, "server", 0, 0, session, 8);
	site->counts.allocations = site->counts.frees = 12;
}
