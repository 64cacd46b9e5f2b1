// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "report/stack.h"
#include "report/terminal.h"
#include "report/text_internal.h"

#define LABEL_COLUMN	13 /* where the values stand */
#define OBJECTS_NAMED	4
#define PROCESSES_NAMED 4

static void begin_header_line(struct report *report, enum style style, const char *label)
{
	page_put(&report->page, style, "  ");
	page_put(&report->page, style, label);
	page_pad(&report->page, LABEL_COLUMN);
	page_items_begin(&report->page, LABEL_COLUMN);
}

static const struct profile_site *site_of_process(const struct profile *profile, pid_t pid)
{
	for (size_t i = 0; i < profile->sites.count; i++) {
		if (profile->sites.items[i].pid == pid)
			return &profile->sites.items[i];
	}
	return NULL;
}

static void print_title(struct report *report)
{
	const struct profile *profile = report->profile;
	struct page *page = &report->page;
	struct buffer command = {0};

	page_put(page, STYLE_BOLD, "Leak report");
	page_pad(page, LABEL_COLUMN);
	page_items_begin(page, LABEL_COLUMN);
	for (char **argument = profile->command; argument && *argument; argument++) {
		buffer_append_string(&command, argument == profile->command ? "" : " ");
		terminal_escape(&command, *argument, strlen(*argument), page->unicode);
	}
	if (command.count) {
		if (page->width)
			terminal_shorten(&command, (size_t)page->width - LABEL_COLUMN, TERMINAL_CUT_END,
				page->unicode);
		page_item(page, STYLE_BOLD, "%s", command.items);
	}
	for (size_t i = 0; i < profile->pids.count; i++) {
		const struct profile_site *site = site_of_process(profile, profile->pids.items[i]);

		if (i == PROCESSES_NAMED) {
			page_item(page, STYLE_PLAIN, "and %zu more processes", profile->pids.count - i);
			break;
		}
		text_put_process(page, profile->pids.items[i], site ? site->comm : NULL,
			site ? sizeof(site->comm) : 0);
	}
	if (!command.count && !profile->pids.count)
		page_item(page, STYLE_PLAIN, "all processes");
	page_end_line(page);
	page->failed |= command.failed;
	buffer_free(&command);
}

/* The objects that carry probes, each once, in the order in which they were found. */
static void put_probes(struct report *report)
{
	const struct profile *profile = report->profile;
	struct page *page = &report->page;
	struct buffer text = {0};
	size_t objects = 0;

	for (size_t i = 0; i < profile->probes.count; i++) {
		const char *object = profile->probes.items[i].object, *name;
		bool seen = false;

		for (size_t k = 0; object && k < i && !seen; k++)
			seen = profile->probes.items[k].object &&
			       !strcmp(profile->probes.items[k].object, object);
		if (!object || seen || objects++ >= OBJECTS_NAMED)
			continue;
		name = path_file_name(object);
		buffer_append_string(&text, objects == 1 ? " in " : ", ");
		terminal_escape(&text, name, strlen(name), page->unicode);
	}
	if (objects > OBJECTS_NAMED)
		buffer_printf(&text, " and %zu more", objects - OBJECTS_NAMED);
	page_item(page, STYLE_PLAIN, "%zu %s%s", profile->probes.count,
		text_plural(profile->probes.count, "probe", "probes"), buffer_text(&text));
	page->failed |= text.failed;
	buffer_free(&text);
}

static void print_session(struct report *report)
{
	const struct profile *profile = report->profile;
	struct page *page = &report->page;
	char number[HUMAN_SIZE], clock[64] = "?";
	struct tm local;

	if (localtime_r(&profile->start.tv_sec, &local))
		strftime(clock, sizeof(clock), "%Y-%m-%d %H:%M:%S", &local);
	begin_header_line(report, STYLE_PLAIN, "traced");
	page_item(page, STYLE_PLAIN, "%s from %s", human_duration(number, profile->duration), clock);
	if (profile->kernel[0]) {
		struct buffer text = {0};

		terminal_escape(&text, profile->kernel, sizeof(profile->kernel), page->unicode);
		page_item(page, STYLE_PLAIN, "Linux %s", buffer_text(&text));
		page->failed |= text.failed;
		buffer_free(&text);
	}
	if (profile->probes.count)
		put_probes(report);
	page_end_line(page);
}

static void print_totals(struct report *report)
{
	const struct profile_counts *totals = &report->profile->totals;
	struct page *page = &report->page;
	char bytes[HUMAN_SIZE], count[HUMAN_SIZE];

	begin_header_line(report, STYLE_PLAIN, "allocated");
	page_item(page, STYLE_PLAIN, "%s in %s %s", human_bytes(bytes, totals->allocated_bytes),
		human_count(count, totals->allocations), text_plural(totals->allocations, "call", "calls"));
	page_item(page, STYLE_PLAIN, "%s freed", human_count(count, totals->frees));
	page_end_line(page);

	begin_header_line(report, STYLE_PLAIN, "still held");
	page_put(page, STYLE_BOLD, human_bytes(bytes, totals->live_bytes));
	page_put(page, STYLE_PLAIN, " ");
	page_words(page, STYLE_PLAIN, LABEL_COLUMN, "in %s %s allocated while tracing",
		human_count(count, totals->live_blocks), text_plural(totals->live_blocks, "block", "blocks"));
	page_end_line(page);
}

