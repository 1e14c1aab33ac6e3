/*
 * command - one command line, taken apart.
 *
 *   command    = verb [1*WSP argument] *WSP
 *   verb       = 1*( any byte but space, tab and controls )
 *   mail       = "FROM:" path parameters
 *   rcpt       = "TO:" path parameters
 */
#include "relay/inbound/command.h"

static bool is_control(char c)
{
    unsigned char u = (unsigned char)c;

    return (u < 32 && u != '\t') || u == 127;
}

enum command_kind command_split(struct span line, struct command *out_command)
{
    size_t n = 0;
    bool has_colon = false;

    for (size_t i = 0; i < line.len; i++)
        if (is_control(line.at[i]))
            return COMMAND_CONTROL;
    for (; n < line.len && line.at[n] != ' ' && line.at[n] != '\t'; n++)
        has_colon |= line.at[n] == ':';
    if (n == 0)
        return COMMAND_GARBAGE;
    if (has_colon)
        return COMMAND_HEADER;
    out_command->verb = span_first(line, n);
    out_command->argument = span_trim(span_skip(line, n));
    return COMMAND_VERB;
}

bool command_path(struct span argument, struct span keyword,
                  struct span *out_path)
{
    if (!span_starts_nocase(argument, keyword))
        return false;
    *out_path = span_skip(argument, keyword.len);
    return true;
}

bool command_is_client_name(struct span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] <= 32 || name.at[i] > 126)
            return false;
    return name.len > 0;
}
