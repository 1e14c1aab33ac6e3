/*
 * candidates - what can be typed next, for the shells' completions.
 *
 *   waypost completion words -- WORD ...
 *
 * The words are those behind `waypost`; the last is being typed, and may be empty. Each
 * candidate that begins with it is printed on a line, behind a tab what it means; a line
 * ":files" says that names of files are wanted. Verbs, words and options come from the
 * verbs' tables, ids and destinations from the running relay, titles from the configuration.
 *
 * It is over within a second whatever happens, complains of nothing, and changes nothing.
 */
#ifndef WAYPOST_CANDIDATES_H
#define WAYPOST_CANDIDATES_H

void candidates_print(const char *config, int argc, char **argv);

#endif
