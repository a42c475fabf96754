/* Staged opens: why `echo new > key` never shows an empty file.
 *
 * A shell's `echo new > key` reaches us as LOOKUP, OPEN with O_TRUNC (or
 * CREATE), FLUSH, WRITE, FLUSH, RELEASE. Were the truncation a command of its
 * own, a reader between it and the write would see nothing. So it is staged: it
 * stays in the handle until the first WRITE, and both become one command.
 *
 *                    fs_stage_begin
 *   NONE ────────────────────────────▶ STAGED
 *    ▲                                   │  first WRITE: fs_stage_join; or
 *    │ applied                           │  somebody needs it: publish
 *    │                                   ▼
 *    ├─────────────────────────────── PUBLISHING ◀─────┐
 *    │ outcome unknown: `failed`,        │             │ the owner's next WRITE,
 *    │ and the handle writes no more     │ no effect   │ fsync, ftruncate; flush
 *    │                                   ▼             │ and release, unless
 *    └──────────── RELEASE ─────────── HELD ───────────┘ the owner was told
 *
 * Published without a write by: fsync, ftruncate, chmod and the like, a second
 * FLUSH (the first is the shell's dup2), RELEASE, and by any other request of
 * this node that touches the name or the inode, or that asks what is in its
 * directory, which waits for it. A file that is opened, never written and
 * closed by one close(2) is thus published just after that close returns.
 *
 * Who touches it decides when. The opener's own process and its children get
 * it at once: `exec 3>log; cat log` shows an empty file. A stranger that only
 * reads may have come between OPEN and WRITE: it waits for the write, but not
 * for ever (FS_PATIENCE_TICKS). fstat is asked by every program that writes
 * through stdio, cat and cp among them, between OPEN and WRITE: to the opener
 * and its children it is answered from here, to strangers after publication.
 *
 * A publication that had no effect (no majority, no room) is held back: its
 * owner has an error from write(2) or fsync(2) that says so, and neither FLUSH
 * nor RELEASE may empty the file afterwards. So is one whose first write could
 * not even begin, as it waited in vain for another staged open of the file.
 *
 * Creations are published as exclusive. Where another node made the name first,
 * the handle adopts the file that is there, if its opener might have opened
 * it: the kernel's permission check was for another one. */
#include "fs/stage.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/note.h"
#include "fs/caller.h"

/* A name that others keep making and removing is not fought over for ever. */
#define TRIES_MAX 8u

static bool is_name_of(const struct fs_handle *h, uint64_t parent,
                       struct command_name name)
{
    return h->creates && h->parent == parent && h->name_size == name.size &&
           memcmp(h->name, name.data, name.size) == 0;
}

static struct fs_handle *handle_at(struct px_list *link)
{
    return px_list_entry(link, struct fs_handle, stage_link);
}

/* ---- Publication ---- */

static void enlist(struct fs_handle *h)
{
    h->staging = ++h->fs->stagings;
    px_list_push_back(&h->fs->staged, &h->stage_link);
}

static void leave(struct fs_handle *h, enum fs_stage stage)
{
    px_assert(h->stage == FS_STAGE_PUBLISHING);
    px_assert(stage == FS_STAGE_NONE || stage == FS_STAGE_HELD);
    h->stage = stage;
    px_list_remove(&h->stage_link);
}

static void enter_publishing(struct fs_handle *h, px_ns deadline)
{
    px_assert(h->stage == FS_STAGE_STAGED || h->stage == FS_STAGE_HELD);
    if (h->stage == FS_STAGE_HELD)
        enlist(h);
    h->stage = FS_STAGE_PUBLISHING;
    h->wait.deadline = deadline;
    h->patience = 0;
    h->is_told = false;
}

static uint32_t setid_flag(const struct fs_handle *h)
{
    return h->uid == 0 ? COMMAND_KEEPS_SETID : 0;
}

static void creation_of(const struct fs_handle *h, struct command *cmd)
{
    cmd->flags |= COMMAND_CREATES | COMMAND_EXCLUSIVE;
    cmd->inode = h->inode;
    cmd->parent = h->parent;
    cmd->name = (struct command_name){h->name, h->name_size};
    cmd->mode = h->mode;
    cmd->uid = h->uid;
    cmd->gid = h->gid;
}

static void on_published(struct fs_wait *w, int rc,
                         const struct store_result *result);

/* Called again where the name was taken; its time is not renewed. */
static void propose(struct fs_handle *h)
{
    struct fs *fs = h->fs;
    struct command cmd = {.inode = h->inode, .uid = h->uid, .gid = h->gid};

    if (h->creates) {
        cmd.op = COMMAND_CREATE;
        creation_of(h, &cmd);
    } else {
        cmd.op = COMMAND_SETATTR;
        cmd.attrs = COMMAND_SIZE;
        cmd.flags = setid_flag(h);
    }
    fs->counters.commands++;
    h->wait.done = on_published;
    fs->port.propose(fs->port.ctx, &h->wait, &cmd);
}

