/* sandbox, privilege: what a relay that has shut itself in can still do. Each question is
 * asked of a child that enters it, as there is no way out. */
#include "relay/main/sandbox.h"

#include "policy/vocabulary/memory.h"
#include "relay/main/fence.h"
#include "relay/main/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <netdb.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { NO_LANDLOCK = 255, NOT_FENCED = 252 };

struct bench {
    char folder[64]; /* readable by all; "state" in it is the relay's */
    struct buffer config;
    struct sources *sources;
    struct settings *settings;
};

static int read_file(void *user, const char *path, struct buffer *out)
{
    const struct bench *b = user;

    (void)path;
    buffer_put(out, buffer_span(&b->config));
    return 0;
}

static void read_settings(struct bench *b, const char *more)
{
    struct buffer faults = { 0 }, warnings = { 0 };

    buffer_clear(&b->config);
    buffer_printf(&b->config,
                  "hostname = \"relay.test\"\n"
                  "user = \"%s\"\n"
                  "queue { path = \"%s/state/queue.db\" }\n"
                  "admin { socket = \"%s/state/admin.sock\" }\n"
                  "listener \"a\" { address = \"127.0.0.1:2525\" }\n"
                  "rule \"l\" { client = {\"127.0.0.1\"} action = relay }\n"
                  "%s",
                  geteuid() == 0 ? "nobody" : "root", b->folder, b->folder,
                  more);
    settings_release(b->settings);
    b->settings = settings_read(
        &(struct settings_source){ .path = "/etc/waypost/waypost.conf",
                                   .machine_name = "relay.test",
                                   .state_folder = b->folder,
                                   .read_file = read_file,
                                   .user = b },
        &faults, &warnings);
    if (!b->settings)
        print_error("%s", buffer_string(&faults));
    assert_non_null(b->settings);
    buffer_fini(&faults);
    buffer_fini(&warnings);
}

static int set_up(void **state)
{
    struct bench *b = NEW(struct bench);
    struct buffer path = { 0 };
    FILE *file;

    (void)snprintf(b->folder, sizeof b->folder, "/tmp/sandbox.XXXXXX");
    assert_non_null(mkdtemp(b->folder));
    assert_int_equal(chmod(b->folder, 0755), 0);
    buffer_printf(&path, "%s/others", b->folder);
    assert_int_equal(mkdir(buffer_string(&path), 0777), 0);
    assert_int_equal(chmod(buffer_string(&path), 0777), 0);
    buffer_put_string(&path, "/file");
    file = fopen(buffer_string(&path), "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    buffer_fini(&path);
    b->sources = sources_new(NULL, NULL);
    read_settings(b, "route \"*\" { via = {\"smtp://127.0.0.1:9\"} }\n");
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const left[] = { "/others/file", "/others/new",
                                        "/others",      "/state/new",
                                        "/state",       "" };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
        struct buffer path = { 0 };

        buffer_printf(&path, "%s%s", b->folder, left[i]);
        (void)remove(buffer_string(&path));
        buffer_fini(&path);
    }
    settings_release(b->settings);
    sources_free(b->sources);
    buffer_fini(&b->config);
    free(b);
    return 0;
}

/* 0, or the errno of what was tried. */
typedef int question_fn(const struct bench *b);

static int tried(long rc)
{
    return rc < 0 ? errno : 0;
}

static int open_at(const struct bench *b, const char *name, int flags)
{
    struct buffer path = { 0 };
    int rc;

    if (name[0] != '/' || b)
        buffer_printf(&path, "%s", b ? b->folder : "");
    buffer_put_string(&path, name);
    rc = tried(open(buffer_string(&path), flags | O_CLOEXEC, 0600));
    buffer_fini(&path);
    return rc;
}

static int open_shadow(const struct bench *b)
{
    (void)b;
    return open_at(NULL, "/etc/shadow", O_RDONLY);
}

static int read_a_strangers_file(const struct bench *b)
{
    return open_at(b, "/others/file", O_RDONLY);
}

static int write_beside_it(const struct bench *b)
{
    return open_at(b, "/others/new", O_WRONLY | O_CREAT);
}

