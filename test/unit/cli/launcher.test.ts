import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { symlinkSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const LAUNCHER = path.resolve(import.meta.dirname, '../../../cli/waggle');
const IS_ROOT = process.getuid?.() === 0;
/** Who runs it: nobody where we may choose. */
const USER = IS_ROOT ? 65_534 : process.getuid?.();

let checkout: string;
let cacheHome: string;

/** A checkout whose node prints what it is given. */
beforeEach(() => {
  checkout = mkdtempSync(path.join(tmpdir(), 'waggle-launcher-'));
  chmodSync(checkout, 0o755);
  const node = path.join(checkout, 'node_modules/node/bin/node');
  mkdirSync(path.dirname(node), { recursive: true });
  mkdirSync(path.join(checkout, 'cli'));
  copyFileSync(LAUNCHER, path.join(checkout, 'cli/waggle'));
  writeFileSync(node, '#!/bin/sh\necho "cache=$NODE_COMPILE_CACHE"\nshift\nreadlink -f "$1"\nshift\necho "$*"\n', {
    mode: 0o755,
  });
  cacheHome = path.join(checkout, 'home');
  mkdirSync(cacheHome);
  if (IS_ROOT) chownSync(cacheHome, USER ?? 0, USER ?? 0);
});

afterEach(() => rmSync(checkout, { recursive: true }));

function launch(
  env: Record<string, string> = { XDG_CACHE_HOME: cacheHome },
  uid = USER,
  [program, ...args]: [string, ...string[]] = [path.join(checkout, 'cli/waggle')],
): { cache: string; main: string; args: string } {
  const options = {
    env: { PATH: '/usr/bin:/bin', ...env },
    cwd: path.join(checkout, 'cli'),
    ...(uid === undefined ? {} : { uid }),
  };
  const { stdout, stderr, status } = spawnSync(program, [...args, 'node', 'ls'], options);
  expect({ stderr: stderr.toString(), status }).toEqual({ stderr: '', status: 0 });
  const [cache = '', main = '', rest = ''] = stdout.toString().split('\n');
  return { cache: cache.replace('cache=', ''), main, args: rest };
}

describe('the launcher', () => {
  it('finds the checkout however it is called, and passes its arguments on', () => {
    const link = path.join(checkout, 'link');
    symlinkSync('cli/waggle', link);
    const ways: [string, ...string[]][] = [[path.join(checkout, 'cli/waggle')], ['./waggle'], [link], ['sh', 'waggle']];
    for (const way of ways) {
      const { main, args } = launch(undefined, undefined, way);
      expect(path.relative(checkout, main)).toBe('cli/main.ts');
      expect(args).toBe('node ls');
    }
  });
});

describe('the cache of compiled code', () => {
  it("is a user's own", () => {
    const cache = path.join(cacheHome, 'waggle');
    expect(launch().cache).toBe(cache);
    expect(statSync(cache)).toMatchObject({ uid: USER });
    expect(statSync(cache).mode & 0o777).toBe(0o700);
    expect(launch().cache).toBe(cache);
  });

  it('is below the home where nothing else is said', () => {
    expect(launch({ HOME: cacheHome }).cache).toBe(path.join(cacheHome, '.cache/waggle'));
  });

  it('is where Node itself was told', () => {
    expect(launch({ NODE_COMPILE_CACHE: '/elsewhere', XDG_CACHE_HOME: cacheHome }).cache).toBe('/elsewhere');
    expect(existsSync(path.join(cacheHome, 'waggle'))).toBe(false);
  });

  it('is none without a home', () => {
    expect(launch({}).cache).toBe('');
  });

  it('is none where a link leads elsewhere', () => {
    mkdirSync(path.join(cacheHome, 'elsewhere'));
    if (IS_ROOT) chownSync(path.join(cacheHome, 'elsewhere'), USER ?? 0, USER ?? 0);
    symlinkSync('elsewhere', path.join(cacheHome, 'waggle'));
    expect(launch().cache).toBe('');
  });

  it('is none where somebody else made the folder', { skip: !IS_ROOT }, () => {
    mkdirSync(path.join(cacheHome, 'waggle'));
    chmodSync(path.join(cacheHome, 'waggle'), 0o777);
    expect(launch().cache).toBe('');
  });

  it("is root's in a folder that only root writes to, whatever its environment says", { skip: !IS_ROOT }, () => {
    expect(launch({ XDG_CACHE_HOME: cacheHome, HOME: cacheHome }, 0).cache).toBe('/var/cache/waggle');
    expect(statSync('/var/cache/waggle').mode & 0o777).toBe(0o700);
  });
});
