import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Raft } from '../../../manager/raft/core/raft.ts';
import type { Mutant } from './mutants.ts';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const CORE = 'manager/raft/core';

/** The core from a copy of its sources with one rule broken. @throws when the source has no such place, or several. */
export async function mutatedCore({ file, find, replace, id }: Mutant): Promise<typeof Raft> {
  const folder = mkdtempSync(path.join(tmpdir(), 'waggle-mutant-'));
  try {
    cpSync(path.join(ROOT, CORE), path.join(folder, CORE), { recursive: true });
    for (const name of readdirSync(path.join(ROOT, 'proto/runtime'))) {
      cpSync(path.join(ROOT, 'proto/runtime', name), path.join(folder, 'proto/runtime', name));
    }
    writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}');
    const name = path.join(folder, CORE, file);
    const parts = readFileSync(name, 'utf8').split(find);
    if (parts.length !== 2) throw new Error(`mutant "${id}": its place is ${parts.length - 1} times in ${file}`);
    writeFileSync(name, parts.join(replace));
    const module: unknown = await import(/* @vite-ignore */ pathToFileURL(path.join(folder, CORE, 'raft.ts')).href);
    return (module as { Raft: typeof Raft }).Raft;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
