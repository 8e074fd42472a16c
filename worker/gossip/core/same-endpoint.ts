import type { LocalEndpoint } from '../endpoint-table.ts';

/** Whether publishing again would change nothing. */
export function sameEndpoint(a: LocalEndpoint | undefined, b: LocalEndpoint): boolean {
  return (
    a !== undefined &&
    a.address === b.address &&
    a.address6 === b.address6 &&
    a.mac === b.mac &&
    a.vtep === b.vtep &&
    a.vni === b.vni &&
    a.claimedAt === b.claimedAt &&
    sameNames(a.names, b.names) &&
    sameNames(a.services, b.services)
  );
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, index) => name === b[index]);
}
