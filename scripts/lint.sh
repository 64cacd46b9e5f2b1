#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# lint.sh [BUILD]: formatting, gcc's analyzer, clang-tidy, cppcheck, shellcheck, and the syntax of the Python files. Runs
# all of them and fails when one does. BUILD (default: build) is where skeletons and the analyzer's objects go.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

build=${1:-build}
jobs=$(nproc)
failed=()

check() {
	local name=$1
	shift
	printf '== %s\n' "$name"
	"$@" || failed+=("$name")
}

mapfile -t all_c < <(find bpf user tests \( -name '*.c' -o -name '*.h' -o -name '*.cc' \) | sort)
mapfile -t user_c < <(find user tests/unit tests/bench tests/fuzz tests/truth tests/walker -name '*.c' ! -name '*.bpf.c' | sort)
mapfile -t fixtures_c < <(find tests/fixtures -name '*.c' | sort)
mapfile -t scripts < <(find scripts .ci -type f \( -name '*.sh' -o -name run -o -name vm \) | sort)
mapfile -t python < <(find tests -name '*.py' | sort)
flags=(-std=c17 -D_GNU_SOURCE '-DLEAKTOP_VERSION="lint"' -Iuser -I. -Itests/unit "-I$build/skel")

analyze_with_gcc() {
	make --no-print-directory -s -j"$jobs" BUILD="$build/analyzed" CFLAGS="-O1 -g -fanalyzer" all
}

run_clang_tidy() {
	# Swappable parameters: (address, size) is how C is. Assignments in conditions: written with their own brackets.
	local checks='-*,bugprone-*,clang-analyzer-*,-bugprone-easily-swappable-parameters'
	checks+=',-bugprone-assignment-in-if-condition,-bugprone-reserved-identifier,-bugprone-narrowing-conversions'
	checks+=',-bugprone-implicit-widening-of-multiplication-result,-bugprone-macro-parentheses'
	# strcmp() as a condition is how C is, too. sizeof of what an array's pointer points to is how typed arrays grow. The leak checker does not know the cleanup
	# attribute; gcc's does, and so does LeakSanitizer.
	checks+=',-bugprone-sizeof-expression,-clang-analyzer-unix.Malloc,-bugprone-suspicious-string-compare'
	# This one wants functions of Annex K, which glibc does not have.
	checks+=',-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling'
	printf '%s\0' "${user_c[@]}" |
		xargs -0 -P"$jobs" -I{} clang-tidy --quiet "--checks=$checks" '--warnings-as-errors=*' {} -- "${flags[@]}" \
			2> >(grep -v 'warnings\? generated\|warnings treated as errors' >&2)
}

run_cppcheck() {
	# The fixtures leak on purpose, and book_require() does not come back when a block is NULL.
	local leaks=('--suppress=leakReturnValNotUsed:tests/fixtures/*' '--suppress=nullPointer:tests/fixtures/books_*')
	# Macros of libraries whose headers it does not read.
	local macros=('-DLIBBPF_OPTS(type,name,...)=struct type name = {0}'
		'-Djson_array_foreach(array,index,value)=while (index++ < json_array_size(array))')
	cppcheck --quiet -j"$jobs" --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
		--std=c11 --suppress=missingIncludeSystem -D_GNU_SOURCE -Iuser -I. "${leaks[@]}" "${macros[@]}" \
		"${user_c[@]}" "${fixtures_c[@]}"
}

check_python() {
	python3 -c 'import ast, sys
for path in sys.argv[1:]:
    ast.parse(open(path).read(), path)' "${python[@]}"
}

# The skeletons that sources include.
make --no-print-directory -s -j"$jobs" BUILD="$build" skeletons || exit 1

check clang-format clang-format --dry-run -Werror "${all_c[@]}"
check "gcc -fanalyzer" analyze_with_gcc
check clang-tidy run_clang_tidy
check cppcheck run_cppcheck
check shellcheck shellcheck "${scripts[@]}"
check python check_python

if [ ${#failed[@]} -gt 0 ]; then
	printf 'lint.sh: failed: %s\n' "${failed[*]}" >&2
	exit 1
fi
echo "lint.sh: clean"
