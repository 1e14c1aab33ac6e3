/*
 * settings - a configuration that has been understood.
 *
 *   text -> token -> syntax (tree) -> sections, by tables of keys -> settings
 *                                  -> route index -> doubts (warnings)
 *
 * The tables of keys stand in policy/config/: sections.c, listeners.c, rules.c,
 * routes.c. Any fault, and there are no settings; all faults are told.
 *
 * Owns the arena that everything lives in (compiled expressions too) and the
 * route index; the tree is gone when settings_read returns.
 */
#include "policy/settings.h"

#include "policy/config/doubts.h"
#include "policy/config/sections.h"
#include "policy/config/tables.h"
#include "policy/route.h"
#include "policy/rule_index.h"
#include "policy/vocabulary/address.h"
#include "policy/vocabulary/memory.h"

#include <stdlib.h>

/* What holds when there is no file at all. */
static const char built_in[] =
    "listener \"local\"   { address = \"127.0.0.1:2525\" }\n"
    "rule \"this host\"   { client = {\"127.0.0.0/8\", \"::1\"} action = relay "
    "}\n"
    "route \"*\"          { via = {\"mx\"} }\n";

static struct span in_state_folder(struct arena *a, const char *folder,
                                   const char *name)
{
    struct buffer b = { 0 };
    struct span path;

    if (folder && *folder)
        buffer_printf(&b, "%s/", folder);
    buffer_put_string(&b, name);
    path = arena_copy(a, buffer_span(&b));
    buffer_fini(&b);
    return path;
}

/* The defaults that only the caller knows. */
static void set_place_defaults(struct reading *r,
                               const struct settings_source *source)
{
    struct settings *s = r->settings;
    struct span name = span_of(source->machine_name);
    struct buffer folded = { 0 };

    if (domain_fold(name, &folded) == 0) {
        s->hostname = arena_copy(&s->arena, buffer_span(&folded));
    } else {
        s->hostname = SPAN("localhost");
        r->has_no_name = true;
    }
    buffer_fini(&folded);
    s->queue.path =
        in_state_folder(&s->arena, source->state_folder, "queue.db");
    s->admin.socket =
        in_state_folder(&s->arena, source->state_folder, "waypost.sock");
}

/* In the folder of the queue. */
static struct span beside_queue(struct settings *s, const char *name)
{
    size_t slash = span_find_last(s->queue.path, '/');
    struct buffer b = { 0 };
    struct span path;

    if (slash < s->queue.path.len)
        buffer_put(&b, span_first(s->queue.path, slash + 1));
    buffer_put_string(&b, name);
    path = arena_copy(&s->arena, buffer_span(&b));
    buffer_fini(&b);
    return path;
}

static void doubt_name(struct reading *r, const struct syntax_entry *tree,
                       const struct settings_source *source)
{
    if (r->has_no_name && !keys_find(tree, "hostname"))
        faults_warn(&r->faults, (struct place){ r->file, 1, 1 },
                    "no hostname, and this machine's name %s is not a domain: "
                    "localhost is used",
                    faults_quote(&r->faults, span_of(source->machine_name)));
}

static void read_all(struct reading *r, const struct settings_source *source)
{
    struct settings *s = r->settings;
    struct syntax x = { .names = &s->arena,
                        .faults = &r->faults,
                        .read_file = source->read_file,
                        .user = source->user };
    struct syntax_entry *tree;

    sections_set_defaults(r);
    set_place_defaults(r, source);
    tree = source->path ? syntax_read(&x, source->path)
                        : syntax_parse(&x, span_of(built_in), r->file);
    sections_read(r, tree);
    tables_finish(r);
    if (s->origin.len == 0)
        s->origin = s->hostname;
    if (s->admin.tokens.len == 0)
        s->admin.tokens = beside_queue(s, "tokens");
    if (s->srs.domain.len == 0)
        s->srs.domain = s->origin;
    doubt_name(r, tree, source);
    syntax_fini(&x);
}

struct settings *settings_read(const struct settings_source *source,
                               struct buffer *out_faults,
                               struct buffer *out_warnings)
{
    struct settings *s = NEW(struct settings);
    struct reading r = { .settings = s,
                         .source = source,
                         .arena = &s->arena,
                         .faults.arena = &s->arena };
    bool ok;

    atomic_init(&s->holders, 1);
    r.file = arena_string(&s->arena,
                          span_of(source->path ? source->path : "(built in)"));
    read_all(&r, source);
    ok = r.faults.fault_count == 0;
    if (ok && !source->is_brief) {
        s->route_index = route_index_new(s->routes, s->route_count);
        s->rule_index = rule_index_new(s->rules, s->rule_count);
        doubts_find(&r);
    }
    faults_write(&r.faults, out_faults, out_warnings);
    faults_fini(&r.faults);
    if (ok)
        return s;
    settings_release(s);
    return NULL;
}

struct settings *settings_hold(struct settings *s)
{
    unsigned before =
        atomic_fetch_add_explicit(&s->holders, 1, memory_order_relaxed);

    ASSERT(before > 0);
    return s;
}

void settings_release(struct settings *s)
{
    if (!s ||
        atomic_fetch_sub_explicit(&s->holders, 1, memory_order_acq_rel) != 1)
        return;
    route_index_free(s->route_index);
    rule_index_free(s->rule_index);
    for (size_t i = 0; i < s->table_count; i++)
        table_free(s->tables[i]);
    arena_reset(&s->arena);
    free(s);
}
