// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "report/folded.h"
#include "report/function_name.h"
#include "report/json.h"
#include "report/progress.h"
#include "report/sparkline.h"
#include "report/stack.h"
#include "report/terminal.h"
#include "report/text.h"
#include "report/utf8.h"
#include "sample_profile.h"

/* --- printing to memory --- */

static char *print_text(const struct profile *profile, struct report_text_options options)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	struct error err = {0};

	assert_non_null(out);
	assert_int_equal(report_text(out, profile, &options, &err), 0);
	fclose(out);
	return text;
}

static char *print_with(
	const struct profile *profile, int (*report)(FILE *, const struct profile *, struct error *))
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	struct error err = {0};

	assert_non_null(out);
	assert_int_equal(report(out, profile, &err), 0);
	fclose(out);
	return text;
}

static void assert_contains(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void assert_lacks(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("\"%s\" is in:\n%s", part, text);
}

static const struct report_text_options wide = {.unicode = true, .width = 100, .top = 10};

/* --- the profile --- */

static void sites_are_sorted_by_leak_then_size(void **state)
{
	struct profile profile = {0};

	(void)state;
	sample_site(&profile, 5, "a", 10, 1, NULL, 0);
	sample_site(&profile, 4, "a", 10, 1, NULL, 0);
	sample_site(&profile, 3, "a", 99, 1, NULL, 0);
	sample_site(&profile, 2, "a", 1, 1, NULL, 0)->factor.leak = 7;
	sample_site(&profile, 1, "a", 1, 1, NULL, 0)->factor.leak = NAN;
	sample_site(&profile, 6, "a", 1000, 1, NULL, 0)->factor.leak = -7;
	profile_sort(&profile);
	assert_int_equal(profile.sites.items[0].id, 2);
	assert_int_equal(profile.sites.items[1].id, 3);
	assert_int_equal(profile.sites.items[2].id, 4);
	assert_int_equal(profile.sites.items[3].id, 5);
	assert_int_equal(profile.sites.items[4].id, 1);
	assert_int_equal(profile.sites.items[5].id, 6);
	profile_free(&profile);
	assert_int_equal(profile.sites.count, 0);
	profile_free(&profile);
	profile_free(NULL);
}

static void losses_of_all_kinds_add_up(void **state)
{
	const struct profile_lost lost = {.blocks = 1,
		.stacks = 20,
		.returns = 300,
		.missed_frees = 4000,
		.processes = 50000,
		.events = 600000};

	(void)state;
	assert_int_equal(profile_lost_total(&lost), 654321);
}

/* --- text --- */

/* What a person sees; read it as one before changing it. */
/* clang-format off: lines as they are printed */
static const char golden[] =
	"Leak report  server (pid 1234)\n"
	"  traced     1 min 00 s from 2026-11-21 10:00:00, Linux 6.18.0, 2 probes in libc.so.6\n"
	"  allocated  1.2 GiB in 1,234,567 calls, 1,200,000 freed\n"
	"  still held 12.4 MiB in 34,567 blocks allocated while tracing\n"
	"  growth     +1.4 MiB at 2 sites, 24.0 KiB/s, 2.0 GiB a day at this rate\n"
	"             +185.5 KiB at 1 site, ever more slowly\n"
	"\n"
	"Growing: +1.4 MiB at 2 sites\n"
	"\n"
	" 1.    +1.2 MiB     20.5 KiB/s  session_create  session.c:120\n"
	"          ▁▂▂▂▃▃▃▄▄▄▅▅▆▆▆▇▇▇██  logical-leak, linear (R² 0.99), since the start,\n"
	"                                holds 3.4 MiB in 3,481 blocks, never freed\n"
	"      malloc          (libc.so.6)\n"
	"      xmalloc         /src/shop/util.c:12 (server) [inlined]\n"
	"    > session_create  /src/shop/session.c:120 (server)\n"
	"      accept_client   /src/shop/net.c:88 (server)\n"
	"      main            /src/shop/main.c:301 (server)\n"
	"\n"
	" 2.  +210.0 KiB      3.5 KiB/s  shop::Queue<>::enqueue<>  queue.hpp:42\n"
	"          ▁▁▁▁▁▁▁▁▁▅▅▅▆▆▆▇▇▇██  logical-leak, exponential (R² 0.91), since 10:00:29,\n"
	"                                holds 420.0 KiB in 210 blocks, 420 of 630 freed\n"
	"      operator new(unsigned long)           (libstdc++.so.6)\n"
	"      __gnu_cxx::new_allocator<>::allocate  new_allocator.h:137 (server) [inlined]\n"
	"      std::vector<>::push_back              stl_vector.h:1287 (server) [inlined]\n"
	"    > shop::Queue<>::enqueue<>              queue.hpp:42 (server)\n"
	"      shop::walk(shop::Node*)               walk.cpp:7 (server) ×3\n"
	"      worker                                worker.cpp:55 (server)\n"
	"\n"
	"Growing ever more slowly, as a cache fills: +185.5 KiB at 1 site\n"
	"\n"
	" 3.  +185.5 KiB      3.1 KiB/s  cache_fill  cache.c:9\n"
	"          ▂▃▄▄▅▆▆▆▇▇▇█████████  logarithmic (R² 0.97), since 10:00:06, holds 200.0 KiB in 50 "
	"blocks,\n"
	"                                100 of 150 freed\n"
	"      calloc      (libc.so.6)\n"
	"    > cache_fill  /src/shop/cache.c:9 (server)\n"
	"      main        /src/shop/main.c:310 (server)\n"
	"\n"
	"Held, too little seen to judge growth: 4.0 KiB in 4 blocks (1 site)\n"
	"\n"
	" 4.     4.0 KiB       4 blocks  no stack (stack table full)\n"
	"                                8 of 12 freed\n"
	"\n"
	"Held, not growing: 8.6 MiB in 3 blocks (2 sites)\n"
	"        7.6 MiB       2 blocks  libplug.so+0x1a2b3 ← server+0x9abc\n"
	"        1.0 MiB        1 block  cache_fill cache.c:9 ← main\n"
	"\n"
	"1 site freed all that it allocated.\n";
/* clang-format on */

static void text_reads_as_designed(void **state)
{
	struct profile profile;
	char *text;

	(void)state;
	sample_profile(&profile);
	text = print_text(&profile, wide);
	assert_string_equal(text, golden);
	free(text);
	profile_free(&profile);
}

static size_t widest_line(const char *text)
{
	size_t widest = 0;

	while (*text) {
		size_t length = strcspn(text, "\n");
		char *line = strndup(text, length);
		size_t columns = utf8_columns(line);

		free(line);
		widest = columns > widest ? columns : widest;
		text += length + (text[length] == '\n');
	}
	return widest;
}

static void lines_fit_the_width(void **state)
{
	struct profile profile;

	(void)state;
	sample_profile(&profile);
	for (int width = 60; width < 200; width++) {
		for (int unicode = 0; unicode < 2; unicode++) {
			char *text = print_text(
				&profile, (struct report_text_options){.unicode = unicode, .width = width});

			if (widest_line(text) > (size_t)width)
				fail_msg("a line of %zu columns on %d:\n%s", widest_line(text), width, text);
			free(text);
		}
	}
	profile_free(&profile);
}

static void without_a_width_nothing_is_cut(void **state)
{
	struct profile profile;
	char *text;

	(void)state;
	sample_profile(&profile);
	text = print_text(&profile, (struct report_text_options){0});
	for (size_t i = 0; i < 3; i++) {
		const struct profile_site *site = &profile.sites.items[i];

		for (size_t k = 0; k < stack_view(site).end; k++) {
			assert_contains(text, site->frames[k].function);
			if (site->frames[k].file)
				assert_contains(text, site->frames[k].file);
		}
	}
	assert_lacks(text, "...");
	for (const char *byte = text; *byte; byte++)
		assert_true((unsigned char)*byte < 0x80);
	free(text);
	profile_free(&profile);
}

/* Colours must add nothing but colours. */
static void colours_change_no_text(void **state)
{
	struct report_text_options options = wide;
	struct profile profile;
	char *plain, *coloured, *to;

	(void)state;
	sample_profile(&profile);
	profile.lost.stacks = 3;
	plain = print_text(&profile, options);
	assert_lacks(plain, "\033");
	options.colour = true;
	coloured = print_text(&profile, options);
	assert_contains(coloured, "\033[1;31m");
	to = coloured;
	for (const char *from = coloured; *from;) {
		if (*from == '\033') {
			from += strcspn(from, "m") + 1;
			continue;
		}
		*to++ = *from++;
	}
	*to = '\0';
	assert_string_equal(coloured, plain);
	free(plain);
	free(coloured);
	profile_free(&profile);
}

static void losses_and_warnings_show_only_when_there_are_any(void **state)
{
	struct profile profile;
	char *text;

	(void)state;
	sample_profile(&profile);
	text = print_text(&profile, wide);
	assert_lacks(text, "  lost ");
	assert_lacks(text, "warning");
	free(text);
	profile.lost = (struct profile_lost){
		.blocks = 1, .stacks = 2000, .returns = 3, .missed_frees = 4, .processes = 5, .events = 6};
	sample_warning(&profile, "this is \033[2J odd");
	text = print_text(&profile, (struct report_text_options){0});
	assert_contains(text, "1 block not recorded");
	assert_contains(text, "2,000 blocks without a stack");
	assert_contains(text, "3 calls whose return");
	assert_contains(text, "4 frees missed");
	assert_contains(text, "5 processes not followed");
	assert_contains(text, "6 events of processes and mappings");
	assert_contains(text, "  warning    this is \\x1b[2J odd\n");
	free(text);
	profile_free(&profile);
}

static void top_limits_the_stacks_and_says_so(void **state)
{
	struct profile profile;
	char *text;

	(void)state;
	sample_profile(&profile);
	text = print_text(&profile, (struct report_text_options){.top = 1});
	assert_contains(text, " 1.    +1.2 MiB");
	assert_lacks(text, " 2. ");
	assert_contains(text, "and 1 more site that holds 420.0 KiB in 210 blocks (--top 0 shows all)");
	assert_contains(text, "and 1 more site that holds 1.0 MiB in 1 block (--top 0 shows all)");
	free(text);
	profile_free(&profile);
}

static void a_short_session_lists_what_is_held(void **state)
{
	struct profile profile;
	const char *small, *large;
	char *text;

	(void)state;
	sample_profile(&profile);
	for (size_t i = 0; i < profile.sites.count; i++) {
		profile.sites.items[i].verdict = VERDICT_UNKNOWN;
		profile.sites.items[i].factor.growth = GROWTH_CONSTANT;
		profile.sites.items[i].factor.r2 = 0;
	}
	text = print_text(&profile, wide);
	assert_contains(text, "growth     not known");
	assert_lacks(text, "Growing");
	assert_contains(text, "too little seen to judge growth: 12.6 MiB in 3,748 blocks (6 sites)");
	large = strstr(text, "7.6 MiB");
	small = strstr(text, "200.0 KiB");
	assert_non_null(large);
	assert_non_null(small);
	assert_true(large < small);
	assert_contains(text, "> session_create");
	free(text);
	profile_free(&profile);
}

static void a_process_that_ended_shows_what_it_held(void **state)
{
	struct profile profile;
	char *text;

	(void)state;
	sample_profile(&profile);
	profile.command = sample_need(calloc(3, sizeof(*profile.command)));
	profile.command[0] = strdup("./server");
	profile.command[1] = strdup("--port");
	for (size_t i = 0; i < profile.sites.count; i++)
		profile.sites.items[i].exited = true;
	profile.sites.items[2].pid = 99;
	memcpy(profile.sites.items[2].comm, "sixteen-letters!", 16); /* not terminated */
	text = print_text(&profile, wide);
	assert_contains(text, "Leak report  ./server --port, server (pid 1234)\n");
	assert_contains(text, "growth     ended with the process");
	assert_contains(text, "Held at exit: 12.6 MiB in 3,748 blocks (6 sites)");
	assert_lacks(text, "Growing");
	assert_contains(text, "sixteen-letters! (pid 99)");
	assert_contains(text, "20.5 KiB/s");
	free(text);
	profile_free(&profile);
}

static void only_growth_that_counts_is_called_growth(void **state)
{
	struct profile profile;
	char *text;

	(void)state;
	sample_profile(&profile);
	for (size_t i = 0; i < 3; i++)
		profile.sites.items[i].verdict = i ? VERDICT_STEADY : VERDICT_TRANSIENT;
	text = print_text(&profile, wide);
	assert_contains(text, "growth     none found\n");
	assert_lacks(text, "Growing");
	free(text);
	profile.sites.items[1].verdict = VERDICT_TRUE_LEAK;
	text = print_text(&profile, wide);
	assert_contains(text, "Leaked: nothing refers to 420.0 KiB in 210 blocks any more (1 site)");
	free(text);
	profile_free(&profile);
}

static void hidden_sites_are_accounted_for(void **state)
{
	struct profile profile;
	char *text;

	(void)state;
	sample_profile(&profile);
	profile.totals.live_bytes = 13252710 + 2048;
	profile.totals.live_blocks = 3748 + 2;
	text = print_text(&profile, wide);
	assert_contains(text, "2.0 KiB in 2 blocks belong to sites that are not listed.\n");
	free(text);
	profile_free(&profile);
}

/* Since when a site grows: from a flat start's end, otherwise from its first block. */
static void growth_begins_where_flatness_ends(void **state)
{
	struct profile profile;
	char *text;

	(void)state;
	sample_profile(&profile);
	text = print_text(&profile, wide);
	assert_contains(text, "linear (R² 0.99), since the start");
	assert_contains(text, "exponential (R² 0.91), since 10:00:29");
	assert_contains(text, "logarithmic (R² 0.97), since 10:00:06");
	free(text);
	profile.duration = 90000;
	text = print_text(&profile, wide);
	assert_contains(text, "since 11-21 10:00:29");
	free(text);
	profile_free(&profile);
}

/* --- hostile and empty profiles, all formats --- */

static void put_string(char **field, const char *text)
{
	free(*field);
	*field = text ? strdup(text) : NULL;
}

static void hostile_profile(struct profile *profile)
{
	struct profile_site *site;

	sample_profile(profile);
	site = &profile->sites.items[0];
	memcpy(site->comm, "\033]0;x\a;\n\xff\xc0\x80 \t\r", 15);
	put_string(&site->frames[2].function, "evil\033[31m;two\nlines\r\x9b\xc2\x9b \xe2\x80\xae"
					      "rtl \xed\xa0\x80 \xf5\x80 ä");
	put_string(&site->frames[2].file, "/src/\033c\x7f.c");
	put_string(&site->frames[3].module, "/opt/\033P\n;q");
	put_string(&site->frames[3].function, NULL);
	put_string(&site->frames[4].function, "a<b(c{[)>}]((((<<<<");
	put_string(&profile->sites.items[2].frames[1].function, "");
	put_string(&profile->sites.items[2].frames[1].module, "");
	site->frames[0].build_id_size = 1000;
	site->factor.leak = 1e300;
	site->factor.rate = -INFINITY;
	site->factor.r2 = NAN;
	site->factor.coef[1] = NAN;
	site->factor.min_size = NAN;
	site->points[3].time = NAN;
	site->points[60].bytes = UINT64_MAX;
	site->first_seen = NAN;
	site->domain = NULL;
	site->counts.live_bytes = UINT64_MAX;
	profile->duration = NAN;
	profile->interval = INFINITY;
	profile->start.tv_sec = INT64_MAX;
	profile->probes.items[0].object[0] = '\033';
	profile->probes.items[1].mechanism = NULL;
	free(profile->probes.items[1].object);
	profile->probes.items[1].object = NULL;
	memset(profile->kernel, '\x80', sizeof(profile->kernel));
	sample_warning(profile, NULL);
	sample_warning(profile, "\xff;");
	profile->command = sample_need(calloc(2, sizeof(*profile->command)));
	profile->command[0] = strdup("\033[H\xfe");
}

static void hostile_names_reach_no_terminal(void **state)
{
	struct report_text_options options = {.width = 80, .unicode = true};
	struct profile profile;

	(void)state;
	hostile_profile(&profile);
	for (int round = 0; round < 4; round++) {
		char *text;

		options.width = round & 1 ? 80 : 0;
		options.unicode = round & 2;
		text = print_text(&profile, options);
		for (const char *at = text; *at;) {
			uint32_t character;
			size_t size = utf8_decode(at, strlen(at), &character);

			assert_true(size > 0);
			assert_true(character == '\n' || character >= 0x20);
			assert_true(character < 0x7f || character > 0x9f);
			assert_true(character != 0x202e);
			assert_true(options.unicode || character < 0x80);
			at += size;
		}
		if (options.width)
			assert_true(widest_line(text) <= 80);
		else
			assert_contains(text,
				"evil\\x1b[31m;two\\x0alines\\x0d\\x9b\\xc2\\x9b \\xe2\\x80\\xaertl "
				"\\xed\\xa0\\x80 \\xf5\\x80 ");
		free(text);
	}
	profile_free(&profile);
}

static void hostile_names_keep_json_valid(void **state)
{
	struct profile profile;
	json_t *report, *site;
	char *text;

	(void)state;
	hostile_profile(&profile);
	text = print_with(&profile, report_json);
	report = json_loads(text, 0, NULL);
	assert_non_null(report);
	site = json_array_get(json_object_get(report, "sites"), 0);
	assert_string_equal(json_string_value(json_object_get(site, "comm")),
		"\033]0;x\a;\n\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \t\r");
	assert_true(json_is_null(json_object_get(site, "domain")));
	assert_true(json_is_null(json_object_get(site, "first_seen")));
	assert_true(json_is_null(json_object_get(json_object_get(site, "leak_factor"), "r2")));
	assert_true(json_is_null(json_object_get(json_object_get(report, "session"), "start")));
	assert_int_equal(json_array_size(json_object_get(report, "warnings")), 1);
	json_decref(report);
	free(text);
	profile_free(&profile);
}

static void hostile_names_keep_folded_lines_whole(void **state)
{
	struct profile profile;
	size_t lines = 0;
	char *text;

	(void)state;
	hostile_profile(&profile);
	text = print_with(&profile, report_folded);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), lines++) {
		/* One blank, before a number. */
		assert_int_equal(
			strcspn(line, " ") + 1 + strspn(strchr(line, ' ') + 1, "0123456789"), strlen(line));
		for (const char *byte = line; *byte; byte++)
			assert_true((unsigned char)*byte >= ' ' && *byte != 0x7f);
		assert_lacks(line, "\xc2\x9b");
		if (!lines) {
			size_t frames = 1;

			for (const char *byte = line; *byte; byte++)
				frames += *byte == ';';
			assert_int_equal(frames, 9);
			assert_contains(line, ";_P_:q+0x3000;");
		}
	}
	assert_int_equal(lines, 6);
	free(text);
	profile_free(&profile);
}

