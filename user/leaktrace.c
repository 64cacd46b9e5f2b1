// SPDX-License-Identifier: GPL-2.0-or-later
/* leaktrace: watch allocations for a while and report what leaks. */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/human.h"
#include "report/folded.h"
#include "report/json.h"
#include "report/output.h"
#include "report/probes.h"
#include "report/progress.h"
#include "report/terminal.h"
#include "report/text.h"
#include "trace/session.h"

#define DEFAULT_MAX_BLOCKS 1000000
#define DEFAULT_MAX_STACKS 16384
#define DEFAULT_MAX_ROWS   (4U << 20)
#define DEFAULT_TOP	   10
/* Samples of a session whose length is known: enough to see a curve; and the bounds of an interval, in
 * seconds. */
#define DEFAULT_SAMPLES	 60
#define MIN_INTERVAL	 0.01
#define SHORTEST_DEFAULT 0.1
#define UNKNOWN_DEFAULT	 0.1

/* Exit statuses of the commands' contract. */
enum { EXIT_DONE = 0, EXIT_FOUND = 1, EXIT_USAGE = 2 };

struct strings {
	const char **items;
	size_t count, capacity;
};

struct arguments {
	struct session_options session;
	struct {
		pid_t *items;
		size_t count, capacity;
	} pids;
	struct strings objects;
	double duration;
	size_t top;
	const char *json, *folded;
	bool fail_growth[4], fail_verdict[6];
	int fail_status;
	bool show_probes;
};

enum option_key {
	OPTION_ALL = 256,
	OPTION_CGROUP,
	OPTION_COMM,
	OPTION_DOMAIN,
	OPTION_ERROR_EXITCODE,
	OPTION_FAIL_ON,
	OPTION_FOLDED,
	OPTION_JSON,
	OPTION_MAX_BLOCKS,
	OPTION_MAX_ROWS,
	OPTION_MAX_STACKS,
	OPTION_MECHANISM,
	OPTION_MIN_AGE,
	OPTION_MIN_SIZE,
	OPTION_OBJECT,
	OPTION_PROBES,
	OPTION_TOP,
};

static const struct argp_option options[] = {
	{0, 0, 0, 0, "What to watch:", 1},
	{"pid", 'p', "PID", 0, "Watch this process and its children; may be repeated", 0},
	{"comm", OPTION_COMM, "NAME", 0,
		"Watch the processes of this name; new ones are looked for every second", 0},
	{"cgroup", OPTION_CGROUP, "PATH", 0,
		"Watch the processes of this cgroup (v2) and below; new ones are looked for every second", 0},
	{"all", OPTION_ALL, 0, 0,
		"Watch every process; probes are placed in the files, for all that map them", 0},
	{"object", OPTION_OBJECT, "PATH", 0,
		"Also look for allocator functions in this file; may be repeated", 0},
	{0, 0, 0, 0, "How long, how closely:", 2},
	{"duration", 'd', "SECONDS", 0,
		"Stop after this time (default: when interrupted, or all watched have ended)", 0},
	{"interval", 'i', "SECONDS", 0,
		"Time between samples, at least 0.01 (default: a sixtieth of the duration, between 0.1 and "
		"1; 0.1 without one)",
		0},
	{"domain", OPTION_DOMAIN, "LIST", 0,
		"Kinds of memory: heap (default), or heap,mmap to add what programs map for themselves", 0},
	{"min-size", OPTION_MIN_SIZE, "BYTES", 0,
		"Do not record smaller allocations, not even in totals; K, M and G may follow", 0},
	{"max-blocks", OPTION_MAX_BLOCKS, "N", 0, "Live blocks that can be told apart (default 1000000)", 0},
	{"max-rows", OPTION_MAX_ROWS, "N", 0,
		"Unwind rows for walking stacks, of all files together (default 4194304)", 0},
	{"max-stacks", OPTION_MAX_STACKS, "N", 0, "Allocation sites that can be told apart (default 16384)",
		0},
	{"mechanism", OPTION_MECHANISM, "NAME", 0,
		"How probes are placed: session (Linux 6.13), multi (6.6) or perf (default: the first that "
		"works)",
		0},
	{0, 0, 0, 0, "What to report:", 3},
	{"top", OPTION_TOP, "N", 0, "Sites shown with stacks (default 10; 0: all)", 0},
	{"min-age", OPTION_MIN_AGE, "SECONDS", 0, "Report only heap blocks that have lived this long", 0},
	{"json", OPTION_JSON, "FILE", 0, "Write the whole report as JSON; - is standard output", 0},
	{"folded", OPTION_FOLDED, "FILE", 0,
		"Write live bytes by stack for flame graphs; - is standard output", 0},
	{"fail-on", OPTION_FAIL_ON, "LIST", 0,
		"Exit with status 1 when a site has one of these: constant, linear, logarithmic, "
		"exponential, logical-leak, cache, "
		"transient, steady, unknown",
		0},
	{"error-exitcode", OPTION_ERROR_EXITCODE, "N", 0, "The exit status for --fail-on", 0},
	{"probes", OPTION_PROBES, 0, 0, "Show the probes that would be placed, with their cost, and leave",
		0},
	{0},
};

