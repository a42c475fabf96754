/* SEEDS: names to addresses, in libuv's pool, one name after another. What is
 * known of a name stays until it has been looked up anew with success: while a
 * name server is away, the addresses of before are as good as any. */
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include "base/note.h"
#include "gossip/udp_core.h"

static void look_up_next(struct swim_udp *u);

static void add(struct swim_addr list[SWIM_SEEDS_MAX], size_t *count,
                const struct swim_addr *more, size_t more_count)
{
    for (size_t i = 0; i < more_count && *count < SWIM_SEEDS_MAX; i++)
        list[(*count)++] = more[i];
}

size_t swim_seeds_collect(const struct swim_udp *u,
                          struct swim_addr list[SWIM_SEEDS_MAX])
{
    const size_t seeds_max = SWIM_SEEDS_MAX - u->known_count;
    size_t count = 0;

    for (size_t n = 0; n < SEED_ADDRS_MAX; n++) {
        for (size_t i = 0; i < u->seed_count && count < seeds_max; i++)
            add(list, &count, u->seeds[i].addrs + n,
                n < u->seeds[i].addr_count);
    }
    add(list, &count, u->known, u->known_count);
    return count;
}

/* They go to the core, which asks the first at once. */
static void tell(struct swim_udp *u)
{
    struct swim_addr list[SWIM_SEEDS_MAX];
    struct swim_in in = {.type = SWIM_IN_SEEDS};

    in.seeds.list = list;
    in.seeds.count = swim_seeds_collect(u, list);
    (void)swim_udp_step(u, &in, NULL); /* nothing can be refused */
}

/* Does the way to @seed lead from an address of ours that others can use? One
 * that stays on this machine (Debian's /etc/hosts has 127.0.1.1 for the own name)
 * shows nothing. */
static bool shows_own(const struct swim_addr *seed, struct swim_addr *own_out)
{
    return swim_addr_towards(seed, own_out) == 0 &&
           !swim_addr_is_loopback(own_out);
}

/* The first way to a seed shows where others find us. What we have said of that
 * stays as long as any way shows it: name servers turn their lists round, and
 * with each change our peers would dial us anew. */
static void find_own_address(struct swim_udp *u)
{
    struct swim_addr seeds[SWIM_SEEDS_MAX];
    size_t count = swim_seeds_collect(u, seeds);
    struct swim_addr first;
    bool is_found = false;

    for (size_t i = 0; i < count; i++) {
        struct swim_addr own;

        if (!shows_own(&seeds[i], &own))
            continue;
        if (memcmp(own.ip, u->about.gossip.ip, sizeof own.ip) == 0)
            return;
        if (!is_found)
            first = own;
        is_found = true;
    }
    if (is_found)
        swim_udp_found_at(u, &first);
}

/* A socket for IPv6 gets to IPv4 only if it isn't bound to one address. */
static bool can_go_to(const struct swim_udp *u, const struct swim_addr *addr)
{
    struct sockaddr_storage unused;
    const bool is_v4 = swim_addr_to(addr, AF_INET, &unused);

    return u->family == AF_INET ? is_v4 : u->is_any || !is_v4;
}

void swim_seed_take(struct swim_udp *u, struct swim_seed_name *seed,
                    const struct addrinfo *found)
{
    const size_t left_before = seed->left_count;

    seed->addr_count = 0;
    seed->left_count = 0;
    for (; found != NULL; found = found->ai_next) {
        struct swim_addr addr = swim_addr_of(found->ai_addr);

        addr.port = seed->port;
        if (!can_go_to(u, &addr))
            continue;
        if (seed->addr_count < SEED_ADDRS_MAX)
            seed->addrs[seed->addr_count++] = addr;
        else
            seed->left_count++;
    }
    if (seed->left_count > 0 && left_before == 0) /* not at each lookup */
        px_note(PX_NOTE_WARN,
                "gossip: a seed has more addresses than can be kept: "
                "name=%s kept=%zu left=%zu",
                seed->host, seed->addr_count, seed->left_count);
}

static void on_found(uv_getaddrinfo_t *lookup, int status,
                     struct addrinfo *found)
{
    struct swim_udp *u = lookup->data;

    if (status == 0 && !u->is_closing) {
        swim_seed_take(u, &u->seeds[u->seed_next], found);
        find_own_address(u); /* before anybody is told of us */
        /* Who asks for the seeds upon that is answered by this round. */
        tell(u);
    }
    uv_freeaddrinfo(found);
    u->is_looking = false;
    u->seed_next++;
    if (!u->is_closing)
        look_up_next(u);
    swim_udp_release(u);
}

static void look_up_next(struct swim_udp *u)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};

    u->lookup.data = u;
    while (u->seed_next < u->seed_count && !u->is_looking) {
        if (uv_getaddrinfo(u->loop, &u->lookup, on_found,
                           u->seeds[u->seed_next].host, NULL, &hints) == 0) {
            u->is_looking = true; /* U3 */
            swim_udp_hold(u);
        } else {
            u->seed_next++; /* it is no name at all */
        }
    }
}

void swim_seeds_known(struct swim_udp *u)
{
    if (u->known_count == 0)
        return;
    find_own_address(u); /* before anybody is told of us */
    tell(u);
}

void swim_seeds_look_up(struct swim_udp *u)
{
    if (u->is_looking || u->is_closing)
        return;
    u->seed_next = 0;
    look_up_next(u);
}

void swim_seeds_local(struct swim_udp *u, uint16_t first_port)
{
    struct swim_addr list[SWIM_SEEDS_MAX];
    struct swim_in in = {.type = SWIM_IN_SEEDS};

    in.seeds.list = list;
    for (unsigned i = 0; i < SWIM_PORTS && first_port + i <= UINT16_MAX; i++) {
        struct swim_addr *addr = &list[in.seeds.count++];

        *addr = u->about.gossip;
        addr->port = (uint16_t)(first_port + i);
    }
    add(list, &in.seeds.count, u->known, u->known_count);
    find_own_address(u);               /* before anybody is told of us */
    (void)swim_udp_step(u, &in, NULL); /* nothing can be refused */
}

void swim_seeds_cancel(struct swim_udp *u)
{
    if (u->is_looking) /* fails if it has begun: then it ends by itself */
        (void)uv_cancel((uv_req_t *)&u->lookup);
}