static void an_empty_profile_is_a_report_too(void **state)
{
	struct profile profile = {0};
	json_t *report;
	char *text;

	(void)state;
	text = print_text(&profile, wide);
	assert_contains(text, "Nothing was allocated");
	free(text);
	text = print_with(&profile, report_folded);
	assert_string_equal(text ? text : "", "");
	free(text);
	text = print_with(&profile, report_json);
	report = json_loads(text, 0, NULL);
	assert_non_null(report);
	assert_int_equal(json_array_size(json_object_get(report, "sites")), 0);
	json_decref(report);
	free(text);
	/* Sites and frames about which nothing is known, and a count without an array. */
	sample_site(&profile, 0, "", 1, 1, NULL, 0)->domain = NULL;
	sample_site(&profile, 0, "", 1, 1, (struct sample_frame[]){{0}}, 1);
	profile.sites.items[0].frame_count = 3;
	free(profile.sites.items[0].frames);
	profile.sites.items[0].frames = NULL;
	free(print_text(&profile, wide));
	free(print_with(&profile, report_json));
	text = print_with(&profile, report_folded);
	assert_string_equal(text, "pid_1234;[no_stack] 1\npid_1234;0x7f0000000000 1\n");
	free(text);
	profile.sites.items[0].frame_count = 0;
	profile_free(&profile);
}

