/* SPDX-License-Identifier: Apache-2.0 */
/* The Prefer and Accept headers of the data API (RFC 7240; PostgREST's preferences). */
#ifndef WIRE_RESTPREFER_H
#define WIRE_RESTPREFER_H

#include "base/buf.h"

enum restprefer_return {
    PREFER_RETURN_DEFAULT,
    PREFER_RETURN_MINIMAL,
    PREFER_RETURN_HEADERS,
    PREFER_RETURN_REPRESENTATION
};
enum restprefer_resolution { PREFER_RESOLUTION_NONE, PREFER_MERGE, PREFER_IGNORE };
enum restprefer_count { PREFER_COUNT_NONE, PREFER_EXACT, PREFER_PLANNED, PREFER_ESTIMATED };
struct restprefer {
    enum restprefer_return returning;
    enum restprefer_resolution resolution;
    enum restprefer_count count;
    bool missing_given, missing_default;
    bool handling_given, strict;
    bool tx_given, rollback;
    bool has_max;
    int64_t max_affected;
    char unknown[200]; /* preferences that are none of these, ", " between them */
};
/* Several headers may be fed one after the other. The first valid word of a kind wins. */
void restprefer_parse(struct restprefer *p, struct str header);
/* Preference-Applied: what was understood and used. */
void restprefer_write(const struct restprefer *p, struct buf *out);

enum restaccept { ACCEPT_JSON, ACCEPT_OBJECT, ACCEPT_CSV };
struct restaccept_result {
    enum restaccept format;
    bool strip_nulls;
};
/* The best media type of an Accept header ("" = JSON). False when none is served. */
bool restaccept_parse(struct str header, struct restaccept_result *out);

#endif
