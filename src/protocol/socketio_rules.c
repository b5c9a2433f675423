/* SPDX-License-Identifier: Apache-2.0 */
/* Running event rules. The rules of an event are run in their order; each may join a room, leave
 * one and send an event on. Joining and sending are asked of the session's gate, so the channel
 * rules decide who may; what the gate does not allow ends the run: the client gets an `error`
 * event with the words (and, when it waits for an ack, an answer with status "error").
 *
 * A run that waits for the gate's answer is found again by its number, which is the request's ref.
 * What is begun by a rule with `until` (typing) is remembered until it is over. */
#include "protocol/socketio_rules.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "protocol/socketio_priv.h"
#include "protocol/socketio_template.h"
#include <stdio.h>

enum { RUNS_MAX = 256, ACTIVE_MAX = 64, NAME_MAX_BYTES = 255 };

struct rule {
    struct str on, nsp, emit, until;
    struct template *join, *leave, *to, *data, *ack;
    uint64_t ttl_ms;
    bool to_all, to_sender, member, once, echo;
};
struct socketio_rules {
    struct arena arena;
    struct rule *rules;
    size_t count;
};

/* ---- reading ------------------------------------------------------------------------------ */

static int fault(struct socketio_rules_error *error, size_t row, const char *member, size_t column,
                 const char *text)
{
    error->row = row;
    error->member = member;
    error->column = column;
    if (column)
        snprintf(error->text, sizeof(error->text), "at character %zu: %s", column, text);
    else
        snprintf(error->text, sizeof(error->text), "%s", text);
    return E_CONFIG;
}

struct reading {
    struct socketio_rules *rules;
    struct socketio_rules_error *error;
    size_t row;
};

static int read_template(struct reading *r, const char *member, struct str text, bool is_json,
                         struct template **out)
{
    size_t column;
    const char *why;
    *out = NULL;
    if (!text.n)
        return 0;
    *out = template_new(&r->rules->arena, text, is_json, &column, &why);
    return *out ? 0 : fault(r->error, r->row, member, column, why);
}

static int check_row(struct reading *r, const struct socketio_rule_row *row)
{
    if (!row->on.n || socketio_event_reserved(row->on))
        return fault(r->error, r->row, "on", 0,
                     "an event that clients can send; connect, "
                     "disconnect and their like are not");
    if (row->emit.n && socketio_event_reserved(row->emit))
        return fault(r->error, r->row, "emit", 0, "Socket.IO keeps this name for itself");
    if (row->emit.n && !row->to.n)
        return fault(r->error, r->row, "to", 0, "missing: the room to send to, * or $sid");
    if (!row->emit.n && (row->to.n || row->data.n))
        return fault(r->error, r->row, "emit", 0, "missing: the event to send");
    if (row->until.n && !row->ttl_ms)
        return fault(r->error, r->row, "ttl_ms", 0, "missing: how long without a sign it lasts");
    return 0;
}

static int read_row(struct reading *r, const struct socketio_rule_row *row, struct rule *rule)
{
    struct arena *a = &r->rules->arena;
    int err = check_row(r, row);
    if (err)
        return err;
    *rule = (struct rule){.on = arena_dup(a, row->on),
                          .nsp = arena_dup(a, row->nsp.n ? row->nsp : STR("/")),
                          .emit = row->emit.n ? arena_dup(a, row->emit) : STR_NONE,
                          .until = row->until.n ? arena_dup(a, row->until) : STR_NONE,
                          .ttl_ms = row->ttl_ms,
                          .to_all = str_is(row->to, "*"),
                          .to_sender = str_is(row->to, "$sid"),
                          .member = row->member,
                          .once = row->once,
                          .echo = row->echo};
    err = read_template(r, "join", row->join, false, &rule->join);
    if (!err)
        err = read_template(r, "leave", row->leave, false, &rule->leave);
    if (!err)
        err = read_template(r, "to", row->to, false, &rule->to);
    if (!err)
        err = read_template(r, "data", row->data, true, &rule->data);
    if (!err)
        err = read_template(r, "ack", row->ack, true, &rule->ack);
    return err;
}