/* --- json --- */

/* Is a value of one of the kinds: i(nteger), r(eal or integer), s(tring), b(oolean), a(rray), o(bject),
 * n(ull)? */
static void assert_kind(const json_t *object, const char *key, const char *kinds)
{
	const json_t *value = json_object_get(object, key);

	for (; value && *kinds; kinds++) {
		if ((*kinds == 'i' && json_is_integer(value)) || (*kinds == 'r' && json_is_number(value)) ||
			(*kinds == 's' && json_is_string(value)) ||
			(*kinds == 'b' && json_is_boolean(value)) ||
			(*kinds == 'a' && json_is_array(value)) || (*kinds == 'o' && json_is_object(value)) ||
			(*kinds == 'n' && json_is_null(value)))
			return;
	}
	fail_msg("%s is %s", key, value ? "of another kind" : "missing");
}

/* Pairs of a key and its kinds, ended by NULL. */
static void assert_object(const json_t *object, size_t count, const char *const fields[][2])
{
	assert_true(json_is_object(object));
	for (size_t i = 0; i < count; i++)
		assert_kind(object, fields[i][0], fields[i][1]);
	assert_int_equal(json_object_size(object), count);
}

#define ASSERT_OBJECT(object, ...)                                                                           \
	assert_object(object, sizeof((const char *const[][2]){__VA_ARGS__}) / sizeof(const char *[2]),       \
		(const char *const[][2]){__VA_ARGS__})