static void publish(struct fs_handle *h, px_ns deadline)
{
    enter_publishing(h, deadline);
    propose(h);
}

/* The name was taken when the creation was applied: the file that is there
 * takes its place. 0, or a negative errno: refused. */
static int adopt(struct fs_handle *h, const struct store_inode *there)
{
    uint32_t gid = fs_handle_is_in_group(h, there->gid) ? there->gid : h->gid;
    int rc = fs_may_open(there, h->uid, gid, h->flags);

    if (rc < 0)
        return rc;
    if (!h->is_released && there->inode != h->node) {
        rc = fs_inodes_alias(&h->fs->inodes, h->node, there->inode);
        if (rc < 0)
            return rc;
    }
    rc = fs_handle_move(h, there->inode);
    if (rc < 0)
        return rc;
    h->creates = false;
    h->truncates = (h->flags & O_TRUNC) != 0;
    return 0;
}

/* Looks at what took the name. The state is at least at our own refusal. */
static int find_and_adopt(struct fs_handle *h)
{
    struct fs *fs = h->fs;
    struct command_name name = {h->name, h->name_size};
    struct store_view *v = fs->port.view(fs->port.ctx);
    struct store_inode there;
    int rc;

    if (v == NULL)
        return -EIO;
    rc = store_view_lookup(v, h->parent, name, &there);
    store_view_end(v);
    if (rc == -ENOENT) /* removed again */
        return ++h->tries < TRIES_MAX ? 0 : -EAGAIN;
    return rc < 0 ? rc : adopt(h, &there);
}

/* Why a publication was not proposed, or did it fail otherwise? */
static bool is_without_effect(int rc)
{
    return rc == -EAGAIN || rc == -EINTR || rc == -ENOMEM || rc == -ENOSPC ||
           rc == -EIO;
}

/* The outcome of a publication, alone or with a write. *@error_out: why it
 * failed. */
static enum fs_joined conclude(struct fs_handle *h, int rc,
                               const struct store_result *result,
                               int *error_out)
{
    px_assert(h->stage == FS_STAGE_PUBLISHING);
    if (rc < 0 && !is_without_effect(rc)) {
        h->failed = rc;
        leave(h, FS_STAGE_NONE);
        *error_out = rc;
        return FS_JOINED_FAILED;
    }
    if (rc == 0)
        rc = result->rc;
    if (rc == -EEXIST && h->creates) {
        rc = find_and_adopt(h);
        if (rc == 0)
            return FS_JOINED_AGAIN;
    }
    leave(h, rc < 0 ? FS_STAGE_HELD : FS_STAGE_NONE);
    *error_out = rc;
    return rc < 0 ? FS_JOINED_FAILED : FS_JOINED_DONE;
}

/* After the port has said @rc, are others worth trying? A lack of room is no
 * lack of a majority: whoever looks or removes has an answer. */
static bool can_serve(int rc)
{
    return rc == 0 || rc == -ENOSPC;
}

/* Those who waited go on. The owner's calls share its error; a stranger whose
 * own question could not be answered now either is not made to wait for a
 * second deadline. */
static void wake(struct fs_handle *h, int rc, bool is_served)
{
    struct px_list waiters;
    struct fs_call *c;

    px_list_init(&waiters);
    px_list_splice_back(&waiters, &h->waiters);
    while ((c = fs_unpark(&waiters)) != NULL) {
        if (rc == 0 || rc == -EINTR) {
            fs_resume(c, 0); /* interrupted was another one's call */
        } else if (c->handle == h) {
            h->is_told = true;
            fs_resume(c, rc);
        } else {
            fs_resume(c, is_served ? 0 : -EAGAIN);
        }
    }
}

static void note_lost(const struct fs_handle *h, int rc)
{
    px_note(PX_NOTE_WARN, "fs: close lost a %s inode=%llu error=\"%s\"",
            h->creates ? "creation" : "truncation",
            (unsigned long long)h->inode, px_strerror(rc));
}

static void on_published(struct fs_wait *w, int rc,
                         const struct store_result *result)
{
    struct fs_handle *h = px_list_entry(w, struct fs_handle, wait);
    bool is_served = can_serve(rc);
    int error = 0;

    if (conclude(h, rc, result, &error) == FS_JOINED_AGAIN) {
        if (h->creates || h->truncates) {
            propose(h);
            return;
        }
        leave(h, FS_STAGE_NONE); /* adopted, and nothing left to do to it */
    }
    if (error < 0 && h->is_released)
        note_lost(h, error);
    wake(h, error, is_served);
    if (h->is_released)
        fs_handle_free(h);
}

