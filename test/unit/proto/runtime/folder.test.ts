import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeFolder } from '../../../../proto/runtime/folder.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'waggle-folder-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

test('makes what is missing, with its mode, and leaves what is there', () => {
  makeFolder(path.join(root, 'a/b'), 0o700);
  mkdirSync(path.join(root, 'c'), { mode: 0o755 });
  makeFolder(path.join(root, 'c'), 0o700);
  makeFolder('/', 0o700);
  const modes = ['a', 'a/b', 'c'].map((name) => statSync(path.join(root, name)).mode & 0o777);
  expect(modes).toEqual([0o700, 0o700, 0o755]);
});

test.each(['file', 'file/below'])('refuses %s: a file is in the way', (name) => {
  writeFileSync(path.join(root, 'file'), '');
  expect(() => makeFolder(path.join(root, name), 0o700)).toThrow(/EEXIST|ENOTDIR/);
});

test.each(['', '/one', '/one/two'])('a folder that was removed while it is held: %j below it ends', (below) => {
  const dead = path.join(root, 'dead');
  mkdirSync(dead);
  const held = openSync(dead, 'r');
  rmSync(dead, { recursive: true });
  try {
    const made = (): void => makeFolder(`/proc/self/fd/${held}${below}`, 0o700);
    if (below === '') expect(made).not.toThrow();
    else expect(made).toThrow('ENOENT');
  } finally {
    closeSync(held);
  }
});