static void json_keeps_the_contract(void **state)
{
	struct profile profile;
	json_t *report, *item;
	size_t i;
	char *text;

	(void)state;
	sample_profile(&profile);
	profile.sites.items[0].frames[1].build_id_size = 3;
	memcpy(profile.sites.items[0].frames[1].build_id, "\x01\xab\xff", 3);
	text = print_with(&profile, report_json);
	report = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(report);
	ASSERT_OBJECT(report, {"format", "s"}, {"version", "i"}, {"session", "o"}, {"probes", "a"},
		{"lost", "o"}, {"stacks", "o"}, {"totals", "o"}, {"warnings", "a"}, {"sites", "a"});
	assert_string_equal(json_string_value(json_object_get(report, "format")), "leaktop.report");
	assert_int_equal(json_integer_value(json_object_get(report, "version")), 1);
	item = json_object_get(report, "session");
	ASSERT_OBJECT(item, {"start", "s"}, {"duration_s", "r"}, {"interval_s", "r"}, {"kernel", "s"},
		{"arch", "s"}, {"target", "o"});
	assert_string_equal(json_string_value(json_object_get(item, "start")), "2026-11-21T10:00:00.250Z");
	item = json_object_get(item, "target");
	ASSERT_OBJECT(item, {"pids", "a"}, {"command", "a"});
	assert_int_equal(json_integer_value(json_array_get(json_object_get(item, "pids"), 0)), 1234);
	assert_int_equal(json_array_size(json_object_get(report, "probes")), 2);
	json_array_foreach(json_object_get(report, "probes"), i, item)
		ASSERT_OBJECT(item, {"object", "s"}, {"function", "s"}, {"offset", "i"}, {"emulated", "b"},
			{"mechanism", "s"}, {"instruction", "s"});
	ASSERT_OBJECT(json_object_get(report, "lost"), {"blocks", "i"}, {"stacks", "i"}, {"returns", "i"},
		{"missed_frees", "i"}, {"processes", "i"}, {"events", "i"});
	ASSERT_OBJECT(json_object_get(report, "stacks"), {"complete", "i"}, {"cut", "o"},
		{"frame_pointers", "i"}, {"early_frames", "i"}, {"collisions", "i"}, {"rows", "i"},
		{"max_rows", "i"}, {"left_out", "a"});
	ASSERT_OBJECT(json_object_get(report, "totals"), {"live_bytes", "i"}, {"live_blocks", "i"},
		{"allocated_bytes", "i"}, {"allocations", "i"}, {"frees", "i"});
	assert_int_equal(json_array_size(json_object_get(report, "sites")), profile.sites.count);
	json_array_foreach(json_object_get(report, "sites"), i, item)
	{
		json_t *frame;
		size_t k;

		ASSERT_OBJECT(item, {"id", "s"}, {"pid", "i"}, {"comm", "s"}, {"domain", "s"},
			{"exited", "b"}, {"no_stack", "b"}, {"first_seen", "r"}, {"live_bytes", "i"},
			{"live_blocks", "i"}, {"allocated_bytes", "i"}, {"allocations", "i"}, {"frees", "i"},
			{"leak_factor", "o"}, {"verdict", "s"}, {"frames", "a"}, {"series", "a"},
			{"complete", "b"}, {"stack_end", "sn"}, {"frame_pointers", "b"});
		assert_int_equal(strlen(json_string_value(json_object_get(item, "id"))), 16);
		ASSERT_OBJECT(json_object_get(item, "leak_factor"), {"class", "s"}, {"coef", "a"},
			{"leak", "r"}, {"min_size", "r"}, {"max_size", "r"}, {"rate", "r"}, {"r2", "r"});
		json_array_foreach(json_object_get(item, "frames"), k, frame) ASSERT_OBJECT(frame,
			{"address", "s"}, {"module", "sn"}, {"build_id", "sn"}, {"offset", "s"},
			{"function", "sn"}, {"file", "sn"}, {"line", "in"}, {"inlined", "b"});
	}
	json_decref(report);
	free(text);
	profile_free(&profile);
}

