import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { MEMBER_SET, REFUSED_COUNTER, STRANGER_SET } from '../guard/member-ruleset.ts';
import type { ObservedGuard } from '../guard/guard-state.ts';

const listingSchema = z.object({ nftables: z.array(z.record(z.string(), z.record(z.string(), z.unknown()))) });
const namedSchema = z.object({ name: z.string().default(''), elem: z.array(z.unknown()).default([]) });
const packetsSchema = z.object({ packets: z.number().default(0) });

/** What the table was made for, and all of it but what changes by itself, as nft listed it then. */
export interface LearntGuard {
  made: Exclude<ObservedGuard['table'], string>;
  rules: unknown[];
}

/** Pure: chains, rules and sets of the output of `nft -j list table`, without elements, counts and handles. @throws Error for other input. */
export function guardRules(listing: string): unknown[] {
  return rowsOf(listing).flatMap(([kind, body]) => {
    if (kind === 'metainfo' || kind === 'table') return [];
    const { handle: _handle, elem: _elem, packets: _packets, bytes: _bytes, ...rest } = body;
    return [{ [kind]: rest }];
  });
}

/** Pure: @param listing of the table. @param learnt of the table as it was last installed. @throws Error for what nft does not print. */
export function readGuard(listing: string, learnt: LearntGuard | undefined): ObservedGuard {
  const isOurs = learnt !== undefined && isDeepStrictEqual(guardRules(listing), learnt.rules);
  const rows = rowsOf(listing);
  const elementsOf = (set: string): string[] =>
    rows.flatMap(([kind, body]) => {
      const { name, elem } = namedSchema.catch({ name: '', elem: [] }).parse(body);
      return kind === 'set' && name === set ? elem.flatMap(wordsOf) : [];
    });
  const counter = rows.find(([kind, { name }]) => kind === 'counter' && name === REFUSED_COUNTER)?.[1];
  return {
    table: isOurs ? learnt.made : 'other',
    members: new Set(elementsOf(MEMBER_SET)),
    refused: packetsSchema.catch({ packets: 0 }).parse(counter).packets,
    strangers: elementsOf(STRANGER_SET),
  };
}

function rowsOf(listing: string): [string, Record<string, unknown>][] {
  return listingSchema.parse(JSON.parse(listing)).nftables.flatMap((row) => Object.entries(row));
}

/** An element is an address, or one with its time in the set beside it. */
function wordsOf(element: unknown): string[] {
  if (typeof element === 'string') return [element];
  const timed = z.object({ elem: z.object({ val: z.string() }) }).safeParse(element);
  return timed.success ? [timed.data.elem.val] : [];
}