/* The one line that says whether there is anything to worry about. */
static void print_growth(struct report *report)
{
	const struct chapter_sites *growing = &report->chapters[GROWING],
				   *filling = &report->chapters[FILLING];
	struct page *page = &report->page;
	char bytes[HUMAN_SIZE], rate[HUMAN_SIZE], count[HUMAN_SIZE];

	begin_header_line(report, STYLE_PLAIN, "growth");
	if (growing->count) {
		page_item(page, STYLE_ALARM, "%s at %s %s", human_change(bytes, growing->leak),
			human_count(count, growing->count), text_plural(growing->count, "site", "sites"));
		page_item(page, STYLE_ALARM, "%s", human_rate(rate, growing->rate));
		if (growing->rate > 0 && growing->rate < 1e15)
			page_item(page, STYLE_PLAIN, "%s a day at this rate",
				human_bytes(bytes, (uint64_t)(growing->rate * 86400)));
	}
	if (growing->count && filling->count) {
		page_end_line(page);
		begin_header_line(report, STYLE_PLAIN, "");
	}
	if (filling->count)
		page_item(page, STYLE_WARNING, "%s at %s %s, ever more slowly",
			human_change(bytes, filling->leak), human_count(count, filling->count),
			text_plural(filling->count, "site", "sites"));
	if (!growing->count && !filling->count) {
		if (report->chapters[STEADY].count)
			page_item(page, STYLE_GOOD, "none found");
		else if (report->chapters[UNJUDGED].count)
			page_item(page, STYLE_PLAIN, "not known: too little was seen to judge it");
		else if (report->chapters[AT_EXIT].count)
			page_item(
				page, STYLE_PLAIN, "ended with the process: what it held at its exit counts");
		else
			page_item(page, STYLE_GOOD, "none: nothing is held");
	}
	page_end_line(page);
}

static void print_lost(struct report *report)
{
	const struct profile_lost *lost = &report->profile->lost;
	const struct {
		uint64_t count;
		const char *one, *many, *why;
	} kinds[] = {
		{lost->blocks, "block", "blocks", " not recorded (block table full: --max-blocks)"},
		{lost->stacks, "block", "blocks", " without a stack (stack table full: --max-stacks)"},
		{lost->returns, "call", "calls", " whose return was never seen"},
		{lost->missed_frees, "free", "frees", " missed"},
		{lost->processes, "process", "processes", " not followed (process table full)"},
		{lost->events, "event", "events", " of processes and mappings (too fast to follow)"},
	};
	char count[HUMAN_SIZE];

	if (!profile_lost_total(lost))
		return;
	begin_header_line(report, STYLE_WARNING, "lost");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (kinds[i].count)
			page_item(&report->page, STYLE_WARNING, "%s %s%s", human_count(count, kinds[i].count),
				text_plural(kinds[i].count, kinds[i].one, kinds[i].many), kinds[i].why);
	}
	page_end_line(&report->page);
}

/* Nothing when all stacks are complete, as they should be. */
static void print_stacks(struct report *report)
{
	const struct profile_stacks *stacks = &report->profile->stacks;
	uint64_t cut = stacks_cut(stacks),
		 all = cut + stacks->ends[STACK_COMPLETE] + report->profile->lost.stacks;
	struct page *page = &report->page;
	char count[HUMAN_SIZE];

	if (!cut && !stacks->frame_pointers)
		return;
	begin_header_line(report, STYLE_PLAIN, "stacks");
	if (cut) {
		page_item(page, STYLE_PLAIN, "%.1f %% of allocations have stacks that are cut",
			100.0 * (double)cut / (double)all);
		for (int end = STACK_COMPLETE + 1; end < STACK_ENDS; end++) {
			if (stacks->ends[end])
				page_item(page, STYLE_PLAIN, "%s (%s)", human_count(count, stacks->ends[end]),
					stack_end_name((enum stack_end)end));
		}
	}
	if (stacks->frame_pointers)
		page_item(page, STYLE_PLAIN, "%s walked along frame pointers in part",
			human_count(count, stacks->frame_pointers));
	page_end_line(page);
}

static void print_left_out(struct report *report)
{
	const struct profile_stacks *stacks = &report->profile->stacks;
	char count[HUMAN_SIZE];

	for (size_t i = 0; i < stacks->left_out.count; i++) {
		struct buffer text = {0};

		terminal_escape(&text, stacks->left_out.items[i].path, SIZE_MAX, report->page.unicode);
		begin_header_line(report, STYLE_WARNING, "left out");
		page_words(&report->page, STYLE_WARNING, LABEL_COLUMN,
			"unwind rows of %s: %s frames were walked without (row table full: --max-rows)",
			buffer_text(&text), human_count(count, stacks->left_out.items[i].frames));
		page_end_line(&report->page);
		report->page.failed |= text.failed;
		buffer_free(&text);
	}
}

static void print_warnings(struct report *report)
{
	const struct profile *profile = report->profile;

	for (size_t i = 0; i < profile->warnings.count; i++) {
		struct buffer text = {0};

		if (!profile->warnings.items[i])
			continue;
		terminal_escape(&text, profile->warnings.items[i], SIZE_MAX, report->page.unicode);
		begin_header_line(report, STYLE_WARNING, "warning");
		page_words(&report->page, STYLE_WARNING, LABEL_COLUMN, "%s", buffer_text(&text));
		page_end_line(&report->page);
		report->page.failed |= text.failed;
		buffer_free(&text);
	}
}

void text_print_header(struct report *report)
{
	print_title(report);
	print_session(report);
	print_totals(report);
	print_growth(report);
	print_lost(report);
	print_stacks(report);
	print_left_out(report);
	print_warnings(report);
	page_end_line(&report->page);
}