static void json_holds_the_values(void **state)
{
	struct profile profile;
	json_t *report, *site, *factor, *frame, *point;
	char *text;

	(void)state;
	sample_profile(&profile);
	profile.sites.items[0].frames[1].build_id_size = 3;
	memcpy(profile.sites.items[0].frames[1].build_id, "\x01\xab\xff", 3);
	profile.sites.items[0].id = UINT64_C(0xfedcba9876543210);
	profile.lost.missed_frees = INT64_MAX;
	text = print_with(&profile, report_json);
	report = json_loads(text, 0, NULL);
	assert_non_null(report);
	assert_true(json_integer_value(json_object_get(json_object_get(report, "lost"), "missed_frees")) ==
		    INT64_MAX);
	site = json_array_get(json_object_get(report, "sites"), 0);
	assert_string_equal(json_string_value(json_object_get(site, "id")), "fedcba9876543210");
	assert_int_equal(json_integer_value(json_object_get(site, "live_bytes")), 3565158);
	assert_int_equal(json_integer_value(json_object_get(site, "live_blocks")), 3481);
	assert_int_equal(json_integer_value(json_object_get(site, "allocated_bytes")), 3 * 3565158);
	assert_int_equal(json_integer_value(json_object_get(site, "allocations")), 3 * 3481);
	assert_int_equal(json_integer_value(json_object_get(site, "frees")), 0);
	assert_string_equal(json_string_value(json_object_get(site, "verdict")), "logical-leak");
	factor = json_object_get(site, "leak_factor");
	assert_string_equal(json_string_value(json_object_get(factor, "class")), "linear");
	assert_true(json_number_value(json_array_get(json_object_get(factor, "coef"), 0)) == 0.01);
	assert_true(json_number_value(json_array_get(json_object_get(factor, "coef"), 2)) == 0.005);
	assert_true(json_number_value(json_object_get(factor, "leak")) == 1258291);
	assert_int_equal(json_integer_value(json_object_get(factor, "min_size")), 100);
	assert_int_equal(json_integer_value(json_object_get(factor, "max_size")), 1258291);
	frame = json_array_get(json_object_get(site, "frames"), 1);
	assert_string_equal(json_string_value(json_object_get(frame, "address")), "0x7f0000002210");
	assert_string_equal(json_string_value(json_object_get(frame, "offset")), "0x2210");
	assert_string_equal(json_string_value(json_object_get(frame, "module")), SERVER);
	assert_string_equal(json_string_value(json_object_get(frame, "build_id")), "01abff");
	assert_string_equal(json_string_value(json_object_get(frame, "function")), "xmalloc");
	assert_string_equal(json_string_value(json_object_get(frame, "file")), "/src/shop/util.c");
	assert_int_equal(json_integer_value(json_object_get(frame, "line")), 12);
	assert_true(json_is_true(json_object_get(frame, "inlined")));
	assert_int_equal(json_array_size(json_object_get(site, "series")), 61);
	point = json_array_get(json_object_get(site, "series"), 30);
	assert_int_equal(json_array_size(point), 2);
	assert_true(json_number_value(json_array_get(point, 0)) == 30);
	assert_int_equal(json_integer_value(json_array_get(point, 1)), 2936012);
	json_decref(report);
	free(text);
	profile_free(&profile);
}

/* --- folded --- */

static void folded_stacks_read_from_the_outside_in(void **state)
{
	struct profile profile;
	char *text;

	(void)state;
	sample_profile(&profile);
	profile.sites.count = 1;
	text = print_with(&profile, report_folded);
	assert_string_equal(text, "server;_start;__libc_start_main;libc.so.6+0x2724a;main;accept_client;"
				  "session_create;xmalloc_[i];malloc "
				  "3565158\n");
	free(text);
	profile.sites.count = 7;
	text = print_with(&profile, report_folded);
	assert_contains(text, ";operator_new(unsigned_long) 430080\n");
	assert_contains(text, "server;[stack_table_full] 4096\n");
	assert_lacks(text, " 0\n"); /* what holds nothing has no width in a flame graph */
	free(text);
	profile_free(&profile);
}

/* --- a full disk --- */

static int text_report(FILE *out, const struct profile *profile, struct error *err)
{
	return report_text(out, profile, &wide, err);
}

