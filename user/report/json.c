// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/json.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "report/buffer.h"
#include "report/stack.h"
#include "report/utf8.h"

/* More digits would only show how binary fractions differ from decimal ones. */
#define FORMAT (JSON_COMPACT | JSON_REAL_PRECISION(15))

/* --- values
 * ------------------------------------------------------------------------------------------------------- */

/* A hostile string of at most `size` bytes; NULL becomes null. */
static json_t *string_value(const char *bytes, size_t size)
{
	struct buffer text = {0};
	json_t *value;

	if (!bytes)
		return json_null();
	utf8_append_valid(&text, bytes, strnlen(bytes, size));
	value = text.failed ? NULL : json_stringn(buffer_text(&text), text.count);
	buffer_free(&text);
	return value;
}

/* A string that is empty where it is not known. */
static json_t *known_string(const char *bytes, size_t size)
{
	return bytes && bytes[0] ? string_value(bytes, size) : json_null();
}

/* JSON's integers are signed here; a larger count can only come from damage, and is still shown as a number.
 */
static json_t *count_value(uint64_t count)
{
	return count <= INT64_MAX ? json_integer((json_int_t)count) : json_real((double)count);
}

static json_t *real_value(double number)
{
	return isfinite(number) ? json_real(number) : json_null();
}

/* A size that was observed, hence whole. */
static json_t *size_value(double bytes)
{
	return bytes >= 0 && bytes < 9e15 ? json_integer((json_int_t)llround(bytes)) : json_null();
}

static json_t *hex_value(uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, number);
	return json_string(text);
}

static json_t *build_id_value(const struct profile_frame *frame)
{
	size_t size = frame->build_id_size <= BUILD_ID_MAX ? frame->build_id_size : BUILD_ID_MAX;
	char text[2 * BUILD_ID_MAX + 1];

	if (!size)
		return json_null();
	for (size_t i = 0; i < size; i++)
		snprintf(text + 2 * i, 3, "%02x", frame->build_id[i]);
	return json_string(text);
}

/* RFC 3339, in UTC, to the millisecond. */
static json_t *time_value(const struct timespec *when)
{
	char text[64];
	struct tm utc;
	size_t used;

	if (!gmtime_r(&when->tv_sec, &utc))
		return json_null();
	used = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
	if (!used)
		return json_null();
	snprintf(text + used, sizeof(text) - used, ".%03ldZ", when->tv_nsec / 1000000 % 1000);
	return json_string(text);
}

/* --- objects: each function returns a new value, or NULL when memory ran out
 * -------------------------------------- */

static json_t *session_object(const struct profile *profile)
{
	json_t *pids = json_array(), *command = json_array();
	int failed = 0;

	for (size_t i = 0; i < profile->pids.count; i++)
		failed |= json_array_append_new(pids, json_integer(profile->pids.items[i]));
	for (char **argument = profile->command; argument && *argument; argument++)
		failed |= json_array_append_new(command, string_value(*argument, SIZE_MAX));
	if (failed) {
		json_decref(pids);
		json_decref(command);
		return NULL;
	}
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o}}", "start", time_value(&profile->start),
		"duration_s", real_value(profile->duration), "interval_s", real_value(profile->interval),
		"kernel", known_string(profile->kernel, sizeof(profile->kernel)), "arch",
		known_string(profile->arch, sizeof(profile->arch)), "target", "pids", pids, "command",
		command);
}

static json_t *probe_object(const struct profile_probe *probe)
{
	return json_pack("{s:o, s:o, s:o, s:b, s:o, s:o}", "object", string_value(probe->object, SIZE_MAX),
		"function", known_string(probe->function, sizeof(probe->function)), "offset",
		count_value(probe->offset), "emulated", probe->emulated, "mechanism",
		string_value(probe->mechanism, SIZE_MAX), "instruction",
		known_string(probe->instruction, sizeof(probe->instruction)));
}

static json_t *lost_object(const struct profile_lost *lost)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "blocks", count_value(lost->blocks), "stacks",
		count_value(lost->stacks), "returns", count_value(lost->returns), "missed_frees",
		count_value(lost->missed_frees), "processes", count_value(lost->processes), "events",
		count_value(lost->events));
}

