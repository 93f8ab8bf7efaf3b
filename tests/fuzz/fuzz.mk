# fuzz.mk - fuzz targets: each tests/fuzz/fuzz_NAME.c, whose inputs are in tests/fuzz/corpus/NAME/ (the
# dictionary NAME.dict is for libFuzzer's -dict). Included by the Makefile.
#
#   make fuzz && build-fuzz/fuzz_png -dict=tests/fuzz/png.dict -max_total_time=600 NEW tests/fuzz/corpus/png

FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

fuzz: ## fuzz targets for clang's libFuzzer, in build-fuzz/ (run: see tests/fuzz/fuzz.mk)
	$(Q)$(MAKE) --no-print-directory BUILD=build-fuzz CC=clang OPT=-O1 SANITIZE='$(FUZZ)' fuzz-targets
fuzz-targets: $(FUZZ_NAMES:%=$(BUILD)/fuzz_%)
$(BUILD)/fuzz_%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(LIB)
	$(if $(Q),@echo "  LD $@")
	$(Q)$(CC) $^ -o $@ $(LDFLAGS_ALL) -fsanitize=fuzzer $(LIBS)

# The saved inputs again, with any compiler and no fuzzer; part of make test.
$(BUILD)/replay_%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(BUILD)/obj/tests/fuzz/replay.o $(LIB)
	$(if $(Q),@echo "  LD $@")
	$(Q)$(CC) $^ -o $@ $(LDFLAGS_ALL) $(LIBS)
replay: $(FUZZ_NAMES:%=$(BUILD)/replay_%) ## the fuzz targets over the inputs in tests/fuzz/corpus
	$(Q)for name in $(FUZZ_NAMES); do \
	  if [ -d tests/fuzz/corpus/$$name ]; then $(BUILD)/replay_$$name tests/fuzz/corpus/$$name || exit 1; \
	  else echo "no inputs for $$name (make corpus)"; fi; done
test test-long: replay

# First inputs: those of pictures from the cases of the tests, the others from tests/fuzz_seeds.c.
CORPUS_PARTS := fuzz/make_corpus picture_builder checkpoint_builder test_support hostile_pngs hostile_png_data \
                hostile_jpegs hostile_pnms
$(BUILD)/make_corpus: $(CORPUS_PARTS:%=$(BUILD)/obj/tests/%.o) $(LIB)
	$(Q)$(CC) $^ -o $@ $(LDFLAGS_ALL) $(LIBS) $(CHECK_LIBS)
corpus: $(BUILD)/make_corpus $(TESTS)
	$(Q)mkdir -p tests/fuzz/corpus/png tests/fuzz/corpus/jpeg tests/fuzz/corpus/pnm
	$(Q)$(BUILD)/make_corpus tests/fuzz/corpus
	$(Q)$(TESTS) --fuzz-seeds tests/fuzz/corpus

$(foreach n,$(FUZZ_NAMES),$(BUILD)/obj/tests/fuzz/fuzz_$(n).o) $(BUILD)/obj/tests/fuzz/replay.o: $(BUILD)/flags
$(BUILD)/obj/tests/fuzz/make_corpus.o: $(BUILD)/flags
.PHONY: fuzz fuzz-targets replay corpus
.SECONDARY: $(foreach n,$(FUZZ_NAMES),$(BUILD)/obj/tests/fuzz/fuzz_$(n).o)
