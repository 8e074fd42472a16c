import { WaggleError } from '../../../proto/runtime/errors.ts';
import { isMac } from '../overlay/address.ts';
import { PLACES, redirectFamily } from '../redirect/redirect-handle.ts';
import type { Redirect, RedirectFamily, RedirectOperation } from '../redirect/redirect-state.ts';
import { linkName } from './words.ts';

/**
 * A step as a line of `tc -batch`: tc(8), tc-u32(8), tc-mirred(8). No row is for the network card (`skip_hw`): it could not carry it out,
 * and some drivers take what they can of it.
 *
 * The row that leads into the table is in the table that the kernel has made for the priority, under a number of the kernel's: none is named.
 * @throws WaggleError invalid-argument for a word that could be another command.
 */
export function renderRedirect(operation: RedirectOperation): string {
  const link = linkName(operation.link);
  if (operation.kind === 'create-qdisc' || operation.kind === 'delete-qdisc') {
    return `qdisc ${operation.kind === 'create-qdisc' ? 'add' : 'del'} dev ${link} clsact`;
  }
  const { family } = operation;
  const { pref, table, hashOffset } = PLACES[family];
  const filters = `dev ${link} ingress pref ${pref} protocol ${family}`;
  switch (operation.kind) {
    case 'create-table':
      return `filter add ${filters} handle ${table}: u32 divisor 256 skip_hw`;
    case 'delete-table':
      return `filter del ${filters}`;
    case 'create-entry': {
      const hash = `hashkey mask 0x000000ff at ${hashOffset}`;
      return `filter add ${filters} handle ::1 u32 match u32 0 0 at 0 link ${table}: ${hash} skip_hw`;
    }
    case 'delete-entry':
    case 'delete-redirect':
      return `filter del ${filters} handle ${handleWord(operation.handle)} u32`;
    case 'create-redirect': {
      const handle = handleWord(operation.handle);
      const bucket = handle.slice(0, handle.lastIndexOf(':') + 1);
      const { lower } = operation.redirect;
      const action = `action mirred ingress redirect dev ${linkName(lower)}`;
      return `filter add ${filters} handle ${handle} u32 ht ${bucket} ${matches(family, operation.redirect)} skip_hw ${action}`;
    }
  }
}

/** The destination of a frame is in the 14 bytes before its packet. */
function matches(family: RedirectFamily, { address, mac }: Redirect): string {
  if (redirectFamily(address) !== family || !isMac(mac)) {
    throw new WaggleError(
      'invalid-argument',
      `not an address of ${family} and a MAC: ${JSON.stringify([address, mac])}`,
    );
  }
  const destination = family === 'ip' ? `match ip dst ${address}/32` : `match ip6 dst ${address}/128`;
  const digits = mac.replaceAll(':', '');
  return `${destination} match u16 0x${digits.slice(0, 4)} 0xffff at -14 match u32 0x${digits.slice(4)} 0xffffffff at -12`;
}

function handleWord(text: string): string {
  if (/^[0-9a-f]{1,3}:[0-9a-f]{0,2}:[0-9a-f]{1,3}$/.test(text)) return text;
  throw new WaggleError('invalid-argument', `not the handle of a filter: ${JSON.stringify(text)}`);
}
