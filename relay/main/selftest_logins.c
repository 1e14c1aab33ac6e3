/*
 * selftest_logins - can those who know the passwords be asked by the relay's account?
 */
#include "relay/inbound/pambase.h"
#include "relay/main/privilege.h"
#include "relay/main/selftest.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GROUPS_MOST = 256 };

/* As the system will see it once root has become that account. */
static bool may_read(const struct privilege *p, const char *path)
{
    gid_t groups[GROUPS_MOST];
    int count = GROUPS_MOST;
    struct stat st;

    if (!p->is_given)
        return euidaccess(path, R_OK) == 0 || errno != EACCES;
    if (stat(path, &st) < 0)
        return errno != EACCES;
    if (st.st_uid == p->uid)
        return st.st_mode & S_IRUSR;
    if (getgrouplist(p->name, p->gid, groups, &count) < 0)
        return true; /* in more than we can look through */
    for (int i = 0; i < count; i++)
        if (groups[i] == st.st_gid)
            return st.st_mode & S_IRGRP;
    return st.st_mode & S_IROTH;
}

void selftest_logins(struct selftest *t)
{
    struct span service = t->settings->users.pam;
    struct buffer why = { 0 };
    struct privilege p = { 0 };

    if (!service.len)
        return;
    if (privilege_find(&p, t->settings, &why) < 0)
        selftest_say(t, SELFTEST_BAD, "", "%s", buffer_string(&why));
    else if (pambase_is_shadow_alone(NULL, service) &&
             !may_read(&p, PAMBASE_SHADOW))
        selftest_say(t, SELFTEST_BAD,
                     "put its account into the group of that file (usermod -aG "
                     "shadow ACCOUNT), and restart it",
                     "PAM cannot judge a password: %s%s cannot read %s",
                     p.is_given ? p.name : "this account",
                     p.is_given ? ", as whom the relay runs," : "",
                     PAMBASE_SHADOW);
    else
        selftest_say(t, SELFTEST_OK, "", "PAM judges them (%.*s)",
                     SPAN_FMT(service));
    privilege_fini(&p);
    buffer_fini(&why);
}
