/*
 * sendmail_options - what a call of sendmail asks for.
 *
 *   -tif joe      letters without a value may stand together, the last one may take one,
 *   -fjoe, -f joe which follows it at once or is the next word
 *   --            recipients follow
 *
 * Options and recipients may be mixed, as getopt(3) has it.
 */
#include "relay/main/sendmail_options.h"

#include <string.h>
#include <strings.h>
#include <sysexits.h>

enum value_of { NONE, WANTS, MAY_HAVE }; /* MAY_HAVE: only at once */

typedef const char *option_fn(struct sendmail_options *o, const char *value);

/* -b: what is to be done; NULL: a mode that is for others. */
static const char *set_mode(struct sendmail_options *o, const char *value)
{
    static const struct {
        char letter;
        enum sendmail_mode mode;
    } modes[] = {
        { 'm', SENDMAIL_SUBMITS },
        { 's', SENDMAIL_SPEAKS },
        { 'p', SENDMAIL_LISTS },
        { 'i', SENDMAIL_ALIASES },
    };

    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (value[0] == modes[i].letter && value[1] == '\0') {
            o->mode = modes[i].mode;
            return NULL;
        }
    if (is_one_of(value[0], "dDl"))
        return "the relay is started by \"waypost run\" or the service "
               "manager, "
               "not by sendmail -bd";
    return "this -b mode is not known: -bm, -bs, -bp and -bi are";
}

static const char *set_aliases(struct sendmail_options *o, const char *value)
{
    (void)value;
    o->mode = SENDMAIL_ALIASES;
    return NULL;
}

static const char *set_body(struct sendmail_options *o, const char *value)
{
    o->says_8bit = strcasecmp(value, "8BITMIME") == 0;
    o->says_7bit = strcasecmp(value, "7BIT") == 0;
    return o->says_8bit || o->says_7bit ? NULL : "-B is 7BIT or 8BITMIME";
}

static const char *set_config(struct sendmail_options *o, const char *value)
{
    o->config = value;
    return NULL;
}

static const char *set_sender(struct sendmail_options *o, const char *value)
{
    o->sender = value;
    return NULL;
}

static const char *set_name(struct sendmail_options *o, const char *value)
{
    o->full_name = value;
    return NULL;
}

static const char *set_dots(struct sendmail_options *o, const char *value)
{
    (void)value;
    o->ignores_dots = true;
    return NULL;
}

static const char *set_gathers(struct sendmail_options *o, const char *value)
{
    (void)value;
    o->gathers = true;
    return NULL;
}

static const char *set_notify(struct sendmail_options *o, const char *value)
{
    o->notify = value;
    return NULL;
}

static const char *set_ret(struct sendmail_options *o, const char *value)
{
    o->ret = value;
    if (strcasecmp(value, "full") == 0 || strcasecmp(value, "hdrs") == 0)
        return NULL;
    return "-R is full or hdrs";
}

static const char *set_envid(struct sendmail_options *o, const char *value)
{
    o->envid = value;
    return NULL;
}

/* -oi is -i; what else an option sets is for others. */
static const char *set_old(struct sendmail_options *o, const char *value)
{
    if (strcmp(value, "i") == 0)
        o->ignores_dots = true;
    return NULL;
}

/* -q, -q30m: all of it; -qIid one message, -qRsite and -qSsite what goes there. */
static const char *set_flush(struct sendmail_options *o, const char *value)
{
    o->mode = SENDMAIL_FLUSHES;
    if (value[0] == 'I')
        o->queue_id = value + 1;
    else if (is_one_of(value[0], "RS"))
        o->site = value + 1;
    else if (value[0] != '\0' && (value[0] < '0' || value[0] > '9'))
        return "-q goes alone, or as -qIID, -qRSITE or -qSSITE";
    return NULL;
}

/* clang-format off */
static const struct option_row {
    char letter;   enum value_of value;   option_fn *set; /* NULL: accepted and ignored */
} rows[] = {
    { 'A', WANTS,    NULL },         /* -Ac, -Am: which configuration; there is one */
    { 'B', WANTS,    set_body },
    { 'b', WANTS,    set_mode },
    { 'C', WANTS,    set_config },
    { 'c', NONE,     NULL },         /* -c: mail waits; the relay decides */
    { 'e', WANTS,    NULL },         /* where errors are told: always on standard error */
    { 'F', WANTS,    set_name },
    { 'f', WANTS,    set_sender },
    { 'G', NONE,     NULL },         /* a gateway: nothing is rewritten by its leave */
    { 'h', WANTS,    NULL },         /* hops: Received: lines are counted */
    { 'I', NONE,     set_aliases },
    { 'i', NONE,     set_dots },
    { 'L', WANTS,    NULL },         /* a label for syslog */
    { 'm', NONE,     NULL },         /* the sender, too: always, where he is a recipient */
    { 'N', WANTS,    set_notify },
    { 'n', NONE,     NULL },         /* no aliases: the relay's matter */
    { 'O', WANTS,    NULL },         /* option=value of sendmail.cf */
    { 'o', WANTS,    set_old },
    { 'p', WANTS,    NULL },         /* protocol:host it came from */
    { 'q', MAY_HAVE, set_flush },
    { 'R', WANTS,    set_ret },
    { 'r', WANTS,    set_sender },
    { 't', NONE,     set_gathers },
    { 'U', NONE,     NULL },         /* first submission */
    { 'V', WANTS,    set_envid },
    { 'v', NONE,     NULL },         /* much to say */
    { 'X', WANTS,    NULL },         /* a file for all traffic, or VERP: a listener's matter */
};
/* clang-format on */

static const struct option_row *find(char letter)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].letter == letter)
            return &rows[i];
    return NULL;
}

static int complain(struct buffer *out_why, const char *what, char letter)
{
    buffer_printf(out_why, what, letter);
    return EX_USAGE;
}

/* One word of options; *i goes on when a value is the next word. */
static int read_word(struct sendmail_options *o, int argc, char **argv, int *i,
                     struct buffer *out_why)
{
    for (const char *at = argv[*i] + 1; *at; at++) {
        const struct option_row *row = find(*at);
        const char *value = "", *fault = NULL;

        if (!row)
            return complain(out_why, "there is no option -%c", *at);
        if (row->value != NONE)
            value = at + 1;
        if (row->value == WANTS && *value == '\0') {
            if (++*i >= argc)
                return complain(out_why, "-%c needs a value", *at);
            value = argv[*i];
        }
        if (row->set && (fault = row->set(o, value))) {
            buffer_put_string(out_why, fault);
            return EX_USAGE;
        }
        if (row->value != NONE)
            return 0;
    }
    return 0;
}

/* Recipients are moved behind the options, as getopt(3) does. */
int sendmail_options_read(struct sendmail_options *o, int argc, char **argv,
                          struct buffer *out_why)
{
    int recipients = 0, rc = 0, i = 0;

    *o = (struct sendmail_options){ .mode = SENDMAIL_SUBMITS };
    for (; rc == 0 && i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        if (argv[i][0] == '-' && argv[i][1])
            rc = read_word(o, argc, argv, &i, out_why);
        else
            argv[recipients++] =
                argv[i]; /* before i: what was there was read */
    }
    while (i < argc)
        argv[recipients++] = argv[i++];
    for (int k = 0; k < recipients; k++) /* to the end of the words */
        argv[argc - 1 - k] = argv[recipients - 1 - k];
    o->first = argc - recipients;
    return rc;
}
