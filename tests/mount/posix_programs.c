/* Real programs: shells and what is called from them. */
#include "tests/mount/posix.h"

#include <signal.h>
#include <sys/wait.h>

static const char *const shells[] = {"bash", "dash", "busybox ash"};

#define SHELL_COUNT (sizeof shells / sizeof shells[0])

/* Runs @script in @shell; true if it exits with 0. */
static bool runs_in(const char *command, const char *script)
{
    char line[8192];
    int size = snprintf(line, sizeof line, "%s -euc '%s'", command, script);

    assert_true(size > 0 && (size_t)size < sizeof line);
    return shell(line) == 0;
}

static bool has(const char *command)
{
    char line[256];

    (void)snprintf(line, sizeof line, "%s -c : 2>/dev/null", command);
    return shell(line) == 0;
}

static void in_every_shell(const char *script)
{
    unsigned found = 0;

    for (size_t i = 0; i < SHELL_COUNT; i++) {
        if (!has(shells[i]))
            continue;
        found++;
        if (!runs_in(shells[i], script))
            fail_msg("%s failed on: %s", shells[i], script);
        assert_int_equal(shell("rm -rf ./*"), 0);
    }
    assert_true(found > 0);
}

static void shells_redirect(void **state)
{
    (void)state;
    in_every_shell("echo one > f; test \"$(cat f)\" = one;"
                   "echo two >> f; test \"$(cat f)\" = \"one\ntwo\";"
                   "echo three > f; test \"$(cat f)\" = three;"
                   ": > f; test -e f; test ! -s f;"
                   "> g; test -e g;"
                   "cat < f; cat f f > h; test ! -s h");
}

static void shells_redirect_groups(void **state)
{
    (void)state;
    in_every_shell("{ echo a; cat /dev/null; echo b; } > f;"
                   "test \"$(cat f)\" = \"a\nb\";"
                   "(echo c; echo d) > f; test \"$(cat f)\" = \"c\nd\";"
                   "exec 3> f; test ! -s f; echo e >&3; exec 3>&-;"
                   "test \"$(cat f)\" = e;"
                   "echo f | cat > f; test \"$(cat f)\" = f");
}

static void noclobber_refuses_an_existing_file(void **state)
{
    (void)state;
    in_every_shell("set -C; echo a > f; if (echo b > f) 2>/dev/null;"
                   "then exit 1; fi; test \"$(cat f)\" = a");
}

static void files_are_copied_and_moved(void **state)
{
    (void)state;
    in_every_shell("seq 20000 > f; cp f g; cmp f g; cp g f; cmp f g;"
                   "mv g h; cmp f h; test ! -e g; cat f > g; cmp f g;"
                   "cp -p f k; test ! f -nt k; test ! k -nt f;"
                   "ln f l; ln -s f s; cmp l s; rm f l s; test ! -e f");
}

static void files_are_edited_in_place(void **state)
{
    (void)state;
    in_every_shell("echo before > f; sed -i s/before/after/ f;"
                   "test \"$(cat f)\" = after;"
                   "touch t; test -e t; touch -d @7 t;"
                   "test \"$(stat -c %Y t)\" = 7;"
                   "dd if=/dev/zero of=z bs=1000 count=3 2>/dev/null;"
                   "test \"$(stat -c %s z)\" = 3000;"
                   "truncate -s 5 z; test \"$(stat -c %s z)\" = 5;"
                   "head -c 100 /dev/zero | tee y > x; cmp x y");
}

static void trees_are_packed_and_unpacked(void **state)
{
    (void)state;
    assert_int_equal(
        shell("set -e; mkdir a; for i in $(seq 50); do mkdir a/$i;"
              "for j in 1 2 3; do echo $i-$j > a/$i/$j; done;"
              "ln -s 1 a/$i/link; ln a/$i/1 a/$i/hard; done;"
              "chmod 751 a/7; tar cf t.tar a; mkdir b; tar xf t.tar -C b;"
              "diff -r a b/a; test $(stat -c %h b/a/9/1) = 2;"
              "test $(stat -c %a b/a/7) = 751;"
              "cp -a a c; diff -r a c; rm -rf a b; test ! -e b;"
              "test $(find c -type f | wc -l) = 200; rm -rf c"),
        0);
}

