"""What meson's testlog.json says, for tests/run.sh.

    summary.py TESTLOG TREE

Prints, for each test that failed, its failed cases and the end of its output,
and why a test or one of its cases was skipped; then, alone on the last line, how many cases passed
and failed. A cmocka program counts by its cases; any other program, and one
that crashed, as one.
"""
import json
import re
import sys

TAIL_LINES = 40
# Where cmocka says what was wrong, often far above the end.
REASON = re.compile(r'^(ERROR: |\[ +(ERROR|LINE) +\]|.*assertion failed)')
CASE = re.compile(r'^\[ +(OK|FAILED|ERROR|SKIPPED) +\] (.*)$', re.M)


def cases(text):
    """The names of the cases that passed, and of those that failed."""
    passed, failed = set(), set()
    for verdict, name in CASE.findall(text):
        if ' ' in name:  # "---", "3 test(s), listed below:"
            continue
        (passed if verdict == 'OK' else failed if verdict in (
            'FAILED', 'ERROR') else set()).add(name)
    return passed - failed, failed


def skipped_cases(text):
    return sorted({name for verdict, name in CASE.findall(text)
                   if verdict == 'SKIPPED' and ' ' not in name})


def report(test, tree, failed, text):
    print(f"FAILED  {test['name']}, {tree}: {test['result'].lower()},"
          f" status {test['returncode']}, {test['duration']:.1f} s")
    for name in sorted(failed):
        print(f'        {name}')
    lines = text.splitlines()
    for line in filter(REASON.match, lines[:-TAIL_LINES]):
        print(f'        ! {line}')
    for line in lines[-TAIL_LINES:]:
        print(f'        | {line}')


def reason_skipped(text):
    lines = [line for line in text.splitlines() if 'skipped' in line]
    return lines[-1].strip() if lines else 'skipped, and does not say why'


def main(path, tree):
    total_passed = total_failed = 0
    with open(path, encoding='utf-8') as log:
        tests = [json.loads(line) for line in log]
    for test in tests:
        text = (test.get('stdout') or '') + (test.get('stderr') or '')
        passed, failed = cases(text)
        is_ok = test['result'] in ('OK', 'SKIP')
        if not is_ok:
            report(test, tree, failed, text)
        if test['result'] == 'SKIP':
            print(f"SKIPPED {test['name']}, {tree}: {reason_skipped(text)}")
        for name in skipped_cases(text):
            print(f"SKIPPED {test['name']}: {name}, {tree}:"
                  f" {reason_skipped(text)}")
        total_passed += len(passed) or (is_ok and test['result'] == 'OK')
        total_failed += len(failed) or not is_ok
    print(total_passed, total_failed)


main(*sys.argv[1:])