static json_t *cut_object(const struct profile_stacks *stacks)
{
	json_t *object = json_object();
	int failed = 0;

	for (int end = STACK_COMPLETE + 1; end < STACK_ENDS; end++)
		failed |= json_object_set_new(
			object, stack_end_name((enum stack_end)end), count_value(stacks->ends[end]));
	if (!failed)
		return object;
	json_decref(object);
	return NULL;
}

static json_t *left_out_array(const struct profile_stacks *stacks)
{
	json_t *array = json_array();

	for (size_t i = 0; i < stacks->left_out.count; i++) {
		const struct profile_unwalked *file = &stacks->left_out.items[i];

		if (json_array_append_new(
			    array, json_pack("{s:o, s:o}", "path", string_value(file->path, SIZE_MAX),
					   "frames", count_value(file->frames)))) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *stacks_object(const struct profile_stacks *stacks)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "complete",
		count_value(stacks->ends[STACK_COMPLETE]), "cut", cut_object(stacks), "frame_pointers",
		count_value(stacks->frame_pointers), "early_frames", count_value(stacks->early_frames),
		"collisions", count_value(stacks->collisions), "rows", count_value(stacks->rows), "max_rows",
		count_value(stacks->max_rows), "left_out", left_out_array(stacks));
}

static int set_counts(json_t *object, const struct profile_counts *counts)
{
	return json_object_set_new(object, "live_bytes", count_value(counts->live_bytes)) |
	       json_object_set_new(object, "live_blocks", count_value(counts->live_blocks)) |
	       json_object_set_new(object, "allocated_bytes", count_value(counts->allocated_bytes)) |
	       json_object_set_new(object, "allocations", count_value(counts->allocations)) |
	       json_object_set_new(object, "frees", count_value(counts->frees));
}

static json_t *totals_object(const struct profile_counts *totals)
{
	json_t *object = json_object();

	if (!set_counts(object, totals))
		return object;
	json_decref(object);
	return NULL;
}

static json_t *leak_factor_object(const struct leak_factor *factor)
{
	return json_pack("{s:o, s:[o, o, o], s:o, s:o, s:o, s:o, s:o}", "class",
		string_value(growth_class_name(factor->growth), SIZE_MAX), "coef",
		real_value(factor->coef[0]), real_value(factor->coef[1]), real_value(factor->coef[2]), "leak",
		real_value(factor->leak), "min_size", size_value(factor->min_size), "max_size",
		size_value(factor->max_size), "rate", real_value(factor->rate), "r2", real_value(factor->r2));
}

static json_t *frame_object(const struct profile_frame *frame)
{
	json_t *line = frame->line > 0 ? json_integer(frame->line) : json_null();

	/* An offset is one into a file: code with none has no offset either. */
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "address", hex_value(frame->address),
		"module", string_value(frame->module, SIZE_MAX), "build_id", build_id_value(frame), "offset",
		frame->module && frame->module[0] == '/' ? hex_value(frame->offset) : json_null(), "function",
		string_value(frame->function, SIZE_MAX), "file", string_value(frame->file, SIZE_MAX), "line",
		line, "inlined", frame->inlined);
}

