# SPDX-License-Identifier: Apache-2.0
# Tidewire. `make run` and `make test` install what is missing; the other targets do not.
# A room is a wildcard: a new .c, test, fuzz target or scenario is never listed by hand.
#   make            build/tidewire             make run        install what is missing, start it
#   make test       everything CI runs         make unit asan tsan fuzz fault sim clients e2e tidy
#   make bench      figures                    make install    DESTDIR and PREFIX are honoured
# VARIANT: release (default), asan (ASan + UBSan), tsan, fuzz (clang). Each has its own folder in
# build/. V=1 shows the commands.
VERSION := 0.1.0
VARIANT ?= release
CC ?= cc
B ?= build/$(VARIANT)
PREFIX ?= /usr/local
SILENT := $(findstring s,$(firstword -$(filter-out --%,$(MAKEFLAGS))))
ifeq ($(V),)
Q := @
say = $(if $(SILENT),@,@echo "  $(1)  $(2)";)
else
say =
endif

# ---- what it is built with -------------------------------------------------------------------
PKGS := libuv openssl zlib jansson yaml-0.1 sqlite3 liburing
MISSING := $(foreach p,$(PKGS),$(shell pkg-config --exists $(p) 2>/dev/null || echo $(p)))
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
# Goals that compile nothing in this make: they work (or install) without the packages.
ifneq ($(strip $(MISSING)),)
ifneq ($(filter-out run test deps clean rooms tidy docs,$(or $(MAKECMDGOALS),all)),)
$(error missing: $(strip $(MISSING)). `make deps` installs what the build needs)
endif
endif

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wswitch-enum -Wvla \
        -Wimplicit-fallthrough -Wformat=2 -Wno-format-nonliteral -Wno-missing-field-initializers -Wno-format-zero-length -Werror
CFLAGS_release := -O2 -g
CFLAGS_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_tsan := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
CFLAGS_fuzz := -O1 -g -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all \
               -fno-omit-frame-pointer
CFLAGS += -std=c17 -D_GNU_SOURCE -DTIDEWIRE_VERSION='"$(VERSION)"' -fPIC -fvisibility=hidden \
          -fno-strict-aliasing -pthread $(WARN) $(CFLAGS_$(VARIANT)) $(PKG_CFLAGS) -Isrc -Iinclude
LDFLAGS += -pthread $(filter -fsanitize%,$(CFLAGS_$(VARIANT)))
LDLIBS := $(PKG_LIBS) -lm

