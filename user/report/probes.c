// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/probes.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "report/terminal.h"

static int widest(int width, const char *text)
{
	int length = (int)strlen(text);

	return length > width ? length : width;
}

/* The columns for the object's path and the function's name, both hostile. */
struct row {
	struct buffer object, function;
};

static void fill_row(struct row *row, const struct profile_probe *probe)
{
	bool unicode = terminal_is_utf8();

	buffer_clear(&row->object);
	buffer_clear(&row->function);
	terminal_escape(&row->object, probe->object, SIZE_MAX, unicode);
	terminal_escape(&row->function, probe->function, sizeof(probe->function), unicode);
}

int report_probes(FILE *out, const struct profile *profile, struct error *err)
{
	int object_width = widest(0, "OBJECT"), function_width = widest(0, "FUNCTION");
	struct row row = {0};

	for (size_t i = 0; i < profile->probes.count; i++) {
		fill_row(&row, &profile->probes.items[i]);
		object_width = widest(object_width, buffer_text(&row.object));
		function_width = widest(function_width, buffer_text(&row.function));
	}
	fprintf(out, "%-*s  %-*s  %10s  %-9s  %-8s  %s\n", object_width, "OBJECT", function_width, "FUNCTION",
		"OFFSET", "MECHANISM", "COST", "INSTRUCTION");
	for (size_t i = 0; i < profile->probes.count; i++) {
		const struct profile_probe *probe = &profile->probes.items[i];

		fill_row(&row, probe);
		fprintf(out, "%-*s  %-*s  %#10" PRIx64 "  %-9s  %-8s  %s\n", object_width,
			buffer_text(&row.object), function_width, buffer_text(&row.function), probe->offset,
			probe->mechanism, probe->emulated ? "emulated" : "stepped", probe->instruction);
	}
	buffer_free(&row.object);
	buffer_free(&row.function);
	if (fflush(out) || ferror(out))
		return error_set_errno(err, errno, "cannot write the list of probes");
	return 0;
}
