# cnnscope's build. `make` alone prints the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash

# make's own default for CC is cc, which ?= would keep.
ifeq ($(origin CC),default)
CC      := gcc
endif
BUILD   ?= build
PREFIX  ?= /usr/local
BLAS    ?= 1
OPT     ?= -O3
V       ?= 0
Q       := $(if $(filter 1,$(V)),,@)

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wdouble-promotion \
            -Wvla -Wmissing-prototypes -Werror
CFLAGS_ALL := -std=c11 -D_GNU_SOURCE $(OPT) -g -fno-fast-math -ffp-contract=off -fno-math-errno -pthread \
              -MMD -MP $(WARNINGS) $(SANITIZE) $(CFLAGS)
LDFLAGS_ALL := -pthread $(SANITIZE) $(LDFLAGS)

# What the installed compiler and libraries say is asked when a recipe needs it, once: `make deps all`
# on a fresh machine installs them first.
once = $(eval $(1) := $(2))$($(1))
ARCH        = $(call once,ARCH,$(shell $(CC) -dumpmachine | cut -d- -f1))
BLAS_CFLAGS = $(call once,BLAS_CFLAGS,$(if $(filter 1,$(BLAS)),$(shell pkg-config --cflags openblas) -DCS_HAVE_BLAS=1,))
BLAS_LIBS   = $(call once,BLAS_LIBS,$(if $(filter 1,$(BLAS)),$(shell pkg-config --libs openblas),))
CHECK_LIBS  = $(call once,CHECK_LIBS,$(shell pkg-config --libs check))
SYSTEM_LIBS = -lcjson -lz -lmd
LIBS        = $(SYSTEM_LIBS) $(BLAS_LIBS) -lm

# --------------------------------------------------------------------------------------------
# Who may include whom: each group of sources is compiled with these folders of staged headers only.
INC := $(BUILD)/include
STAGED := $(INC)/public/cnnscope.h $(INC)/public/cnnscope_types.h $(INC)/public/cnnscope_support.h \
          $(INC)/public/cnnscope_plan.h $(INC)/public/cnnscope_training.h $(INC)/public/cnnscope_nodes.h \
          $(INC)/base/base.h $(INC)/layers/layer.h $(INC)/kernels/kernel.h \
          $(INC)/cam/cnnscope_cam.h $(INC)/cam/cnnscope_measures.h $(INC)/cam/cnnscope_diagnose.h \
          $(INC)/convert/cnnscope_convert.h $(INC)/audit/cnnscope_audit.h
I_kernels       := -I$(INC)/kernels
I_layers        := -I$(INC)/base -I$(INC)/public -I$(INC)/kernels
I_engine        := -I$(INC)/layers -I$(INC)/public
I_cam           := -I$(INC)/public
I_weights_tools := -I$(INC)/public
I_audit         := -I$(INC)/cam -I$(INC)/public
I_cli           := -I$(INC)/audit -I$(INC)/cam -I$(INC)/convert -I$(INC)/public -I$(INC)/generated
I_examples      := -I$(INC)/public
I_tests         := -Icli -Iaudit -Icam -Iweights_tools -Iengine -Ilayers -Ilayers/kernels -Itests