int socketio_rules_new(const struct socketio_rule_row *rows, size_t count,
                       struct socketio_rules_error *error, struct socketio_rules **out)
{
    struct socketio_rules *rules = mem_new(sizeof(*rules));
    struct reading r = {.rules = rules, .error = error};
    int err = 0;
    rules->rules = mem_new((count + 1) * sizeof(*rules->rules));
    for (r.row = 0; r.row < count && !err; r.row++) {
        err = read_row(&r, &rows[r.row], &rules->rules[r.row]);
        rules->count++;
    }
    if (err)
        socketio_rules_free(&rules);
    *out = rules;
    return err;
}

void socketio_rules_free(struct socketio_rules **rules)
{
    struct socketio_rules *one = *rules;
    *rules = NULL;
    if (!one)
        return;
    arena_free(&one->arena);
    mem_free(one->rules);
    mem_free(one);
}

/* ---- what a socket has running ------------------------------------------------------------ */

/* An event whose rules are being run; a copy, since the gate may answer later. */
struct run {
    struct list link;
    uint64_t number;
    size_t at;  /* rule that is being run */
    bool emits; /* its join is through */
    bool is_repeat;
    bool is_silent; /* made up for a client that vanished: no ack, no error */
    struct socketio_event ev;
    const struct rule *ack_rule;
    char text[];
};
/* Begun by a rule with `until`. */
struct active {
    struct list link;
    struct timer timer;
    struct socketio_socket *socket;
    const struct rule *rule;
    size_t args_n;
    char args[];
};
struct rules_state {
    struct list runs, active;
    size_t runs_count, active_count;
    uint64_t leaves;
};

static const struct socketio_rules *rules_of(const struct socketio_socket *s)
{
    return socketio_home_of(s->loop)->config->rules;
}

static struct rules_state *state_of(struct socketio_socket *s)
{
    struct rules_state *st = s->rules_data;
    if (!st) {
        st = mem_new(sizeof(*st));
        list_init(&st->runs);
        list_init(&st->active);
        s->rules_data = st;
    }
    return st;
}

static void end_run(struct rules_state *st, struct run *run)
{
    list_drop(&run->link);
    st->runs_count--;
    mem_free(run);
}

static void drop_active(struct rules_state *st, struct active *x)
{
    timer_stop(&x->timer);
    list_drop(&x->link);
    st->active_count--;
    mem_free(x);
}

/* A socket that does nothing just now needs none. */
static void drop_idle_state(struct socketio_socket *s)
{
    struct rules_state *st = s->rules_data;
    if (!st || st->runs_count || st->active_count || st->leaves)
        return;
    s->rules_data = NULL;
    mem_free(st);
}

void socketio_rules_freed(struct socketio_socket *s)
{
    struct rules_state *st = s->rules_data;
    s->rules_data = NULL;
    if (!st)
        return;
    while (!list_is_empty(&st->runs))
        end_run(st, LIST_OF(st->runs.next, struct run, link));
    while (!list_is_empty(&st->active))
        drop_active(st, LIST_OF(st->active.next, struct active, link));
    mem_free(st);
}

/* ---- answers to the client ---------------------------------------------------------------- */

static void send_ack(struct socketio_socket *s, const struct run *run, struct str args)
{
    struct socketio_content what;
    struct arena *a = loop_turn(s->loop);
    if (!run->ev.ack.n || run->is_silent)
        return;
    if (!socketio_content_of(a, args, STR_NONE, &what))
        (void)socketio_answer(s, run->ev.ack, &what);
}

static void refuse(struct socketio_socket *s, struct run *run, int err, const char *detail)
{
    struct buf b = {0}, ack = {0};
    struct str text = str_from(detail ? detail : err_info(err)->text);
    if (!run->is_silent) {
        buf_add_c(&b, '{');
        json_add_field(&b, "message", text);
        json_add_field(&b, "event", run->ev.name);
        buf_add_c(&b, '}');
        (void)socketio_emit(s, STR("error"),
                            &(struct socketio_content){SOCKETIO_ONE, buf_str(&b), STR_NONE}, false);
        buf_add_z(&ack, "[{\"status\":\"error\"");
        json_add_field(&ack, "message", text);
        json_add_field(&ack, "code", str_from(err_info(err)->name));
        buf_add_z(&ack, "}]");
        send_ack(s, run, buf_str(&ack));
    }
    end_run(s->rules_data, run);
    drop_idle_state(s);
    buf_free(&b);
    buf_free(&ack);
}

