#include "tests/unit/store/model.h"

void model_init(struct model *m)
{
    memset(m, 0, sizeof *m);
    m->nodes[0] =
        (struct model_node){.inode = ROOT, .type = S_IFDIR, .links = 2};
    for (int i = 0; i < MODEL_NAMES; i++)
        m->nodes[0].names[i] = -1;
}

int model_find(const struct model *m, uint64_t inode)
{
    for (int i = 0; i < MODEL_NODES; i++)
        if (m->nodes[i].inode == inode)
            return i;
    return -1;
}

bool model_is_full(const struct model *m)
{
    int used = 0;

    for (int i = 0; i < MODEL_NODES; i++)
        used += m->nodes[i].inode != 0;
    return used > MODEL_NODES - 2;
}

static bool is_dir(const struct model *m, int node)
{
    return m->nodes[node].type == S_IFDIR;
}

static int name_index(struct command_name name)
{
    return name.data[0] - '0';
}

/* A directory that names may be put in, or the errno. */
static int place(const struct model *m, uint64_t inode, int *node)
{
    *node = model_find(m, inode);
    if (*node < 0)
        return -ENOENT;
    if (!is_dir(m, *node))
        return -ENOTDIR;
    return m->nodes[*node].links == 0 ? -ENOENT : 0;
}

static int add_node(struct model *m, const struct command *c, uint32_t type,
                    int dir)
{
    int node = model_find(m, 0);
    struct model_node *n = &m->nodes[node];

    assert_true(node > 0);
    memset(n, 0, sizeof *n);
    n->inode = c->inode;
    n->type = type;
    n->links = type == S_IFDIR ? 2 : 1;
    n->parent = dir;
    for (int i = 0; i < MODEL_NAMES; i++)
        n->names[i] = -1;
    m->nodes[dir].names[name_index(c->name)] = node;
    if (type == S_IFDIR)
        m->nodes[dir].links++;
    return node;
}

static void lose_name(struct model *m, int node)
{
    struct model_node *n = &m->nodes[node];

    n->links = is_dir(m, node) ? 0 : n->links - 1;
    if (n->links == 0)
        for (int s = 0; s < MODEL_SESSIONS; s++)
            n->held[s] = true;
}

static bool is_empty(const struct model *m, int node)
{
    for (int i = 0; i < MODEL_NAMES; i++)
        if (m->nodes[node].names[i] >= 0)
            return false;
    return true;
}

static int make(struct model *m, const struct command *c, uint32_t type,
                uint64_t *inode_out)
{
    int dir, node, rc = place(m, c->parent, &dir);

    if (rc < 0)
        return rc;
    node = m->nodes[dir].names[name_index(c->name)];
    if (type == S_IFREG && node >= 0) {
        if ((c->flags & COMMAND_EXCLUSIVE) != 0)
            return -EEXIST;
        if (m->nodes[node].type != S_IFREG)
            return is_dir(m, node) ? -EISDIR : -ESTALE;
        if (c->op == COMMAND_CREATE && (c->flags & COMMAND_TRUNCATES) != 0)
            m->nodes[node].size = 0;
        *inode_out = m->nodes[node].inode;
        return node;
    }
    if (node >= 0)
        return -EEXIST;
    node = add_node(m, c, type, dir);
    if (type == S_IFLNK) {
        m->nodes[node].size = c->data_size;
        memcpy(m->nodes[node].bytes, c->data, c->data_size);
    }
    *inode_out = c->inode;
    return node;
}

static int do_link(struct model *m, const struct command *c)
{
    int dir, node = model_find(m, c->inode), rc = place(m, c->new_parent, &dir);
    int *slot;

    if (rc < 0)
        return rc;
    slot = &m->nodes[dir].names[name_index(c->new_name)];
    if (*slot >= 0)
        return -EEXIST;
    if (node < 0)
        return -ENOENT;
    if (is_dir(m, node))
        return -EPERM;
    if (m->nodes[node].links == 0)
        return -ENOENT;
    m->nodes[node].links++;
    *slot = node;
    return 0;
}