const char *argp_program_version = "leaktrace " LEAKTOP_VERSION;

static void add_string(struct argp_state *state, struct strings *strings, const char *string)
{
	const char **item = array_push(strings);

	if (!item)
		argp_failure(state, EXIT_USAGE, ENOMEM, "cannot read the arguments");
	else
		*item = string;
}

static double parse_seconds(struct argp_state *state, const char *option, const char *text)
{
	double seconds = 0;

	if (human_parse_seconds(text, &seconds))
		argp_error(state, "%s: '%s' is no time (give seconds, as in 30 or 0.5)", option, text);
	return seconds;
}

static long parse_number(
	struct argp_state *state, const char *option, const char *text, long minimum, long maximum)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(text, &end, 10);
	if (errno || end == text || *end || number < minimum || number > maximum)
		argp_error(state, "%s: '%s' is no number from %ld to %ld", option, text, minimum, maximum);
	return number;
}

static void parse_pid(struct argp_state *state, struct arguments *arguments, const char *text)
{
	pid_t *pid = array_push(&arguments->pids);

	if (!pid)
		argp_failure(state, EXIT_USAGE, ENOMEM, "cannot read the arguments");
	else
		*pid = (pid_t)parse_number(state, "--pid", text, 1, 1 << 22);
}

static void parse_fail_on(struct argp_state *state, struct arguments *arguments, char *list)
{
	char *name;

	while ((name = strsep(&list, ","))) {
		enum growth_class growth;
		enum verdict verdict;

		if (growth_class_parse(name, &growth))
			arguments->fail_growth[growth] = true;
		else if (verdict_parse(name, &verdict))
			arguments->fail_verdict[verdict] = true;
		else
			argp_error(state, "--fail-on: '%s' is no class or verdict", name);
	}
}

static void parse_domains(struct argp_state *state, struct session_options *session, char *list)
{
	bool heap = false;
	char *name;

	while ((name = strsep(&list, ","))) {
		if (!strcmp(name, "heap"))
			heap = true;
		else if (!strcmp(name, "mmap"))
			session->tracer.mmap_domain = true;
		else
			argp_error(state, "--domain: '%s' is no domain (heap and mmap are)", name);
	}
	/* Only the heap's probes tell what an allocator maps for itself. */
	if (!heap)
		argp_error(state,
			"--domain: give heap too: without it, what allocators map cannot be told apart");
}