static void finish(struct socketio_socket *s, struct run *run)
{
    struct buf b = {0};
    if (run->ack_rule)
        template_args(run->ack_rule->ack, s, &run->ev, &b);
    else
        buf_add_z(&b, "[{\"status\":\"ok\"}]");
    send_ack(s, run, buf_str(&b));
    buf_free(&b);
    end_run(s->rules_data, run);
    drop_idle_state(s);
}

/* ---- steps -------------------------------------------------------------------------------- */

static void go_on(struct socketio_socket *s, struct run *run);

static bool add_channel(const struct template *t, const struct socketio_socket *s,
                        const struct socketio_event *ev, struct buf *out)
{
    struct buf name = {0};
    bool good = template_name(t, s, ev, &name) && name.n && name.n <= NAME_MAX_BYTES;
    if (good)
        socketio_channel(out, socketio_nsp(s), buf_str(&name));
    buf_free(&name);
    return good;
}

static void join(struct socketio_socket *s, struct run *run, const struct rule *rule)
{
    struct buf channel = {0};
    char ref[24];
    if (!add_channel(rule->join, s, &run->ev, &channel))
        refuse(s, run, E_BAD_REQUEST, "The event does not say which room");
    else
        session_request(s->session,
                        &(struct request){.type = REQUEST_SUBSCRIBE,
                                          .channel = buf_str(&channel),
                                          .kind = engineio_kind(s->conn),
                                          .is_charged = true,
                                          .ref = str_of(ref, num_put_u64(ref, run->number))});
    buf_free(&channel);
}

static void leave(struct socketio_socket *s, struct run *run, const struct rule *rule)
{
    struct buf channel = {0};
    struct session_sub *ss = NULL;
    if (add_channel(rule->leave, s, &run->ev, &channel))
        ss = session_sub_find(s->session, buf_str(&channel));
    if (ss) {
        session_unsubscribe(s->session, ss);
        state_of(s)->leaves++;
    }
    buf_free(&channel);
}

/* Once for a user and a room, whatever connections it takes; leaving by word begins anew. */
static void add_once_id(struct socketio_socket *s, const struct rule *rule, struct buf *out)
{
    const struct identity *id = session_identity(s->session);
    uint64_t leaves = s->rules_data ? ((struct rules_state *)s->rules_data)->leaves : 0;
    char sid[21];
    buf_add_str(out, rule->emit);
    buf_add_c(out, ' ');
    buf_add_str(out, id->sub.n ? id->sub : socketio_sid(s, sid));
    if (leaves) {
        buf_add_c(out, ' ');
        buf_add_str(out, socketio_sid(s, sid));
        buf_add_u64(out, leaves);
    }
}

static void publish(struct socketio_socket *s, struct run *run, const struct rule *rule,
                    const struct socketio_content *what)
{
    static const enum msg_format forms[] = {[SOCKETIO_ONE] = MSG_JSON,
                                            [SOCKETIO_LIST] = MSG_JSON_LIST,
                                            [SOCKETIO_BYTES] = MSG_BINARY,
                                            [SOCKETIO_ATTACHMENTS] = MSG_ATTACHMENTS};
    struct buf channel = {0}, id = {0};
    char ref[24];
    bool good = true;
    if (rule->to_all)
        socketio_channel(&channel, socketio_nsp(s), STR_NONE);
    else
        good = add_channel(rule->to, s, &run->ev, &channel);
    if (rule->once)
        add_once_id(s, rule, &id);
    struct request r = {.type = REQUEST_PUBLISH,
                        .channel = buf_str(&channel),
                        .ref = str_of(ref, num_put_u64(ref, run->number)),
                        .message = {.event = rule->emit,
                                    .content = what->content,
                                    .attachments = what->attachments,
                                    .id = id.n ? buf_str(&id) : STR_NONE,
                                    .format = forms[what->form],
                                    .no_echo = !rule->echo},
                        .is_charged = true,
                        .wants_echo = rule->echo,
                        .wants_answer = true};
    if (!good)
        refuse(s, run, E_BAD_REQUEST, "The event does not say which room");
    else if (rule->member && !session_sub_find(s->session, r.channel))
        refuse(s, run, E_ACCESS_DENIED, NULL);
    else
        session_request(s->session, &r);
    buf_free(&channel);
    buf_free(&id);
}

