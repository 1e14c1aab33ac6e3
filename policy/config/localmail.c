/*
 * localmail - what the sendmail section says: how programs of this machine submit mail.
 *
 * Socket and drop folder stand beside the admin socket and the queue where nothing else is
 * said. What comes by the socket is received by a listener of its own, and behind the rules of
 * the file stand two of ours: the one that grants to the users named, and the one that aliases
 * are applied by.
 */
#include "policy/config/localmail.h"

#include "policy/aliases.h"
#include "policy/config/lists.h"
#include "policy/config/valuecheck.h"

static const struct span title = SPAN_INIT("sendmail");
static const struct span nowhere = SPAN_INIT("none");

static void read_users(struct reading *r, const struct key *key,
                       const struct syntax_entry *e, void *object)
{
    (void)key;
    lists_read_logins(r, e, &((struct settings *)object)->sendmail.users);
}

#define IN(field) offsetof(struct settings, sendmail.field)

/* clang-format off */
static const struct key sendmail_keys[] = {
    { "socket", KEY_TEXT, IN(socket), .check = valuecheck_socket },
    { "drop",   KEY_TEXT, IN(drop),   .check = valuecheck_path },
    { "users",  KEY_OWN,  IN(users),  .read = read_users },
};
/* clang-format on */

const struct key_table localmail_table = KEY_TABLE("sendmail", sendmail_keys);

void localmail_check(struct reading *r, const struct syntax_entry *section)
{
    r->settings->sendmail.place = section->place;
}

/* In the folder of another file. */
static struct span beside(struct reading *r, struct span file, const char *name)
{
    size_t slash = span_find_last(file, '/');
    struct buffer b = { 0 };
    struct span path;

    if (slash < file.len)
        buffer_put(&b, span_first(file, slash + 1));
    buffer_put_string(&b, name);
    path = arena_copy(r->arena, buffer_span(&b));
    buffer_fini(&b);
    return path;
}

/* A folder with a very long name keeps nobody from running a relay. */
static struct span usual_socket(struct reading *r)
{
    struct place place = { r->file, 1, 1 };
    struct span path = beside(r, r->settings->admin.socket, "submit.sock");

    if (path.len <= LIMIT_SOCKET_PATH)
        return path;
    faults_warn(&r->faults, place,
                "programs of this machine cannot submit by sendmail: the path "
                "of the socket would have %zu bytes, and %d are possible",
                path.len, LIMIT_SOCKET_PATH);
    return nowhere;
}

static void set_places(struct reading *r, struct sendmail_settings *m)
{
    const struct span anybody = SPAN("*");

    if (!m->socket.len)
        m->socket = usual_socket(r);
    if (!m->drop.len)
        m->drop = beside(r, r->settings->queue.path, "drop");
    if (!m->users.exact_count && !m->users.glob_count)
        names_init(&m->users, r->arena, &anybody, 1);
    m->is_on = !span_is(m->socket, nowhere);
    m->drops = m->is_on && !span_is(m->drop, nowhere);
    m->listener = (struct listener_settings){ .title = title,
                                              .address = m->socket,
                                              .submission = true,
                                              .normalize = true,
                                              .is_local = true,
                                              .place = m->place };
}

static void check_title(struct reading *r, const struct syntax_entry *tree)
{
    for (const struct syntax_entry *e = tree; e; e = e->next)
        if (e->is_section && span_is(e->title.text, title) &&
            (span_is(e->key, SPAN("listener")) ||
             span_is(e->key, SPAN("fetch"))))
            faults_add(&r->faults, e->title.place,
                       "\"sendmail\" is the listener by which programs of this "
                       "machine submit: use another title");
}

/* They stand behind the others, so that "further on" means the same for them. */
static void set_rules(struct settings *s)
{
    struct rule *grant = settings_sendmail_rule(s);
    struct rule *renaming = settings_alias_rule(s);

    *grant = (struct rule){ .title = title,
                            .place = s->sendmail.place,
                            .action = ACTION_RELAY };
    *renaming = (struct rule){ .title = SPAN("aliases"),
                               .place = s->aliases_place,
                               .action = ACTION_REWRITE };
}

/* ------------------------------------------------------------- aliases ---- */

struct reading_aliases {
    struct reading *r;
    struct place place;
};

static int read_file(void *user, const char *path, struct buffer *out,
                     struct buffer *out_why)
{
    const struct settings_source *source =
        ((struct reading_aliases *)user)->r->source;

    if (source->read_list)
        return source->read_list(source->user, path, out, out_why);
    if (source->read_table)
        return source->read_table(source->user, path, out, out_why);
    if (source->read_file)
        return source->read_file(source->user, path, out);
    return ERROR_GONE;
}

static void say(void *user, bool is_warning, const char *file, struct span line)
{
    struct reading_aliases *a = user;

    (is_warning ? faults_warn_lines : faults_add_lines)(
        &a->r->faults, arena_string(a->r->arena, span_of(file)), line);
}

static void read_aliases(struct reading *r)
{
    struct settings *s = r->settings;
    struct reading_aliases a = { r, s->aliases_place };
    struct buffer text = { 0 }, why = { 0 };
    const char *path = arena_string(r->arena, s->aliases_file);
    int rc = read_file(&a, path, &text, &why);

    if (rc < 0)
        faults_add(&r->faults, s->aliases_place,
                   "cannot read the aliases %s: %s",
                   faults_quote(&r->faults, s->aliases_file),
                   why.len ? buffer_string(&why) : error_text(rc));
    else
        s->aliases = aliases_new(r->arena, path, buffer_span(&text),
                                 &(struct aliases_world){ read_file, say, &a });
    buffer_fini(&text);
    buffer_fini(&why);
}

void localmail_finish(struct reading *r, const struct syntax_entry *tree)
{
    struct settings *s = r->settings;

    s->aliases_place = s->sendmail.place;
    if (keys_find(tree, "aliases"))
        s->aliases_place = keys_find(tree, "aliases")->place;
    set_places(r, &s->sendmail);
    if (r->source->is_brief)
        return;
    check_title(r, tree);
    set_rules(s);
    if (s->aliases_file.len)
        read_aliases(r);
}
