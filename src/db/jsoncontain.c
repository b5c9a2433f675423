/* SPDX-License-Identifier: Apache-2.0 */
/* PostgreSQL's @> and && for JSON: an object contains another when each of its members does, an
 * array when each of its elements is contained in some element, and an array contains a scalar
 * that is one of its elements. */
#include "db/functions.h"
#include <jansson.h>

static json_t *read_json(struct str s)
{
    return json_loadb(s.p ? s.p : "", s.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
}

static bool contains(const json_t *whole, const json_t *part, int depth);

static bool array_has(const json_t *whole, const json_t *part, int depth)
{
    for (size_t i = 0; i < json_array_size(whole); i++) {
        const json_t *item = json_array_get(whole, i);
        if (json_is_array(part) ? json_is_array(item) && contains(item, part, depth + 1)
                                : contains(item, part, depth + 1))
            return true;
    }
    return false;
}

static bool contains(const json_t *whole, const json_t *part, int depth)
{
    if (depth > 64)
        return false;
    if (json_is_object(part)) {
        const char *key;
        json_t *value;
        if (!json_is_object(whole))
            return false;
        json_object_foreach((json_t *)part, key, value)
        {
            const json_t *mine = json_object_get(whole, key);
            if (!mine || !contains(mine, value, depth + 1))
                return false;
        }
        return true;
    }
    if (json_is_array(part)) {
        if (!json_is_array(whole))
            return false;
        for (size_t i = 0; i < json_array_size(part); i++)
            if (!array_has(whole, json_array_get(part, i), depth))
                return false;
        return true;
    }
    if (json_is_number(whole) && json_is_number(part))
        return json_number_value(whole) == json_number_value(part);
    return json_equal(whole, part);
}

bool jsoncontain_contains(struct str whole, struct str part)
{
    json_t *a = read_json(whole), *b = read_json(part);
    bool yes = a && b &&
               (contains(a, b, 0) || (json_is_array(a) && !json_is_array(b) && !json_is_object(b) &&
                                      array_has(a, b, 0)));
    json_decref(a);
    json_decref(b);
    return yes;
}

bool jsoncontain_overlaps(struct str whole, struct str other)
{
    json_t *a = read_json(whole), *b = read_json(other);
    bool yes = false;
    for (size_t i = 0; a && b && i < json_array_size(a) && !yes; i++)
        for (size_t j = 0; j < json_array_size(b) && !yes; j++)
            yes = json_equal(json_array_get(a, i), json_array_get(b, j)) == 1;
    json_decref(a);
    json_decref(b);
    return yes;
}
