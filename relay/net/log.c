/*
 * log - what happened, one line each.
 *
 * What a line says is logline.c's; here is where it goes. Each thread gathers
 * its lines in a block of its own and writes them with one write(2), so threads
 * share nothing but the setup, which is replaced whole. Lines about ourselves
 * are written at once.
 *
 * The journal names each line by the program whose standard error it is, and so does whoever
 * gets it from there (rsyslog): our own tag would stand behind that. So where the journal
 * listens to syslog(3) too, lines go to it by that, and have one tag, the right one. But for
 * the last words: of who is gone when it reads them it would not know the unit.
 *
 * When standard error or the file does not take the bytes they are lost: mail
 * goes on without a log. How many a file has lost is said once it takes some.
 */
#include "relay/net/log.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"
#include "policy/vocabulary/remedy.h"
#include "relay/net/logfile.h"
#include "relay/net/logline.h"
#include "relay/net/maillog.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE_MOST = 16 * 1024, /* what does not fit is left out of the line */
    GATHERED_MOST = 32 * 1024,
    IDENT_MOST = 128,
};

/* Never changed once it is in use, never freed: a reload that changes nothing
 * here makes no new one. */
struct setup {
    struct setup *older;
    enum log_form form;
    bool to_syslog;
    bool to_file;
    bool is_journal; /* standard error's reader adds time and host */
    bool spares_stderr; /* the journal gets lines by syslog(3) */
    char hostname[256];
    char tag[64];
    char process[16]; /* "[123]: " */
};

static const struct setup fallback = {
    .form = LOG_POSTFIX,
    .hostname = "localhost",
    .tag = "waypost",
    .process = ": ",
};
static _Atomic(struct setup *) setup_now;
static _Atomic(log_tap_fn *) tap_now;

/* This thread's lines, not written yet, and the time stamp of the last one. */
static _Thread_local struct {
    char bytes[GATHERED_MOST + LINE_MOST];
    struct buffer lines; /* its memory is bytes[], its cap keeps it there */
    time_t stamp_s;
    char stamp[32];
} mine;

static const struct setup *setup(void)
{
    const struct setup *s = atomic_load(&setup_now);

    return s ? s : &fallback;
}

/* systemd.exec(5): JOURNAL_STREAM names the device and inode of a stream that
 * leads to the journal. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char here[64];
    struct stat st;

    if (!stream || fstat(STDERR_FILENO, &st) < 0)
        return false;
    (void)snprintf(here, sizeof here, "%ju:%ju", (uintmax_t)st.st_dev,
                   (uintmax_t)st.st_ino);
    return strcmp(stream, here) == 0;
}

/* To where the log has been all the time. */
static void tell_unwritable(struct span file, int rc, bool had_file)
{
    struct buffer why = { 0 };

    buffer_printf(&why, "the log cannot be written to %.*s", SPAN_FMT(file));
    remedy_put_writing(&why, rc);
    log_text(LOG_WARNING, "%s; until then it %s", buffer_string(&why),
             had_file ? "stays in the file that it was in"
                      : "goes where this line is");
    buffer_fini(&why);
}

void log_open(enum log_form form, struct span tag, bool to_syslog,
              struct span file)
{
    const struct setup *old = setup();
    struct setup *s = NEW(struct setup);
    int rc = 0;

    s->form = form;
    s->to_syslog = to_syslog;
    if (file.len && (rc = logfile_open(file)) < 0)
        tell_unwritable(file, rc, old->to_file);
    s->to_file = file.len > 0 && (rc == 0 || old->to_file);
    s->is_journal = !s->to_file && stderr_is_journal();
    if (s->is_journal && form == LOG_POSTFIX && maillog_is_there())
        s->to_syslog = s->spares_stderr = true;
    (void)snprintf(s->tag, sizeof s->tag, "%.*s", SPAN_FMT(tag));
    (void)snprintf(s->process, sizeof s->process, "[%d]: ", (int)getpid());
    if (gethostname(s->hostname, sizeof s->hostname - 1) < 0)
        (void)snprintf(s->hostname, sizeof s->hostname, "localhost");
    if (old->form == form && old->to_syslog == s->to_syslog &&
        old->to_file == s->to_file &&
        strcmp(old->tag, s->tag) == 0 && old != &fallback) {
        free(s);
        return;
    }
    s->older = atomic_load(&setup_now);
    atomic_store(&setup_now, s);
}

/* "Nov 22 00:32:48 host ", made once a second. */
static void put_stamp(struct buffer *b, const struct setup *s)
{
    struct timespec now;
    struct tm tm;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != mine.stamp_s || !mine.stamp[0]) {
        (void)localtime_r(&now.tv_sec, &tm);
        (void)strftime(mine.stamp, sizeof mine.stamp, "%b %e %H:%M:%S ", &tm);
        mine.stamp_s = now.tv_sec;
    }
    buffer_put_string(b, mine.stamp);
    buffer_put_string(b, s->hostname);
    buffer_put_byte(b, ' ');
}

static void put_json_stamp(struct buffer *b)
{
    struct timespec now;
    struct tm tm;
    char text[32];

    clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &tm);
    (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    buffer_printf(b, "\"time\":\"%s.%03ldZ\",", text, now.tv_nsec / 1000000);
}

static void put_json(struct buffer *b, struct span tag,
                     const struct log_line *line, bool with_time)
{
    buffer_put_byte(b, '{');
    if (with_time)
        put_json_stamp(b);
    buffer_put_string(b, "\"tag\":\"");
    logline_put_json_string(b, tag);
    buffer_put_string(b, "\",");
    logline_put_json(b, line);
    buffer_put_byte(b, '}');
}

