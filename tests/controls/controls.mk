# controls.mk - networks with known shortcuts: the program that draws their images (README.md here says how they are
# trained and diagnosed). Included by the Makefile.
MAKE_RADIOGRAPHS := $(BUILD)/make_radiographs
$(BUILD)/obj/tests/controls/%.o: tests/controls/%.c | $(STAGED)
	@mkdir -p $(@D)
	$(call compile,$(I_tests))
$(MAKE_RADIOGRAPHS): $(BUILD)/obj/tests/controls/make_radiographs.o $(OBJ_cli) $(LIB)
	$(if $(Q),@echo "  LD $@")
	$(Q)$(CC) $^ -o $@ $(LDFLAGS_ALL) $(LIBS)
$(BUILD)/obj/tests/controls/make_radiographs.o: $(BUILD)/flags

controls: all $(MAKE_RADIOGRAPHS) ## the program that draws images for networks with known shortcuts

.PHONY: controls
