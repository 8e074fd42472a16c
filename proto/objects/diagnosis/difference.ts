import { z } from 'zod';

/**
 * Something of a network that is not as it should be, found on one node. `kind` is a noun and what befell it, such as `forwarding missing`,
 * `neighbour altered`, `link down`, `namespace leaked`: the kinds under which repairs are counted, too.
 */
export interface Difference {
  kind: string;
  /** The thing itself: an address, a link, a namespace. */
  object: string;
  expected: string;
  found: string;
}

const text = z.string().max(500);

export const differenceSchema = z.object({ kind: text, object: text, expected: text, found: text });