static json_t *frames_array(const struct profile_site *site)
{
	json_t *array = json_array();

	for (size_t i = 0; site->frames && i < site->frame_count; i++) {
		if (json_array_append_new(array, frame_object(&site->frames[i]))) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *series_array(const struct profile_site *site)
{
	json_t *array = json_array();

	for (size_t i = 0; site->points && i < site->point_count; i++) {
		const struct series_point *point = &site->points[i];

		if (json_array_append_new(
			    array, json_pack("[o, o]", real_value(point->time), count_value(point->bytes)))) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *site_object(const struct profile_site *site)
{
	char id[24];
	json_t *object;
	int failed;

	snprintf(id, sizeof(id), "%016" PRIx64, site->id);
	object = json_pack("{s:s, s:i, s:o, s:o, s:b, s:b, s:o}", "id", id, "pid", (int)site->pid, "comm",
		string_value(site->comm, sizeof(site->comm)), "domain", string_value(site->domain, SIZE_MAX),
		"exited", site->exited, "no_stack", site->no_stack, "first_seen",
		real_value(site->first_seen));
	if (!object)
		return NULL;
	failed = set_counts(object, &site->counts);
	failed |= json_object_set_new(object, "leak_factor", leak_factor_object(&site->factor));
	failed |= json_object_set_new(object, "verdict", string_value(verdict_name(site->verdict), SIZE_MAX));
	failed |= json_object_set_new(object, "frames", frames_array(site));
	failed |= json_object_set_new(
		object, "complete", json_boolean(!site->no_stack && site->stack_end == STACK_COMPLETE));
	failed |= json_object_set_new(object, "stack_end",
		site->no_stack ? json_null() : string_value(stack_end_name(site->stack_end), SIZE_MAX));
	failed |= json_object_set_new(object, "frame_pointers", json_boolean(site->frame_pointers));
	failed |= json_object_set_new(object, "series", series_array(site));
	if (!failed)
		return object;
	json_decref(object);
	return NULL;
}

/* --- the file
 * ----------------------------------------------------------------------------------------------------- */

struct writer {
	FILE *out;
	bool no_memory;
	int errnum; /* of the first write that failed, or 0 */
};

static void write_text(struct writer *writer, const char *text)
{
	if (fputs(text, writer->out) == EOF && !writer->errnum)
		writer->errnum = errno ? errno : EIO;
}

/* Write a value and release it. NULL says that memory ran out while it was made. */
static void write_value(struct writer *writer, json_t *value)
{
	if (!value) {
		writer->no_memory = true;
		return;
	}
	errno = 0;
	if (json_dumpf(value, writer->out, FORMAT | JSON_ENCODE_ANY) && !writer->errnum) {
		/* Without an error of the stream's own it was jansson that found no memory. */
		if (ferror(writer->out))
			writer->errnum = errno ? errno : EIO;
		else
			writer->no_memory = true;
	}
	json_decref(value);
}

static void write_member(struct writer *writer, const char *name, json_t *value)
{
	write_text(writer, " \"");
	write_text(writer, name);
	write_text(writer, "\": ");
	write_value(writer, value);
	write_text(writer, ",\n");
}

/* Before an item of an array: what separates it from the one before it. */
static void write_separator(struct writer *writer, size_t index)
{
	write_text(writer, index ? ",\n  " : "\n  ");
}

static void write_report(struct writer *writer, const struct profile *profile)
{
	write_text(writer, "{\"format\": \"leaktop.report\", \"version\": 1,\n");
	write_member(writer, "session", session_object(profile));
	write_text(writer, " \"probes\": [");
	for (size_t i = 0; i < profile->probes.count; i++) {
		write_separator(writer, i);
		write_value(writer, probe_object(&profile->probes.items[i]));
	}
	write_text(writer, "],\n");
	write_member(writer, "lost", lost_object(&profile->lost));
	write_member(writer, "stacks", stacks_object(&profile->stacks));
	write_member(writer, "totals", totals_object(&profile->totals));
	write_text(writer, " \"warnings\": [");
	for (size_t i = 0, written = 0; i < profile->warnings.count; i++) {
		if (!profile->warnings.items[i])
			continue;
		write_separator(writer, written++);
		write_value(writer, string_value(profile->warnings.items[i], SIZE_MAX));
	}
	write_text(writer, "],\n \"sites\": [");
	for (size_t i = 0; i < profile->sites.count && !writer->no_memory && !writer->errnum; i++) {
		write_separator(writer, i);
		write_value(writer, site_object(&profile->sites.items[i]));
	}
	write_text(writer, "]}\n");
}

int report_json(FILE *out, const struct profile *profile, struct error *err)
{
	struct writer writer = {.out = out};

	write_report(&writer, profile);
	if (fflush(out) && !writer.errnum)
		writer.errnum = errno;
	if (writer.errnum)
		return error_set_errno(err, writer.errnum, "cannot write the JSON report");
	if (writer.no_memory)
		return error_set(err, ERROR_SYSTEM, "cannot write the JSON report: out of memory");
	return 0;
}
