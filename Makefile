# SPDX-License-Identifier: GPL-2.0-or-later
# `make` builds everything to build/; `sudo make demo` and `sudo make test` do all their own set-up.

BUILD	?= build
ifeq ($(origin CC),default)
CC	:= gcc
endif
CLANG	?= clang
BPFTOOL	?= $(shell command -v bpftool || echo /usr/sbin/bpftool)
VERSION	:= 0.1.0
MULTIARCH := $(shell $(CC) -print-multiarch)

WARNINGS := -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings \
	    -Wvla -Wformat=2 -Wundef
CFLAGS	?= -O2 -g
CPPFLAGS += -D_GNU_SOURCE -DLEAKTOP_VERSION='"$(VERSION)"' -Iuser -I. -I$(BUILD)/skel
ALL_CFLAGS = -std=c17 $(CFLAGS) $(WARNINGS) $(SANITIZE) -fno-omit-frame-pointer -MMD -MP
LIBS	:= -lbpf -ldw -lelf -lZydis -ljansson -liberty -lm -pthread

# `make V=1` shows the commands.
ifeq ($(V),1)
say	= :
else
say	= printf '  %-7s %s\n'
Q	= @
endif

# `make SANITIZE=-fsanitize=... BUILD=...` builds the same with sanitizers beside the plain build.
SANITIZE ?=

