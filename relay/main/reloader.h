/*
 * reloader - reads the configuration again: all of it when asked, tables when they change.
 *
 * A table of a million lines takes a second to read, so reading is done on libuv's pool,
 * one at a time, and the main loop goes on meanwhile.
 *
 *   IDLE -> READING [reloader_start, or a table that changed and has been still for a second]
 *   READING -> IDLE: the settings are given away, or what is wrong with them is logged
 *   READING -> READING: everything was asked for while only tables were being read
 *
 * What is faulty leaves the old settings in use; of tables that is logged once, until they
 * change again. Where several have changed, each is taken by itself: one with a fault keeps its
 * former content, and the others are taken.
 */
#ifndef WAYPOST_RELOADER_H
#define WAYPOST_RELOADER_H

#include "relay/main/sources.h"
#include "relay/main/verbs.h"

#include <uv.h>

enum reload_kind {
    RELOAD_TABLES,            /* the configuration is that of before, byte for byte */
    RELOAD_ALL,
};

struct reloader;

/* settings: NULL: there was a fault, which has been logged. sources: what they were read from.
 * False: they cannot be used. */
typedef bool reloader_done_fn(void *user, enum reload_kind kind,
                              struct settings *take_settings,
                              const struct sources *sources);

/* s: those in use, held. take_warned: what was said of the sources already, as lines. */
struct reloader *reloader_new(uv_loop_t *loop, const struct verb_call *call,
                              struct settings *s, struct sources *take_sources,
                              struct buffer *take_warned,
                              reloader_done_fn *done, void *user);
/* From now on only files in folders that were named so far can be read (sandbox.h), which is
 * said where it is the reason. */
void reloader_fence(struct reloader *r);
/* Tables that keep their former content because of a fault. */
unsigned reloader_faulty(const struct reloader *r);
/* Reads everything; more often than once before it is done is once. */
void reloader_start(struct reloader *r);
/* Within done: what was wrong with what was read, a line each; else empty. */
struct span reloader_faults(const struct reloader *r);
/* done is not called any more. */
void reloader_close(struct reloader *r);
/* When the loop is over. */
void reloader_free(struct reloader *r);

#endif