static void parse_size(struct argp_state *state, const char *option, const char *text, uint64_t *size)
{
	if (human_parse_size(text, size))
		argp_error(state, "%s: '%s' is no size (give bytes, as in 4096 or 4K)", option, text);
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	struct session_options *session = &arguments->session;

	switch (key) {
	case 'p':
		parse_pid(state, arguments, argument);
		break;
	case OPTION_COMM:
		session->comm = argument;
		break;
	case OPTION_CGROUP:
		session->cgroup = argument;
		break;
	case OPTION_ALL:
		session->all = session->machine_wide = true;
		break;
	case OPTION_OBJECT:
		add_string(state, &arguments->objects, argument);
		break;
	case OPTION_DOMAIN:
		parse_domains(state, session, argument);
		break;
	case 'd':
		arguments->duration = parse_seconds(state, "--duration", argument);
		break;
	case 'i':
		session->interval = parse_seconds(state, "--interval", argument);
		if (session->interval < MIN_INTERVAL)
			argp_error(
				state, "--interval: '%s' is shorter than %g seconds", argument, MIN_INTERVAL);
		break;
	case OPTION_MIN_SIZE:
		parse_size(state, "--min-size", argument, &session->tracer.min_size);
		break;
	case OPTION_MIN_AGE:
		session->min_age = parse_seconds(state, "--min-age", argument);
		break;
	case OPTION_MAX_BLOCKS:
		session->tracer.max_blocks =
			(uint32_t)parse_number(state, "--max-blocks", argument, 1, 1L << 30);
		break;
	case OPTION_MAX_ROWS:
		session->tracer.max_rows = (uint32_t)parse_number(state, "--max-rows", argument, 1, 1L << 28);
		break;
	case OPTION_MAX_STACKS:
		session->tracer.max_stacks =
			(uint32_t)parse_number(state, "--max-stacks", argument, 1, 1L << 24);
		break;
	case OPTION_MECHANISM:
		if (!tracer_mechanism_parse(argument, &session->tracer.mechanism))
			argp_error(
				state, "--mechanism: '%s' is none (session, multi and perf are)", argument);
		break;
	case OPTION_TOP:
		arguments->top = (size_t)parse_number(state, "--top", argument, 0, 1L << 30);
		break;
	case OPTION_JSON:
		arguments->json = argument;
		break;
	case OPTION_FOLDED:
		arguments->folded = argument;
		break;
	case OPTION_FAIL_ON:
		parse_fail_on(state, arguments, argument);
		break;
	case OPTION_ERROR_EXITCODE:
		arguments->fail_status = (int)parse_number(state, "--error-exitcode", argument, 0, 255);
		break;
	case OPTION_PROBES:
		arguments->show_probes = true;
		break;
	case ARGP_KEY_ARGS:
		session->command = state->argv + state->next;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static bool names_no_target(const struct arguments *arguments)
{
	const struct session_options *session = &arguments->session;

	return !arguments->pids.count && !session->command && !session->comm && !session->cgroup &&
	       !session->all;
}

static void complete_arguments(struct arguments *arguments)
{
	struct session_options *session = &arguments->session;

	if (!session->interval) {
		session->interval =
			arguments->duration > 0 ? arguments->duration / DEFAULT_SAMPLES : UNKNOWN_DEFAULT;
		if (session->interval < SHORTEST_DEFAULT)
			session->interval = SHORTEST_DEFAULT;
		if (session->interval > 1)
			session->interval = 1;
	}
	if (arguments->objects.count) {
		add_string(NULL, &arguments->objects, NULL);
		session->objects = arguments->objects.items;
	}
	/* A command is to be seen whole, with all the processes that it starts. */
	if (session->command)
		session->machine_wide = true;
	session->dry_run = arguments->show_probes;
}

static void print_error(const struct error *err)
{
	struct buffer shown = {0};

	/* Names in it come from processes and files. */
	terminal_escape(&shown, err->message, sizeof(err->message), terminal_is_utf8());
	fprintf(stderr, "leaktrace: %s\n", buffer_text(&shown));
	buffer_free(&shown);
}

/* Where a report goes: opened before tracing begins, so that a bad place is known at once. */
struct reports {
	struct output_file *json, *folded;
	bool text; /* standard output is free for the text */
};

static int open_reports(const struct arguments *arguments, struct reports *reports, struct error *err)
{
	if (arguments->json && arguments->folded && !strcmp(arguments->json, "-") &&
		!strcmp(arguments->folded, "-"))
		return error_set(err, ERROR_USAGE,
			"cannot write two reports to standard output (name a file for one)");
	reports->text = !(arguments->json && !strcmp(arguments->json, "-")) &&
			!(arguments->folded && !strcmp(arguments->folded, "-"));
	if (arguments->json && !(reports->json = output_file_open(arguments->json, err)))
		return -1;
	if (arguments->folded && !(reports->folded = output_file_open(arguments->folded, err)))
		return -1;
	return 0;
}

static void close_reports(struct reports *reports)
{
	output_file_abort(reports->json);
	output_file_abort(reports->folded);
}

static int write_file(struct output_file **file,
	int (*write)(FILE *out, const struct profile *profile, struct error *err),
	const struct profile *profile, struct error *err)
{
	struct output_file *taken = *file;

	if (!taken)
		return 0;
	*file = NULL;
	if (write(output_file_stream(taken), profile, err)) {
		output_file_abort(taken);
		return -1;
	}
	return output_file_commit(taken, err);
}

static int write_text(const struct arguments *arguments, const struct profile *profile, struct error *err)
{
	struct report_text_options text = report_text_options_for(STDOUT_FILENO);

	text.top = arguments->top;
	return report_text(stdout, profile, &text, err);
}

static int write_reports(const struct arguments *arguments, struct reports *reports,
	const struct profile *profile, struct error *err)
{
	int status = write_file(&reports->json, report_json, profile, err);

	if (write_file(&reports->folded, report_folded, profile, status ? NULL : err))
		status = -1;
	if (reports->text && write_text(arguments, profile, status ? NULL : err))
		status = -1;
	return status;
}

static bool fails(const struct arguments *arguments, const struct profile *profile)
{
	for (size_t i = 0; i < profile->sites.count; i++) {
		const struct profile_site *site = &profile->sites.items[i];

		if (arguments->fail_growth[site->factor.growth] || arguments->fail_verdict[site->verdict])
			return true;
	}
	return false;
}

struct progress_screen {
	struct progress progress;
	double total;
};

static void show_progress(const struct session_progress *numbers, void *data)
{
	struct progress_screen *screen = data;
	struct progress_numbers shown = {
		.elapsed = numbers->elapsed,
		.total = screen->total,
		.calls = numbers->calls,
		.live_bytes = numbers->live_bytes,
		.sites = numbers->sites,
		.lost = numbers->lost,
	};

	progress_update(&screen->progress, &shown);
}

/* Interrupts end the session early; it still reports. @return a descriptor that becomes readable, or -1 */
static int catch_signals(struct error *err)
{
	sigset_t signals;
	int fd;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	fd = sigprocmask(SIG_BLOCK, &signals, NULL) ? -1 : signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		error_set_errno(err, errno, "cannot catch signals");
	return fd;
}

static int begin(struct session *session, const struct arguments *arguments, struct error *err)
{
	for (size_t i = 0; i < arguments->pids.count; i++) {
		if (session_watch_family(session, arguments->pids.items[i], err))
			return -1;
	}
	if (session_watch_matching(session, err))
		return -1;
	return arguments->session.command ? session_launch(session, err) : 0;
}

/* Said before it is taken on a terminal; elsewhere once tracing has begun, as the sign that it has. */
static void announce_memory(const struct arguments *arguments)
{
	const struct tracer_options *tracer = &arguments->session.tracer;
	char bytes[HUMAN_SIZE], blocks[HUMAN_SIZE], stacks[HUMAN_SIZE];

	fprintf(stderr, "leaktrace: tracing: tables for %s live blocks and %s stacks take %s\n",
		human_count(blocks, tracer->max_blocks), human_count(stacks, tracer->max_stacks),
		human_bytes(bytes, tracer_memory(tracer)));
}

static int show_probes(struct session *session, struct error *err)
{
	struct profile profile = {0};
	int status = session_probes(session, &profile, err);

	if (!status)
		status = report_probes(stdout, &profile, err);
	profile_free(&profile);
	return status;
}

/* What became of the command, where that is worth a word. */
static void tell_command(const struct session *session, const struct arguments *arguments)
{
	int status = session_command_status(session);

	if (!arguments->session.command)
		return;
	if (session_command_pid(session))
		fprintf(stderr, "leaktrace: process %d (%s) goes on untraced\n", session_command_pid(session),
			arguments->session.command[0]);
	else if (WIFSIGNALED(status))
		fprintf(stderr, "leaktrace: %s was killed by signal %d (%s)\n", arguments->session.command[0],
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status))
		fprintf(stderr, "leaktrace: %s exited with status %d\n", arguments->session.command[0],
			WEXITSTATUS(status));
}

static int trace_and_report(struct session *session, const struct arguments *arguments,
	struct reports *reports, int stop_fd, bool *failed, struct error *err)
{
	struct progress_screen screen = {.total = arguments->duration};
	struct profile profile = {0};
	int status;

	progress_init(&screen.progress, stderr);
	status = session_run(session, arguments->duration, stop_fd, show_progress, &screen, err);
	progress_clear(&screen.progress);
	if (!status && !session_watched_any(session))
		status = error_set(
			err, ERROR_GONE, "nothing was traced: no process matched (check --comm or --cgroup)");
	if (!status)
		status = session_profile(session, &profile, err);
	tell_command(session, arguments);
	if (!status)
		status = write_reports(arguments, reports, &profile, err);
	*failed = fails(arguments, &profile);
	profile_free(&profile);
	return status;
}

static int run(const struct arguments *arguments, bool *failed, struct error *err)
{
	_cleanup_close_ int stop_fd = catch_signals(err);
	struct reports reports = {0};
	struct session *session = NULL;
	int status = -1;

	if (stop_fd < 0 || open_reports(arguments, &reports, err))
		goto out;
	if (!arguments->show_probes && isatty(STDERR_FILENO))
		announce_memory(arguments);
	session = session_start(&arguments->session, err);
	if (!session || begin(session, arguments, err))
		goto out;
	if (!arguments->show_probes && !isatty(STDERR_FILENO))
		announce_memory(arguments);
	status = arguments->show_probes
			 ? show_probes(session, err)
			 : trace_and_report(session, arguments, &reports, stop_fd, failed, err);
out:
	session_free(session);
	close_reports(&reports);
	return status;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.args_doc = "[-- COMMAND [ARGUMENT...]]",
		.doc = "Watch the allocations of programs and report what leaks, how fast, and where."
		       "\vWithout --duration it stops at an interrupt (Ctrl-C), or when all that it watches "
		       "has ended; an "
		       "interrupt ends it early, with its report.\n\n"
		       "Exit status: 0 done; 1 a site has a class or verdict named by --fail-on; 2 usage; 3 "
		       "cannot be done "
		       "here (permission, kernel, kind of program); 4 the target was gone before anything "
		       "was measured.",
	};
	struct arguments arguments = {
		.session.tracer = {.max_blocks = DEFAULT_MAX_BLOCKS,
			.max_stacks = DEFAULT_MAX_STACKS,
			.max_rows = DEFAULT_MAX_ROWS},
		.top = DEFAULT_TOP,
		.fail_status = EXIT_FOUND,
	};
	struct error err = {0};
	bool failed = false;
	int status;

	argp_err_exit_status = EXIT_USAGE;
	argv[0] = program_invocation_short_name; /* as it is to stand before messages */
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &arguments);
	if (names_no_target(&arguments)) {
		fputs("leaktrace: nothing to watch: no process was named (give --pid PID, or a command after "
		      "--)\n",
			stderr);
		return EXIT_USAGE;
	}
	complete_arguments(&arguments);
	status = run(&arguments, &failed, &err);
	array_free(&arguments.pids);
	array_free(&arguments.objects);
	if (status) {
		print_error(&err);
		return error_exit_status(&err);
	}
	return failed ? arguments.fail_status : EXIT_DONE;
}
