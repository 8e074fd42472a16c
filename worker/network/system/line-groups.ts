import type { Operation } from '../overlay/overlay-state.ts';
import { type BatchLine, type LineOperation, render } from './render.ts';

/** Neighbouring operations that one call of a tool carries out. */
export interface LineGroup {
  tool: BatchLine['tool'];
  inHost: boolean;
  operations: readonly LineOperation[];
  lines: readonly string[];
  /** The namespace's processes are to be ended then: they may remember a former link of that name by its index. */
  forgetsLinks: boolean;
  /** The host's are, too. */
  forgetsHost: boolean;
}

const LINK_MAKERS: ReadonlySet<Operation['kind']> = new Set(['create-vxlan', 'create-bridge', 'create-route-link']);

/**
 * Pure: the operations in order, in as few groups as that allows; one that makes a link ends its group. When the host's `ip` has made it
 * in a namespace it must be ended: it keeps the namespace's file open, and with it the namespace, its links and their other ends in the
 * host, for as long as it lives.
 */
export function lineGroups(namespace: string, operations: readonly LineOperation[]): LineGroup[] {
  const groups: (LineGroup & { operations: LineOperation[]; lines: string[] })[] = [];
  for (const operation of operations) {
    const { tool, inHost, line } = render(namespace, operation);
    const makesLink = LINK_MAKERS.has(operation.kind);
    const last = groups.at(-1);
    if (last?.tool === tool && last.inHost === inHost && !last.forgetsLinks) {
      last.operations.push(operation);
      last.lines.push(line);
      last.forgetsLinks = makesLink;
      last.forgetsHost = makesLink && inHost;
    } else {
      const ends = { forgetsLinks: makesLink, forgetsHost: makesLink && inHost };
      groups.push({ tool, inHost, operations: [operation], lines: [line], ...ends });
    }
  }
  return groups;
}