static void a_full_disk_is_an_error_of_every_format(void **state)
{
	static int (*const reports[])(FILE *, const struct profile *, struct error *) = {
		text_report, report_json, report_folded};
	struct profile profile;

	(void)state;
	sample_profile(&profile);
	for (size_t i = 0; i < 3; i++) {
		for (int buffered = 0; buffered < 2; buffered++) {
			FILE *full = fopen("/dev/full", "w");
			struct error err = {0};

			assert_non_null(full);
			if (!buffered)
				setvbuf(full, NULL, _IONBF, 0);
			assert_int_equal(reports[i](full, &profile, &err), -1);
			assert_int_equal(err.code, ERROR_SYSTEM);
			assert_contains(err.message, strerror(ENOSPC));
			fclose(full);
		}
	}
	profile_free(&profile);
}

/* --- parts --- */

static void names_are_taken_apart(void **state)
{
	static const struct {
		const char *function, *qualified;
	} names[] = {
		{"main", "main"},
		{"operator new(unsigned long)", "operator new"},
		{"operator new[](unsigned long, std::nothrow_t const&)", "operator new[]"},
		{"void ns::Cache<int>::put<long>(long, int) const", "ns::Cache<int>::put<long>"},
		{"std::shared_ptr<Foo> make<Foo>(int)", "make<Foo>"},
		{"(anonymous namespace)::leak(int)", "(anonymous namespace)::leak"},
		{"foo(int)::{lambda(char)#1}::operator()(char) const",
			"foo(int)::{lambda(char)#1}::operator()"},
		{"std::ostream& ns::operator<< <int>(std::ostream&, int)", "ns::operator<< <int>"},
		{"bool ns::operator<(ns::A const&, ns::A const&)", "ns::operator<"},
		{"ns::P::operator->() const &", "ns::P::operator->"},
		{"ns::P::operator unsigned long() const", "ns::P::operator unsigned long"},
		{"foo(int) [clone .cold]", "foo"},
		{"<alloc::vec::Vec<T> as core::ops::Drop>::drop",
			"<alloc::vec::Vec<T> as core::ops::Drop>::drop"},
		{"call<fn(u8) -> u8>", "call<fn(u8) -> u8>"},
		{"cooperator(int)", "cooperator"},
		{"", ""},
		{")", ")"},
		{"(((", "((("},
		{"()", "()"},
		{"a b c", "c"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names) - 1; i++) {
		size_t length;
		const char *name = function_name_qualified(names[i].function, &length);

		if (length != strlen(names[i].qualified) || strncmp(name, names[i].qualified, length) != 0)
			fail_msg("%s gave %.*s", names[i].function, (int)length, name);
	}
}

static void long_names_lose_their_template_arguments(void **state)
{
	struct buffer text = {0};

	(void)state;
	function_name_append_short(&text, "int f<int>(int)");
	assert_string_equal(buffer_text(&text), "f<int>");
	buffer_clear(&text);
	function_name_append_short(
		&text, "void shop::Queue<shop::Order, shop::Policy<3, 4> >::push<shop::Order const&>(int)");
	assert_string_equal(buffer_text(&text), "shop::Queue<>::push<>");
	buffer_clear(&text);
	function_name_append_short(&text, "bool a_namespace_with_a_long_name::List<int>::operator<<(int)");
	assert_string_equal(buffer_text(&text), "a_namespace_with_a_long_name::List<>::operator<<");
	buffer_free(&text);
}

/* Names are hostile: whatever brackets they hold, nothing is read or written outside them (run with
 * sanitizers). */
static void random_names_do_no_harm(void **state)
{
	static const char *const pieces[] = {"<", ">", "(", ")", "{", "}", "[", "]", "operator", " ",
		"::", "const", "&", "->", "a", "std", " [clone", ",", "operator()", "operator<", "\xc3",
		"\xa4"};
	uint64_t random = 42;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct buffer name = {0}, text = {0};
		const char *part;
		size_t length;

		for (int i = 0; i < 24; i++) {
			random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
			buffer_append_string(
				&name, pieces[(random >> 33) % (sizeof(pieces) / sizeof(*pieces))]);
		}
		part = function_name_qualified(name.items, &length);
		assert_true(part >= name.items && part + length <= name.items + name.count);
		function_name_append_short(&text, name.items);
		terminal_escape(&text, name.items, name.count, true);
		terminal_shorten(&text, 4 + random % 40, (enum terminal_cut)(random >> 40) % 3, true);
		assert_true(utf8_columns(buffer_text(&text)) <= 4 + random % 40);
		buffer_free(&text);
		buffer_free(&name);
	}
}

static void the_useful_frame_is_the_programs_own(void **state)
{
	struct profile profile;
	static const struct sample_frame in_libc[] = {
		{"malloc", NULL, 0, LIBC, 1, false},
		{"setlocale", NULL, 0, LIBC, 2, false},
		{"main", "main.c", 3, SERVER, 3, false},
		{"__libc_start_main", NULL, 0, LIBC, 4, false},
		{"_start", NULL, 0, SERVER, 5, false},
	};
	static const struct sample_frame all_libc[] = {
		{"malloc", NULL, 0, LIBC, 1, false},
		{"__nss_database_get", NULL, 0, LIBC, 2, false},
		{"start_thread", NULL, 0, LIBC, 4, false},
		{"clone", NULL, 0, LIBC, 5, false},
	};
	static const struct sample_frame only_start[] = {{"clone", NULL, 0, LIBC, 5, false}};
	static const struct sample_frame stripped[] = {
		{NULL, NULL, 0, "/bin/app", 1, false},
		{NULL, NULL, 0, "/bin/app", 2, false},
		{"__libc_start_call_main", NULL, 0, LIBC, 3, false},
		{"__libc_start_main_impl", NULL, 0, LIBC, 4, false},
		{NULL, NULL, 0, "/bin/app", 5, false},
	};
	struct profile_site *site;
	struct stack_view view;

	(void)state;
	sample_profile(&profile);
	view = stack_view(&profile.sites.items[0]);
	assert_int_equal(view.useful, 2);
	assert_int_equal(view.end, 5);
	view = stack_view(&profile.sites.items[1]);
	assert_int_equal(view.useful, 3);
	assert_int_equal(view.end, 8);
	view = stack_view(&profile.sites.items[3]); /* stripped: the first frame outside of the C library */
	assert_int_equal(view.useful, 1);
	assert_int_equal(view.end, 3);
	view = stack_view(&profile.sites.items[5]);
	assert_int_equal(view.end, 0);
	view = stack_view(sample_site(&profile, 1, "x", 1, 1, in_libc, 5));
	assert_int_equal(view.useful, 2);
	assert_int_equal(view.end, 3);
	view = stack_view(sample_site(&profile, 1, "x", 1, 1, all_libc, 4));
	assert_int_equal(view.useful, 1);
	assert_int_equal(view.end, 2);
	site = sample_site(&profile, 1, "x", 1, 1, stripped, 5);
	view = stack_view(site); /* its _start has no name, but is known by what it calls */
	assert_int_equal(view.useful, 0);
	assert_int_equal(view.end, 2);
	site->stack_end = STACK_NO_RULE;
	assert_int_equal(stack_view(site).end, 5);
	view = stack_view(sample_site(&profile, 1, "x", 1, 1, only_start, 1));
	assert_int_equal(view.useful, 0);
	assert_int_equal(view.end, 1);
	profile_free(&profile);
}