static void a_program_can_be_run(void **state)
{
    (void)state;
    assert_int_equal(shell("cp /bin/true t && chmod 755 t && ./t"), 0);
    assert_int_equal(shell("printf '#!/bin/sh\\nexit 7\\n' > s;"
                           "chmod +x s; ./s"),
                     7);
    assert_int_equal(shell("cp /bin/true u && chmod 644 u && ./u 2>/dev/null"),
                     126);
}

/* ---- A value is replaced in one step ---- */

#define VALUE_BYTES 9 /* eight times one digit, and a newline */

static bool is_whole(const char *value, ssize_t size)
{
    return size == VALUE_BYTES && value[VALUE_BYTES - 1] == '\n' &&
           strspn(value, (char[]){value[0], '\0'}) == VALUE_BYTES - 1;
}

/* Runs @script in the background, and leads a group that can be ended. */
static pid_t begin(const char *script)
{
    pid_t pid = assert_ok(fork());

    if (pid == 0) {
        (void)setpgid(0, 0); /* can't fail for a new child */
        (void)execl("/bin/sh", "sh", "-c", script, (char *)NULL);
        _exit(127);
    }
    return pid;
}

/* Writers that are left running would spoil the tests that follow. */
static _Noreturn void end_and_fail(pid_t pid, const char *what)
{
    (void)kill(-pid, SIGKILL); /* it may have ended by itself */
    (void)waitpid(pid, NULL, 0);
    fail_msg("%s", what);
    abort(); /* fail_msg does not return, but does not say so */
}

/* Reads "k" until @script has ended: every read finds a whole value. */
static void a_value_is_never_seen_empty(const char *script)
{
    unsigned count = 0;
    char found[256];
    ssize_t size;
    int status;
    pid_t pid;
    int fd;

    put("k", "00000000\n");
    pid = begin(script);
    while (waitpid(pid, &status, WNOHANG) == 0) {
        fd = open_file("k", O_RDONLY);
        size = read(fd, found, sizeof found);
        close_file(fd);
        if (!is_whole(found, size))
            end_and_fail(pid, "a reader saw a value in parts");
        count++;
    }
    assert_int_equal(status, 0);
    assert_true(count > 0);
}

static void echo_replaces_a_value_in_one_step(void **state)
{
    char script[256];

    (void)state;
    for (size_t i = 0; i < SHELL_COUNT; i++) {
        if (!has(shells[i]))
            continue;
        (void)snprintf(script, sizeof script,
                       "exec %s -c 'i=0; while [ $i -lt 1000 ]; do "
                       "echo 11111111 > k; echo 22222222 > k; "
                       "i=$((i+1)); done'",
                       shells[i]);
        a_value_is_never_seen_empty(script);
    }
}

static void programs_replace_a_value_in_one_step(void **state)
{
    (void)state;
    a_value_is_never_seen_empty(
        "echo 11111111 > a; echo 22222222 > b;"
        "for i in $(seq 100); do cat a > k; cp b k; dd if=a 2>/dev/null > k;"
        "printf '33333333\\n' | cat > k; { cat a; } > k; (cat b) > k; done");
}

#define NEW_FILES 300

/* What is made by one `echo` appears with its value. */
static void echo_makes_a_value_in_one_step(void **state)
{
    pid_t pid = begin("for i in $(seq 300); do echo x > f$i; done");
    bool has_ended = false;
    char name[32];
    struct stat st;
    int status;

    (void)state;
    for (int i = 1; i <= NEW_FILES; i++) {
        (void)snprintf(name, sizeof name, "f%d", i);
        while (stat(name, &st) < 0) {
            assert_int_equal(errno, ENOENT);
            assert_false(has_ended); /* what is missing now never comes */
            has_ended = waitpid(pid, &status, WNOHANG) == pid;
        }
        if (st.st_size != 2)
            end_and_fail(pid, "a file was seen before its value");
    }
    if (!has_ended)
        assert_ok(waitpid(pid, &status, 0));
    assert_int_equal(status, 0);
}

int posix_programs(void)
{
    const struct CMUnitTest tests[] = {
        posix_test(shells_redirect),
        posix_test(shells_redirect_groups),
        posix_test(noclobber_refuses_an_existing_file),
        posix_test(files_are_copied_and_moved),
        posix_test(files_are_edited_in_place),
        posix_test(trees_are_packed_and_unpacked),
        posix_test(a_program_can_be_run),
        posix_test(echo_replaces_a_value_in_one_step),
        posix_test(programs_replace_a_value_in_one_step),
        posix_test(echo_makes_a_value_in_one_step),
    };

    return cmocka_run_group_tests_name("programs", tests, NULL, NULL);
}
