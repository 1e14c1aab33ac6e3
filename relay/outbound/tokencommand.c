/*
 * tokencommand - a program that prints a token.
 *
 *   RUNNING -> exit and both pipes at their end -> ENDED [end]
 *   RUNNING -> time over, or too much output -> killed -> exit -> ENDED
 *   RUNNING -> exit, but another process holds a pipe -> lingers -> ENDED
 *   RUNNING -> tokencommand_stop -> killed -> exit -> ENDED, done does not come
 *   ENDED -> all handles closed -> freed [on_closed]
 */
#include "relay/outbound/tokencommand.h"

#include "policy/vocabulary/memory.h"
#include "relay/outbound/secret.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINGER_MS = 100, LINGERS = 5, HANDLES = 4, VARIABLE_MOST = 4096 };

struct tokencommand {
    uv_process_t process;
    uv_pipe_t out, err;
    uv_timer_t timer;
    unsigned open; /* handles */
    char **arguments;
    int64_t most_ms;
    struct buffer output, errors;
    char block[4096];
    int rc; /* of starting it */
    bool is_running, is_killed, is_ended;
    bool output_over, errors_over;
    unsigned lingers; /* left */
    int64_t exit_status;
    int exit_signal;
    tokencommand_fn *done;
    void *user;
};

/* ------------------------------------------------------------------ the end ---- */

static void free_words(char **words)
{
    for (char **w = words; *w; w++)
        free(*w);
    free(words);
}

static void on_closed(uv_handle_t *handle)
{
    struct tokencommand *c = handle->data;

    if (--c->open > 0)
        return;
    free_words(c->arguments);
    secret_wipe(&c->output);
    secret_wipe(&c->errors);
    explicit_bzero(c->block, sizeof c->block);
    free(c);
}

static int say_why(struct tokencommand *c, struct buffer *why)
{
    buffer_put_string(why, "token-command ");
    buffer_put_escaped(why, span_of(c->arguments[0]));
    if (c->rc < 0)
        buffer_printf(why, " cannot be started: %s", error_text(c->rc));
    else if (c->output.overflow)
        buffer_put_string(why, " printed more than 16 KB");
    else if (c->is_killed)
        buffer_printf(why, " did not end within %lld s",
                      (long long)(c->most_ms + 999) / 1000);
    else if (c->exit_signal)
        buffer_printf(why, " was ended by signal %d", c->exit_signal);
    else
        buffer_printf(why, " ended with exit status %lld",
                      (long long)c->exit_status);
    return c->rc < 0            ? c->rc
           : c->output.overflow ? ERROR_TOO_BIG
           : c->is_killed       ? -ETIMEDOUT
                                : ERROR_PROTOCOL;
}

static void end(struct tokencommand *c)
{
    struct buffer why = { 0 };
    struct tokencommand_end e = { .output = buffer_span(&c->output),
                                  .errors = buffer_span(&c->errors) };

    if (c->is_ended)
        return;
    c->is_ended = true;
    if (c->rc < 0 || c->is_killed || c->output.overflow || c->exit_signal ||
        c->exit_status)
        e.rc = say_why(c, &why);
    e.why = buffer_span(&why);
    if (c->done)
        c->done(c->user, &e);
    buffer_fini(&why);
    uv_close((uv_handle_t *)&c->process, on_closed);
    uv_close((uv_handle_t *)&c->out, on_closed);
    uv_close((uv_handle_t *)&c->err, on_closed);
    uv_close((uv_handle_t *)&c->timer, on_closed);
}

/* The whole group: what a script has started goes with it. */
static void kill_it(struct tokencommand *c)
{
    if (c->is_killed || !c->is_running)
        return;
    c->is_killed = true;
    (void)kill(-c->process.pid, SIGKILL);
}

static void on_timer(uv_timer_t *t);

/* In parts: a loop that was held up for long runs its timers before it reads. */
static void linger(struct tokencommand *c)
{
    c->lingers--;
    (void)uv_timer_start(&c->timer, on_timer, LINGER_MS, 0);
}

static void on_timer(uv_timer_t *t)
{
    struct tokencommand *c = t->data;

    if (c->is_running)
        kill_it(c);
    else if (c->lingers > 0)
        linger(c);
    else
        end(c);
}

static void look_for_end(struct tokencommand *c)
{
    if (c->is_running)
        return;
    if (c->is_killed || (c->output_over && c->errors_over))
        end(c);
}

static void on_process_end(uv_process_t *p, int64_t status, int term_signal)
{
    struct tokencommand *c = p->data;

    c->is_running = false;
    c->exit_status = status;
    c->exit_signal = term_signal;
    c->lingers = LINGERS;
    look_for_end(c);
    if (!c->is_ended)
        linger(c);
}