static void emit(struct socketio_socket *s, struct run *run, const struct rule *rule)
{
    struct socketio_content what = run->ev.content;
    struct buf args = {0};
    struct arena *a = loop_turn(s->loop);
    int err = 0;
    if (rule->data) {
        template_args(rule->data, s, &run->ev, &args);
        err = socketio_content_of(a, buf_str(&args), run->ev.attachments, &what);
    }
    if (err) {
        refuse(s, run, err, NULL);
    } else if (rule->to_sender) {
        (void)socketio_emit(s, rule->emit, &what, false);
        run->at++;
        go_on(s, run);
    } else {
        publish(s, run, rule, &what);
    }
    buf_free(&args);
}

static bool is_for(const struct rule *rule, const struct socketio_socket *s, struct str event)
{
    return str_eq(rule->on, event) && str_eq(rule->nsp, socketio_nsp(s));
}

/* Runs rules from run->at until one has to wait, or all are through. */
static void go_on(struct socketio_socket *s, struct run *run)
{
    const struct socketio_rules *rules = rules_of(s);
    for (; run->at < rules->count; run->at++) {
        const struct rule *rule = &rules->rules[run->at];
        if (!is_for(rule, s, run->ev.name))
            continue;
        if (rule->ack)
            run->ack_rule = rule;
        if (rule->join && !run->emits) {
            join(s, run, rule);
            return; /* the answer goes on with it */
        }
        if (rule->leave)
            leave(s, run, rule);
        bool is_again = run->emits && run->is_repeat && rule->once;
        run->emits = run->is_repeat = false;
        if (rule->emit.n && !is_again) {
            emit(s, run, rule);
            return;
        }
    }
    finish(s, run);
}

void socketio_rules_answer(struct socketio_socket *s, const struct answer *a)
{
    struct rules_state *st = s->rules_data;
    struct run *run = NULL;
    uint64_t number;
    if (!st || !a->ref.n || !num_u64(a->ref, &number))
        return;
    for (struct list *at = st->runs.next; at != &st->runs; at = at->next)
        if (LIST_OF(at, struct run, link)->number == number)
            run = LIST_OF(at, struct run, link);
    if (!run)
        return;
    if (a->err) {
        refuse(s, run, a->err, a->detail);
        return;
    }
    if (a->type == REQUEST_SUBSCRIBE) {
        run->emits = true;
        run->is_repeat = a->is_repeat;
    } else {
        run->at++;
    }
    go_on(s, run);
}

/* ---- events ------------------------------------------------------------------------------- */

static struct str put(char **at, struct str s)
{
    char *p = *at;
    if (s.n)
        memcpy(p, s.p, s.n);
    *at += s.n;
    return str_of(p, s.n);
}

/* False: there are too many of this client's events under way. */
static bool begin_run(struct socketio_socket *s, const struct socketio_event *ev, bool is_silent)
{
    struct rules_state *st = state_of(s);
    const struct socketio_content *c = &ev->content;
    if (st->runs_count >= RUNS_MAX)
        return false;
    struct run *run = mem_new(sizeof(*run) + ev->name.n + ev->args.n + ev->attachments.n +
                              ev->ack.n + c->content.n);
    char *at = run->text;
    run->number = ++socketio_home_of(s->loop)->number; /* never again: answers may be late */
    run->is_silent = is_silent;
    run->ev.name = put(&at, ev->name);
    run->ev.args = put(&at, ev->args);
    run->ev.attachments = put(&at, ev->attachments);
    run->ev.ack = put(&at, ev->ack);
    run->ev.content.form = c->form;
    run->ev.content.content = put(&at, c->content);
    if (c->form == SOCKETIO_ATTACHMENTS)
        run->ev.content.attachments = run->ev.attachments;
    list_push(&st->runs, &run->link);
    st->runs_count++;
    go_on(s, run);
    return true;
}