static int do_remove(struct model *m, const struct command *c, bool wants_dir)
{
    int dir, node, rc = place(m, c->parent, &dir);

    if (rc < 0)
        return rc;
    node = m->nodes[dir].names[name_index(c->name)];
    if (node < 0)
        return -ENOENT;
    if (wants_dir && !is_dir(m, node))
        return -ENOTDIR;
    if (!wants_dir && is_dir(m, node))
        return -EISDIR;
    if (wants_dir && !is_empty(m, node))
        return -ENOTEMPTY;
    m->nodes[dir].names[name_index(c->name)] = -1;
    m->nodes[dir].links -= wants_dir;
    lose_name(m, node);
    return 0;
}

static bool lies_under(const struct model *m, int node, int top)
{
    while (node != top && node != 0)
        node = m->nodes[node].parent;
    return node == top;
}

static void settle(struct model *m, int node, int from, int to)
{
    if (!is_dir(m, node))
        return;
    m->nodes[from].links--;
    m->nodes[to].links++;
    m->nodes[node].parent = to;
}

static int do_rename(struct model *m, const struct command *c)
{
    bool exchange = (c->flags & COMMAND_EXCHANGE) != 0;
    int from, to = -1, node, other, rc;
    int *source, *target;

    if (exchange && (c->flags & COMMAND_NOREPLACE) != 0)
        return -EINVAL;
    rc = place(m, c->parent, &from);
    if (rc == 0)
        rc = place(m, c->new_parent, &to);
    if (rc < 0)
        return rc;
    source = &m->nodes[from].names[name_index(c->name)];
    target = &m->nodes[to].names[name_index(c->new_name)];
    node = *source;
    other = *target;
    if (node < 0 || (exchange && other < 0))
        return -ENOENT;
    if (other >= 0 && (c->flags & COMMAND_NOREPLACE) != 0)
        return -EEXIST;
    if (node == other)
        return 0;
    if (is_dir(m, node) && lies_under(m, to, node))
        return -EINVAL;
    if (exchange) {
        if (is_dir(m, other) && lies_under(m, from, other))
            return -EINVAL;
        *source = other;
        *target = node;
        settle(m, other, to, from);
        settle(m, node, from, to);
        return 0;
    }
    if (other >= 0) {
        if (is_dir(m, node) != is_dir(m, other))
            return is_dir(m, node) ? -ENOTDIR : -EISDIR;
        if (is_dir(m, other) && !is_empty(m, other))
            return -ENOTEMPTY;
        m->nodes[to].links -= is_dir(m, other);
        lose_name(m, other);
    }
    *source = -1;
    *target = node;
    settle(m, node, from, to);
    return 0;
}

static void resize(struct model_node *n, uint64_t size)
{
    assert_true(size <= MODEL_BYTES_MAX);
    if (size > n->size)
        memset(n->bytes + n->size, 0, size - n->size);
    n->size = size;
}

static int regular(const struct model *m, int node)
{
    if (node < 0)
        return -ENOENT;
    if (m->nodes[node].type == S_IFREG)
        return 0;
    return is_dir(m, node) ? -EISDIR : -EINVAL;
}

static int do_write_op(struct model *m, const struct command *c,
                       uint64_t *inode_out)
{
    uint64_t offset = c->offset;
    struct model_node *n;
    int node, rc;

    if ((c->flags & COMMAND_CREATES) != 0) {
        node = make(m, c, S_IFREG, inode_out);
        if (node < 0)
            return node;
    } else {
        node = model_find(m, c->inode);
        rc = regular(m, node);
        if (rc < 0)
            return rc;
    }
    n = &m->nodes[node];
    *inode_out = n->inode;
    if ((c->flags & COMMAND_TRUNCATES) != 0)
        n->size = 0;
    if ((c->flags & COMMAND_APPENDS) != 0)
        offset = n->size;
    if (c->data_size == 0)
        return 0;
    if (offset + c->data_size > n->size)
        resize(n, offset + c->data_size);
    memcpy(n->bytes + offset, c->data, c->data_size);
    return 0;
}

