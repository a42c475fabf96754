"""docs/cli.md, docs/operations.md and the program agree: every command and option
of the helps has its place on the page, and every example of the pages is right
usage.

    test_cli.py ROOT PHALANX

Examples are run in an empty folder, and where nobody listens: they fail (1) or
are done (0), and none is wrong usage (2).
"""
import pathlib
import re
import subprocess
import sys
import tempfile

EXAMPLE = re.compile(r'^ {4,}(phalanx(?: .*)?)$', re.M)
OPTION = re.compile(r'^ +(--[a-z-]+)', re.M)
USAGE = re.compile(r'^(?:Usage:|      ) +phalanx ([a-z]+)(?: ([a-z]+))?', re.M)
# Nobody is there, and it is found out at once.
NOBODY = {'PHALANX_ADDRESS': '127.0.0.1:1', 'PATH': '/usr/bin:/bin'}


def run(phalanx, words, cwd=None):
    # No example asks a real node, or works on a real folder.
    words = [re.sub(r'^node-\d:9000$', '127.0.0.1:1', word)
             .replace('/var/lib/', '') for word in words]
    return subprocess.run([phalanx, *words], env=NOBODY, cwd=cwd, timeout=60,
                          stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False)


def commands(phalanx):
    """(command, its help)"""
    overview = run(phalanx, ['--help']).stdout
    for name in re.findall(r'^  ([a-z]+)  ', overview, re.M):
        yield name, run(phalanx, [name, '--help']).stdout


def missing_on(page, phalanx):
    for name, text in commands(phalanx):
        titles = {' '.join(filter(None, words)) for words in
                  USAGE.findall(text)}
        for title in sorted(titles):
            if f'\n## phalanx {title}\n' not in page:
                yield f'no section "phalanx {title}"'
        for option in OPTION.findall(text):
            if f'`{option}' not in page:
                yield f'{option} of phalanx {name} is not explained'


def wrong_examples(page, phalanx):
    with tempfile.TemporaryDirectory() as empty:
        for line in EXAMPLE.findall(page):
            done = run(phalanx, line.partition(' #')[0].split()[1:], empty)
            if done.returncode not in (0, 1):
                yield f'"{line}" ends with {done.returncode}: {done.stderr}'


def main(root, phalanx):
    page = (root / 'docs' / 'cli.md').read_text(encoding='utf-8')
    operations = (root / 'docs' / 'operations.md').read_text(encoding='utf-8')
    errors = list(missing_on(page, phalanx))
    for text in (page, operations):
        errors += wrong_examples(text, phalanx)
    # Patterns that find nothing would be content with any page.
    if len(EXAMPLE.findall(page)) < 10 or len(list(commands(phalanx))) < 2:
        errors.append('the patterns of this test find too little')
    for error in errors:
        print(f'ERROR: {error}')
    sys.exit(1 if errors else 0)


main(pathlib.Path(sys.argv[1]), str(pathlib.Path(sys.argv[2]).resolve()))
