import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const ROOT = path.resolve(import.meta.dirname, '../..');
/** What any core may import besides its own folder. */
const SHARED = 'proto/runtime';

export interface Edit {
  /** In the core's folder. */
  file: string;
  /** Exactly once in the file. */
  find: string;
  replace: string;
}

/**
 * Modules of a pure core, read from a copy of its sources with some places changed.
 * @param core folder, from the root of the repository
 * @param entries files of the folder, whose exports come in this order
 * @throws Error when the sources have no such place, or several.
 */
export async function mutatedSources(
  core: string,
  edits: readonly Edit[],
  entries: readonly string[],
): Promise<unknown[]> {
  const folder = mkdtempSync(path.join(tmpdir(), 'waggle-mutant-'));
  try {
    for (const part of [core, SHARED]) cpSync(path.join(ROOT, part), path.join(folder, part), { recursive: true });
    writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}');
    for (const { file, find, replace } of edits) {
      const name = path.join(folder, core, file);
      const parts = readFileSync(name, 'utf8').split(find);
      if (parts.length !== 2) throw new Error(`"${find}" is ${parts.length - 1} times in ${file}`);
      writeFileSync(name, parts.join(replace));
    }
    const modules: unknown[] = [];
    for (const entry of entries) {
      modules.push(await import(/* @vite-ignore */ pathToFileURL(path.join(folder, core, entry)).href));
    }
    return modules;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