/* The end of something that was begun with these arguments. */
static void make_up(struct socketio_socket *s, struct str event, struct str args)
{
    struct arena *a = loop_turn(s->loop);
    struct socketio_event ev = {.name = event, .args = args};
    if (!socketio_content_of(a, args, STR_NONE, &ev.content))
        (void)begin_run(s, &ev, true);
}

static void end_active(struct socketio_socket *s, struct active *x)
{
    struct str args = arena_dup(loop_turn(s->loop), str_of(x->args, x->args_n));
    struct str until = x->rule->until;
    drop_active(s->rules_data, x);
    if (args.p)
        make_up(s, until, args);
}

static void on_ttl(struct loop *l, struct timer *timer)
{
    struct active *x = LIST_OF(timer, struct active, timer);
    (void)l;
    end_active(x->socket, x);
}

static struct active *find_active(const struct rules_state *st, const struct rule *rule,
                                  struct str until, struct str args)
{
    for (struct list *at = st->active.next; at != &st->active; at = at->next) {
        struct active *x = LIST_OF(at, struct active, link);
        if ((x->rule == rule || str_eq(x->rule->until, until)) &&
            str_eq(str_of(x->args, x->args_n), args))
            return x;
    }
    return NULL;
}

enum verdict { RUN_IT, NOTHING_NEW };

/* Begins, goes on with or ends what has a duration. */
static enum verdict note_active(struct socketio_socket *s, const struct rule *rule,
                                const struct socketio_event *ev)
{
    struct rules_state *st = state_of(s);
    struct active *x = find_active(st, rule, rule->until, ev->args);
    if (x) {
        timer_set(s->loop, &x->timer, rule->ttl_ms, on_ttl);
        return NOTHING_NEW;
    }
    if (st->active_count >= ACTIVE_MAX)
        return RUN_IT;
    x = mem_new(sizeof(*x) + ev->args.n);
    x->socket = s;
    x->rule = rule;
    x->args_n = ev->args.n;
    memcpy(x->args, ev->args.p, ev->args.n);
    list_push(&st->active, &x->link);
    st->active_count++;
    timer_set(s->loop, &x->timer, rule->ttl_ms, on_ttl);
    return RUN_IT;
}

/* True: nothing is to be run, for there is no change. */
static bool is_no_change(struct socketio_socket *s, const struct socketio_event *ev)
{
    const struct socketio_rules *rules = rules_of(s);
    for (size_t i = 0; i < rules->count; i++) {
        const struct rule *rule = &rules->rules[i];
        if (!rule->until.n || !str_eq(rule->nsp, socketio_nsp(s)))
            continue;
        if (str_eq(rule->on, ev->name))
            return note_active(s, rule, ev) == NOTHING_NEW;
        if (str_eq(rule->until, ev->name)) {
            struct active *x = find_active(state_of(s), rule, rule->until, ev->args);
            if (!x) {
                drop_idle_state(s);
                return true;
            }
            drop_active(s->rules_data, x);
            return false;
        }
    }
    return false;
}

bool socketio_rules_event(struct socketio_socket *s, const struct socketio_event *ev)
{
    const struct socketio_rules *rules = rules_of(s);
    bool has_rule = false;
    for (size_t i = 0; rules && i < rules->count && !has_rule; i++)
        has_rule = is_for(&rules->rules[i], s, ev->name);
    if (!has_rule)
        return false;
    if (is_no_change(s, ev)) {
        struct socketio_content ok = {SOCKETIO_ONE, STR("{\"status\":\"ok\"}"), STR_NONE};
        if (ev->ack.n)
            (void)socketio_answer(s, ev->ack, &ok);
        return true;
    }
    if (!begin_run(s, ev, false))
        log_debug("protocol", "socketio-busy", "event=%.*s", STR_ARG(str_head(ev->name, 64)));
    return true;
}

/* The session can still be asked: what the client has begun is ended for it. */
void socketio_rules_gone(struct socketio_socket *s)
{
    struct rules_state *st;
    while ((st = s->rules_data) && !list_is_empty(&st->active))
        end_active(s, LIST_OF(st->active.next, struct active, link));
    while ((st = s->rules_data) && !list_is_empty(&st->runs))
        end_run(st, LIST_OF(st->runs.next, struct run, link));
    drop_idle_state(s);
}
