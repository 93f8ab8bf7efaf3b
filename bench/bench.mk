# bench.mk - the benchmark program. Included by the Makefile.
BENCH := $(BUILD)/bench_cnnscope

$(BUILD)/obj/bench/%.o: bench/%.c | $(STAGED)
	$(call compile,-I$(INC)/public)
$(BENCH): $(BUILD)/obj/bench/bench_cnnscope.o $(LIB)
	$(if $(Q),@echo "  LD $@")
	$(Q)$(CC) $^ -o $@ $(LDFLAGS_ALL) $(LIBS)

bench: $(BENCH) ## the benchmark program build/bench_cnnscope (bench/compare.py runs it beside its peers)
.PHONY: bench
