# faults.mk - what tests/test_faults.c and its neighbours need: a library that is preloaded into the
# program and lets calls fail. Included by the Makefile.

# It takes malloc's place, as sanitizers do: one of the two.
FAULT_SHIM := $(if $(SANITIZE),,$(BUILD)/fault_shim.so)
$(BUILD)/fault_shim.so: tests/faults/fault_shim.c
	@mkdir -p $(@D)
	$(if $(Q),@echo "  LD $@")
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE -O2 -g -fno-builtin $(WARNINGS) -fPIC -shared -pthread $< -o $@ -ldl
$(TESTS): | $(FAULT_SHIM)

valgrind: all $(TESTS) ## the commands under valgrind's memcheck: no errors, nothing lost
	$(Q)CNNSCOPE_TEST_VALGRIND=1 CNNSCOPE_PROGRAM=$(PROGRAM) $(TESTS) valgrind

.PHONY: valgrind