# --------------------------------------------------------------------------------------------
# Sources. Layers and portable kernels are compiled for float and for double from one file; kernels
# also with and without FMA instructions.
SRC_engine        := $(wildcard engine/*.c)
SRC_layers        := $(filter-out layers/registry.c,$(wildcard layers/*.c))
SRC_kernels       := $(wildcard layers/kernels/*_portable.c)
SRC_avx512        := $(wildcard layers/kernels/*_avx512.c)
SRC_cam           := $(wildcard cam/*.c)
SRC_weights_tools := $(wildcard weights_tools/*.c)
SRC_audit         := $(wildcard audit/*.c)
SRC_cli           := $(filter-out cli/main.c,$(wildcard cli/*.c))
SRC_tests         := $(wildcard tests/*.c)
SRC_examples      := $(wildcard examples/*.c)

obj = $(patsubst %.c,$(BUILD)/obj/%$(2).o,$(1))
OBJ_kernels := $(foreach v,_f32 _f64 _nofma_f32 _nofma_f64,$(call obj,$(SRC_kernels),$(v))) \
               $(foreach v,_f32 _f64,$(call obj,$(SRC_avx512),$(v)))
OBJ_layers  := $(call obj,$(SRC_layers),_f32) $(call obj,$(SRC_layers),_f64) $(call obj,layers/registry.c,)
OBJ_core    := $(call obj,$(SRC_engine),) $(OBJ_layers) $(OBJ_kernels)
OBJ_lib     := $(OBJ_core) $(call obj,$(SRC_cam) $(SRC_weights_tools) $(SRC_audit),) $(BUILD)/obj/cam/report_assets.o
OBJ_cli     := $(call obj,$(SRC_cli),) $(BUILD)/obj/cli/embedded_files.o
OBJ_tests   := $(call obj,$(SRC_tests),)
OBJ_examples := $(call obj,$(SRC_examples),)
LIB         := $(BUILD)/libcnnscope.a
PROGRAM     := $(BUILD)/cnnscope
TESTS       := $(BUILD)/cnnscope-tests
EXAMPLES    := $(patsubst %.c,$(BUILD)/%,$(SRC_examples))

FMA_FLAGS    = $(if $(filter x86_64,$(ARCH)),-mavx2 -mfma,)
AVX512_FLAGS = $(if $(filter x86_64,$(ARCH)),-mavx512f -mfma -mbmi,)

help: ## this list
	@echo "cnnscope: make TARGET"
	@grep -hE '^[a-z][a-zA-Z_-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-zA-Z_-]+):.*## (.*)/  \1|\2/' | \
	  awk -F'|' '{printf "%-14s %s\n", $$1, $$2}' | sed 's/^/  /'
	@echo "  variables: CC=gcc|clang  BUILD=build  BLAS=1|0  V=1 (show commands)"

all: $(PROGRAM) $(LIB) ## the program build/cnnscope and the library build/libcnnscope.a

# On a fresh machine `make -j deps all` installs the compiler first.
$(STAGED): | $(filter deps,$(MAKECMDGOALS))
$(INC)/public/%.h: engine/%.h
	@mkdir -p $(@D); ln -sf $(abspath $<) $@
$(INC)/base/%.h: engine/%.h
	@mkdir -p $(@D); ln -sf $(abspath $<) $@
$(INC)/layers/%.h: layers/%.h
	@mkdir -p $(@D); ln -sf $(abspath $<) $@; ln -sf $(abspath engine/base.h) $(@D)/base.h
$(INC)/kernels/%.h: layers/kernels/%.h
	@mkdir -p $(@D); ln -sf $(abspath $<) $@
$(INC)/cam/%.h: cam/%.h
	@mkdir -p $(@D); ln -sf $(abspath $<) $@
$(INC)/convert/%.h: weights_tools/%.h
	@mkdir -p $(@D); ln -sf $(abspath $<) $@
$(INC)/audit/%.h: audit/%.h
	@mkdir -p $(@D); ln -sf $(abspath $<) $@

define compile
	@mkdir -p $(@D)
	$(if $(Q),@echo "  CC $(patsubst $(BUILD)/obj/%,%,$@)")
	$(Q)$(CC) $(CFLAGS_ALL) $(1) -c $< -o $@
endef

$(BUILD)/obj/layers/kernels/%_avx512_f32.o: layers/kernels/%_avx512.c | $(STAGED)
	$(call compile,$(I_kernels) -DREAL=float -DREAL_IS_FLOAT=1 $(AVX512_FLAGS))
$(BUILD)/obj/layers/kernels/%_avx512_f64.o: layers/kernels/%_avx512.c | $(STAGED)
	$(call compile,$(I_kernels) -DREAL=double -DREAL_IS_FLOAT=0 $(AVX512_FLAGS))
$(BUILD)/obj/layers/kernels/%_nofma_f32.o: layers/kernels/%.c | $(STAGED)
	$(call compile,$(I_kernels) -DREAL=float -DREAL_IS_FLOAT=1 -DCS_SOFT_FMA=1)
$(BUILD)/obj/layers/kernels/%_nofma_f64.o: layers/kernels/%.c | $(STAGED)
	$(call compile,$(I_kernels) -DREAL=double -DREAL_IS_FLOAT=0 -DCS_SOFT_FMA=1)
$(BUILD)/obj/layers/kernels/%_f32.o: layers/kernels/%.c | $(STAGED)
	$(call compile,$(I_kernels) -DREAL=float -DREAL_IS_FLOAT=1 $(FMA_FLAGS))
$(BUILD)/obj/layers/kernels/%_f64.o: layers/kernels/%.c | $(STAGED)
	$(call compile,$(I_kernels) -DREAL=double -DREAL_IS_FLOAT=0 $(FMA_FLAGS))
$(BUILD)/obj/layers/registry.o: layers/registry.c | $(STAGED)
	$(call compile,$(I_layers) $(BLAS_CFLAGS))
$(BUILD)/obj/layers/%_f32.o: layers/%.c | $(STAGED)
	$(call compile,$(I_layers) -DREAL=float -DREAL_IS_FLOAT=1 $(BLAS_CFLAGS))
$(BUILD)/obj/layers/%_f64.o: layers/%.c | $(STAGED)
	$(call compile,$(I_layers) -DREAL=double -DREAL_IS_FLOAT=0 $(BLAS_CFLAGS))
$(BUILD)/obj/engine/%.o: engine/%.c | $(STAGED)
	$(call compile,$(I_engine) $(BLAS_CFLAGS))
$(BUILD)/obj/cam/%.o: cam/%.c | $(STAGED)
	$(call compile,$(I_cam))
$(BUILD)/obj/weights_tools/%.o: weights_tools/%.c | $(STAGED)
	$(call compile,$(I_weights_tools))
$(BUILD)/obj/audit/%.o: audit/%.c | $(STAGED)
	$(call compile,$(I_audit))
$(BUILD)/obj/cli/%.o: cli/%.c | $(STAGED)
	$(call compile,$(I_cli))
# report.html carries its styles and its script with it.
$(BUILD)/obj/cam/report_assets.o: cam/report_assets.S cam/report.css cam/report.js
	$(call compile,)
# selftest carries the example network and the published hashes with it.
$(BUILD)/obj/cli/embedded_files.o: cli/embedded_files.S $(foreach n,small_resnet tag_reader fair_reader,examples/$(n).json examples/$(n).bin)
	$(call compile,)
$(BUILD)/obj/cli/selftest.o: $(INC)/generated/published_hashes.h
$(INC)/generated/published_hashes.h: docs/arithmetic.md
	@mkdir -p $(@D)
	@awk -F'`' '/^\| `small_resnet` / {printf "{\"%s\", {\"%s\", \"%s\"}},\n", $$4, $$6, $$8}' $< > $@
$(BUILD)/obj/examples/%.o: examples/%.c | $(STAGED)
	$(call compile,$(I_examples))
$(BUILD)/obj/tests/%.o: tests/%.c | $(STAGED)
	$(call compile,$(I_tests))

$(LIB): $(OBJ_lib)
	@rm -f $@; $(AR) rcs $@ $^
$(PROGRAM): $(call obj,cli/main.c,) $(OBJ_cli) $(LIB)
	$(if $(Q),@echo "  LD $@")
	$(Q)$(CC) $^ -o $@ $(LDFLAGS_ALL) $(LIBS)

$(TESTS): $(OBJ_tests) $(OBJ_cli) $(LIB)
	$(if $(Q),@echo "  LD $@")
	$(Q)$(CC) $^ -o $@ $(LDFLAGS_ALL) -Wl,--wrap=layer_find $(LIBS) $(CHECK_LIBS)

$(EXAMPLES): $(BUILD)/examples/%: $(BUILD)/obj/examples/%.o $(LIB)
	@mkdir -p $(@D)
	$(if $(Q),@echo "  LD $@")
	$(Q)$(CC) $^ -o $@ $(LDFLAGS_ALL) $(LIBS)

# Everything is built anew when the compiler or its options change.
$(OBJ_lib) $(OBJ_cli) $(OBJ_tests) $(OBJ_examples) $(call obj,cli/main.c,): $(BUILD)/flags
$(BUILD)/flags: FORCE | $(filter deps,$(MAKECMDGOALS))
	@mkdir -p $(@D); echo '$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) $(BLAS)' | cmp -s - $@ || \
	  echo '$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) $(BLAS)' > $@
FORCE:

# --------------------------------------------------------------------------------------------
# Tests. The working directory is the repository's root; the program is built too, for those that run it.
test: all $(TESTS) $(EXAMPLES) ## all tests but the slow ones; one suite: make test-SUITE (test-layers)
	$(Q)CNNSCOPE_PROGRAM=$(PROGRAM) $(TEST_RUNNER) $(TESTS)

test-long: all $(TESTS) $(EXAMPLES) ## all tests, the slow ones too
	$(Q)CNNSCOPE_TEST_LONG=1 CNNSCOPE_PROGRAM=$(PROGRAM) $(TEST_RUNNER) $(TESTS)

test-%: all $(TESTS) $(EXAMPLES)
	$(Q)CNNSCOPE_PROGRAM=$(PROGRAM) $(TEST_RUNNER) $(TESTS) $*

ASAN := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
# ThreadSanitizer's fixed addresses need a process without randomised ones. With it, gcc takes vectors that are
# filled lane by lane for uninitialised.
TSAN := -fsanitize=thread -fno-omit-frame-pointer $(if $(findstring clang,$(CC)),,-Wno-maybe-uninitialized)

# The tests in a build of their own: folder's ending, sanitizer, target, and the program that runs them.
sanitized = $(Q)CK_TIMEOUT_MULTIPLIER=5 $(MAKE) --no-print-directory BUILD=build-$(1) OPT=-O2 SANITIZE='$(2)' \
  TEST_RUNNER='$(4)' $(3)

asan: ## all tests under AddressSanitizer and UndefinedBehaviorSanitizer, in build-asan/; one suite: make asan-SUITE
	$(call sanitized,asan,$(ASAN),test)
asan-%:
	$(call sanitized,asan,$(ASAN),test-$*)

tsan: ## all tests under ThreadSanitizer, in build-tsan/; one suite: make tsan-SUITE
	$(call sanitized,tsan,$(TSAN),test,setarch $(ARCH) -R)
tsan-%:
	$(call sanitized,tsan,$(TSAN),test-$*,setarch $(ARCH) -R)

lint: $(LIB) ## our rules, formatting, cppcheck, clang-tidy (make deps-lint installs them)
	$(Q)tools/lint.sh $(LIB)

format: ## rewrites the sources as .clang-format has them
	$(Q)clang-format -i $(wildcard $(foreach d,engine layers layers/kernels cam weights_tools audit cli tests examples bench,\
	  $(d)/*.c $(d)/*.h))

# --------------------------------------------------------------------------------------------
PACKAGES := gcc libc6-dev binutils pkg-config libopenblas-dev libcjson-dev libstb-dev zlib1g-dev libmd-dev \
            check fonts-dejavu-core
PACKAGES_LINT := clang-format clang-tidy cppcheck
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

# Installs what is missing of a list of Debian packages; without network where nothing is.
define install_packages
	$(Q)missing=$$(for p in $(1); do \
	    dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	  if [ -n "$$missing" ]; then \
	    $(SUDO) apt-get update -q && \
	    $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; fi
endef

deps: ## installs what building and testing needs (Debian 12; root or sudo)
	$(call install_packages,$(PACKAGES))

deps-lint: ## installs what make lint needs
	$(call install_packages,$(PACKAGES_LINT))

demo: all ## finds a hospital's tag that a network learned to read, on drawn radiographs: build/demo
	$(Q)rm -rf $(BUILD)/demo
	$(Q)$(PROGRAM) demo $(BUILD)/demo

clean: ## removes what was built
	$(Q)rm -rf $(BUILD) build-*

include tools/packaging.mk
include bench/bench.mk
include tests/browser/browser.mk
include tests/faults.mk
include tests/controls/controls.mk
include tests/fuzz/fuzz.mk
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)

.PHONY: help all test test-long asan tsan lint format deps deps-lint demo clean FORCE
