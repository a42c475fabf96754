"""docs/operations.md names every note of level error or warn, and every reason
why a node stops.

    test_operations.py ROOT
"""
import pathlib
import re
import sys

FOLDERS = ('base', 'raft', 'store', 'net', 'fs', 'node')
STRINGS = r'((?:"(?:[^"\\]|\\.)*"\s*)+)'
NOTE = re.compile(r'\bpx_note\(([^";]*),\s*' + STRINGS)
STOP = re.compile(r'\b(?:node|replica)_fail\(\s*\w+,\s*' + STRINGS)
LOUD = ('PX_NOTE_ERROR', 'PX_NOTE_WARN')
# What follows is a value, or said in other words each time.
VALUE = re.compile(r'%| \w+=(?:\\")?%| \\"%')


def constant(strings):
    """The words of a format before its first value."""
    text = ''.join(re.findall(r'"((?:[^"\\]|\\.)*)"', strings))
    return VALUE.split(text)[0].rstrip(' :=')


def notes(source):
    for level, strings in NOTE.findall(source):
        # One that is chosen elsewhere may be loud.
        if 'PX_NOTE_' not in level or any(word in level for word in LOUD):
            yield constant(strings)
    for strings in STOP.findall(source):
        yield constant(strings)


def main(root):
    page = (root / 'docs' / 'operations.md').read_text(encoding='utf-8')
    found = {note for folder in FOLDERS
             for path in sorted((root / folder).glob('*.c'))
             for note in notes(path.read_text(encoding='utf-8'))}
    missing = sorted(note for note in found if note not in page)
    for note in missing:
        print(f'ERROR: docs/operations.md does not name "{note}"')
    # A pattern that finds nothing would be content with any page.
    if len(found) < 15:
        sys.exit(f'ERROR: only {len(found)} notes were found in the sources')
    sys.exit(1 if missing else 0)


main(pathlib.Path(sys.argv[1]))