/* ---- With the first write ---- */

void fs_stage_join(const struct fs_call *c, struct command *cmd)
{
    struct fs_handle *h = c->handle;

    enter_publishing(h, fs_deadline_of(c));
    if (h->creates)
        creation_of(h, cmd);
    else
        cmd->flags |= COMMAND_TRUNCATES;
}

enum fs_joined fs_stage_joined(struct fs_handle *h, int rc,
                               const struct store_result *result,
                               int *error_out)
{
    bool is_served = can_serve(rc);
    enum fs_joined joined = conclude(h, rc, result, error_out);

    switch (joined) {
    case FS_JOINED_AGAIN:
        /* The write is run again at once; those who wait for what is still
         * staged go on waiting. */
        if (h->creates || h->truncates) {
            h->stage = FS_STAGE_STAGED;
            return joined;
        }
        leave(h, FS_STAGE_NONE);
        break;
    case FS_JOINED_FAILED:
        h->is_told = true;
        break;
    case FS_JOINED_DONE:
        break;
    }
    wake(h, joined == FS_JOINED_FAILED ? *error_out : 0, is_served);
    return joined;
}

/* ---- In the way ---- */

static void be_patient(struct fs_handle *h)
{
    if (h->patience == 0)
        h->patience = FS_PATIENCE_TICKS + 1;
}

/* How long a publication for @c may take. A call of the owner is answered with
 * its outcome, so within its time. What little time another one may have left
 * is no reason for it to fail. */
static px_ns publication_deadline(const struct fs_call *c,
                                  const struct fs_handle *h)
{
    return c->handle == h ? fs_deadline_of(c) : fs_deadline(h->fs);
}

/* Does @c wait for the first write to @h, or at once for its publication? */
static bool has_patience(const struct fs_call *c, const struct fs_handle *h,
                         enum fs_touch touch)
{
    return touch == FS_TOUCH_READ && h->stage == FS_STAGE_STAGED &&
           fs_kinship(fuse_req_ctx(c->req)->pid, h->pid) == FS_STRANGER;
}

/* Lets @c wait for @h, and has @h published now or, for a stranger, soon. */
static bool await(struct fs_call *c, struct fs_handle *h, enum fs_touch touch)
{
    bool is_patient = has_patience(c, h, touch);
    px_ns deadline = publication_deadline(c, h); /* parked, @c is a shell */

    if (!fs_park(c, &h->waiters))
        return true;
    fs_timer_start(h->fs);
    if (h->stage == FS_STAGE_PUBLISHING)
        return true;
    if (is_patient)
        be_patient(h);
    else
        publish(h, deadline);
    return true;
}

/* Made in @parent, as far as @c has to know: what began after @c may as well
 * take effect after it. */
static bool is_made_in(const struct fs_handle *h, uint64_t parent,
                       const struct fs_call *c)
{
    return h->creates && h->parent == parent && h->staging <= c->stagings;
}

/* One in @parent that is to be published for @c. With what @c has patience for,
 * its patience begins. */
static struct fs_handle *find_to_publish(struct fs_call *c, uint64_t parent,
                                         enum fs_touch touch)
{
    px_list_for_each (link, &c->fs->staged) {
        struct fs_handle *h = handle_at(link);

        if (h->stage != FS_STAGE_STAGED || !is_made_in(h, parent, c))
            continue;
        if (!has_patience(c, h, touch))
            return h;
        be_patient(h);
    }
    return NULL;
}

bool fs_stage_blocks_name(struct fs_call *c, uint64_t parent,
                          struct command_name name, enum fs_touch touch)
{
    px_list_for_each (link, &c->fs->staged) {
        if (is_name_of(handle_at(link), parent, name))
            return await(c, handle_at(link), touch);
    }
    return false;
}

bool fs_stage_blocks_inode(struct fs_call *c, uint64_t inode,
                           const struct fs_handle *but, enum fs_touch touch)
{
    px_list_for_each (link, &c->fs->staged) {
        if (handle_at(link)->inode == inode && handle_at(link) != but)
            return await(c, handle_at(link), touch);
    }
    return false;
}

/* All begin at once: one after the other would take a commit for each, or even
 * a stranger's patience, and with a dozen of them all the time that @c has. */
bool fs_stage_blocks_parent(struct fs_call *c, uint64_t parent,
                            enum fs_touch touch)
{
    struct fs_handle *h;

    while ((h = find_to_publish(c, parent, touch)) != NULL)
        publish(h, publication_deadline(c, h)); /* which may change the list */
    px_list_for_each (link, &c->fs->staged) {
        if (is_made_in(handle_at(link), parent, c))
            return await(c, handle_at(link), touch);
    }
    return false;
}

