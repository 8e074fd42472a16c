import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { JoinTokens } from '../../proto/objects/cluster.ts';
import { formatJoinToken } from '../../proto/objects/join-token.ts';
import type { RandomBytes } from '../../proto/objects/naming.ts';
import type { NodeRole } from '../../proto/objects/node.ts';

const SECRET_BYTES = 16;

/** A new token for a root certificate; a rotation is a new token for the same root. */
export function newJoinToken(rootCertificate: string, random: RandomBytes = randomBytes): string {
  return formatJoinToken(rootCertificate, random(SECRET_BYTES));
}

/** The role that a token gives, found in time that does not depend on the token's content. */
export function roleOfToken(tokens: JoinTokens, token: string): NodeRole | undefined {
  const worker = equal(tokens.Worker, token);
  const manager = equal(tokens.Manager, token);
  if (manager) return 'manager';
  return worker ? 'worker' : undefined;
}

function equal(expected: string, given: string): boolean {
  const [a, b] = [Buffer.from(expected), Buffer.from(given)];
  return a.length === b.length && a.length > 0 && timingSafeEqual(a, b);
}