static void utf8_is_told_from_other_bytes(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		uint32_t character;
	} cases[] = {{"a", 1, 'a'}, {"\xc3\xa4", 2, 0xe4}, {"\xe2\x80\xa6", 3, 0x2026},
		{"\xf0\x9f\x98\x80", 4, 0x1f600}, {"\xf4\x8f\xbf\xbf", 4, 0x10ffff}, {"\x80", 0, 0},
		{"\xc0\x80", 0, 0}, {"\xc1\xbf", 0, 0}, {"\xe0\x9f\xbf", 0, 0}, {"\xed\xa0\x80", 0, 0},
		{"\xf0\x8f\xbf\xbf", 0, 0}, {"\xf4\x90\x80\x80", 0, 0}, {"\xf8\x88\x80\x80", 0, 0},
		{"\xc3", 0, 0}, {"\xe2\x80", 0, 0}, {"\xc3(", 0, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint32_t character = 0;

		assert_int_equal(
			utf8_decode(cases[i].bytes, strlen(cases[i].bytes), &character), cases[i].size);
		if (cases[i].size)
			assert_int_equal(character, cases[i].character);
	}
	assert_int_equal(utf8_columns("aä…"), 3);
	assert_int_equal(utf8_columns("漢字"), 4);
	assert_int_equal(utf8_columns("e\xcc\x81"), 1);
}

static void texts_are_shortened_where_asked(void **state)
{
	static const struct {
		const char *text;
		size_t columns;
		enum terminal_cut cut;
		bool unicode;
		const char *expected;
	} cases[] = {
		{"abcdefghij", 10, TERMINAL_CUT_MIDDLE, true, "abcdefghij"},
		{"abcdefghij", 7, TERMINAL_CUT_MIDDLE, true, "abc…hij"},
		{"abcdefghij", 8, TERMINAL_CUT_MIDDLE, true, "abcd…hij"},
		{"abcdefghij", 7, TERMINAL_CUT_START, true, "…efghij"},
		{"abcdefghij", 7, TERMINAL_CUT_END, true, "abcdef…"},
		{"abcdefghij", 7, TERMINAL_CUT_END, false, "abcd..."},
		{"äöüäöüäöüä", 5, TERMINAL_CUT_MIDDLE, true, "äö…üä"},
		{"漢字漢字漢字", 8, TERMINAL_CUT_MIDDLE, true, "漢字…字"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct buffer text = {0};

		buffer_append_string(&text, cases[i].text);
		terminal_shorten(&text, cases[i].columns, cases[i].cut, cases[i].unicode);
		assert_string_equal(buffer_text(&text), cases[i].expected);
		buffer_free(&text);
	}
}

static void a_sparkline_draws_the_series(void **state)
{
	static const struct series_point points[] = {{20, 100}, {40, 200}, {60, 300}, {80, 450}};
	struct buffer text = {0};

	(void)state;
	assert_true(sparkline_append(&text, points, 4, 5, 0, 100, false));
	assert_string_equal(buffer_text(&text), "▁▃▅██");
	buffer_clear(&text);
	assert_true(sparkline_append(&text, points, 4, 5, 0, 100, true));
	assert_string_equal(buffer_text(&text), "▃▄▆██");
	buffer_clear(&text);
	assert_true(sparkline_append(&text, points, 4, 10, 0, 100, false));
	assert_string_equal(buffer_text(&text), " ▁▁▃▃▅▅███");
	buffer_clear(&text);
	assert_false(sparkline_append(&text, points, 3, 5, 0, 100, false));
	assert_false(sparkline_append(&text, NULL, 4, 5, 0, 100, false));
	assert_false(sparkline_append(&text, points, 4, 5, 0, NAN, false));
	assert_string_equal(buffer_text(&text), "");
	buffer_free(&text);
}

/* --- a terminal --- */

struct terminal {
	int master;
	FILE *screen; /* the side that a program writes to */
};

static void open_terminal(struct terminal *terminal, unsigned short columns)
{
	struct winsize size = {.ws_row = 24, .ws_col = columns};
	int fd;

	terminal->master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
	assert_true(terminal->master >= 0);
	assert_int_equal(grantpt(terminal->master), 0);
	assert_int_equal(unlockpt(terminal->master), 0);
	fd = open(ptsname(terminal->master), O_RDWR | O_NOCTTY);
	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, TIOCSWINSZ, &size), 0);
	terminal->screen = fdopen(fd, "w");
	assert_non_null(terminal->screen);
}

static void read_terminal(struct terminal *terminal, char text[1024])
{
	ssize_t length = read(terminal->master, text, 1023);

	text[length > 0 ? length : 0] = '\0';
}

static void close_terminal(struct terminal *terminal)
{
	fclose(terminal->screen);
	close(terminal->master);
}

