# bench.mk - the benchmark program, and the comparisons with the peers. Included by the Makefile.
# The comparisons need Python with the peers (bench/README.md says which): PYTHON=.../bin/python.
BENCH  := $(BUILD)/bench_cnnscope
PYTHON ?= python3
DATA   ?= ../shared/data
ROUNDS ?= 12
BENCH_OUT := $(BUILD)/bench

$(BUILD)/obj/bench/%.o: bench/%.c | $(STAGED)
	$(call compile,-I$(INC)/public -I$(INC)/cam)
OBJ_bench := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard bench/*.c))
$(BENCH): $(OBJ_bench) $(LIB)
	$(if $(Q),@echo "  LD $@")
	$(Q)$(CC) $^ -o $@ $(LDFLAGS_ALL) $(LIBS)
$(OBJ_bench): $(BUILD)/flags

bench: $(BENCH) ## the benchmark program build/bench_cnnscope (bench/README.md: how it is run beside its peers)

bench-compare bench-networks bench-explain bench-training bench-accuracy bench-growth bench-zeros: bench-%: all $(BENCH)
	@mkdir -p $(BENCH_OUT)
	$(PYTHON) bench/run_$*.py $(DATA) --build $(BUILD) --rounds $(ROUNDS) > $(BENCH_OUT)/$*.jsonl.part
	@mv $(BENCH_OUT)/$*.jsonl.part $(BENCH_OUT)/$*.jsonl

bench-report: ## rewrites the tables and plots of bench/RESULTS.md from what bench-compare and the others left
	$(PYTHON) bench/report.py $(BENCH_OUT)

.PHONY: bench bench-compare bench-networks bench-explain bench-training bench-accuracy bench-growth bench-zeros bench-report
