/*
 * completion_verb - what a shell needs to complete `waypost`.
 *
 * The files in relay/completion are in the program, as they are; they ask `waypost
 * completion words` what can be typed next: see candidates.h.
 */
#include "relay/main/candidates.h"
#include "relay/main/completion_text.h"
#include "relay/main/verbs.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum { BASH, ZSH, FISH };

/* clang-format off */
static const struct verb_sub subs[] = {
    [BASH] = { "bash", "", "for bash", VALUE_WORD, NULL },
    [ZSH]  = { "zsh",  "", "for zsh", VALUE_WORD, NULL },
    [FISH] = { "fish", "", "for fish", VALUE_WORD, NULL },
    { NULL, NULL, NULL, VALUE_WORD, NULL },
};
static const char *const texts[] = {
    [BASH] = completion_bash, [ZSH] = completion_zsh, [FISH] = completion_fish,
};
/* clang-format on */

static int run_completion(const struct verb_call *call)
{
    int sub;

    if (call->argc >= 2 && strcmp(call->argv[0], "words") == 0 &&
        strcmp(call->argv[1], "--") == 0) {
        candidates_print(call->config, call->argc - 2, call->argv + 2);
        return EX_OK;
    }
    sub = verbs_sub(call);
    if (sub < 0)
        return EX_USAGE;
    if (call->argc > 1)
        return verbs_usage(call, "completion takes no argument \"%s\"",
                           call->argv[1]);
    (void)fputs(texts[sub], stdout);
    return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

/* clang-format off */
const struct verb completion_verb = {
    .name = "completion", .run = run_completion, .subs = subs, .needs_no_config = true,
    .arguments = "bash|zsh|fish",
    .help = "print what a shell needs to complete these verbs",
    .more =
        "Where Waypost is installed the shells find it by themselves. It completes verbs, words\n"
        "and options, and asks the running relay for ids and destinations, for a second at most.\n"
        "\n"
        "Exit codes: 0 done; 64 there is nothing for such a shell.\n",
    .examples = {
        { "eval \"$(waypost completion bash)\"", "from now on, in this shell" },
        { "waypost completion fish | source", "the same in fish" },
    },
};
/* clang-format on */