static int write_state(const struct bench *b)
{
    return open_at(b, "/state/new", O_WRONLY | O_CREAT);
}

static int read_hosts(const struct bench *b)
{
    (void)b;
    return open_at(NULL, "/etc/hosts", O_RDONLY);
}

static int write_hosts(const struct bench *b)
{
    (void)b;
    return open_at(NULL, "/etc/hosts", O_WRONLY);
}

static int read_random(const struct bench *b)
{
    (void)b;
    return open_at(NULL, "/dev/urandom", O_RDONLY);
}

static int run_a_program(const struct bench *b)
{
    char *const arguments[] = { (char[]){ "true" }, NULL };

    (void)b;
    return tried(execv("/bin/true", arguments)); /* no return is 0, too */
}

static int trace(const struct bench *b)
{
    (void)b;
    return tried(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int open_packets(const struct bench *b)
{
    (void)b;
    return tried(socket(17 /* AF_PACKET */, SOCK_DGRAM, 0));
}

static int open_alg(const struct bench *b)
{
    (void)b;
    return tried(socket(38 /* AF_ALG */, SOCK_SEQPACKET, 0));
}

static int open_audit(const struct bench *b)
{
    (void)b;
    return tried(socket(AF_NETLINK, SOCK_RAW, 9));
}

static int open_tcp(const struct bench *b)
{
    (void)b;
    return tried(socket(AF_INET6, SOCK_STREAM, 0));
}

static int list_addresses(const struct bench *b)
{
    (void)b;
    return tried(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
}

static int mount_something(const struct bench *b)
{
    return tried(mount("none", b->folder, "tmpfs", 0, NULL));
}

static int unshare_users(const struct bench *b)
{
    (void)b;
    return tried(unshare(CLONE_NEWUSER));
}

static int load_bpf(const struct bench *b)
{
    (void)b;
    return tried(syscall(SYS_bpf, 0, NULL, 0));
}

static int look_for_keys(const struct bench *b)
{
    (void)b;
    return tried(
        syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 0));
}

static int load_a_module(const struct bench *b)
{
    (void)b;
    return tried(syscall(SYS_finit_module, -1, "", 0));
}

static int become_root(const struct bench *b)
{
    (void)b;
    return tried(setuid(0));
}

static int queue_calls(const struct bench *b)
{
    (void)b;
    return tried(syscall(SYS_io_uring_setup, 0, NULL));
}

static int look_up_a_user(const struct bench *b)
{
    struct addrinfo *found = NULL;
    int rc = getaddrinfo("localhost", "25", NULL, &found);

    (void)b;
    if (found)
        freeaddrinfo(found);
    return rc;
}

static int start_a_thread_and_a_child(const struct bench *b)
{
    pid_t pid = fork();

    (void)b;
    if (pid == 0)
        _exit(0);
    return pid < 0 ? errno : tried(waitpid(pid, NULL, 0));
}

static bool kernel_has_landlock(void)
{
    struct fence f;
    int rc = fence_open(&f);

    fence_fini(&f);
    return rc == 0;
}

/* In a process of its own, as run does it: the account, the doors, the sandbox. */
static int ask(const struct bench *b, question_fn *question)
{
    struct buffer why = { 0 };
    struct privilege p;
    struct sandbox box;
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid > 0) {
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
    }
    if (privilege_find(&p, b->settings, &why) < 0 ||
        privilege_prepare(&p, b->settings, &why) < 0 ||
        privilege_drop(&p, &why) < 0)
        _exit(254);
    privilege_close_doors();
    if (!p.is_given) {
        struct buffer state = { 0 };

        buffer_printf(&state, "%s/state", b->folder);
        (void)mkdir(buffer_string(&state), 0700);
        buffer_fini(&state);
    }
    sandbox_enter(&box, b->settings, NULL, b->sources, &why);
    if (!box.is_filtered)
        _exit(253);
    if (!box.is_fenced && !box.runs_programs)
        _exit(kernel_has_landlock() ? NOT_FENCED : NO_LANDLOCK);
    _exit(question(b));
}

static void what_mail_does_not_need_is_refused(void **state)
{
    static const struct {
        const char *what;
        question_fn *question;
        int expected;
    } rows[] = {
        { "/etc/shadow", open_shadow, EACCES },
        { "a file that is not named", read_a_strangers_file, EACCES },
        { "writing where nothing is named", write_beside_it, EACCES },
        { "writing /etc", write_hosts, EACCES },
        { "execve", run_a_program, EPERM },
        { "ptrace", trace, EPERM },
        { "AF_PACKET", open_packets, EPERM },
        { "AF_ALG", open_alg, EPERM },
        { "netlink for others", open_audit, EPROTONOSUPPORT },
        { "mount", mount_something, EPERM },
        { "unshare", unshare_users, EPERM },
        { "bpf", load_bpf, EPERM },
        { "keyctl", look_for_keys, EPERM },
        { "modules", load_a_module, EPERM },
        { "setuid", become_root, EPERM },
        { "io_uring", queue_calls, EPERM },
        { "its own state", write_state, 0 },
        { "/etc/hosts", read_hosts, 0 },
        { "/dev/urandom", read_random, 0 },
        { "TCP", open_tcp, 0 },
        { "getifaddrs", list_addresses, 0 },
        { "names", look_up_a_user, 0 },
        { "a child", start_a_thread_and_a_child, 0 },
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int rc = ask(b, rows[i].question);

        if (rc == NO_LANDLOCK)
            skip();
        if (rc != rows[i].expected)
            print_error("%s\n", rows[i].what);
        assert_int_equal(rc, rows[i].expected);
    }
}

static void programs_can_be_run_where_the_settings_want_some(void **state)
{
    struct bench *b = *state;

    read_settings(b, "account \"a\" { user = \"u\" "
                     "token-command = {\"/bin/true\"} }\n"
                     "route \"*\" { via = {\"smtp://a@127.0.0.1:9\"} }\n");
    assert_int_equal(ask(b, run_a_program), 0);
    assert_int_equal(ask(b, mount_something), EPERM);
}

static int has_no_privileges(const struct bench *b)
{
    (void)b;
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 ||
           prctl(PR_GET_DUMPABLE) != 0 || geteuid() == 0 || getegid() == 0;
}

static void who_was_root_is_nobody_and_leaves_no_core(void **state)
{
    if (geteuid() != 0)
        skip();
    assert_int_equal(ask(*state, has_no_privileges), 0);
}

static int permits(const struct bench *b)
{
    struct bench other = *b;
    struct buffer why = { 0 };
    struct sandbox box;
    int wrong = 0;

    /* a sandbox inside of the other has the same places */
    sandbox_enter(&box, b->settings, NULL, b->sources, &why);
    other.settings = NULL;
    read_settings(&other, "route \"*\" { via = {\"smtp://127.0.0.1:99\"} }\n");
    wrong |= !sandbox_permits(&box, other.settings, NULL, b->sources, &why);
    wrong |= (why.len > 0) << 1;
    read_settings(&other,
                  "route \"*\" { via = {\"maildir:/var/spool/%u\"} }\n");
    wrong |= sandbox_permits(&box, other.settings, NULL, b->sources, &why) << 2;
    read_settings(&other, "srs-secret-file = \"/root/secret\"\n");
    wrong |= sandbox_permits(&box, other.settings, NULL, b->sources, &why) << 3;
    wrong |= !strstr(buffer_string(&why), "/root/secret") << 4;
    read_settings(&other, "users { pam = \"waypost\" }\n");
    wrong |= sandbox_permits(&box, other.settings, NULL, b->sources, &why) << 5;
    return wrong;
}

static void settings_that_need_more_wait_for_a_restart(void **state)
{
    int rc = ask(*state, permits);

    if (rc == NO_LANDLOCK)
        skip();
    assert_int_equal(rc, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_mail_does_not_need_is_refused,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            programs_can_be_run_where_the_settings_want_some, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            who_was_root_is_nobody_and_leaves_no_core, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            settings_that_need_more_wait_for_a_restart, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
