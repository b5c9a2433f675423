/* SPDX-License-Identifier: Apache-2.0 */
/* First match over globs: one look-up among the exact names gives an upper bound, then the globs
 * that stand before it are tried in order. */
#include "base/pattern.h"
#include "base/mem.h"

struct pattern_glob {
    char *text;
    size_t n;
    size_t index;
};
/* The value of an exact name; the key's bytes follow it. */
struct exact_row {
    size_t index;
    char text[];
};

size_t pattern_add(struct pattern_list *list, struct str pattern)
{
    size_t index = list->count++;
    if (str_find(pattern, '*') < 0 && str_find(pattern, '?') < 0) {
        if (map_get(&list->exact, pattern))
            return index; /* an earlier row always wins */
        struct exact_row *row = mem_new(sizeof(*row) + pattern.n + 1);
        row->index = index;
        if (pattern.n)
            memcpy(row->text, pattern.p, pattern.n);
        map_put(&list->exact, str_of(row->text, pattern.n), row);
        return index;
    }
    list->globs =
        mem_grow(list->globs, &list->globs_capacity, list->globs_count + 1, sizeof(list->globs[0]));
    list->globs[list->globs_count++] = (struct pattern_glob){str_dup(pattern), pattern.n, index};
    return index;
}

ptrdiff_t pattern_find(const struct pattern_list *list, struct str name)
{
    const struct exact_row *row = map_get(&list->exact, name);
    size_t best = row ? row->index : list->count;
    for (size_t i = 0; i < list->globs_count && list->globs[i].index < best; i++) {
        const struct pattern_glob *glob = &list->globs[i];
        if (str_glob(str_of(glob->text, glob->n), name))
            return (ptrdiff_t)glob->index;
    }
    return row ? (ptrdiff_t)best : -1;
}

void pattern_free(struct pattern_list *list)
{
    size_t at = 0;
    void *row;
    while ((row = map_next(&list->exact, &at)))
        mem_free(row);
    map_free(&list->exact);
    for (size_t i = 0; i < list->globs_count; i++)
        mem_free(list->globs[i].text);
    mem_free(list->globs);
    *list = (struct pattern_list){0};
}