static void progress_rewrites_one_line(void **state)
{
	struct progress_numbers numbers = {
		.elapsed = 12, .total = 60, .calls = 1234567, .live_bytes = 12897485, .sites = 212};
	struct terminal terminal;
	struct progress progress;
	char text[1024];

	(void)state;
	open_terminal(&terminal, 100);
	progress_init(&progress, terminal.screen);
	progress_clear(&progress);
	read_terminal(&terminal, text);
	assert_string_equal(text, "");
	numbers.lost = 3;
	progress_update(&progress, &numbers);
	read_terminal(&terminal, text);
	assert_string_equal(text, "\r12 s of 1 min 00 s: 1,234,567 calls, 12.3 MiB live, 212 sites, 3 lost"
				  "\r12 s of 1 min 00 s: 1,234,567 calls, 12.3 MiB live, 212 sites, 3 lost");
	/* A shorter line wipes what is left of the longer one. */
	numbers.lost = 0;
	numbers.total = 0;
	progress_update(&progress, &numbers);
	read_terminal(&terminal, text);
	assert_string_equal(text, "\r12 s: 1,234,567 calls, 12.3 MiB live, 212 sites                      "
				  "\r12 s: 1,234,567 calls, 12.3 MiB live, 212 sites");
	progress_clear(&progress);
	read_terminal(&terminal, text);
	assert_string_equal(text, "\r                                               \r");
	progress_clear(&progress);
	read_terminal(&terminal, text);
	assert_string_equal(text, "");
	close_terminal(&terminal);
}

static void progress_stays_on_a_narrow_terminal(void **state)
{
	struct progress_numbers numbers = {.elapsed = 12, .total = 60, .calls = 1234567};
	struct terminal terminal;
	struct progress progress;
	char text[1024];

	(void)state;
	open_terminal(&terminal, 20);
	progress_init(&progress, terminal.screen);
	progress_update(&progress, &numbers);
	read_terminal(&terminal, text);
	assert_string_equal(text, "\r12 s of 1 min 00 s:\r12 s of 1 min 00 s:");
	close_terminal(&terminal);
}

static void progress_is_only_for_terminals(void **state)
{
	struct progress_numbers numbers = {.elapsed = 1};
	struct progress progress;
	FILE *file = tmpfile();

	(void)state;
	assert_non_null(file);
	progress_init(&progress, file);
	progress_update(&progress, &numbers);
	progress_clear(&progress);
	assert_int_equal(ftell(file), 0);
	fclose(file);
}

static void colour_is_only_for_terminals_that_want_it(void **state)
{
	struct report_text_options options;
	struct terminal terminal;
	int fd, file = open("/dev/null", O_WRONLY);

	(void)state;
	assert_true(file >= 0);
	open_terminal(&terminal, 77);
	fd = fileno(terminal.screen);
	unsetenv("NO_COLOR");
	setenv("TERM", "xterm", 1);
	setenv("LC_ALL", "de_DE.utf8", 1);
	options = report_text_options_for(fd);
	assert_true(options.colour);
	assert_true(options.unicode);
	assert_int_equal(options.width, 77);
	options = report_text_options_for(file);
	assert_false(options.colour);
	assert_int_equal(options.width, 0);
	setenv("NO_COLOR", "1", 1);
	assert_false(terminal_has_colour(fd));
	setenv("NO_COLOR", "", 1);
	assert_true(terminal_has_colour(fd));
	setenv("TERM", "dumb", 1);
	assert_false(terminal_has_colour(fd));
	unsetenv("TERM");
	assert_false(terminal_has_colour(fd));
	setenv("LC_ALL", "C", 1);
	setenv("LANG", "C.UTF-8", 1);
	assert_false(terminal_is_utf8());
	setenv("LC_ALL", "", 1);
	unsetenv("LC_CTYPE");
	assert_true(terminal_is_utf8());
	close(file);
	close_terminal(&terminal);
}

static int use_utc(void **state)
{
	(void)state;
	return setenv("TZ", "UTC", 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sites_are_sorted_by_leak_then_size),
		cmocka_unit_test(losses_of_all_kinds_add_up),
		cmocka_unit_test(text_reads_as_designed),
		cmocka_unit_test(lines_fit_the_width),
		cmocka_unit_test(without_a_width_nothing_is_cut),
		cmocka_unit_test(colours_change_no_text),
		cmocka_unit_test(losses_and_warnings_show_only_when_there_are_any),
		cmocka_unit_test(top_limits_the_stacks_and_says_so),
		cmocka_unit_test(a_short_session_lists_what_is_held),
		cmocka_unit_test(a_process_that_ended_shows_what_it_held),
		cmocka_unit_test(only_growth_that_counts_is_called_growth),
		cmocka_unit_test(hidden_sites_are_accounted_for),
		cmocka_unit_test(growth_begins_where_flatness_ends),
		cmocka_unit_test(hostile_names_reach_no_terminal),
		cmocka_unit_test(hostile_names_keep_json_valid),
		cmocka_unit_test(hostile_names_keep_folded_lines_whole),
		cmocka_unit_test(an_empty_profile_is_a_report_too),
		cmocka_unit_test(json_keeps_the_contract),
		cmocka_unit_test(json_holds_the_values),
		cmocka_unit_test(folded_stacks_read_from_the_outside_in),
		cmocka_unit_test(a_full_disk_is_an_error_of_every_format),
		cmocka_unit_test(names_are_taken_apart),
		cmocka_unit_test(long_names_lose_their_template_arguments),
		cmocka_unit_test(random_names_do_no_harm),
		cmocka_unit_test(the_useful_frame_is_the_programs_own),
		cmocka_unit_test(utf8_is_told_from_other_bytes),
		cmocka_unit_test(texts_are_shortened_where_asked),
		cmocka_unit_test(a_sparkline_draws_the_series),
		cmocka_unit_test(progress_rewrites_one_line),
		cmocka_unit_test(progress_stays_on_a_narrow_terminal),
		cmocka_unit_test(progress_is_only_for_terminals),
		cmocka_unit_test(colour_is_only_for_terminals_that_want_it),
	};

	return cmocka_run_group_tests(tests, use_utc, NULL);
}
