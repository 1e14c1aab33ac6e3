/*
 * top_terminal - a terminal that is ours for a while, and is given back as it was.
 *
 * One terminal for a process, so its state is static: signal handlers need it.
 */
#include "relay/main/top_terminal.h"

#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios before;
static volatile sig_atomic_t is_open, is_over;

/* Alternate screen, cursor hidden, no wrap; and back. */
static const char enter[] = "\033[?1049h\033[?25l\033[?7l\033[2J";
static const char leave[] = "\033[?7h\033[?25h\033[?1049l";

static void say(const char *text, size_t len)
{
    while (len) {
        ssize_t n = write(STDOUT_FILENO, text, len);

        if (n <= 0)
            return;
        text += n;
        len -= (size_t)n;
    }
}

static void take(void)
{
    struct termios raw = before;

    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    say(enter, sizeof enter - 1);
    is_open = 1;
}

/* From signal handlers, too. */
static void give_back(void)
{
    if (!is_open)
        return;
    is_open = 0;
    say(leave, sizeof leave - 1);
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

/* The second time it does not wait for the relay's answer. */
static void on_end(int number)
{
    if (is_over) {
        give_back();
        _exit(128 + number);
    }
    is_over = 1;
}

static void on_death(int number)
{
    give_back();
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void on_stop(int number)
{
    give_back();
    (void)raise(SIGSTOP);
    (void)number;
    take();
}

bool top_terminal_open(void)
{
    static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };
    static const int deaths[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE };

    if (tcgetattr(STDIN_FILENO, &before) < 0)
        return false;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        (void)signal(ends[i], on_end);
    for (size_t i = 0; i < sizeof deaths / sizeof deaths[0]; i++)
        (void)signal(deaths[i], on_death);
    (void)signal(SIGTSTP, on_stop);
    take();
    return true;
}

void top_terminal_close(void)
{
    give_back();
}

void top_terminal_size(size_t *out_columns, size_t *out_rows)
{
    struct winsize w = { 0 };

    (void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &w);
    *out_columns = w.ws_col ? w.ws_col : 80;
    *out_rows = w.ws_row ? w.ws_row : 24;
}

void top_terminal_show(struct span page)
{
    struct buffer b = { 0 };

    /* line by line over what is there, so that nothing flickers; no line end behind the
     * last, which may stand in the last row */
    buffer_put_string(&b, "\033[H");
    while (page.len) {
        buffer_put(&b, span_split(page, '\n', &page));
        buffer_put_string(&b, page.len ? "\033[K\r\n" : "\033[K");
    }
    buffer_put_string(&b, "\033[J");
    say(b.at, b.len);
    buffer_fini(&b);
}

bool top_terminal_is_over(void)
{
    return is_over;
}

enum top_key top_terminal_key(struct span *io)
{
    static const struct {
        const char *bytes;
        enum top_key key;
    } keys[] = {
        { "\033[C", TOP_KEY_NEXT }, { "\033[B", TOP_KEY_NEXT },
        { "\033OC", TOP_KEY_NEXT }, { "\033[D", TOP_KEY_BACK },
        { "\033[A", TOP_KEY_BACK }, { "\033OD", TOP_KEY_BACK },
        { "\033[Z", TOP_KEY_BACK }, { "\t", TOP_KEY_NEXT },
        { "q", TOP_KEY_QUIT },      { "Q", TOP_KEY_QUIT },
        { "\004", TOP_KEY_QUIT },   { "1", TOP_KEY_FIRST },
        { "2", TOP_KEY_FIRST + 1 }, { "3", TOP_KEY_FIRST + 2 },
        { "4", TOP_KEY_FIRST + 3 },
    };

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (span_starts_nocase(*io, span_of(keys[i].bytes))) {
            *io = span_skip(*io, strlen(keys[i].bytes));
            return keys[i].key;
        }
    *io = span_skip(*io, 1);
    return TOP_KEY_NONE;
}
