// SPDX-License-Identifier: GPL-2.0-or-later
/* What reports say of stacks that are cut, and of files that had to be walked without their rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/array.h"
#include "report/json.h"
#include "report/stack.h"
#include "report/text.h"

/* One site of one frame that holds something at the end of its process. */
static void make_profile(struct profile *profile, enum stack_end end)
{
	struct profile_site *site;

	*profile = (struct profile){.duration = 10, .interval = 1};
	site = array_push(&profile->sites);
	assert_non_null(site);
	*site = (struct profile_site){.pid = 1, .domain = "heap", .exited = true, .stack_end = end};
	site->counts = (struct profile_counts){
		.live_bytes = 10, .live_blocks = 1, .allocated_bytes = 10, .allocations = 1};
	site->frames = calloc(1, sizeof(*site->frames));
	assert_non_null(site->frames);
	site->frame_count = 1;
	site->frames[0].function = strdup("taker");
	profile->totals = site->counts;
	profile->stacks.ends[end] = 1;
}

static char *text_of(const struct profile *profile)
{
	const struct report_text_options options = {0};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	assert_int_equal(report_text(out, profile, &options, NULL), 0);
	fclose(out);
	return text;
}

static json_t *json_of(const struct profile *profile)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	json_t *report;

	assert_non_null(out);
	assert_int_equal(report_json(out, profile, NULL), 0);
	fclose(out);
	report = json_loads(text, 0, NULL);
	assert_non_null(report);
	free(text);
	return report;
}

static void complete_stacks_need_no_word(void **state)
{
	struct profile profile;
	char *text;

	(void)state;
	make_profile(&profile, STACK_COMPLETE);
	text = text_of(&profile);
	assert_non_null(strstr(text, "taker"));
	assert_null(strstr(text, "cut"));
	assert_null(strstr(text, "stacks "));
	free(text);
	profile.sites.items[0].frame_pointers = true;
	text = text_of(&profile);
	assert_non_null(strstr(text, "(in part along frame pointers)"));
	free(text);
	profile_free(&profile);
}

static void every_reason_is_told(void **state)
{
	(void)state;
	assert_null(stack_end_name(STACK_COMPLETE));
	for (int end = STACK_COMPLETE + 1; end < STACK_ENDS; end++) {
		const char *name = stack_end_name((enum stack_end)end);
		struct profile profile;
		json_t *report, *site;
		char line[100], *text;

		assert_non_null(name);
		make_profile(&profile, (enum stack_end)end);
		text = text_of(&profile);
		snprintf(line, sizeof(line), "(cut here: %s)", name);
		assert_non_null(strstr(text, line));
		assert_non_null(strstr(text, "100.0 % of allocations have stacks that are cut"));
		free(text);
		report = json_of(&profile);
		site = json_array_get(json_object_get(report, "sites"), 0);
		assert_true(json_is_false(json_object_get(site, "complete")));
		assert_string_equal(json_string_value(json_object_get(site, "stack_end")), name);
		site = json_object_get(json_object_get(report, "stacks"), "cut");
		assert_int_equal(json_object_size(site), STACK_ENDS - 1);
		assert_int_equal(json_integer_value(json_object_get(site, name)), 1);
		json_decref(report);
		profile_free(&profile);
	}
}

static void the_share_is_of_allocations(void **state)
{
	struct profile profile;
	char *text;

	(void)state;
	make_profile(&profile, STACK_NO_RULE);
	profile.stacks.ends[STACK_NO_RULE] = 25;
	profile.stacks.ends[STACK_COMPLETE] = 975;
	profile.stacks.frame_pointers = 7;
	text = text_of(&profile);
	assert_non_null(strstr(text, "2.5 % of allocations"));
	assert_non_null(strstr(text, "25 (no unwind information)"));
	assert_non_null(strstr(text, "7 walked along frame pointers"));
	free(text);
	profile_free(&profile);
}

static void files_left_out_are_named(void **state)
{
	struct profile_unwalked *file;
	struct profile profile;
	json_t *report, *item;
	char *text;

	(void)state;
	make_profile(&profile, STACK_COMPLETE);
	file = array_push(&profile.stacks.left_out);
	assert_non_null(file);
	file->path = strdup("/opt/huge\033[2J");
	file->frames = 1234;
	text = text_of(&profile);
	assert_non_null(strstr(text, "/opt/huge\\x1b[2J"));
	assert_non_null(strstr(text, "1,234 frames"));
	assert_null(strchr(text, '\033'));
	free(text);
	report = json_of(&profile);
	item = json_array_get(json_object_get(json_object_get(report, "stacks"), "left_out"), 0);
	assert_string_equal(json_string_value(json_object_get(item, "path")), "/opt/huge\033[2J");
	assert_int_equal(json_integer_value(json_object_get(item, "frames")), 1234);
	json_decref(report);
	profile_free(&profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(complete_stacks_need_no_word),
		cmocka_unit_test(every_reason_is_told),
		cmocka_unit_test(the_share_is_of_allocations),
		cmocka_unit_test(files_left_out_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
