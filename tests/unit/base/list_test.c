/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "base/list.h"

struct item {
    int n;
    struct list link;
};

static int take(struct list *head)
{
    struct list *link = list_take(head);
    return link ? LIST_OF(link, struct item, link)->n : -1;
}

TEST(members_come_out_in_order_and_leave_unlinked)
{
    struct list head;
    struct item a = {.n = 1}, b = {.n = 2}, c = {.n = 3};
    list_init(&head);
    assert_true(list_is_empty(&head));
    list_push(&head, &a.link);
    list_push(&head, &b.link);
    list_push(&head, &c.link);
    list_drop(&b.link);
    list_drop(&b.link); /* harmless */
    assert_false(list_linked(&b.link));
    assert_true(list_linked(&a.link));
    assert_int_equal(take(&head), 1);
    assert_int_equal(take(&head), 3);
    assert_int_equal(take(&head), -1);
    assert_false(list_linked(&a.link));
}

TEST(splicing_moves_all_behind_what_is_there)
{
    struct list to, from;
    struct item items[4] = {{.n = 0}, {.n = 1}, {.n = 2}, {.n = 3}};
    list_init(&to);
    list_init(&from);
    list_splice(&to, &from);
    assert_true(list_is_empty(&to));
    list_push(&to, &items[0].link);
    for (int i = 1; i < 4; i++)
        list_push(&from, &items[i].link);
    list_splice(&to, &from);
    assert_true(list_is_empty(&from));
    for (int i = 0; i < 4; i++)
        assert_int_equal(take(&to), i);
    assert_int_equal(take(&to), -1);
}

TEST(a_head_of_zeros_is_empty)
{
    struct list head = {0};
    assert_true(list_is_empty(&head));
    assert_null(list_take(&head));
}
