// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/function_name.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define LONG_NAME 40 /* bytes: two such names fit beside each other into a wide terminal */

static bool is_identifier(char character)
{
	return isalnum((unsigned char)character) || character == '_';
}

/* Is there the keyword "operator" at this place? */
static bool is_operator(const char *start, const char *at)
{
	static const char keyword[] = "operator";
	size_t length = sizeof(keyword) - 1;

	return !strncmp(at, keyword, length) && !is_identifier(at[length]) &&
	       (at == start || !is_identifier(at[-1]));
}

/*
 * What follows the keyword "operator", the keyword included: brackets in it (operator<, operator->,
 * operator()) open and close nothing.
 */
static size_t operator_length(const char *at)
{
	const char *end = at + strlen("operator");

	if (!strncmp(end, "()", 2) || !strncmp(end, "[]", 2))
		return (size_t)(end + 2 - at);
	return (size_t)(end - at) + strspn(end, "<>=!+-*/%^&|~,");
}

/* The length of the qualifier (const, volatile, noexcept) that a text begins with, or 0. */
static size_t qualifier_length(const char *text)
{
	static const char *const qualifiers[] = {"const", "volatile", "noexcept"};

	for (size_t i = 0; i < sizeof(qualifiers) / sizeof(*qualifiers); i++) {
		size_t length = strlen(qualifiers[i]);

		if (!strncmp(text, qualifiers[i], length) && !is_identifier(text[length]))
			return length;
	}
	return 0;
}

/* Are there only qualifiers (const, &, [clone .cold]) behind a parameter list? */
static bool only_qualifiers(const char *rest)
{
	for (;;) {
		size_t length;

		rest += strspn(rest, " &");
		if (!*rest || !strncmp(rest, "[clone", 6) || !strncmp(rest, "[abi:", 5))
			return true;
		length = qualifier_length(rest);
		if (!length)
			return false;
		rest += length;
	}
}

const char *function_name_qualified(const char *function, size_t *length)
{
	const char *start = function, *end = NULL, *group = function;
	bool operator_seen = false;
	size_t depth = 0;

	*length = strlen(function);
	for (const char *at = function; *at;) {
		if (is_operator(function, at)) {
			/* The spaces behind it belong to the name: "operator new", "operator unsigned long".
			 */
			operator_seen |= !depth;
			at += operator_length(at);
			continue;
		}
		if (at[0] == '-' && at[1] == '>') {
			at += 2;
			continue;
		}
		if (strchr("<({[", *at)) {
			if (!depth++ && *at == '(')
				group = at;
		} else if (strchr(">)}]", *at)) {
			if (!depth)
				return function;
			if (!--depth && *at == ')' && only_qualifiers(at + 1)) {
				end = group;
				break;
			}
		} else if (*at == ' ' && !depth && !operator_seen && !only_qualifiers(at)) {
			start = at + 1;
		}
		at++;
	}
	if (depth)
		return function;
	if (!end) /* C and Rust: no parameter list, and nothing but a suffix of the compiler behind the name
		   */
		return function;
	while (end > start && end[-1] == ' ')
		end--;
	if (end == start)
		return function;
	*length = (size_t)(end - start);
	return start;
}

void function_name_append_short(struct buffer *buffer, const char *function)
{
	size_t length, depth = 0;
	const char *name = function_name_qualified(function, &length);
	bool generic = name[0] != '<'; /* "<T as Trait>::method" would lose its meaning */

	if (length <= LONG_NAME || !generic) {
		buffer_append(buffer, name, length);
		return;
	}
	for (const char *at = name; at < name + length;) {
		size_t step = 1;

		if (is_operator(name, at))
			step = operator_length(at);
		else if (at[0] == '-' && at[1] == '>')
			step = 2;
		if (step > (size_t)(name + length - at))
			step = (size_t)(name + length - at);
		if (step == 1 && *at == '>' && depth)
			depth--;
		if (!depth)
			buffer_append(buffer, at, step);
		if (step == 1 && *at == '<')
			depth++;
		at += step;
	}
}