BPF_OBJECTS := $(patsubst bpf/%.bpf.c,$(BUILD)/bpf/%.bpf.o,$(wildcard bpf/*.bpf.c))
SKELETONS   := $(patsubst bpf/%.bpf.c,$(BUILD)/skel/%.skel.h,$(wildcard bpf/*.bpf.c))
LIB_SOURCES := $(wildcard user/*/*.c)
LIB_OBJECTS := $(LIB_SOURCES:%.c=$(BUILD)/%.o)
COMMANDS    := $(patsubst user/%.c,$(BUILD)/%,$(wildcard user/*.c))
UNIT_TESTS  := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))

.PHONY: all
all: $(COMMANDS)

define compile_bpf
	@mkdir -p $(@D)
	@$(say) BPF $@
	$(Q)$(CLANG) -O2 -g -target bpf -mcpu=v3 -std=gnu17 -Wall -Wextra -Werror -Wno-unused-parameter \
		-D__TARGET_ARCH_x86 -I. -isystem /usr/include/$(MULTIARCH) -c $< -o $@
	@$(if $(shell command -v llvm-strip),llvm-strip -g $@,:)
endef

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h)
	$(compile_bpf)

$(BUILD)/bpf/%.bpf.o: tests/bench/%.bpf.c $(wildcard bpf/*.h)
	$(compile_bpf)

$(BUILD)/bpf/%.bpf.o: tests/truth/%.bpf.c $(wildcard bpf/*.h tests/truth/*.h)
	$(compile_bpf)

$(BUILD)/bpf/%.bpf.o: tests/walker/%.bpf.c tests/walker/walked.h $(wildcard bpf/*.h)
	$(compile_bpf)

$(BUILD)/skel/%.skel.h: $(BUILD)/bpf/%.bpf.o
	@mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@.tmp
	@mv $@.tmp $@

$(BUILD)/user/%.o: user/%.c | $(SKELETONS)
	@mkdir -p $(@D)
	@$(say) CC $@
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c $< -o $@

$(BUILD)/libleaktop.a: $(LIB_OBJECTS)
	@rm -f $@
	@$(say) AR $@
	$(Q)$(AR) rcs $@ $^

$(COMMANDS): $(BUILD)/%: $(BUILD)/user/%.o $(BUILD)/libleaktop.a
	@$(say) LINK $@
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(LIBS) -o $@

# --- tests -----------------------------------------------------------------------------------------------------------

SANITIZED := -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_SECONDS ?= 60
FUZZERS	  := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
TRUTH	  := $(BUILD)/tests/truth
TRUTH_SOURCES := $(filter-out %.bpf.c,$(wildcard tests/truth/*.c))
WALKER	  := $(BUILD)/tests/walker
WALKER_SOURCES := tests/walker/stage.S $(filter-out %.bpf.c,$(wildcard tests/walker/*.c))
BENCH_SKELETONS := $(patsubst tests/bench/%.bpf.c,$(BUILD)/skel/%.skel.h,$(wildcard tests/bench/*.bpf.c))
BENCH_HELPERS := $(patsubst tests/bench/%.c,$(BUILD)/tests/%,$(filter-out %.bpf.c,$(wildcard tests/bench/*.c)))

include tests/fixtures/fixtures.mk

$(BUILD)/tests/test_%: tests/unit/test_%.c $(BUILD)/libleaktop.a
	@mkdir -p $(@D)
	@$(say) TEST $@
	$(Q)$(CC) $(CPPFLAGS) -Itests/unit $(ALL_CFLAGS) $< $(BUILD)/libleaktop.a $(LIBS) -lcmocka -o $@

$(BENCH_HELPERS): $(BUILD)/tests/%: tests/bench/%.c $(BUILD)/libleaktop.a $(BENCH_SKELETONS)
	@mkdir -p $(@D)
	@$(say) CC $@
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $< $(BUILD)/libleaktop.a $(LIBS) -o $@

$(TRUTH): $(TRUTH_SOURCES) $(wildcard tests/truth/*.h) $(BUILD)/skel/truth.skel.h $(BUILD)/libleaktop.a
	@mkdir -p $(@D)
	@$(say) CC $@
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(TRUTH_SOURCES) $(BUILD)/libleaktop.a $(LIBS) -o $@

$(WALKER): $(WALKER_SOURCES) $(wildcard tests/walker/*.h) $(BUILD)/skel/walker.skel.h $(BUILD)/libleaktop.a
	@mkdir -p $(@D)
	@$(say) CC $@
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(WALKER_SOURCES) $(BUILD)/libleaktop.a $(LIBS) -lcmocka -o $@

# clang's fuzzer wants all of the library instrumented, so each target is built from its sources.
$(FUZZERS): $(BUILD)/fuzz/%: tests/fuzz/%.c $(LIB_SOURCES) $(wildcard user/*/*.h) | $(SKELETONS)
	@mkdir -p $(@D)
	$(CLANG) -std=c17 -O1 -g $(CPPFLAGS) -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
		$< $(LIB_SOURCES) $(LIBS) -o $@

.PHONY: deps unit-test system-test test vmtest bench demo lint fuzz fuzzers skeletons
skeletons: $(SKELETONS) $(BENCH_SKELETONS) $(patsubst %,$(BUILD)/skel/%.skel.h,truth walker)
fuzzers: $(FUZZERS)
deps:
	scripts/deps.sh test

# Everything a commit must pass but lint and fuzzing. Set-up first: what it installs decides what can be built.
test: deps
	$(MAKE) all fixtures $(TRUTH) $(WALKER)
	$(MAKE) unit-test
	$(MAKE) unit-test BUILD=$(BUILD)/sanitized SANITIZE="$(SANITIZED)"
	$(MAKE) all BUILD=$(BUILD)/sanitized SANITIZE="$(SANITIZED)"
	tests/system/run.py --build $(BUILD) --leaktrace $(BUILD)/sanitized/leaktrace input. output. tables. books.glibc
	$(MAKE) system-test

unit-test: $(UNIT_TESTS)
	@status=0; for test in $^; do echo "== $$test"; $$test || status=1; done; exit $$status

system-test: all fixtures $(TRUTH) $(WALKER)
	tests/system/run.py --build $(BUILD)

# A choice of the system tests under other kernels, in virtual machines. Not a part of `make test`: it takes a while.
vmtest: deps
	scripts/deps.sh vm
	$(MAKE) all fixtures
	tests/vm/run.py --build $(BUILD)

bench: deps
	$(MAKE) all fixtures $(BENCH_HELPERS)
	tests/bench/bench.py --build $(BUILD)

demo:
	scripts/deps.sh
	$(MAKE) all $(FIXTURES)/leaky_server
	scripts/demo.sh $(BUILD)

lint:
	scripts/deps.sh lint
	scripts/lint.sh $(BUILD)

fuzz: $(FUZZERS)
	@for fuzzer in $^; do \
		seeds=tests/fuzz/seeds_$${fuzzer##*/fuzz_}.sh; mkdir -p $$fuzzer.corpus && \
		{ [ ! -x $$seeds ] || $$seeds $$fuzzer.corpus; } && echo "== $$fuzzer, $(FUZZ_SECONDS) s" && \
		$$fuzzer -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
			-verbosity=0 -artifact_prefix=$$fuzzer. $$fuzzer.corpus $(wildcard tests/fuzz/corpus) \
			|| exit 1; \
	done

.PHONY: clean
clean:
	rm -rf $(BUILD)

-include $(LIB_OBJECTS:.o=.d) $(COMMANDS:$(BUILD)/%=$(BUILD)/user/%.d) $(UNIT_TESTS:=.d)

# Kept: they are looked at with bpftool and llvm-objdump.
.SECONDARY: $(BPF_OBJECTS)
