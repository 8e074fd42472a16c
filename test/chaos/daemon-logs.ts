import type { Host } from '../lab/host.ts';

interface LogLine {
  level?: unknown;
  msg?: string;
  leader?: number;
  term?: number;
  error?: string;
}

/** The highest term that a daemon has spoken of so far. */
export function lastTerm(host: Host): number {
  return Math.max(0, ...linesOf(host).map(({ term }) => term ?? 0));
}

/** Terms in which two managers were taken for the leader, by what all daemons have logged. Raft paper 5.2: election safety. */
export function doubleLeaders(hosts: readonly Host[]): string[] {
  const leaders = new Map<number, Set<number>>();
  for (const { msg, leader = 0, term = 0 } of hosts.flatMap(linesOf)) {
    if (msg === 'raft leader changed' && leader !== 0) leaders.set(term, (leaders.get(term) ?? new Set()).add(leader));
  }
  const doubled = [...leaders].filter(([, each]) => each.size > 1);
  return doubled.map(([term, each]) => `term ${term} had leaders ${[...each].join(' and ')}`);
}

/** Why a daemon ended by itself, in order, unless it had no room on its disk. */
export function breakdowns(host: Host): string[] {
  return linesOf(host)
    .filter(({ msg }) => msg !== 'raft leader changed')
    .map(({ error }) => `${host.name}: ${error}`)
    .filter((text) => !/the Raft log in .* cannot be written|disk is full|ENOSPC/.test(text));
}

function linesOf(host: Host): LogLine[] {
  return host
    .log('daemon')
    .split('\n')
    .flatMap((line) => {
      if (!/"raft leader changed"|"the node cannot/.test(line)) return [];
      return [JSON.parse(line) as LogLine];
    });
}
