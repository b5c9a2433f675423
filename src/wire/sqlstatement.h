/* SPDX-License-Identifier: Apache-2.0 */
/* The statements of a migration that SQLite does not have and we keep ourselves:
 *
 *   create policy NAME on TABLE [as permissive|restrictive] [for all|select|insert|update|delete]
 *     [to ROLE, ..] [using (EXPR)] [with check (EXPR)]          drop policy [if exists] NAME on
 * TABLE alter table TABLE enable|disable|force row level security alter table TABLE replica
 * identity full|default alter publication P add|drop|set table TABLE, ..     create publication P
 * [for table ..|all tables] create [or replace] function NAME(arg type [default x], ..) returns
 * TYPE language sql [stable|immutable|volatile] [security definer|invoker] as 'BODY'     drop
 * function NAME
 *
 * and those that mean nothing here (grant, comment on, create extension, ...). Expressions and
 * bodies come out translated (sqltranslate.h). */
#ifndef WIRE_SQLSTATEMENT_H
#define WIRE_SQLSTATEMENT_H

#include "wire/sqltext.h"

enum sqlstatement_kind {
    SQLSTATEMENT_OTHER, /* for SQLite, through sqltranslate_statement */
    SQLSTATEMENT_IGNORED,
    SQLSTATEMENT_CREATE_POLICY,
    SQLSTATEMENT_DROP_POLICY,
    SQLSTATEMENT_RLS,
    SQLSTATEMENT_IDENTITY,
    SQLSTATEMENT_PUBLISH, /* `names`, or all tables when it is empty; `on` */
    SQLSTATEMENT_CREATE_FUNCTION,
    SQLSTATEMENT_DROP_FUNCTION,
    SQLSTATEMENT_BAD
};
struct sqlstatement {
    enum sqlstatement_kind kind;
    bool on;        /* enable, add; identity full */
    bool if_exists; /* or "or replace" */
    struct buf table;
    struct buf name;
    struct buf names; /* tables, each ended by '\n' */
    /* Policies: */
    const char *command; /* "all" ... */
    bool restrictive;
    struct buf roles; /* "anon,authenticated"; empty = public */
    struct buf using_expr, check_expr;
    /* Functions: */
    struct buf args; /* [{"name":..,"type":..,"default":..}] */
    struct buf returns, body;
    bool writes, definer;
    char why[160]; /* SQLSTATEMENT_BAD */
};

void sqlstatement_parse(struct sqlstatement *out, struct str statement);
void sqlstatement_free(struct sqlstatement *s);

#endif
