import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { eventually } from './eventually.ts';

/** The process and everything that descends from it, or shares its mount namespace, as of now. */
export function familyOf(holderPid: number): number[] {
  const namespace = linkOf(holderPid);
  const parents = new Map<number, number>();
  const members = new Set<number>([holderPid]);
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    parents.set(pid, parentOf(pid));
    if (namespace !== undefined && linkOf(pid) === namespace) members.add(pid);
  }
  for (let grew = true; grew; ) {
    grew = false;
    for (const [pid, parent] of parents) {
      if (!members.has(pid) && members.has(parent)) {
        members.add(pid);
        grew = true;
      }
    }
  }
  return [...members];
}

/** Processes that this one has started itself and that still run. */
export function childrenOf(pid: number): number[] {
  const pids = readdirSync('/proc').map(Number).filter(Number.isInteger);
  return pids.filter((each) => parentOf(each) === pid && isAlive(each));
}

/** True while the process exists and is not a zombie. */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) !== 'Z';
  } catch {
    return false;
  }
}

/** True when the process is one of our holders, and not another that was given its number since. */
export function isHolder(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8') === 'sleep\0infinity\0';
  } catch {
    return false;
  }
}

export function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {
      // It has ended by itself.
    }
  }
}

/** Waits until none of them is alive. */
export async function untilGone(pids: readonly number[], timeoutMs = 15_000): Promise<void> {
  await eventually(`processes ${pids.join(' ')} to end`, () => !pids.some(isAlive), { timeoutMs, everyMs: 20 });
}

function parentOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return 0;
  }
}

function linkOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return undefined;
  }
}
