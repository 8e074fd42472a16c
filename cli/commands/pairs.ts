/** `key=value` flags as an object; a key alone has the value "". */
export function pairsOf(flags: readonly string[] | undefined): Record<string, string> {
  const pairs: Record<string, string> = {};
  for (const flag of flags ?? []) {
    const at = flag.indexOf('=');
    pairs[at < 0 ? flag : flag.slice(0, at)] = at < 0 ? '' : flag.slice(at + 1);
  }
  return pairs;
}
