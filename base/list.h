/* An intrusive, circular, doubly linked list. The link sits in the element;
 * the list owns nothing. */
#ifndef PX_LIST_H
#define PX_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct px_list {
    struct px_list *next;
    struct px_list *prev;
};

/* The element of type @type whose member @member is @link. */
#define px_list_entry(link, type, member) \
    ((type *)(void *)((char *)(link)-offsetof(type, member)))

/* Walks @head; the current element must not be removed in the body. */
#define px_list_for_each(it, head) \
    for (struct px_list *it = (head)->next; it != (head); it = it->next)

static inline void px_list_init(struct px_list *head)
{
    head->next = head;
    head->prev = head;
}

static inline bool px_list_empty(const struct px_list *head)
{
    return head->next == head;
}

static inline void px_list_push_back(struct px_list *head, struct px_list *link)
{
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

/* Unlinks @link, and leaves it an empty list: removing twice is harmless. */
static inline void px_list_remove(struct px_list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    px_list_init(link);
}

/* The first link, removed; NULL when empty. */
static inline struct px_list *px_list_pop_front(struct px_list *head)
{
    struct px_list *first = head->next;

    if (first == head)
        return NULL;
    px_list_remove(first);
    return first;
}

/* Moves all of @from to the end of @to. */
static inline void px_list_splice_back(struct px_list *to, struct px_list *from)
{
    if (px_list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    px_list_init(from);
}

#endif
