/* SPDX-License-Identifier: Apache-2.0 */
/* Intrusive doubly linked ring. The head is a struct list that points at itself when empty;
 * an unlinked member is all zero, so list_linked() can be asked at any time. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

#define LIST_OF(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
}
static inline bool list_is_empty(const struct list *head)
{
    return head->next == head || head->next == NULL;
}
static inline bool list_linked(const struct list *link)
{
    return link->next != NULL;
}
static inline void list_push(struct list *head, struct list *link) /* at the end */
{
    link->next = head;
    link->prev = head->prev;
    head->prev->next = link;
    head->prev = link;
}
static inline void list_drop(struct list *link) /* harmless when unlinked */
{
    if (!link->next)
        return;
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = link->prev = NULL;
}
static inline struct list *list_take(struct list *head) /* first, or NULL */
{
    struct list *link = head->next;
    if (link == head || !link)
        return NULL;
    list_drop(link);
    return link;
}
/* Moves all members of `from` to the end of `to`. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#endif
