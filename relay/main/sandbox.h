/*
 * sandbox - the relay keeps itself from what it does not need.
 *
 * So that a fault in it is of little use to who finds it: it can reach the files that its
 * settings name and the system's public ones (fence.h), run no programs, and make no calls
 * that mail has no need of (callfilter.h). Where the settings have programs run for us
 * (token-command, PAM), these need files and calls that nobody can know: files are not limited
 * then, and execve is left.
 *
 * It can be entered, but neither left nor widened. Settings of a reload that need more are
 * refused; a restart has them.
 */
#ifndef WAYPOST_SANDBOX_H
#define WAYPOST_SANDBOX_H

#include "policy/settings.h"
#include "relay/main/sources.h"

enum { SANDBOX_TEXT = 200 };

struct sandbox {
    struct sandbox_grant *grants; /* where it is fenced */
    bool is_fenced, is_filtered, runs_programs;
    char text[SANDBOX_TEXT]; /* what it is, for people */
};

/* What cannot be had of this kernel is a warning, a line each, and no failure. Before there
 * is a second thread, after privilege_close_doors. The folders that are written to
 * must be there. */
void sandbox_enter(struct sandbox *b, const struct settings *s,
                   const char *config, const struct sources *sources,
                   struct buffer *out_warnings);
/* Could these settings work here? Else what they need, a line each. */
bool sandbox_permits(const struct sandbox *b, const struct settings *s,
                     const char *config, const struct sources *sources,
                     struct buffer *out_why);
void sandbox_fini(struct sandbox *b);

#endif
