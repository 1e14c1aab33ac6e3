/*
 * callfilter - the system calls that can still be made (seccomp(2)).
 */
#include "relay/main/callfilter.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/socket.h>

/* Those that this architecture does not have are passed over. */
/* clang-format off */
static const char *const never[] = {
    /* looking into others */
    "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp",
    "pidfd_getfd", "perf_event_open", "userfaultfd", "lookup_dcookie",
    /* the kernel: modules, programs for it, keys, another one */
    "init_module", "finit_module", "delete_module", "create_module",
    "kexec_load", "kexec_file_load", "bpf", "add_key", "keyctl", "request_key",
    "reboot", "syslog", "acct", "quotactl", "quotactl_fd", "swapon", "swapoff",
    "nfsservctl", "vm86", "vm86old", "modify_ldt", "iopl", "ioperm",
    "ioprio_set", "vhangup", "uselib", "_sysctl", "sysfs", "personality",
    /* its queue of calls does not pass by here */
    "io_uring_setup", "io_uring_enter", "io_uring_register",
    /* mounts and namespaces */
    "mount", "umount", "umount2", "mount_setattr", "move_mount", "open_tree",
    "fsopen", "fsconfig", "fsmount", "fspick", "pivot_root", "chroot",
    "unshare", "setns", "open_by_handle_at", "name_to_handle_at",
    "fanotify_init",
    /* clocks, the machine's name */
    "settimeofday", "clock_settime", "stime", "sethostname", "setdomainname",
    /* another identity */
    "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid",
    "setgroups", "setfsuid", "setfsgid", "capset",
    "ptrace",
    NULL,
};
/* clang-format on */

static int deny(scmp_filter_ctx ctx, const char *name)
{
    int number = seccomp_syscall_resolve_name(name), rc;

    if (number == __NR_SCMP_ERROR)
        return 0;
    rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), number, 0);
    return rc == -EDOM ? 0 : rc;
}

static int deny_one(scmp_filter_ctx ctx, int number, struct scmp_arg_cmp a)
{
    return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), number, 1, a);
}

/* Unix, IPv4, IPv6, and of netlink what tells addresses (getifaddrs). PAM takes any other
 * answer for its audit socket as a failure of the login. */
static int deny_sockets(scmp_filter_ctx ctx)
{
    int number = SCMP_SYS(socket), rc = 0;

    for (unsigned family = 0; rc == 0 && family < AF_NETLINK; family++)
        if (family != AF_UNIX && family != AF_INET && family != AF_INET6)
            rc = deny_one(ctx, number, SCMP_A0(SCMP_CMP_EQ, family));
    if (rc == 0)
        rc = deny_one(ctx, number, SCMP_A0(SCMP_CMP_GT, AF_NETLINK));
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPROTONOSUPPORT), number, 2,
                              SCMP_A0(SCMP_CMP_EQ, AF_NETLINK),
                              SCMP_A2(SCMP_CMP_GT, NETLINK_ROUTE));
    return rc;
}

/* Calls that are harmless but for one of their flags. clone3 has them in memory, where nobody
 * can look; without it the C library uses clone. */
static int deny_flags(scmp_filter_ctx ctx)
{
    static const unsigned long namespaces[] = {
        CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
        CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET,
    };
    int rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);

    for (size_t i = 0; rc == 0 && i < sizeof namespaces / sizeof namespaces[0];
         i++)
        rc =
            deny_one(ctx, SCMP_SYS(clone),
                     SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i]));
    /* typing at the terminal that we were started from */
    if (rc == 0)
        rc = deny_one(ctx, SCMP_SYS(ioctl),
                      SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, TIOCSTI));
    return rc;
}

int callfilter_enter(bool runs_programs)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    int rc = 0;

    if (!ctx)
        return -ENOMEM;
    for (size_t i = 0; rc == 0 && never[i]; i++)
        rc = deny(ctx, never[i]);
    if (rc == 0 && !runs_programs)
        rc = deny(ctx, "execve");
    if (rc == 0 && !runs_programs)
        rc = deny(ctx, "execveat");
    if (rc == 0)
        rc = deny_sockets(ctx);
    if (rc == 0)
        rc = deny_flags(ctx);
    /* calls of another architecture have other numbers */
    if (rc == 0)
        rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH,
                              SCMP_ACT_ERRNO(EPERM));
    if (rc == 0)
        rc = seccomp_load(ctx);
    seccomp_release(ctx);
    return rc;
}
