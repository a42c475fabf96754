/* cmocka, with what it needs before it, under short names. */
#ifndef UNIT_H_
#define UNIT_H_

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define unit(test) cmocka_unit_test(test)

#endif