bool fs_stage_blocks_owner(struct fs_call *c, struct fs_handle *h)
{
    return h->stage != FS_STAGE_NONE && await(c, h, FS_TOUCH_CHANGE);
}

/* ---- Beginning and end ---- */

void fs_stage_begin(struct fs_handle *h)
{
    struct timespec now = {0};

    px_assert(h->stage == FS_STAGE_NONE);
    px_assert(h->creates || h->truncates);
    /* Only shown, until the state has a time of its own. */
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &now); /* can't fail on Linux */
    h->shown_time = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    h->stage = FS_STAGE_STAGED;
    enlist(h);
    h->fs->counters.staged++;
}

/* What has been proposed may happen; but if it does not, nothing else may. */
void fs_stage_refused(struct fs_handle *h)
{
    h->is_told = true;
    if (h->stage != FS_STAGE_STAGED)
        return;
    h->stage = FS_STAGE_HELD;
    h->patience = 0;
    px_list_remove(&h->stage_link);
    wake(h, 0, true); /* nothing is in their way any more */
}

void fs_stage_release(struct fs_handle *h)
{
    h->is_released = true;
    switch (h->stage) {
    case FS_STAGE_NONE:
        fs_handle_free(h);
        break;
    case FS_STAGE_STAGED:
        publish(h, fs_deadline(h->fs));
        break;
    case FS_STAGE_PUBLISHING:
        break; /* on_published frees it */
    case FS_STAGE_HELD:
        if (h->is_told)
            fs_handle_free(h);
        else
            publish(h, fs_deadline(h->fs));
        break;
    }
}

bool fs_stage_has(const struct fs *fs, uint64_t inode)
{
    px_list_for_each (link, &fs->staged) {
        if (handle_at(link)->inode == inode)
            return true;
    }
    return false;
}

struct fs_handle *fs_stage_seen_by(struct fs *fs, uint64_t inode, pid_t pid)
{
    px_list_for_each (link, &fs->staged) {
        struct fs_handle *h = handle_at(link);

        if (h->inode == inode && h->stage == FS_STAGE_STAGED &&
            fs_kinship(pid, h->pid) != FS_STRANGER)
            return h;
    }
    return NULL;
}

void fs_stage_inode(const struct fs_handle *h, struct store_inode *out)
{
    *out = (struct store_inode){
        .inode = h->inode,
        .mode = h->mode,
        .links = 1,
        .uid = h->uid,
        .gid = h->shown_gid,
        .atime = h->shown_time,
        .mtime = h->shown_time,
        .ctime = h->shown_time,
    };
}

static struct fs_call *unpark_any(struct fs *fs)
{
    px_list_for_each (link, &fs->staged) {
        struct fs_call *c = fs_unpark(&handle_at(link)->waiters);

        if (c != NULL)
            return c;
    }
    return NULL;
}

/* What is answered may change the list. */
void fs_stage_abandon(struct fs *fs)
{
    struct fs_call *c;

    while ((c = unpark_any(fs)) != NULL)
        fs_resume(c, -EAGAIN);
}

/* ---- Ticks: patience, and its end ---- */

/* The publication goes on without it. Others have not begun. The owner's calls
 * end with the publication, which says how it went; one that waited elsewhere
 * first may have less time, and what it was about may yet happen: it is told
 * so, and a release leaves it at that. False: nobody's time is over. */
static bool expire_one(struct fs *fs, px_ns now)
{
    px_list_for_each (link, &fs->staged) {
        struct fs_handle *h = handle_at(link);
        struct fs_call *c = fs_unpark_due(h, now);

        if (c == NULL)
            continue;
        if (c->handle == h)
            h->is_told = true;
        fs_resume(c, c->handle == h ? -PX_EUNKNOWN : -EAGAIN);
        return true; /* the list may have changed */
    }
    return false;
}

static struct fs_handle *find_due(struct fs *fs)
{
    px_list_for_each (link, &fs->staged) {
        if (handle_at(link)->patience == 1)
            return handle_at(link);
    }
    return NULL;
}

void fs_stage_tick(struct fs *fs)
{
    px_ns now = fs->port.now(fs->port.ctx);
    struct fs_handle *h;
    bool is_awaited = false;

    while (expire_one(fs, now)) {
    }
    px_list_for_each (link, &fs->staged) {
        if (handle_at(link)->patience > 1)
            handle_at(link)->patience--;
    }
    while ((h = find_due(fs)) != NULL) /* publish may change the list */
        publish(h, now + fs->request_timeout);
    px_list_for_each (link, &fs->staged)
        is_awaited = is_awaited || !px_list_empty(&handle_at(link)->waiters);
    if (!is_awaited)
        fs_timer_stop(fs);
}