# ---- what is there ---------------------------------------------------------------------------
ROOMS := base loop wire hub http auth session protocol transport db cluster api server
SRC := $(foreach r,$(ROOMS),$(wildcard src/$(r)/*.c))
# `tidewire bench` shares nothing with the server but the program it stands in.
CLI := $(wildcard src/cli/*.c bench/load/*.c)
PAGES := $(B)/gen/pages.c
OBJ := $(SRC:%.c=$(B)/%.o) $(PAGES:.c=.o)
CLI_OBJ := $(CLI:%.c=$(B)/%.o)
LIB := $(B)/libtidewire.a
UNIT := $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/*/*_test.c))
FAULT := $(patsubst tests/fault/%.c,$(B)/fault/%,$(wildcard tests/fault/*_test.c))
SIM_SRC := $(wildcard tests/sim/*.c)
SIM := $(if $(SIM_SRC),$(if $(shell grep -l '^int main\>' $(SIM_SRC)),$(B)/sim))
FUZZ := $(patsubst tests/fuzz/%.c,$(B)/%,$(wildcard tests/fuzz/*_fuzz.c))
EXAMPLES := $(patsubst examples/%.c,$(B)/examples/%,$(wildcard examples/*.c))

.PHONY: all run test deps lib dist units faults sims fuzzers examples unit asan tsan fuzz fault sim \
        clients e2e bench bench-data floors rooms tidy docs install clean FORCE
.DELETE_ON_ERROR:
all: $(if $(CLI),build/tidewire,lib)
lib: $(LIB)
units: $(UNIT)
faults: $(FAULT)
sims: $(SIM)
fuzzers: $(FUZZ)
examples: $(EXAMPLES)

build/tidewire: $(B)/tidewire
	@ln -sf $(VARIANT)/tidewire $@
$(B)/tidewire: $(CLI_OBJ) $(LIB)
	$(call say,LINK,$@) $(CC) $(LDFLAGS) -o $@ $(CLI_OBJ) $(LIB) $(LDLIBS)

$(LIB): $(OBJ)
	@rm -f $@
	$(call say,AR  ,$@) ar rcs $@ $(OBJ)

# Objects follow the flags: another compiler or option builds anew.
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(CC) $(CFLAGS))' | cmp -s - $@ || \
	 printf '%s\n' '$(subst ','\'',$(CC) $(CFLAGS))' >$@

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC  ,$<) $(CC) $(CFLAGS) -MMD -MP -c -o $@ $<
$(B)/gen/%.o: $(B)/gen/%.c $(B)/flags
	$(call say,CC  ,$<) $(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

# ---- pages: web/build.mjs writes web/dist, tools/embed makes a table of it --------------------
NODE := $(shell command -v node 2>/dev/null)
WEB_NEEDS := $(patsubst %package-lock.json,%node_modules,\
               $(wildcard package-lock.json web/package-lock.json))
WEB_LACKS := $(filter-out $(wildcard $(WEB_NEEDS)),$(WEB_NEEDS))
ifneq ($(and $(NODE),$(wildcard web/build.mjs),$(if $(WEB_LACKS),,yes)),)
WEB_SRC := $(shell find web clients/*/src -type f -not -path '*/node_modules/*' \
             -not -path '*/dist/*' 2>/dev/null)
DIST := web/dist/.built
$(DIST): $(WEB_SRC)
	$(call say,WEB ,web/dist) $(NODE) web/build.mjs
endif
$(PAGES): tools/embed $(DIST)
	@mkdir -p $(@D)
	@python3 tools/embed web/dist >$@

# ---- tests -----------------------------------------------------------------------------------
# Each unit test includes the .c it tests; the rest comes from the library.
TEST_MAIN := $(B)/tests/unit/main.o
$(TEST_MAIN): tests/unit/main.c tests/unit/test.h $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC  ,$<) $(CC) $(CFLAGS) -Itests/unit -c -o $@ $<
$(B)/unit/%: tests/unit/%.c $(TEST_MAIN) $(LIB) $(B)/flags
	@mkdir -p $(@D)
	$(call say,TEST,$<) $(CC) $(CFLAGS) -Itests/unit -MMD -MP -MF $@.d -MT $@ $(LDFLAGS) -o $@ $< \
	  $(TEST_MAIN) $(LIB) $(LDLIBS) -lcmocka
$(B)/fault/%: tests/fault/%.c $(TEST_MAIN) $(LIB) $(B)/flags
	@mkdir -p $(@D)
	$(call say,TEST,$<) $(CC) $(CFLAGS) -Itests/unit -Itests/sim -MMD -MP -MF $@.d -MT $@ $(LDFLAGS) \
	  -o $@ $< $(TEST_MAIN) $(LIB) $(LDLIBS) -lcmocka
# The simulated machine is a loop room of its own; the linker takes every other room from the
# archive. The simulation, the unit tests of hub and session, and tests/fault/sim_* run on it.
SIM_OBJ := $(SIM_SRC:%.c=$(B)/%.o)
SIM_LIB := $(B)/libsim.a
$(SIM_LIB): $(filter-out %/main.o,$(SIM_OBJ)) $(filter-out $(B)/src/loop/%,$(OBJ))
	@rm -f $@
	$(call say,AR  ,$@) ar rcs $@ $^
$(B)/sim: $(filter %/main.o,$(SIM_OBJ)) $(SIM_LIB)
	$(call say,LINK,$@) $(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
define ON_SIM
$$(B)/$(1)%: tests/$(1)%.c $$(TEST_MAIN) $$(SIM_LIB) $$(B)/flags
	@mkdir -p $$(@D)
	$$(call say,TEST,$$<) $$(CC) $$(CFLAGS) -Itests/unit -Itests/sim -MMD -MP -MF $$@.d -MT $$@ \
	  $$(LDFLAGS) -o $$@ $$< $$(TEST_MAIN) $$(SIM_LIB) $$(LDLIBS) -lcmocka
endef
$(foreach t,unit/hub/ unit/session/ fault/sim_,$(eval $(call ON_SIM,$(t))))
$(B)/%_fuzz: tests/fuzz/%_fuzz.c $(LIB) $(B)/flags
	$(call say,FUZZ,$<) $(CC) $(CFLAGS) -MMD -MP -MF $@.d -MT $@ -fsanitize=fuzzer \
	  $(filter-out %fuzzer-no-link,$(LDFLAGS)) -fsanitize=address,undefined \
	  -o $@ $< $(LIB) $(LDLIBS)
$(B)/examples/%: examples/%.c $(LIB) $(B)/flags
	@mkdir -p $(@D)
	$(call say,LINK,$@) $(CC) $(CFLAGS) -MMD -MP -MF $@.d -MT $@ $(LDFLAGS) -o $@ $< $(LIB) $(LDLIBS)

# tools/test builds what a stage needs, runs it and counts; `make test` is all of them.
export VARIANT SEED SEEDS FUZZ_SECONDS
unit asan tsan fuzz fault sim clients e2e:
	@CC='$(CC)' tools/test $@
test:
	@tools/deps test
	@CC='$(CC)' tools/test
deps:
	@tools/deps run
run: deps
	@$(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc)) build/tidewire
	build/tidewire dev $(ARGS)
