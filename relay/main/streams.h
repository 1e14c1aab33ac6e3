/*
 * streams - standard input, output and error, as whoever calls a program has left them.
 */
#ifndef WAYPOST_STREAMS_H
#define WAYPOST_STREAMS_H

/* One that is closed is taken, by something that can be neither read nor written: else the next
 * file opened would be it, and what is printed would go into that file. */
void streams_open(void);
/* The exit code, now that all is printed: where standard output did not take it EX_IOERR, and
 * one sentence; where its reader has gone (waypost queue list | head -1) nobody is told. */
int streams_close(int code);

#endif
