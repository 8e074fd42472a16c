import { z } from 'zod';
import { type Shortcut, shortcutKey } from '../overlay/overlay-state.ts';
import { linkName, word } from './words.ts';

/*
 * The chains of a shortcut (overlay/shortcut-plan.ts), in the table of its network, whose maps and sets they look into. Every rule has the shortcut's
 * key for a comment, by which a chain is known again, whatever words this version of nft has for its rules.
 */

const OUT = 'out-';
const IN = 'in-';
/** IPv4 alone, and with IPv6: rules of both chains. */
const RULES = { ipv4: 4, ipv6: 7 };

/**
 * Out: what the container sends from its address to one that the table has a route to; ICMPv6 133 to 137 is neighbour discovery (RFC 4861),
 * which the bridge answers. In: what bears the host's MAC was handed over by the underlay (redirect/), and must be from where its sender
 * is known to be; all else comes from the bridge. What most packets are for comes first.
 */
export function shortcutLines(table: string, lower: string, shortcut: Shortcut): string {
  const { address, address6, underlay } = shortcut;
  const link = `"${linkName(lower)}"`;
  const [own, host, four] = [word(shortcut.mac), word(underlay.mac), word(address)];
  const comment = `comment "${shortcutKey(shortcut)}"`;
  const away = `ether saddr set ${host} fwd to "${linkName(underlay.link)}" ${comment}`;
  const out = [`ip saddr ${four} ether daddr set ip daddr map @routes ${away}`];
  const arrive = [`ether saddr . ip saddr @sources ip daddr ${four} ether daddr set ${own} accept ${comment}`];
  if (address6 !== undefined) {
    const six = word(address6);
    out.push(
      `icmpv6 type 133-137 accept ${comment}`,
      `ip6 saddr ${six} ether daddr set ip6 daddr map @routes6 ${away}`,
    );
    arrive.push(`ether saddr . ip6 saddr @sources6 ip6 daddr ${six} ether daddr set ${own} accept ${comment}`);
  }
  arrive.push(`ether daddr != ${host} accept ${comment}`, `drop ${comment}`);
  return [
    removeShortcut(table, lower),
    ...chain(table, `${OUT}${lower}`, `type filter hook egress device ${link} priority 0; policy accept;`, out),
    ...chain(table, `${IN}${lower}`, `type filter hook ingress device ${link} priority 0; policy accept;`, arrive),
  ].join('\n');
}

/**
 * Made first, so that none is no error. What becomes of a chain whose link goes differs from kernel to kernel: it may be removed, or hang on
 * the next link of that name, or on nothing.
 */
export function removeShortcut(table: string, lower: string): string {
  return [OUT, IN]
    .map((prefix) => `netdev ${table} ${prefix}${linkName(lower)}`)
    .flatMap((name) => [`add chain ${name}`, `flush chain ${name}`, `delete chain ${name}`])
    .join('\n');
}

function chain(table: string, name: string, hook: string, rules: readonly string[]): string[] {
  const target = `netdev ${table} ${name}`;
  return [`add chain ${target} { ${hook} }`, ...rules.map((rule) => `add rule ${target} ${rule}`)];
}

const rowSchema = z.object({
  chain: z.object({ name: z.string() }).optional(),
  rule: z.object({ chain: z.string(), comment: z.string().default('') }).optional(),
});

/** The lower link that a row of `nft -j list table` is about, if it is of a shortcut's chain. */
export function lowerOfRow(row: unknown): { lower: string; hook: string; comment?: string } | undefined {
  const { chain: found, rule } = rowSchema.catch({}).parse(row);
  const name = found?.name ?? rule?.chain ?? '';
  const hook = [OUT, IN].find((prefix) => name.startsWith(prefix));
  if (hook === undefined) return undefined;
  const lower = name.slice(hook.length);
  return rule === undefined ? { lower, hook } : { lower, hook, comment: rule.comment };
}

/** The shortcuts of a listing: lower link to key; '' where chains or rules are missing, or are not of one shortcut. */
export function readShortcuts(rows: readonly unknown[]): Map<string, string> {
  const found = new Map<string, { chains: Set<string>; comments: string[] }>();
  for (const row of rows) {
    const about = lowerOfRow(row);
    if (about === undefined) continue;
    const one = found.get(about.lower) ?? { chains: new Set(), comments: [] };
    found.set(about.lower, one);
    if (about.comment === undefined) one.chains.add(about.hook);
    else one.comments.push(about.comment);
  }
  return new Map([...found].map(([lower, { chains, comments }]) => [lower, keyOf(chains, comments)]));
}

function keyOf(chains: ReadonlySet<string>, comments: readonly string[]): string {
  const [key = ''] = comments;
  const hasIpv6 = key.split(' ')[2] !== '-';
  const isWhole = chains.size === 2 && comments.length === (hasIpv6 ? RULES.ipv6 : RULES.ipv4);
  return isWhole && comments.every((comment) => comment === key) ? key : '';
}