void tokencommand_stop(struct tokencommand *c)
{
    if (!c || c->is_ended)
        return;
    c->done = NULL;
    if (c->is_running)
        kill_it(c);
    else
        end(c);
}

/* ------------------------------------------------------------------- output ---- */

static void on_room_wanted(uv_handle_t *handle, size_t hint, uv_buf_t *out)
{
    struct tokencommand *c = handle->data;

    (void)hint;
    *out = uv_buf_init(c->block, sizeof c->block);
}

static void on_output(uv_stream_t *s, ssize_t n, const uv_buf_t *block)
{
    struct tokencommand *c = s->data;

    if (n > 0)
        buffer_put(&c->output, span_make(block->base, (size_t)n));
    if (c->output.overflow)
        kill_it(c);
    if (n >= 0 && !c->output.overflow)
        return;
    (void)uv_read_stop(s);
    c->output_over = true;
    look_for_end(c);
}

static void on_errors(uv_stream_t *s, ssize_t n, const uv_buf_t *block)
{
    struct tokencommand *c = s->data;

    if (n > 0) /* what does not fit is read and left out */
        buffer_put(&c->errors,
                   span_first(span_make(block->base, (size_t)n),
                              TOKENCOMMAND_ERRORS_MOST - c->errors.len));
    if (n >= 0)
        return;
    (void)uv_read_stop(s);
    c->errors_over = true;
    look_for_end(c);
}

/* -------------------------------------------------------------------- start ---- */

static char **copy_words(const struct span *words, size_t count)
{
    char **copy = NEW_ARRAY(char *, count + 1);

    for (size_t i = 0; i < count; i++)
        copy[i] = span_dup(words[i]);
    return copy;
}

/* Those of our own variables that a program may know. */
static char **environment(void)
{
    static const char *const names[] = { "PATH", "HOME", "LANG" };
    char **e = NEW_ARRAY(char *, sizeof names / sizeof names[0] + 1);
    size_t n = 0;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        struct buffer b = { .cap = VARIABLE_MOST };

        if (!value)
            continue;
        buffer_printf(&b, "%s=%s", names[i], value);
        if (!b.overflow)
            e[n++] = span_dup(buffer_span(&b));
        buffer_fini(&b);
    }
    return e;
}

static int spawn(uv_loop_t *loop, struct tokencommand *c)
{
    char **variables = environment();
    uv_stdio_container_t stdio[] = {
        { .flags = UV_IGNORE },
        { .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
          .data.stream = (uv_stream_t *)&c->out },
        { .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
          .data.stream = (uv_stream_t *)&c->err },
    };
    uv_process_options_t o = {
        .file = c->arguments[0],
        .args = c->arguments,
        .env = variables,
        .exit_cb = on_process_end,
        .flags = UV_PROCESS_DETACHED, /* a session and group of its own */
        .stdio_count = 3,
        .stdio = stdio,
    };
    int rc = uv_spawn(loop, &c->process, &o);

    free_words(variables);
    return rc;
}

struct tokencommand *tokencommand_start(uv_loop_t *loop,
                                        const struct span *arguments,
                                        size_t count, int64_t most_ms,
                                        tokencommand_fn *done, void *user)
{
    struct tokencommand *c = NEW(struct tokencommand);

    ASSERT(count > 0);
    c->arguments = copy_words(arguments, count);
    c->most_ms = most_ms;
    c->done = done;
    c->user = user;
    c->open = HANDLES;
    c->output.cap = TOKENCOMMAND_OUTPUT_MOST;
    c->errors.cap = TOKENCOMMAND_ERRORS_MOST;
    (void)buffer_room(&c->output, TOKENCOMMAND_OUTPUT_MOST);
    (void)uv_pipe_init(loop, &c->out, 0);
    (void)uv_pipe_init(loop, &c->err, 0);
    (void)uv_timer_init(loop, &c->timer);
    c->process.data = c->out.data = c->err.data = c->timer.data = c;
    c->rc = spawn(loop, c);
    c->is_running = c->rc == 0;
    if (c->is_running) {
        (void)uv_read_start((uv_stream_t *)&c->out, on_room_wanted, on_output);
        (void)uv_read_start((uv_stream_t *)&c->err, on_room_wanted, on_errors);
    }
    /* when it could not be started, the end comes in the next turn */
    (void)uv_timer_start(&c->timer, on_timer,
                         c->is_running ? (uint64_t)most_ms : 0, 0);
    return c;
}
