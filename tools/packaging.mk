# packaging.mk - to carry away: bundled libraries, static and cross builds, install, dist. Included by
# the Makefile.

VERSION = $(shell sed -n 's/^#define CNNSCOPE_VERSION "\(.*\)"/\1/p' engine/cnnscope.h)

# BUNDLED=1 compiles cJSON, libmd and zlib from sources instead of taking the system's: from
# third_party/, which a distribution tarball has, or fetched from Debian's source packages.
THIRD_PARTY ?= $(if $(wildcard third_party/README),third_party,build-third-party)
DEPS := $(BUILD)/deps
ifeq ($(BUNDLED),1)
SRC_bundled := cjson/cJSON.c libmd/sha2.c libmd/sha256hl.c $(addprefix zlib/,adler32.c compress.c crc32.c deflate.c inffast.c \
               inflate.c inftrees.c trees.c uncompr.c zutil.c)
OBJ_bundled := $(patsubst %.c,$(DEPS)/%.o,$(SRC_bundled))
SYSTEM_LIBS := $(DEPS)/libbundled.a
CFLAGS_ALL  += -isystem $(DEPS)/include
$(STAGED): $(DEPS)/include/zlib.h
$(PROGRAM) $(TESTS) $(EXAMPLES): | $(DEPS)/libbundled.a
endif

$(THIRD_PARTY)/README:
	$(Q)tools/fetch_sources.sh $(THIRD_PARTY)
$(DEPS)/include/zlib.h: $(THIRD_PARTY)/README
	@mkdir -p $(DEPS)/include/cjson $(DEPS)/include/stb; echo "#define HAVE_UNISTD_H 1" > $(DEPS)/include/config.h
	@cp $(THIRD_PARTY)/cjson/cJSON.h $(DEPS)/include/cjson/
	@cp $(THIRD_PARTY)/libstb/*.h $(DEPS)/include/stb/
	@cp $(THIRD_PARTY)/libmd/sha2.h $(THIRD_PARTY)/zlib/zconf.h $(THIRD_PARTY)/zlib/zlib.h $(DEPS)/include/
$(DEPS)/%.o: $(DEPS)/include/zlib.h
	@mkdir -p $(@D)
	$(if $(Q),@echo "  CC $(THIRD_PARTY)/$*.c")
	$(Q)$(CC) -std=gnu11 -O2 -w -fPIC $(SANITIZE) -I$(DEPS)/include -c $(THIRD_PARTY)/$*.c -o $@
$(DEPS)/libbundled.a: $(OBJ_bundled)
	@rm -f $@; $(AR) rcs $@ $^

# --------------------------------------------------------------------------------------------
# One file that runs on a kernel alone. Without OpenBLAS: the file would have 27 MB, and every
# number is the direct engine's anyway.
static: $(THIRD_PARTY)/README ## build-static/cnnscope: one executable that needs no library (make deps-dist first)
	$(Q)$(MAKE) --no-print-directory BUILD=build-static BLAS=0 BUNDLED=1 LDFLAGS='-static $(LDFLAGS)' all
	$(Q)strip -o build-static/cnnscope.stripped build-static/cnnscope
	$(Q)mv build-static/cnnscope.stripped build-static/cnnscope

aarch64: $(THIRD_PARTY)/README ## build-aarch64/cnnscope, static, for 64-bit ARM (make deps-aarch64 first)
	$(Q)$(MAKE) --no-print-directory BUILD=build-aarch64 BLAS=0 BUNDLED=1 CC=aarch64-linux-gnu-gcc \
	  AR=aarch64-linux-gnu-ar LDFLAGS=-static all

# Other processors, emulated: the published hashes must hold there too.
selftest: all ## the published hashes on this CPU, and on others under qemu where that is installed
	$(Q)tools/selftest_everywhere.sh $(PROGRAM)

# --------------------------------------------------------------------------------------------
deps-dist: ## installs what make static and make dist fetch sources with
	$(call install_packages,dpkg-dev patch)
deps-aarch64: $(THIRD_PARTY)/README ## installs what make aarch64 and make selftest need
	$(call install_packages,dpkg-dev patch gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)

install: all ## into PREFIX (/usr/local), below DESTDIR
	$(Q)install -D -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/cnnscope
	$(Q)install -D -m 644 $(LIB) $(DESTDIR)$(PREFIX)/lib/libcnnscope.a
	$(Q)install -D -m 644 -t $(DESTDIR)$(PREFIX)/include/cnnscope engine/cnnscope.h engine/cnnscope_types.h \
	  engine/cnnscope_support.h engine/cnnscope_plan.h engine/cnnscope_training.h engine/cnnscope_nodes.h audit/cnnscope_audit.h cam/cnnscope_cam.h cam/cnnscope_measures.h cam/cnnscope_diagnose.h weights_tools/cnnscope_convert.h
	$(Q)install -D -m 644 docs/cnnscope.1 $(DESTDIR)$(PREFIX)/share/man/man1/cnnscope.1
	$(Q)install -D -m 644 tools/completion.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/cnnscope
	$(Q)mkdir -p $(DESTDIR)$(PREFIX)/lib/pkgconfig
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' -e 's|@LIBS@|$(PC_LIBS)|' tools/cnnscope.pc.in \
	  > $(DESTDIR)$(PREFIX)/lib/pkgconfig/cnnscope.pc

# What a program that links libcnnscope.a has to link with it.
PC_LIBS = -lcjson -lz -lmd $(BLAS_LIBS) -pthread -lm

uninstall: ## takes away what make install put there
	$(Q)cd $(DESTDIR)$(PREFIX) && rm -rf bin/cnnscope lib/libcnnscope.a lib/pkgconfig/cnnscope.pc include/cnnscope \
	  share/man/man1/cnnscope.1 share/bash-completion/completions/cnnscope

check-install: ## installs into build/installed and tries the result
	$(Q)$(MAKE) --no-print-directory DESTDIR=$(abspath $(BUILD))/installed install
	$(Q)tools/check_install.sh $(abspath $(BUILD))/installed $(PREFIX) $(CC)

# All that git tracks, and third_party/: a compiler and make are enough to build it, without network:
# make BLAS=0 BUNDLED=1 all
dist: $(THIRD_PARTY)/README ## build-dist/cnnscope-VERSION.tar.gz: all sources, those of the libraries too
	$(Q)tools/make_dist.sh $(VERSION) $(THIRD_PARTY)

.PHONY: static aarch64 selftest deps-dist deps-aarch64 install uninstall check-install dist
