import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

/** The house rules of CONTRIBUTING.md that a machine can check. */

const ROOT = path.resolve(import.meta.dirname, '..');
const MAX_FILE_LINES = 500;
const MAX_FUNCTION_LINES = 70;
const TOP_LEVEL = new Set(['proto', 'manager', 'worker', 'cli', 'test']);

/** Folders of `manager` and `worker` that siblings may import: what the others meet in. */
const MEETING_POINTS = new Set([
  'manager/store',
  'manager/constraint',
  'worker/storage',
  'worker/exec',
  'worker/network/assigned-network.ts',
  'worker/gossip/endpoint-table.ts',
  'worker/gossip/members.ts',
]);

/** What a source file may import of ours, by its top-level folder. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  proto: ['proto'],
  manager: ['proto', 'manager'],
  worker: ['proto', 'worker'],
  cli: ['proto', 'manager', 'worker', 'cli'],
};

interface Source {
  name: string;
  text: string;
  imports: string[];
}

const sources: Source[] = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '*.ts'], { cwd: ROOT })
  .toString()
  .trim()
  .split('\n')
  .filter((name) => existsSync(path.join(ROOT, name)) && !name.endsWith('.d.ts'))
  .map((name) => {
    const text = readFileSync(path.join(ROOT, name), 'utf8');
    const imports = [...text.matchAll(/(?:from|import\() ?'(\.[^']+)'/g)].map((match) =>
      path.normalize(path.join(path.dirname(name), match[1] ?? '')),
    );
    return { name, text, imports };
  });
const product = sources.filter((source) => !source.name.startsWith('test/'));

describe('tidy', () => {
  it('has source only in the folders of the design', () => {
    expect(sources.map((each) => each.name.split('/')[0] ?? '').filter((top) => !TOP_LEVEL.has(top))).toEqual([]);
  });

  it('imports downward only', () => {
    const wrong = product.flatMap((source) =>
      source.imports
        .filter((target) => !(ALLOWED[topOf(source.name)] ?? []).includes(topOf(target)))
        .map((target) => `${source.name} imports ${target}`),
    );
    expect(wrong).toEqual([]);
  });

  it('lets the parts of a side meet only in the meeting points', () => {
    const wrong = product
      .filter((source) => /^(manager|worker)\/[^/]+\//.test(source.name))
      .flatMap((source) =>
        source.imports
          .filter((target) => topOf(target) === topOf(source.name))
          .filter((target) => partOf(target) !== partOf(source.name))
          .filter((target) => !MEETING_POINTS.has(partOf(target)) && !MEETING_POINTS.has(target))
          .filter((target) => !/\/(control-api|backend)\.ts$/.test(target))
          .map((target) => `${source.name} imports ${target}`),
      );
    expect(wrong).toEqual([]);
  });

  it(`keeps files within ${MAX_FILE_LINES} lines`, () => {
    expect(sources.filter((each) => each.text.split('\n').length > MAX_FILE_LINES).map((each) => each.name)).toEqual(
      [],
    );
  });

  it(`keeps functions within ${MAX_FUNCTION_LINES} lines`, () => {
    expect(product.flatMap(longFunctions)).toEqual([]);
  });

  it('names files in kebab case', () => {
    const wrong = sources.map((each) => path.basename(each.name)).filter((name) => !/^[a-z0-9.-]+\.ts$/.test(name));
    expect(wrong).toEqual([]);
  });

  const BANNED: { id: string; pattern: RegExp; instead: string; except: RegExp }[] = [
    { id: 'any', pattern: /(:|\bas|<) ?any\b/, instead: 'unknown and a parser', except: /^$/ },
    { id: 'timers', pattern: /\b(setTimeout|setInterval)\(/, instead: 'Clock', except: /^proto\/runtime\/clock\.ts$/ },
    { id: 'wall clock', pattern: /\bDate\.now\(/, instead: 'Clock', except: /^proto\/runtime\/clock\.ts$/ },
    { id: 'randomness', pattern: /\bMath\.random\(/, instead: 'Random', except: /^proto\/runtime\/random\.ts$/ },
    { id: 'console', pattern: /\bconsole\./, instead: 'Log', except: /^$/ },
    { id: 'swallowed rejection', pattern: /\.catch\(\(\) => \{\}\)/, instead: 'an owner', except: /^$/ },
    {
      id: 'import of node:http',
      pattern: /^import (?!type )[^;]* from 'node:http'/m,
      instead: 'proto/runtime/http.ts',
      except: /^$/,
    },
    { id: 'environment', pattern: /process\.env/, instead: 'options', except: /^cli\// },
  ];
  for (const rule of BANNED) {
    it(`has no ${rule.id}: use ${rule.instead}`, () => {
      const found = product
        .filter((source) => !rule.except.test(source.name) && rule.pattern.test(source.text))
        .map((source) => source.name);
      expect(found).toEqual([]);
    });
  }
});

function topOf(name: string): string {
  return name.split('/')[0] ?? '';
}

function partOf(name: string): string {
  return name.split('/').slice(0, 2).join('/');
}

/** Functions and methods, told by a line that opens a body at its indentation and the brace that closes it. */
function longFunctions(source: Source): string[] {
  const lines = source.text.split('\n');
  const found: string[] = [];
  lines.forEach((line, start) => {
    const opening =
      /^( {0,4})(?:export )?(?:async )?(?:function\*? \w+|(?:static )?(?:async )?[#\w]+)(?:<.*>)?\(.*\{$/.exec(line);
    if (opening === null || /^\s*(if|for|while|switch|describe|it|return|expect)\b/.test(line)) return;
    const end = lines.findIndex((each, index) => index > start && each === `${opening[1]}}`);
    if (end - start > MAX_FUNCTION_LINES) found.push(`${source.name}:${start + 1} (${end - start} lines)`);
  });
  return found;
}