# BENCH=quick (default, some minutes) or full; the floors are in bench/floor.
FLOORS := $(patsubst bench/floor/%.c,$(B)/floor/%,$(wildcard bench/floor/*.c))
$(B)/floor/%: bench/floor/%.c $(wildcard bench/floor/*.h) $(B)/flags
	@mkdir -p $(@D)
	$(call say,LINK,$@) $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< -luring
floors: $(FLOORS)
# Of the data API: bench/data.mjs runs them.
DATA := $(patsubst bench/data/%.c,$(B)/data/%,$(wildcard bench/data/*.c))
$(B)/data/%: bench/data/%.c $(LIB) $(B)/flags
	@mkdir -p $(@D)
	$(call say,LINK,$@) $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(LIB) $(LDLIBS)
bench-data: build/tidewire $(DATA)
	@TIDEWIRE_BIN=$(B)/tidewire node bench/data.mjs $(B)/data
export BENCH
bench: build/tidewire floors
	@bench/run $(ARGS)
rooms:
	@python3 tools/rooms src
tidy: rooms
	@python3 tools/tidy
docs:
	@python3 tools/gendocs

# ---- install ---------------------------------------------------------------------------------
# Inside, symbols have no prefix: the libraries show only what include/tidewire.h declares.
DIST_A := $(B)/dist/libtidewire.a
DIST_SO := $(B)/dist/libtidewire.so.0
$(DIST_A): $(OBJ)
	@mkdir -p $(@D)
	$(Q)$(LD) -r -o $(B)/dist/tidewire.o $(OBJ)
	$(Q)objcopy --localize-hidden $(B)/dist/tidewire.o
	@rm -f $@
	$(call say,AR  ,$@) ar rcs $@ $(B)/dist/tidewire.o
$(DIST_SO): $(OBJ)
	@mkdir -p $(@D)
	$(call say,LINK,$@) $(CC) $(LDFLAGS) -shared -Wl,-soname,libtidewire.so.0 -Wl,-z,defs -o $@ \
	  $(OBJ) $(LDLIBS)
$(B)/dist/tidewire.pc: Makefile
	@mkdir -p $(@D)
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' \
	  'Name: Tidewire' 'Description: Real-time server as a library' 'Version: $(VERSION)' \
	  'Requires.private: $(PKGS)' 'Libs: -L$${libdir} -ltidewire' \
	  'Libs.private: -pthread -lm' 'Cflags: -I$${includedir}' >$@
dist: $(B)/tidewire $(DIST_A) $(DIST_SO) $(B)/dist/tidewire.pc
D := $(DESTDIR)$(PREFIX)
install: dist
	$(Q)install -d $(D)/bin $(D)/lib/pkgconfig $(D)/include
	$(Q)install -m 755 $(B)/tidewire $(D)/bin/tidewire
	$(Q)install -m 644 include/tidewire.h $(D)/include/tidewire.h
	$(Q)install -m 644 $(DIST_A) $(D)/lib/libtidewire.a
	$(Q)install -m 755 $(DIST_SO) $(D)/lib/libtidewire.so.0
	$(Q)ln -sf libtidewire.so.0 $(D)/lib/libtidewire.so
	$(Q)sed 's|^prefix=.*|prefix=$(PREFIX)|' $(B)/dist/tidewire.pc >$(D)/lib/pkgconfig/tidewire.pc

clean:
	rm -rf build web/dist

-include $(OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(SIM_OBJ:.o=.d) $(UNIT:=.d) \
         $(FAULT:=.d) $(FUZZ:=.d) $(EXAMPLES:=.d)