static int do_setattr(struct model *m, const struct command *c)
{
    int node = model_find(m, c->inode), rc = regular(m, node);

    if (rc == 0)
        resize(&m->nodes[node], c->offset);
    return rc;
}

static void do_release(struct model *m, const struct command *c, int who)
{
    for (size_t i = 0; i < c->inode_count; i++) {
        int node = model_find(m, c->inodes[i]);
        bool is_held = false;

        if (node < 0 || m->nodes[node].links > 0)
            continue;
        m->nodes[node].held[who] = false;
        for (int s = 0; s < MODEL_SESSIONS; s++)
            is_held |= m->nodes[node].held[s];
        if (!is_held)
            m->nodes[node].inode = 0;
    }
}

int model_apply(struct model *m, const struct command *c, int who,
                uint64_t *inode_out)
{
    int rc;

    switch (c->op) {
    case COMMAND_CREATE:
        rc = make(m, c, S_IFREG, inode_out);
        return rc < 0 ? rc : 0;
    case COMMAND_MKDIR:
        rc = make(m, c, S_IFDIR, inode_out);
        return rc < 0 ? rc : 0;
    case COMMAND_SYMLINK:
        rc = make(m, c, S_IFLNK, inode_out);
        return rc < 0 ? rc : 0;
    case COMMAND_LINK:
        return do_link(m, c);
    case COMMAND_UNLINK:
        return do_remove(m, c, false);
    case COMMAND_RMDIR:
        return do_remove(m, c, true);
    case COMMAND_RENAME:
        return do_rename(m, c);
    case COMMAND_WRITE:
        return do_write_op(m, c, inode_out);
    case COMMAND_SETATTR:
        return do_setattr(m, c);
    case COMMAND_RELEASE:
        do_release(m, c, who);
        return 0;
    case COMMAND_REAP:
    case COMMAND_SET_QUOTA:
    case COMMAND_HASH:
    case COMMAND_SESSION_OPEN:
        break;
    }
    fail_msg("the model has no operation %d", (int)c->op);
    return 0;
}

/* ---- Comparing ---- */

static void compare_names(const struct model *m, struct fixture *fx, int node)
{
    char name[2] = "0";

    for (int i = 0; i < MODEL_NAMES; i++) {
        int child = m->nodes[node].names[i];

        name[0] = (char)('0' + i);
        assert_int_equal(lookup(fx, m->nodes[node].inode, name),
                         child < 0 ? 0 : m->nodes[child].inode);
    }
}

static void compare_node(const struct model *m, struct fixture *fx, int node)
{
    const struct model_node *n = &m->nodes[node];
    struct store_inode i = stat_of(fx, n->inode);
    char target[64];

    assert_int_equal(i.mode & S_IFMT, n->type);
    assert_int_equal(i.links, n->links);
    if (n->type == S_IFDIR) {
        if (n->links > 0)
            assert_int_equal(i.parent, m->nodes[n->parent].inode);
        compare_names(m, fx, node);
        return;
    }
    assert_int_equal(i.size, n->size);
    if (n->type == S_IFREG) {
        assert_bytes(fx, n->inode, 0, n->bytes, n->size);
        return;
    }
    assert_int_equal(store_view_begin(fx->v), 0);
    assert_int_equal(
        store_view_readlink(fx->v, n->inode, target, sizeof target), n->size);
    assert_memory_equal(target, n->bytes, n->size);
    store_view_end(fx->v);
}

void model_compare(const struct model *m, struct fixture *fx)
{
    uint64_t count = 0;

    for (int i = 0; i < MODEL_NODES; i++) {
        if (m->nodes[i].inode == 0)
            continue;
        compare_node(m, fx, i);
        count++;
    }
    assert_int_equal(usage_of(fx).inodes, count);
}
