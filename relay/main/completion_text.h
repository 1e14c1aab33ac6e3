/*
 * completion_text - the files in relay/completion, in the program.
 */
#ifndef WAYPOST_COMPLETION_TEXT_H
#define WAYPOST_COMPLETION_TEXT_H

extern const char completion_bash[];
extern const char completion_zsh[];
extern const char completion_fish[];

#endif