/* For the journal, what sd-daemon(3) has: a line without is information. */
static void put_priority(struct buffer *b, enum log_event event)
{
    if (event == LOG_FATAL)
        buffer_put_string(b, "<2>");
    else if (logline_is_warning(event))
        buffer_put_string(b, "<4>");
}

static void put_line(struct buffer *b, const struct setup *s,
                     const struct log_line *line)
{
    if (s->is_journal && !s->to_syslog)
        put_priority(b, line->event);
    if (s->form == LOG_JSON) {
        put_json(b, span_of(s->tag), line, !s->to_syslog);
        return;
    }
    if (!s->to_syslog) {
        if (!s->is_journal)
            put_stamp(b, s);
        buffer_put_string(b, s->tag);
        buffer_put_byte(b, '/');
        buffer_put_string(b, logline_daemon(line->event));
        buffer_put_string(b, s->process);
    }
    logline_put_text(b, line);
}

static void put_to_syslog(const struct setup *s, const struct log_line *line)
{
    struct buffer text = { .cap = LINE_MOST };
    char ident[IDENT_MOST];
    enum maillog_severity severity = line->event == LOG_FATAL ? MAILLOG_FATAL
                                     : logline_is_warning(line->event)
                                         ? MAILLOG_WARNING
                                         : MAILLOG_INFO;

    (void)snprintf(ident, sizeof ident, "%s/%s", s->tag,
                   logline_daemon(line->event));
    put_line(&text, s, line);
    maillog_put(ident, severity, buffer_string(&text));
    if (line->event == LOG_FATAL && !s->is_journal) { /* for who has started us */
        buffer_put_byte(&text, '\n');
        (void)!write(STDERR_FILENO, text.at, text.len);
    }
    buffer_fini(&text);
}

void log_tap(log_tap_fn *tap)
{
    atomic_store(&tap_now, tap);
}

void log_put_object(struct buffer *b, const struct log_line *line)
{
    put_json(b, span_of(setup()->tag), line, true);
}

void log_put(const struct log_line *line)
{
    const struct setup *s = setup();
    log_tap_fn *tap = atomic_load_explicit(&tap_now, memory_order_relaxed);
    struct buffer *b = &mine.lines;
    struct setup last;
    size_t before;

    ASSERT(line->event < LOG_EVENTS);
    if (tap)
        tap(line);
    if (s->spares_stderr && line->event == LOG_FATAL) {
        last = *s;
        last.to_syslog = false;
        s = &last;
    }
    if (s->to_syslog) {
        put_to_syslog(s, line);
        return;
    }
    if (!b->at)
        *b = (struct buffer){ .at = mine.bytes, .size = sizeof mine.bytes };
    before = b->len;
    b->cap =
        b->len + LINE_MOST - 2; /* leaves the line end and a NUL their room */
    put_line(b, s, line);
    b->cap++;
    buffer_put_byte(b, '\n');
    b->overflow = false;
    if (s->to_file && line->event == LOG_FATAL) /* for who has started us */
        (void)!write(STDERR_FILENO, b->at + before, b->len - before);
    if (b->len >= GATHERED_MOST || logline_is_urgent(line->event))
        log_flush();
}

void log_text(enum log_event event, const char *format, ...)
{
    struct buffer text = { .cap = LINE_MOST };
    struct log_line line = { .event = event };
    va_list args;

    va_start(args, format);
    buffer_vprintf(&text, format, args);
    va_end(args);
    line.text = buffer_span(&text);
    log_put(&line);
    buffer_fini(&text);
}

/* Those that a file could not take, now that it takes some again. */
static void tell_lost(void)
{
    int rc;
    uint64_t lost = logfile_take_lost(&rc);
    struct buffer text = { .cap = (size_t)IDENT_MOST * 2 };
    struct log_line line = { .event = LOG_WARNING };

    if (lost == 0)
        return;
    buffer_printf(&text,
                  "%llu lines are missing here: the log could not be "
                  "written: %s",
                  (unsigned long long)lost, error_text(rc));
    line.text = buffer_span(&text);
    mine.lines.cap = LINE_MOST - 2;
    put_line(&mine.lines, setup(), &line);
    mine.lines.cap++;
    buffer_put_byte(&mine.lines, '\n');
    if (!logfile_write(mine.bytes, mine.lines.len))
        logfile_put_lost(lost - 1); /* it has been counted itself */
    mine.lines.len = 0;
    buffer_fini(&text);
}

int log_reopen(void)
{
    return setup()->to_file ? logfile_reopen() : 0;
}

void log_flush(void)
{
    size_t sent = 0;

    if (mine.lines.len && setup()->to_file) {
        bool ok = logfile_write(mine.bytes, mine.lines.len);

        mine.lines.len = 0;
        if (ok)
            tell_lost();
        return;
    }
    while (sent < mine.lines.len) {
        ssize_t n =
            write(STDERR_FILENO, mine.bytes + sent, mine.lines.len - sent);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
    mine.lines.len = 0;
}

void log_render(struct buffer *b, enum log_form form, struct span tag,
                const struct log_line *line)
{
    if (form == LOG_JSON) {
        put_json(b, tag, line, false);
        return;
    }
    buffer_put(b, tag);
    buffer_printf(b, "/%s: ", logline_daemon(line->event));
    logline_put_text(b, line);
}
