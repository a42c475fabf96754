#include "tests/unit/store/state_fixture.h"
static void smoke(void **state)
{
    struct fixture *fx = *state;
    uint64_t f = do_create(fx, ROOT, "hello");
    do_write(fx, f, 0, "world", 5);
    assert_bytes(fx, f, 0, "world", 5);
    assert_int_equal(lookup(fx, ROOT, "hello"), f);
    check(fx);
}
int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(smoke, fixture_setup, fixture_teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
