# Tidewire. `make run` and `make test` install what is missing; the other targets do not.
# A room is a wildcard: a new .c or test is never listed by hand.
# VARIANT: release (default), asan (ASan + UBSan), tsan. Each has its own folder in build/.
VARIANT ?= release
CC ?= cc
B := build/$(VARIANT)
PKGS := libuv openssl zlib jansson yaml-0.1 sqlite3 liburing
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null)

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wswitch-enum -Wvla \
        -Wimplicit-fallthrough -Wformat=2 -Wno-format-nonliteral -Wno-format-zero-length -Werror
CFLAGS_release := -O2 -g
CFLAGS_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_tsan := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
CFLAGS_fuzz := -O1 -g -fsanitize=address,undefined,fuzzer-no-link -fno-omit-frame-pointer
CFLAGS += -std=c17 -D_GNU_SOURCE -fvisibility=hidden -fno-strict-aliasing -pthread \
          $(WARN) $(CFLAGS_$(VARIANT)) $(PKG_CFLAGS) -Isrc -Iinclude -I$(B)/gen
LDFLAGS += -pthread $(filter -fsanitize%,$(CFLAGS_$(VARIANT)))
LDLIBS := $(PKG_LIBS) -lm

ROOMS := base loop wire hub http auth session protocol transport db cluster api server
SRC := $(foreach r,$(ROOMS),$(wildcard src/$(r)/*.c))
CLI := $(wildcard src/cli/*.c)
OBJ := $(SRC:%.c=$(B)/%.o)
CLI_OBJ := $(CLI:%.c=$(B)/%.o)
LIB := $(B)/libtidewire.a
UNIT := $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/*/*_test.c))
FUZZ := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/*_fuzz.c))

.PHONY: all run test deps lib unit rooms clean
all: build/tidewire
lib: $(LIB)

build/tidewire: $(B)/tidewire
	@ln -sf $(VARIANT)/tidewire $@
$(B)/tidewire: $(CLI_OBJ) $(LIB)
	$(CC) $(LDFLAGS) -o $@ $(CLI_OBJ) $(LIB) $(LDLIBS)

$(LIB): $(OBJ)
	@rm -f $@
	@ar rcs $@ $(OBJ)

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

# Each unit test includes the .c it tests; the rest comes from the library.
$(B)/unit/%: tests/unit/%.c $(B)/unit/main.o $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -Itests/unit -MMD -MP $(LDFLAGS) -o $@ $< $(B)/unit/main.o $(LIB) $(LDLIBS) -lcmocka
$(B)/unit/main.o: tests/unit/main.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -Itests/unit -c -o $@ $<

unit: $(UNIT)
	@fail=0; for t in $(UNIT); do $$t || fail=1; done; exit $$fail

rooms:
	@python3 tools/rooms src

clean:
	rm -rf build

-include $(OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(UNIT:=.d)
