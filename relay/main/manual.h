/*
 * manual - the verbs as a part of waypost(1).
 *
 *   waypost help --man
 *
 * prints the section of verbs as scdoc(5) text, made from the verbs' tables; the build puts
 * it into the page.
 */
#ifndef WAYPOST_MANUAL_H
#define WAYPOST_MANUAL_H

#include <stdio.h>

void manual_print(FILE *to);

#endif
