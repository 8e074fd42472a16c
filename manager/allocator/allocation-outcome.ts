/**
 * What came of planning a service or a task: the result, or what it waits for. `why` is told to the user; it is
 * absent when the wait is in the normal order of things. A key in `waitsFor` is `network/ID`, `service/ID` or `ports`.
 */
export type AllocationOutcome<T> = { ok: true; result: T } | { ok: false; waitsFor: string[]; why?: string };

/** Networks of every engine that hand out addresses themselves, or none. */
const PREDEFINED: ReadonlySet<string> = new Set(['bridge', 'host', 'none', 'ingress']);

export function waiting(waitsFor: string, why?: string): { ok: false; waitsFor: string[]; why?: string } {
  return why === undefined ? { ok: false, waitsFor: [waitsFor] } : { ok: false, waitsFor: [waitsFor], why };
}

/** The attachments in which the swarm gives an address, each network once. */
export function overlayTargets<A extends { Target?: string }>(attachments: readonly A[]): (A & { Target: string })[] {
  const byTarget = new Map<string, A & { Target: string }>();
  for (const attachment of attachments) {
    const target = attachment.Target ?? '';
    if (target === '' || PREDEFINED.has(target) || byTarget.has(target)) continue;
    byTarget.set(target, { ...attachment, Target: target });
  }
  return [...byTarget.values()];
}
